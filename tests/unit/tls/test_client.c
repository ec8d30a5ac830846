/* The client's side of TLS: against a server in the same process, over a socket pair. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/tls_client.h"
#include "unit/suite.h"
#include "unit/tls/make.h"

static const char host[] = "mx.example.test";

struct shake {
    const char *verdict; /* of a handshake that succeeded */
    char error[600];     /* of one that failed, or could not begin */
    bool ok;
};

static SSL_CTX *serving(const struct cert_source *s)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BIO *chain = BIO_new_mem_buf(s->bytes.chain, (int)s->bytes.chain_len);
    BIO *key = BIO_new_mem_buf(s->bytes.key, (int)s->bytes.key_len);
    X509 *x = PEM_read_bio_X509(chain, NULL, NULL, NULL);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);

    ck_assert_int_eq(SSL_CTX_use_certificate(ctx, x), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, k), 1);
    X509_free(x);
    EVP_PKEY_free(k);
    BIO_free(chain);
    BIO_free(key);
    return ctx;
}

/* Turn by turn, since both ends are in this thread; the pair's buffer holds every flight. */
static void both(SSL *server, struct tls_conn *client, struct shake *out)
{
    enum tls_io r = TLS_IO_WANT_READ;

    for (int i = 0; i < 10 && r != TLS_IO_DONE && r != TLS_IO_FAILED; i++) {
        r = tls_conn_handshake(client);
        (void)SSL_do_handshake(server);
    }
    out->ok = r == TLS_IO_DONE;
    snprintf(out->error, sizeof out->error, "%s", tls_conn_error(client));
}

static struct shake shake(struct cert_source *s, const struct tls_target *t, const char *ca_file)
{
    struct shake out = {0};
    struct tls_client *c;
    struct tls_conn *conn;
    SSL_CTX *ctx = serving(s);
    SSL *server = SSL_new(ctx);
    struct err e;
    int fd[2];

    ck_assert_int_eq(tls_client_new(&c, ca_file, &e), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    SSL_set_fd(server, fd[0]);
    SSL_set_accept_state(server);
    conn = tls_client_connect(c, t, (int64_t)time(NULL), &e);
    if (conn) {
        static char verdict[200];

        tls_conn_attach(conn, fd[1]);
        both(server, conn, &out);
        snprintf(verdict, sizeof verdict, "%s", out.ok ? tls_client_verdict(conn) : "");
        out.verdict = verdict;
        tls_conn_free(&conn);
    } else {
        snprintf(out.error, sizeof out.error, "%.599s", e.text);
    }
    SSL_free(server);
    SSL_CTX_free(ctx);
    tls_client_free(&c);
    close(fd[0]);
    close(fd[1]);
    return out;
}

static void in_file(const struct cert_source *s, char path[64])
{
    int fd;

    snprintf(path, 64, "/tmp/postern-ca.XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, s->bytes.chain, s->bytes.chain_len), (int)s->bytes.chain_len);
    close(fd);
}

START_TEST(anybody_will_do)
{
    struct cert_source s = make_pair(&make_good);
    struct tls_target t = {.name = "another.example.test"};
    struct shake r = shake(&s, &t, NULL);

    ck_assert_msg(r.ok, "%s", r.error);
    ck_assert_ptr_nonnull(strstr(r.verdict, "not verified: self"));
    cert_source_free(&s);
}
END_TEST

START_TEST(name_and_trust)
{
    struct cert_source s = make_pair(&make_good);
    struct tls_target t = {.name = host, .verify = TLS_VERIFY_NAME};
    struct shake r;
    char ca[64];

    in_file(&s, ca);
    r = shake(&s, &t, ca);
    ck_assert_msg(r.ok, "%s", r.error);
    ck_assert_str_eq(r.verdict, "verified by CA and name");
    t.name = "mx2.example.test";
    r = shake(&s, &t, ca);
    ck_assert(!r.ok);
    ck_assert_msg(strstr(r.error, "the server's certificate is not accepted: ") &&
                      strcasestr(r.error, "hostname mismatch"),
                  "%s", r.error);
    t.also = host;
    r = shake(&s, &t, ca);
    ck_assert_msg(r.ok, "%s", r.error);
    t = (struct tls_target){.name = host, .verify = TLS_VERIFY_NAME};
    r = shake(&s, &t, NULL); /* not a CA of this machine */
    ck_assert(!r.ok);
    ck_assert_msg(strstr(r.error, "self"), "%s", r.error);
    unlink(ca);
    cert_source_free(&s);
}
END_TEST

START_TEST(dates_matter_to_names_only)
{
    struct recipe old = make_good;
    struct tls_target t = {.name = host, .verify = TLS_VERIFY_NAME};
    struct cert_source s;
    struct shake r;
    char ca[64];

    old.from = -200;
    old.to = -100;
    s = make_pair(&old);
    in_file(&s, ca);
    r = shake(&s, &t, ca);
    ck_assert(!r.ok);
    ck_assert_msg(strstr(r.error, "expired"), "%s", r.error);
    t.verify = TLS_VERIFY_NONE;
    r = shake(&s, &t, ca);
    ck_assert_msg(r.ok, "%s", r.error);
    unlink(ca);
    cert_source_free(&s);
}
END_TEST

static size_t digest_of(const struct cert_source *s, uint8_t md[64], const EVP_MD *kind, bool key)
{
    BIO *b = BIO_new_mem_buf(s->bytes.chain, (int)s->bytes.chain_len);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
    unsigned n = 0;

    if (key) {
        unsigned char *der = NULL;
        int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

        EVP_Digest(der, (size_t)len, md, &n, kind, NULL);
        OPENSSL_free(der);
    } else {
        X509_digest(x, kind, md, &n);
    }
    X509_free(x);
    BIO_free(b);
    return n;
}

START_TEST(dane)
{
    struct recipe old = make_good;
    struct cert_source s;
    uint8_t md[64];
    struct tls_tlsa rec = {.usage = 3, .selector = 1, .matching = 1, .data = md};
    struct tls_target t = {.name = "named.otherwise.test", .verify = TLS_VERIFY_DANE, .tlsa = &rec, .tlsa_count = 1};
    struct shake r;

    old.from = -200;
    old.to = -100;
    s = make_pair(&old); /* neither name nor date matters to usage 3 */
    rec.len = digest_of(&s, md, EVP_sha256(), true);
    r = shake(&s, &t, NULL);
    ck_assert_msg(r.ok, "%s", r.error);
    ck_assert_str_eq(r.verdict, "verified by DANE");
    md[0] ^= 1;
    r = shake(&s, &t, NULL);
    ck_assert(!r.ok);
    ck_assert_msg(strstr(r.error, "the server's certificate is not accepted"), "%s", r.error);
    rec = (struct tls_tlsa){
        .usage = 3, .selector = 0, .matching = 2, .data = md, .len = digest_of(&s, md, EVP_sha512(), false)};
    r = shake(&s, &t, NULL);
    ck_assert_msg(r.ok, "%s", r.error);
    rec.usage = 1; /* RFC 7672 3.1.3: not for SMTP */
    r = shake(&s, &t, NULL);
    ck_assert(!r.ok);
    ck_assert_str_eq(r.error, "no TLSA record of named.otherwise.test can be used");
    cert_source_free(&s);
}
END_TEST

START_TEST(what_is_usable)
{
    uint8_t bytes[64] = {1};
    const struct {
        struct tls_tlsa r;
        bool usable;
    } table[] = {
        {{3, 1, 1, bytes, 32}, true},  {{2, 0, 1, bytes, 32}, true},    {{3, 1, 2, bytes, 64}, true},
        {{3, 1, 0, bytes, 10}, true},  {{3, 1, 0, bytes, 0}, false},    {{3, 1, 1, bytes, 31}, false},
        {{0, 1, 1, bytes, 32}, false}, {{1, 1, 1, bytes, 32}, false},   {{3, 2, 1, bytes, 32}, false},
        {{3, 1, 3, bytes, 32}, false}, {{255, 1, 1, bytes, 32}, false},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_msg(tls_tlsa_is_usable(&table[i].r) == table[i].usable, "row %zu", i);
}
END_TEST

START_TEST(words_speak_of_the_server)
{
    struct tls_target t = {.name = host};
    struct tls_client *c;
    struct tls_conn *conn;
    struct err e;
    int fd[2];

    ck_assert_int_eq(tls_client_new(&c, NULL, &e), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    conn = tls_client_connect(c, &t, (int64_t)time(NULL), &e);
    tls_conn_attach(conn, fd[1]);
    ck_assert_int_eq(tls_conn_handshake(conn), TLS_IO_WANT_READ);
    ck_assert_int_eq((int)write(fd[0], "454 4.7.0 not now\r\n", 19), 19);
    ck_assert_int_eq(tls_conn_handshake(conn), TLS_IO_FAILED);
    ck_assert_msg(strncmp(tls_conn_error(conn), "server sent something that is not TLS", 37) == 0, "%s",
                  tls_conn_error(conn));
    tls_conn_free(&conn);
    tls_client_free(&c);
    close(fd[0]);
    close(fd[1]);
}
END_TEST

START_TEST(a_file_without_certificates)
{
    struct tls_client *c = NULL;
    struct err e;

    ck_assert_int_eq(tls_client_new(&c, "/dev/null", &e), -1);
    ck_assert_ptr_null(c);
    ck_assert_msg(strstr(e.text, "/dev/null"), "%s", e.text);
}
END_TEST

/* OpenSSL reads on behind a KeyUpdate until there is something to hand out, unless it is told not to: a next hop that sends
 * nothing else would have the relay, and everybody's mail with it, for itself. */
START_TEST(key_updates_take_turns)
{
    struct cert_source s = make_pair(&make_good);
    struct tls_target t = {.name = host};
    SSL_CTX *ctx = serving(&s);
    SSL *server = SSL_new(ctx);
    enum tls_io r = TLS_IO_WANT_READ;
    struct tls_client *c;
    struct tls_conn *conn;
    struct shake out;
    struct err e;
    unsigned calls = 0;
    char room[10];
    size_t n;
    int fd[2];

    ck_assert_int_eq(tls_client_new(&c, NULL, &e), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    SSL_set_fd(server, fd[0]);
    SSL_set_accept_state(server);
    conn = tls_client_connect(c, &t, (int64_t)time(NULL), &e);
    ck_assert_ptr_nonnull(conn);
    tls_conn_attach(conn, fd[1]);
    both(server, conn, &out);
    ck_assert_msg(out.ok, "%s", out.error);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(SSL_key_update(server, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        ck_assert_int_eq(SSL_do_handshake(server), 1);
    }
    ck_assert_int_eq(SSL_write(server, "x", 1), 1);
    for (; r == TLS_IO_WANT_READ && calls < 100; calls++)
        r = tls_conn_read(conn, room, sizeof room, &n);
    ck_assert_int_eq(r, TLS_IO_DONE);
    ck_assert_uint_eq(n, 1);
    ck_assert_msg(calls > 50, "50 of them in %u calls", calls);
    tls_conn_free(&conn);
    tls_client_free(&c);
    SSL_free(server);
    SSL_CTX_free(ctx);
    close(fd[0]);
    close(fd[1]);
    cert_source_free(&s);
}
END_TEST

SUITE_MAIN("client", key_updates_take_turns, anybody_will_do, name_and_trust, dates_matter_to_names_only, dane,
           what_is_usable, words_speak_of_the_server, a_file_without_certificates)
