/* One SMTP client connection of the load generator: non-blocking, in clear or TLS, a small state machine that waits for
 * replies and says the next thing. It owns its socket and its SSL; what it says are shared, constant buffers.
 *
 * Times: connect to banner (the whole first line), final dot written to its reply, and every wait for a reply. */
#ifndef TESTS_BENCH_CLIENT_H
#define TESTS_BENCH_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "samples.h"

enum client_tls { CLIENT_CLEAR, CLIENT_STARTTLS, CLIENT_IMPLICIT };

enum client_job {
    CLIENT_LOAD,    /* messages, then QUIT */
    CLIENT_SHAKE,   /* up to the banner (implicit) or the handshake (starttls), then close */
    CLIENT_HOLD,    /* EHLO, TLS, EHLO, and then nothing */
    CLIENT_TRICKLE, /* a byte a second in a command, or in DATA */
    CLIENT_PROBE,   /* banner, close */
};

enum client_state {
    CLIENT_CONNECTING,
    CLIENT_HANDSHAKE,
    CLIENT_BANNER,
    CLIENT_EHLO,
    CLIENT_STARTTLS_SAID,
    CLIENT_ENVELOPE, /* replies_due counts what is still owed */
    CLIENT_ACK,      /* body and dot are under way or written */
    CLIENT_QUIT,
    CLIENT_IDLE,
    CLIENT_DRIPPING,
    CLIENT_ENDED,
};

struct client;

/* What all clients of a run share. */
struct client_plan {
    struct sockaddr_in to;
    unsigned sources; /* 127.0.0.1 and so many addresses in a row, where ports run out */
    enum client_tls tls;
    SSL_CTX *ctx;
    bool resume; /* a slot keeps the ticket of its last session for the next one */
    int epoll_fd;
    bool lockstep;               /* no pipelining: every command waits for its reply */
    bool trickle_data;           /* trickle in DATA, not in a command */
    uint32_t messages;           /* in one session; 0: until `until_us` */
    int64_t until_us;            /* monotonic */
    const char *const *to_paths; /* "RCPT TO:<...>\r\n" and the rest, one text per recipient */
    unsigned to_count;
    const char *body; /* with the final dot */
    size_t body_len;

    unsigned next_source;
    struct samples banner, ack, reply, shake;
    struct tally failures, trickle_ends; /* what became of clients that drip is no failure of the load */
    uint64_t messages_done, sessions_done, connections, resumed;
    /* ->failed tells how. Called from inside the client's own functions: the owner restarts it later. */
    void (*ended)(struct client_plan *p, struct client *c);
    void (*ready)(struct client_plan *p, struct client *c); /* HOLD is idle, TRICKLE drips from now on */
};

struct client {
    int fd;
    SSL *ssl;
    SSL_SESSION *ticket; /* NULL: none yet */
    enum client_job job;
    enum client_state state;
    enum client_tls tls;
    const char *out;
    size_t out_len;
    char line[512];
    unsigned line_len;
    unsigned replies_due;
    uint32_t messages_done;
    uint32_t watching;
    unsigned recipient;
    int64_t asked_us, connect_us; /* monotonic */
    bool secured, failed;
};

static inline int64_t client_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline void client_watch(struct client_plan *p, struct client *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data = {.ptr = c}};

    if (c->watching == events)
        return;
    epoll_ctl(p->epoll_fd, c->watching ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev);
    c->watching = events;
}

static inline void client_end(struct client_plan *p, struct client *c, const char *failure)
{
    if (c->state == CLIENT_ENDED)
        return;
    if (failure)
        tally_add(c->job == CLIENT_TRICKLE ? &p->trickle_ends : &p->failures, failure);
    c->failed = failure != NULL;
    if (c->ssl && !failure)
        SSL_shutdown(c->ssl); /* close_notify; nobody waits for the peer's */
    SSL_free(c->ssl);
    c->ssl = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->watching = 0;
    c->state = CLIENT_ENDED;
    p->ended(p, c);
}

/* Writes what is there to be said; -1 when the connection is over. */
static inline int client_flush(struct client_plan *p, struct client *c)
{
    while (c->out_len) {
        ssize_t n;

        if (c->ssl) {
            int chunk = c->out_len > INT32_MAX ? INT32_MAX : (int)c->out_len;

            ERR_clear_error();
            n = SSL_write(c->ssl, c->out, chunk);
            if (n <= 0 && SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_WRITE)
                n = 0;
            else if (n <= 0 && SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ)
                return 0;
        } else {
            n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN)
                n = 0;
        }
        if (n == 0) {
            client_watch(p, c, EPOLLIN | EPOLLOUT);
            return 0;
        }
        if (n < 0) {
            client_end(p, c, c->ssl ? "TLS write failed" : strerror(errno));
            return -1;
        }
        c->out += n;
        c->out_len -= (size_t)n;
    }
    client_watch(p, c, EPOLLIN);
    c->asked_us = client_now(); /* the last byte is out: from here the reply takes its time */
    return 0;
}

static inline void client_say(struct client_plan *p, struct client *c, const char *text, size_t len,
                              enum client_state next)
{
    c->out = text;
    c->out_len = len;
    c->state = next;
    client_flush(p, c);
}

static inline void client_say_text(struct client_plan *p, struct client *c, const char *text, enum client_state next)
{
    client_say(p, c, text, strlen(text), next);
}

static inline void client_handshake(struct client_plan *p, struct client *c)
{
    int rc, why;

    if (!c->ssl) {
        c->ssl = SSL_new(p->ctx);
        if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1) {
            client_end(p, c, "no SSL");
            return;
        }
        SSL_set_app_data(c->ssl, c);
        if (p->resume && c->ticket)
            SSL_set_session(c->ssl, c->ticket);
        SSL_set_connect_state(c->ssl);
        c->asked_us = client_now();
        c->state = CLIENT_HANDSHAKE;
    }
    ERR_clear_error();
    rc = SSL_do_handshake(c->ssl);
    if (rc == 1) {
        samples_add(&p->shake, client_now() - c->asked_us);
        c->secured = true;
        p->resumed += SSL_session_reused(c->ssl) == 1;
        if (c->tls == CLIENT_IMPLICIT) {
            c->state = CLIENT_BANNER;
            client_watch(p, c, EPOLLIN);
        } else if (c->job == CLIENT_SHAKE) {
            client_end(p, c, NULL);
        } else {
            client_say_text(p, c, "EHLO load.example.net\r\n", CLIENT_EHLO);
        }
        return;
    }
    why = SSL_get_error(c->ssl, rc);
    if (why == SSL_ERROR_WANT_READ)
        client_watch(p, c, EPOLLIN);
    else if (why == SSL_ERROR_WANT_WRITE)
        client_watch(p, c, EPOLLIN | EPOLLOUT);
    else
        client_end(p, c, "TLS handshake failed");
}

/* MAIL, RCPT, DATA: at once, or (lockstep) the n-th of them. to_paths holds them as three lines. */
static inline void client_envelope(struct client_plan *p, struct client *c, unsigned step)
{
    const char *text = p->to_paths[c->recipient % p->to_count], *from = text, *end;

    if (!p->lockstep) {
        c->replies_due = 3;
        client_say_text(p, c, text, CLIENT_ENVELOPE);
        return;
    }
    for (unsigned i = 0; i < step; i++)
        from = strchr(from, '\n') + 1;
    end = strchr(from, '\n') + 1;
    c->replies_due = 3 - step;
    client_say(p, c, from, (size_t)(end - from), CLIENT_ENVELOPE);
}

static inline bool client_is_done(const struct client_plan *p, const struct client *c)
{
    return p->messages ? c->messages_done >= p->messages : client_now() >= p->until_us;
}

static inline void client_next_message(struct client_plan *p, struct client *c)
{
    if (client_is_done(p, c))
        client_say_text(p, c, "QUIT\r\n", CLIENT_QUIT);
    else
        client_envelope(p, c, 0);
}

/* Greeted, secured, and said hello: what for? */
static inline void client_established(struct client_plan *p, struct client *c)
{
    switch (c->job) {
    case CLIENT_HOLD:
        c->state = CLIENT_IDLE;
        p->ready(p, c);
        break;
    case CLIENT_TRICKLE:
        if (p->trickle_data) {
            client_envelope(p, c, 0);
        } else {
            c->state = CLIENT_DRIPPING;
            p->ready(p, c);
        }
        break;
    default:
        client_next_message(p, c);
        break;
    }
}

static inline void client_after_ehlo(struct client_plan *p, struct client *c)
{
    if (c->tls == CLIENT_STARTTLS && !c->secured)
        client_say_text(p, c, "STARTTLS\r\n", CLIENT_STARTTLS_SAID);
    else
        client_established(p, c);
}

static inline void client_after_envelope(struct client_plan *p, struct client *c)
{
    if (--c->replies_due > 0) {
        if (p->lockstep)
            client_envelope(p, c, 3 - c->replies_due);
        return;
    }
    if (c->job == CLIENT_TRICKLE) {
        c->state = CLIENT_DRIPPING;
        p->ready(p, c);
    } else {
        client_say(p, c, p->body, p->body_len, CLIENT_ACK);
    }
}

static inline unsigned client_expected(const struct client *c)
{
    switch (c->state) {
    case CLIENT_BANNER:
    case CLIENT_STARTTLS_SAID:
        return 220;
    case CLIENT_ENVELOPE:
        return c->replies_due == 1 ? 354 : 250;
    case CLIENT_QUIT:
        return 221;
    default:
        return 250;
    }
}

/* A whole reply is there; `last` is its last line. */
static inline void client_reply(struct client_plan *p, struct client *c, const char *last)
{
    unsigned code = (unsigned)strtoul(last, NULL, 10);

    if (code != client_expected(c) || c->state == CLIENT_IDLE || c->state == CLIENT_DRIPPING) {
        client_end(p, c, last);
        return;
    }
    if (c->state != CLIENT_BANNER && c->state != CLIENT_ACK)
        samples_add(&p->reply, client_now() - c->asked_us);
    switch (c->state) {
    case CLIENT_BANNER:
        samples_add(&p->banner, client_now() - c->connect_us);
        if (c->job == CLIENT_PROBE || (c->job == CLIENT_SHAKE && c->tls != CLIENT_STARTTLS))
            client_end(p, c, NULL);
        else
            client_say_text(p, c, "EHLO load.example.net\r\n", CLIENT_EHLO);
        break;
    case CLIENT_EHLO:
        client_after_ehlo(p, c);
        break;
    case CLIENT_STARTTLS_SAID:
        client_handshake(p, c);
        break;
    case CLIENT_ENVELOPE:
        client_after_envelope(p, c);
        break;
    case CLIENT_ACK:
        samples_add(&p->ack, client_now() - c->asked_us);
        c->messages_done++;
        p->messages_done++;
        client_next_message(p, c);
        break;
    case CLIENT_QUIT:
        p->sessions_done++;
        client_end(p, c, NULL);
        break;
    default:
        break;
    }
}

static inline void client_bytes(struct client_plan *p, struct client *c, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && c->state != CLIENT_ENDED; i++) {
        if (bytes[i] != '\n') {
            if (c->line_len < sizeof c->line - 1)
                c->line[c->line_len++] = bytes[i];
            continue;
        }
        while (c->line_len && c->line[c->line_len - 1] == '\r')
            c->line_len--;
        c->line[c->line_len] = '\0';
        if (c->line_len < 4 || c->line[3] != '-')
            client_reply(p, c, c->line);
        c->line_len = 0;
    }
}

static inline void client_read(struct client_plan *p, struct client *c)
{
    char bytes[4096];
    ssize_t n;

    do {
        if (c->ssl) {
            ERR_clear_error();
            n = SSL_read(c->ssl, bytes, sizeof bytes);
            if (n <= 0 && SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ)
                return;
            n = n < 0 ? 0 : n;
        } else {
            n = recv(c->fd, bytes, sizeof bytes, 0);
            if (n < 0 && errno == EAGAIN)
                return;
        }
        if (n <= 0) {
            client_end(p, c, n < 0 ? strerror(errno) : "closed by the server");
            return;
        }
        client_bytes(p, c, bytes, (size_t)n);
    } while (c->state != CLIENT_ENDED && c->ssl && SSL_pending(c->ssl) > 0);
}

static inline void client_connected(struct client_plan *p, struct client *c)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
        client_end(p, c, strerror(error));
        return;
    }
    if (c->tls == CLIENT_IMPLICIT) {
        client_handshake(p, c);
        return;
    }
    c->state = CLIENT_BANNER;
    client_watch(p, c, EPOLLIN);
}

static inline void client_event(struct client_plan *p, struct client *c, uint32_t events)
{
    if (c->state == CLIENT_CONNECTING) {
        client_connected(p, c);
    } else if (c->state == CLIENT_HANDSHAKE) {
        client_handshake(p, c);
    } else {
        if ((events & EPOLLOUT) && c->out_len && client_flush(p, c) < 0)
            return;
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && c->state != CLIENT_ENDED)
            client_read(p, c);
    }
}

/* A ticket has come: OpenSSL's callback, which takes the reference by returning 1. */
static inline int client_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct client *c = SSL_get_app_data(ssl);

    SSL_SESSION_free(c->ticket);
    c->ticket = ticket;
    return 1;
}

/* Begins a connection. The caller keeps c; p->ended() comes exactly once, perhaps before this returns. */
static inline void client_start(struct client_plan *p, struct client *c, enum client_job job, enum client_tls tls)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1;

    *c = (struct client){.job = job, .tls = tls, .recipient = c->recipient, .ticket = c->ticket};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + p->next_source++ % p->sources);
    p->connections++;
    c->connect_us = client_now();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        client_end(p, c, strerror(errno));
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (p->sources > 1) {
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) {
            client_end(p, c, strerror(errno));
            return;
        }
    }
    c->state = CLIENT_CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&p->to, sizeof p->to) < 0 && errno != EINPROGRESS) {
        client_end(p, c, strerror(errno));
        return;
    }
    client_watch(p, c, EPOLLOUT);
}

#endif
