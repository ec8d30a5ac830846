/* A next hop that speaks by script, in a process of its own: lines "S: text" are sent, "C: text" must come ("*" at the end:
 * anything may follow), "BDATS: text" answers each BDAT with it, "FLOOD" sends without end, "TLS" makes a handshake, "CLOSE" hangs up, "RST" breaks, "DATA" takes content to the dot. */
#ifndef TESTS_UNIT_RELAY_SERVER_H
#define TESTS_UNIT_RELAY_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/addr.h"
#include "unit/tls/make.h"

#define SERVER_SCRIPTS 8

struct server {
    struct addr address;
    pid_t pid;
};

struct server_end {
    int fd;
    SSL *ssl;
    char in[8192];
    size_t n;
};

static inline void server_die(const char *what, const char *detail)
{
    fprintf(stderr, "scripted server: %s: %s\n", what, detail);
    _exit(1);
}

static inline bool server_read(struct server_end *s)
{
    ssize_t r;

    if (s->n == sizeof s->in)
        server_die("line too long", "");
    r = s->ssl ? SSL_read(s->ssl, s->in + s->n, (int)(sizeof s->in - s->n))
               : read(s->fd, s->in + s->n, sizeof s->in - s->n);
    if (r <= 0)
        return false;
    s->n += (size_t)r;
    return true;
}

/* false: the client is gone. */
static inline bool server_line(struct server_end *s, char out[2000])
{
    char *end;

    while (!(end = memmem(s->in, s->n, "\r\n", 2)))
        if (!server_read(s))
            return false;
    snprintf(out, 2000, "%.*s", (int)(end - s->in), s->in);
    s->n -= (size_t)(end - s->in) + 2;
    memmove(s->in, end + 2, s->n);
    return true;
}

static inline void server_say(struct server_end *s, const char *text)
{
    char line[4000];
    int n = snprintf(line, sizeof line, "%s\r\n", text);

    if (s->ssl)
        (void)SSL_write(s->ssl, line, n);
    else
        (void)!write(s->fd, line, (size_t)n);
}

static inline void server_tls(struct server_end *s, const struct cert_source *pair)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BIO *chain = BIO_new_mem_buf(pair->bytes.chain, (int)pair->bytes.chain_len);
    BIO *key = BIO_new_mem_buf(pair->bytes.key, (int)pair->bytes.key_len);

    SSL_CTX_use_certificate(ctx, PEM_read_bio_X509(chain, NULL, NULL, NULL));
    SSL_CTX_use_PrivateKey(ctx, PEM_read_bio_PrivateKey(key, NULL, NULL, NULL));
    s->ssl = SSL_new(ctx);
    SSL_set_fd(s->ssl, s->fd);
    if (SSL_accept(s->ssl) != 1)
        _exit(0); /* the client may refuse: its side is what is tested */
}

/* Without end, until the client is gone. */
static inline void server_flood(struct server_end *s)
{
    char room[64 * 1024];

    for (size_t i = 0; i < sizeof room; i++)
        room[i] = "250-x\r\n"[i % 7];
    while (s->ssl ? SSL_write(s->ssl, room, sizeof room) > 0 : send(s->fd, room, sizeof room, MSG_NOSIGNAL) > 0)
        ;
}

static inline void server_skip(struct server_end *s, size_t n)
{
    while (n) {
        size_t some = n < s->n ? n : s->n;

        s->n -= some;
        n -= some;
        memmove(s->in, s->in + some, s->n);
        if (n && !server_read(s))
            return;
    }
}

/* Each BDAT gets this reply before its content is read. Ends with the RSET behind them. */
static inline void server_refuse_bdats(struct server_end *s, const char *reply)
{
    char line[2000];

    while (server_line(s, line) && strncmp(line, "BDAT ", 5) == 0) {
        server_say(s, reply);
        server_skip(s, (size_t)atol(line + 5));
    }
    server_say(s, "250 2.0.0 forgotten");
}

static inline void server_play(int fd, const char *script, const struct cert_source *pair)
{
    struct server_end s = {.fd = fd};
    char line[2000], *copy = mem_str(script), *rest = copy, *step;

    while ((step = strsep(&rest, "\n"))) {
        size_t n = strlen(step);

        if (strncmp(step, "S: ", 3) == 0) {
            server_say(&s, step + 3);
        } else if (strncmp(step, "C: ", 3) == 0) {
            if (!server_line(&s, line))
                server_die("the client is gone before", step);
            if (step[n - 1] == '*' ? strncasecmp(line, step + 3, n - 4) != 0 : strcasecmp(line, step + 3) != 0)
                server_die(step, line);
        } else if (strcmp(step, "DATA") == 0) {
            do
                if (!server_line(&s, line))
                    server_die("the client is gone inside", "DATA");
            while (strcmp(line, ".") != 0);
        } else if (strncmp(step, "BDATS: ", 7) == 0) {
            server_refuse_bdats(&s, step + 7);
        } else if (strcmp(step, "FLOOD") == 0) {
            server_flood(&s);
            break;
        } else if (strcmp(step, "TLS") == 0) {
            server_tls(&s, pair);
        } else if (strcmp(step, "RST") == 0) {
            struct linger now = {1, 0};

            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            close(fd);
            free(copy);
            return;
        } else if (strcmp(step, "CLOSE") == 0) {
            break;
        }
    }
    /* "C: QUIT" and a hang-up look alike from here */
    if (!rest)
        while (server_line(&s, line))
            if (strcasecmp(line, "QUIT") == 0) {
                server_say(&s, "221 2.0.0 bye");
                break;
            }
    close(fd);
    free(copy);
}

/* Connection i gets scripts[i]; after the last one nobody listens any more. */
static inline struct server server_start(const char *const *scripts, const struct cert_source *pair)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    struct server s = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    memcpy(&s.address.ss, &at, sizeof at);
    s.address.len = len;
    s.pid = fork();
    if (s.pid == 0) {
        alarm(25);
        for (unsigned i = 0; scripts[i]; i++)
            server_play(accept(fd, NULL, NULL), scripts[i], pair);
        _exit(0);
    }
    close(fd);
    return s;
}

/* All scripts were played to their end, as they were written. */
static inline void server_end_well(struct server *s)
{
    int status = -1;

    ck_assert_int_eq(waitpid(s->pid, &status, 0), s->pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server's script was not followed (status %x)",
                  (unsigned)status);
}

#endif
