/* STARTTLS and implicit TLS: what is offered, what is said when it cannot be, bytes where they do not belong. */
#include <openssl/ssl.h>

#include "unit/session/rig.h"

struct tls_client {
    struct client *c;
    SSL_CTX *ctx;
    SSL *ssl;
};

/* Takes the client; nothing is sent yet. */
static struct tls_client *tls_client_new(struct client *c)
{
    struct tls_client *t = mem_alloc(sizeof *t);

    t->c = c;
    t->ctx = SSL_CTX_new(TLS_client_method());
    t->ssl = SSL_new(t->ctx);
    SSL_set_fd(t->ssl, c->fd);
    SSL_set_tlsext_host_name(t->ssl, "mx.example.test");
    SSL_set_connect_state(t->ssl);
    return t;
}

static void tls_client_free(struct tls_client *t)
{
    SSL_free(t->ssl);
    SSL_CTX_free(t->ctx);
    client_free(t->c);
    free(t);
}

static void handshake(struct tls_client *t)
{
    RIG_UNTIL(SSL_do_handshake(t->ssl) == 1);
}

static bool tls_has(struct tls_client *t, const char *text)
{
    struct client *c = t->c;
    int n;

    while ((n = SSL_read(t->ssl, c->got + c->len, (int)(sizeof c->got - 1 - c->len))) > 0)
        c->len += (size_t)n;
    c->got[c->len] = '\0';
    return strstr(c->got, text) != NULL;
}

static void tls_says(struct tls_client *t, const char *text, const char *answer)
{
    client_forget(t->c);
    ck_assert_int_eq(SSL_write(t->ssl, text, (int)strlen(text)), (int)strlen(text));
    RIG_UNTIL(tls_has(t, answer));
}

START_TEST(starttls)
{
    struct tls_client *t;
    struct client *c;
    char *m;

    rig_start(RIG_STARTTLS, true, NULL);
    c = client_greeted(0);
    client_send(c, HELLO);
    RIG_UNTIL(client_has(c, "250 "));
    ck_assert_ptr_nonnull(strstr(c->got, "STARTTLS\r\n"));
    client_says(c, "STARTTLS\r\n", "220 2.0.0");
    t = tls_client_new(c);
    handshake(t);
    tls_says(t, "MAIL FROM:<s@example.net>\r\n", "503 "); /* what was said in clear is forgotten */
    tls_says(t, HELLO, "250 ");
    ck_assert_ptr_null(strstr(c->got, "STARTTLS"));
    tls_says(t, "STARTTLS\r\n", "503 5.5.1");
    tls_says(t, ENVELOPE "DATA\r\n", "354 ");
    tls_says(t, "Subject: x\r\n\r\n.\r\n", "250 2.0.0 Ok");
    m = rig_message();
    ck_assert_ptr_nonnull(strstr(m, "ESMTPS"));
    ck_assert_ptr_nonnull(strstr(m, "TLSv1.3"));
    free(m);
    tls_says(t, "QUIT\r\n", "221 ");
    RIG_UNTIL(rig_now() == 0);
    ck_assert_uint_eq(rig_logged("event=tls.handshake "), 1);
    ck_assert_uint_ge(rig_logged("version=TLSv1.3"), 1);
    ck_assert_uint_eq(rig_logged("smtp.start-tls-already"), 1);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_TLS_HANDSHAKES), 1);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_LEFT_WITHOUT_TLS), 0);
    tls_client_free(t);
    rig_stop();
}
END_TEST

/* OpenSSL reads on behind a KeyUpdate until there is something to hand out, unless it is told not to: a client that
 * sends nothing else would have the worker for itself as long as it likes. */
START_TEST(key_updates_take_turns)
{
    struct tls_client *t;
    struct client *c;

    rig_start(RIG_STARTTLS, true, NULL);
    c = client_greeted(0);
    client_says(c, HELLO, "250 ");
    client_says(c, "STARTTLS\r\n", "220 2.0.0");
    t = tls_client_new(c);
    handshake(t);
    tls_says(t, HELLO, "250 ");
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(SSL_key_update(t->ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        ck_assert_int_eq(SSL_do_handshake(t->ssl), 1);
    }
    client_forget(c);
    ck_assert_int_eq(SSL_write(t->ssl, "NOOP\r\n", 6), 6);
    for (int i = 0; i < 5; i++) {
        rig_turn();
        ck_assert_msg(!tls_has(t, "250 "), "50 of them in %d turns", i + 1);
    }
    RIG_UNTIL(tls_has(t, "250 "));
    tls_client_free(t);
    rig_stop();
}
END_TEST

static void injected(struct client *c)
{
    RIG_UNTIL(client_ended(c));
    ck_assert_msg(!strstr(c->got, "220 2.0.0"), "%s", c->got);
    ck_assert_ptr_null(strstr(c->got, "evil"));
    ck_assert_uint_eq(rig_logged("smtp.start-tls-injection"), 1);
    ck_assert_uint_eq(rig_logged("smtp.mail-from"), 0);
    client_free(c);
    rig_stop();
}

START_TEST(injection_in_one_packet)
{
    struct client *c;

    rig_start(RIG_STARTTLS, true, NULL);
    c = client_greeted(0);
    client_says(c, HELLO, "250 ");
    client_send(c, "STARTTLS\r\nMAIL FROM:<evil@example.net>\r\n");
    injected(c);
}
END_TEST

/* The line ends exactly where our read ends: the rest is in the kernel, not in our buffer. */
START_TEST(injection_behind_the_buffer)
{
    struct client *c;
    char *all;
    size_t n = 0;

    rig_start(RIG_STARTTLS, true, NULL);
    c = client_greeted(0);
    client_says(c, HELLO, "250 ");
    all = mem_alloc(16384 + 100);
    while (n + 6 + 10 <= 16384 - 12) {
        memcpy(all + n, "NOOP\r\n", 6);
        n += 6;
    }
    n += (size_t)sprintf(all + n, "NOOP %.*s\r\n", (int)(16384 - 10 - 7 - n), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    n += (size_t)sprintf(all + n, "STARTTLS\r\n");
    ck_assert_uint_eq(n, 16384);
    strcpy(all + n, "MAIL FROM:<evil@example.net>\r\n");
    client_send(c, all);
    free(all);
    injected(c);
}
END_TEST

START_TEST(not_tls_behind_the_220)
{
    struct client *c;

    rig_start(RIG_STARTTLS, true, NULL);
    c = client_greeted(0);
    client_says(c, HELLO, "250 ");
    client_says(c, "STARTTLS\r\n", "220 2.0.0");
    client_send(c, "MAIL FROM:<s@example.net>\r\n");
    RIG_UNTIL(client_ended(c) && rig.server->sessions == 0);
    ck_assert_uint_eq(rig_logged("tls.handshake-error"), 1);
    ck_assert_uint_ge(rig_logged("not TLS"), 1);
    ck_assert_uint_eq(rig_logged("smtp.mail-from"), 0);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_TLS_FAILURES), 1);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(client_does_not_trust)
{
    struct tls_client *t;
    struct client *c;

    rig_start(RIG_STARTTLS, true, NULL);
    c = client_greeted(0);
    client_says(c, HELLO, "250 ");
    client_says(c, "STARTTLS\r\n", "220 2.0.0");
    t = tls_client_new(c);
    SSL_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
    RIG_UNTIL(SSL_do_handshake(t->ssl) != 1 && rig.server->sessions == 0);
    /* in TLS 1.3 our side is done before the alert comes */
    ck_assert_uint_ge(rig_logged("tls.handshake"), 1);
    tls_client_free(t);
    rig_stop();
}
END_TEST

START_TEST(handshake_deadline)
{
    struct client *c;

    rig_start(RIG_STARTTLS, true, NULL);
    c = client_greeted(0);
    client_says(c, HELLO, "250 ");
    client_says(c, "STARTTLS\r\n", "220 2.0.0");
    RIG_UNTIL(rig.server->first->wait == SESSION_HANDSHAKE);
    client_send(c, "\x16\x03\x01\x02"); /* the beginning of a ClientHello, and then nothing */
    for (int i = 0; i < 5; i++)
        rig_turn();
    rig.server->first->deadline_us -= 61 * INT64_C(1000000);
    session_tick(rig.server);
    RIG_UNTIL(client_ended(c));
    ck_assert_uint_eq(rig_logged("tls.handshake-error"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

/* ---- implicit */

START_TEST(implicit)
{
    struct tls_client *t;

    rig_start(RIG_IMPLICIT, true, NULL);
    t = tls_client_new(client_new(0));
    handshake(t);
    RIG_UNTIL(tls_has(t, "220 mx.example.test"));
    tls_says(t, HELLO, "250 ");
    ck_assert_ptr_null(strstr(t->c->got, "STARTTLS"));
    tls_says(t, ENVELOPE "DATA\r\n", "354 ");
    tls_says(t, "Subject: x\r\n\r\n.\r\nQUIT\r\n", "221 ");
    ck_assert_ptr_nonnull(strstr(t->c->got, "250 2.0.0 Ok"));
    tls_client_free(t);
    RIG_UNTIL(rig_now() == 0);
    ck_assert_uint_eq(rig_logged("tls.not-configured"), 0);
    rig_stop();
}
END_TEST

START_TEST(smtp_text_on_an_implicit_port)
{
    struct client *c;

    rig_start(RIG_IMPLICIT, true, NULL);
    c = client_new(0);
    client_send(c, HELLO);
    RIG_UNTIL(client_ended(c) && rig.server->sessions == 0);
    ck_assert_uint_eq(rig_logged("tls.handshake-error"), 1);
    ck_assert_uint_ge(rig_logged("plain SMTP text"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(silence_on_an_implicit_port)
{
    struct client *c, *monitor;

    rig_start(RIG_IMPLICIT, true, NULL);
    c = client_new(0);
    RIG_UNTIL(rig.server->sessions == 1);
    rig.server->first->deadline_us -= 61 * INT64_C(1000000);
    session_tick(rig.server);
    RIG_UNTIL(client_ended(c));
    ck_assert_uint_eq(rig_logged("tls.handshake-error"), 1);
    ck_assert_uint_ge(rig_logged("waits for a greeting in clear"), 1);
    client_free(c);
    /* who only looks whether the port is open is no failure */
    monitor = client_new(0);
    RIG_UNTIL(rig.server->sessions == 1);
    client_free(monitor);
    RIG_UNTIL(rig.server->sessions == 0);
    ck_assert_uint_eq(rig_logged("tls.handshake-error"), 1);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_TLS_FAILURES), 1);
    rig_stop();
}
END_TEST

/* ---- wanted and missing */

#define WITHOUT(how)                                                                                                   \
    "listener \"mx\" { address = {\"127.0.0.1:0\"} role = mx tls = starttls without-certificate = " how " }\n"

START_TEST(not_configured_is_said_once)
{
    struct client *c;

    rig_start(WITHOUT("omit"), false, NULL);
    for (int i = 0; i < 4; i++) {
        c = client_greeted(0);
        client_send(c, HELLO);
        RIG_UNTIL(client_has(c, "250 "));
        ck_assert_ptr_null(strstr(c->got, "STARTTLS"));
        client_says(c, "STARTTLS\r\n", "454 4.7.0");
        client_free(c);
    }
    RIG_UNTIL(rig_now() == 0);
    ck_assert_uint_eq(rig_logged("event=tls.not-configured"), 1);
    ck_assert_uint_ge(rig_logged("hostname=client.example.net reason=unreadable"), 1);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_EHLO_WITHOUT_STARTTLS), 4);
    ck_assert_uint_eq(rig_logged("smtp.start-tls-unavailable"), 4);
    /* a minute later: again, and how many were held back */
    for (unsigned r = 0; r < TLS_REASON_COUNT; r++)
        if (rig.server->listeners[0].not_configured[r].last_us)
            rig.server->listeners[0].not_configured[r].last_us -= 61 * INT64_C(1000000);
    c = client_greeted(0);
    client_says(c, HELLO, "250 ");
    ck_assert_uint_eq(rig_logged("event=tls.not-configured"), 2);
    ck_assert_uint_eq(rig_logged("heldBack=3"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(left_without_tls)
{
    struct client *c;

    rig_start(WITHOUT("omit"), false, NULL);
    for (int i = 0; i < LEFT_WARN_AFTER; i++) {
        ck_assert_uint_eq(rig_logged("event=smtp.left-without-tls"), 0);
        c = client_from("192.0.2.7:25");
        client_says(c, HELLO, "250 ");
        client_says(c, "QUIT\r\n", "221 ");
        RIG_UNTIL(client_ended(c));
        client_free(c);
    }
    ck_assert_uint_eq(rig_logged("event=smtp.left-without-tls"), 1);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_LEFT_WITHOUT_TLS), LEFT_WARN_AFTER);
    /* a client that came with mail is none of them */
    c = client_from("192.0.2.7:25");
    client_says(c, HELLO "MAIL FROM:<s@example.net>\r\n", "250 2.1.0");
    client_says(c, "RSET\r\n", "250 ");
    client_says(c, "QUIT\r\n", "221 ");
    RIG_UNTIL(client_ended(c));
    client_free(c);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_LEFT_WITHOUT_TLS), LEFT_WARN_AFTER);
    rig_stop();
}
END_TEST

START_TEST(close_at_the_greeting)
{
    struct client *c;

    rig_start(WITHOUT("close"), false, NULL);
    c = client_new(0);
    RIG_UNTIL(client_has(c, "421 4.7.0 ") && client_ended(c));
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(tempfail)
{
    struct client *c;

    rig_start(WITHOUT("tempfail"), false, NULL);
    c = client_greeted(0);
    client_send(c, HELLO);
    RIG_UNTIL(client_has(c, "250 "));
    ck_assert_ptr_nonnull(strstr(c->got, "STARTTLS\r\n"));
    client_says(c, "STARTTLS\r\n", "454 4.7.0");
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(withheld)
{
    struct client *c;

    rig_start("listener \"mx\" { address = {\"127.0.0.1:0\"} role = mx tls = starttls no-starttls-for = "
              "{\"192.0.2.0/24\"} }\n",
              true, NULL);
    c = client_from("192.0.2.1:1");
    client_send(c, HELLO);
    RIG_UNTIL(client_has(c, "250 "));
    ck_assert_ptr_null(strstr(c->got, "STARTTLS"));
    client_says(c, "STARTTLS\r\n", "502 5.5.1");
    ck_assert_uint_eq(rig_logged("event=smtp.start-tls-withheld"), 1);
    ck_assert_uint_eq(rig_logged("event=tls.not-configured"), 0);
    client_free(c);
    c = client_from("198.51.100.1:1");
    client_send(c, HELLO);
    RIG_UNTIL(client_has(c, "250 "));
    ck_assert_ptr_nonnull(strstr(c->got, "STARTTLS"));
    client_free(c);
    rig_stop();
}
END_TEST

/* A fifth generation ends old sessions, but cuts no handshake: it is finished, and 421 said inside. */
START_TEST(close_old_waits_for_a_handshake)
{
    struct tls_client *t;
    struct client *c;

    rig_start(RIG_STARTTLS, true, NULL);
    c = client_greeted(0);
    client_says(c, HELLO, "250 ");
    client_says(c, "STARTTLS\r\n", "220 2.0.0");
    RIG_UNTIL(rig.server->first->wait == SESSION_HANDSHAKE);
    rig_order(SERVER_DRAIN);
    rig_order(SERVER_CLOSE_OLD);
    t = tls_client_new(c);
    handshake(t);
    RIG_UNTIL(tls_has(t, "421 4.3.2"));
    RIG_UNTIL(rig.server->reported);
    tls_client_free(t);
    rig_stop();
}
END_TEST

SUITE_MAIN("session/tls", starttls, key_updates_take_turns, injection_in_one_packet, injection_behind_the_buffer,
           not_tls_behind_the_220, client_does_not_trust, handshake_deadline, implicit, smtp_text_on_an_implicit_port,
           silence_on_an_implicit_port, not_configured_is_said_once, left_without_tls, close_at_the_greeting, tempfail,
           withheld, close_old_waits_for_a_handshake)
