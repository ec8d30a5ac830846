/* The least server there can be: a thread that answers every line with a fixed reply and throws bodies away. What the
 * load generator reaches against it is the generator's own limit, to be printed beside every figure. In clear only;
 * for TLS the limit is accept_loop's. */
#ifndef TESTS_BENCH_SINK_H
#define TESTS_BENCH_SINK_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

struct sink_conn {
    int fd;
    bool in_data;
    unsigned matched; /* bytes of CRLF.CRLF seen */
    char line[4];     /* the first bytes of the command in hand */
    size_t line_len;
};

struct sink_server {
    int listen_fd, epoll_fd;
    pthread_t thread;
    _Atomic bool stop;
};

static inline void sink_say(struct sink_conn *c, char *out, size_t *n, const char *words)
{
    size_t len = strlen(words);

    (void)c;
    if (*n + len < 4096) {
        memcpy(out + *n, words, len);
        *n += len;
    }
}

/* One byte of a body: true at the end of CRLF.CRLF. */
static inline bool sink_body_byte(struct sink_conn *c, char b)
{
    static const char end[] = "\r\n.\r\n";

    if (b == end[c->matched])
        c->matched++;
    else
        c->matched = b == '\r' ? 1 : 0;
    if (c->matched < 5)
        return false;
    c->matched = 0;
    c->in_data = false;
    return true;
}

/* False: QUIT was answered. */
static inline bool sink_line(struct sink_conn *c, char *out, size_t *n)
{
    if (c->line_len >= 4 && memcmp(c->line, "QUIT", 4) == 0) {
        sink_say(c, out, n, "221 2.0.0 bye\r\n");
        return false;
    }
    if (c->line_len >= 4 && memcmp(c->line, "DATA", 4) == 0) {
        c->in_data = true;
        c->matched = 2; /* a dot right away ends it too */
        sink_say(c, out, n, "354 go on\r\n");
    } else if (c->line_len >= 4 && memcmp(c->line, "EHLO", 4) == 0) {
        sink_say(c, out, n, "250-sink\r\n250 PIPELINING\r\n");
    } else {
        sink_say(c, out, n, "250 2.0.0 ok\r\n");
    }
    c->line_len = 0;
    return true;
}

static inline bool sink_bytes(struct sink_conn *c, const char *p, size_t len)
{
    char out[4096];
    size_t n = 0;
    bool stays = true;

    for (size_t i = 0; i < len && stays; i++) {
        if (c->in_data) {
            const char *cr = c->matched == 0 ? memchr(p + i, '\r', len - i) : p + i;

            if (!cr)
                break;
            i = (size_t)(cr - p);
            if (sink_body_byte(c, p[i]))
                sink_say(c, out, &n, "250 2.0.0 taken\r\n");
        } else if (p[i] == '\n') {
            stays = sink_line(c, out, &n);
        } else if (c->line_len < sizeof c->line) {
            c->line[c->line_len++] = p[i];
        }
    }
    return (n == 0 || write(c->fd, out, n) == (ssize_t)n) && stays;
}

static inline void sink_accept(struct sink_server *s)
{
    for (;;) {
        int one = 1, fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct sink_conn *c;
        struct epoll_event ev = {.events = EPOLLIN};

        if (fd < 0)
            return;
        c = mem_alloc(sizeof *c);
        c->fd = fd;
        ev.data.ptr = c;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (write(fd, "220 sink\r\n", 10) != 10 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
            close(fd);
            free(c);
        }
    }
}

static inline void *sink_run(void *arg)
{
    struct sink_server *s = arg;
    struct epoll_event evs[256];
    static char bytes[65536];

    while (!s->stop) {
        int n = epoll_wait(s->epoll_fd, evs, 256, 100);

        for (int i = 0; i < n; i++) {
            struct sink_conn *c = evs[i].data.ptr;
            ssize_t got;

            if (!c) {
                sink_accept(s);
                continue;
            }
            got = read(c->fd, bytes, sizeof bytes);
            if ((got < 0 && errno == EAGAIN) || (got > 0 && sink_bytes(c, bytes, (size_t)got)))
                continue;
            close(c->fd);
            free(c);
        }
    }
    return NULL;
}

/* Starts it on a free port of loopback; *to is where. 0, or -1. */
static inline int sink_start(struct sink_server *s, struct sockaddr_in *to)
{
    socklen_t len = sizeof *to;
    struct epoll_event ev = {.events = EPOLLIN};

    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    s->stop = false;
    s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->listen_fd < 0 || s->epoll_fd < 0 || bind(s->listen_fd, (struct sockaddr *)to, len) < 0 ||
        listen(s->listen_fd, 4096) < 0 || getsockname(s->listen_fd, (struct sockaddr *)to, &len) < 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->listen_fd, &ev) < 0)
        return -1;
    return pthread_create(&s->thread, NULL, sink_run, s) == 0 ? 0 : -1;
}

/* CPU seconds of the thread so far: not the generator's. */
static inline double sink_cpu(const struct sink_server *s)
{
    clockid_t clock;
    struct timespec t = {0};

    if (pthread_getcpuclockid(s->thread, &clock) == 0)
        clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void sink_stop(struct sink_server *s)
{
    s->stop = true;
    pthread_join(s->thread, NULL);
    close(s->listen_fd);
    close(s->epoll_fd);
}

#endif
