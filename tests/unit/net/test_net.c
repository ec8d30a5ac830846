/* Loop, stream and listener over real sockets. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/stream.h"
#include "unit/suite.h"

static struct loop *loop;
static unsigned turns;

static void begin(void)
{
    struct err e;

    signal(SIGPIPE, SIG_IGN);
    turns = 0;
    ck_assert_msg(loop_new(&loop, &e) == 0, "%s", e.text);
}

static void turn_end(void *arg)
{
    (void)arg;
    turns++;
}

static void turn(void)
{
    ck_assert_int_eq(loop_turn(loop, false, turn_end, NULL), 0);
}

#define UNTIL(condition)                                                                                               \
    do {                                                                                                               \
        int64_t end_us = clock_now().mono_us + 10 * INT64_C(1000000);                                                  \
                                                                                                                       \
        while (!(condition)) {                                                                                         \
            ck_assert_msg(clock_now().mono_us < end_us, "never: " #condition);                                         \
            turn();                                                                                                    \
            poll(NULL, 0, 1);                                                                                          \
        }                                                                                                              \
    } while (0)

/* ---- loop */

struct heard {
    unsigned calls, what;
    struct watch *w;
    bool frees;
};

static void hear(void *arg, unsigned what)
{
    struct heard *h = arg;

    h->calls++;
    h->what |= what;
    if (h->frees)
        watch_free(&h->w);
}

START_TEST(watch_hears_what_it_wants)
{
    struct heard h = {0};
    int fd[2];
    char c;

    begin();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    h.w = watch_new(loop, fd[0], hear, &h);
    ck_assert_int_eq(write(fd[1], "x", 1), 1);
    turn();
    ck_assert_uint_eq(h.calls, 0); /* nothing wanted, nothing heard */
    watch_want(h.w, LOOP_READ);
    UNTIL(h.calls > 0);
    ck_assert_uint_eq(h.what, LOOP_READ);
    ck_assert_int_eq(read(fd[0], &c, 1), 1);
    h = (struct heard){.w = h.w};
    watch_want(h.w, LOOP_READ | LOOP_WRITE);
    UNTIL(h.calls > 0);
    ck_assert_uint_eq(h.what, LOOP_WRITE);
    watch_want(h.w, 0);
    ck_assert_uint_eq(watch_wanted(h.w), 0);
    h.calls = 0;
    turn();
    turn();
    ck_assert_uint_eq(h.calls, 0);
    watch_free(&h.w);
    ck_assert_ptr_null(h.w);
    close(fd[0]);
    close(fd[1]);
    loop_free(&loop);
}
END_TEST

START_TEST(watch_freed_inside_its_own_call)
{
    struct heard h = {.frees = true};
    int fd[2];

    begin();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    h.w = watch_new(loop, fd[0], hear, &h);
    watch_want(h.w, LOOP_READ | LOOP_WRITE);
    ck_assert_int_eq(write(fd[1], "x", 1), 1);
    UNTIL(h.calls > 0);
    turn();
    ck_assert_uint_eq(h.calls, 1);
    close(fd[0]);
    close(fd[1]);
    loop_free(&loop);
}
END_TEST

/* A descriptor number that is used again at once: the new watch hears, with the batched changes of epoll in between. */
START_TEST(descriptor_used_again)
{
    struct heard old = {0}, fresh = {0};
    int a[2], b[2];

    begin();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    old.w = watch_new(loop, a[0], hear, &old);
    watch_want(old.w, LOOP_READ);
    turn();
    watch_free(&old.w);
    close(a[0]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b), 0);
    ck_assert_int_eq(b[0], a[0]);
    fresh.w = watch_new(loop, b[0], hear, &fresh);
    watch_want(fresh.w, LOOP_READ);
    ck_assert_int_eq(write(b[1], "x", 1), 1);
    UNTIL(fresh.calls > 0);
    ck_assert_uint_eq(old.calls, 0);
    watch_free(&fresh.w);
    close(a[1]);
    close(b[0]);
    close(b[1]);
    loop_free(&loop);
}
END_TEST

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

START_TEST(ticker_and_stop)
{
    unsigned ticks = 0;

    begin();
    loop_ticker(loop, 5000, count, &ticks);
    UNTIL(ticks >= 3);
    loop_alarm(loop, loop_now_us(loop), stop, NULL);
    loop_run(loop, turn_end, NULL); /* comes back */
    ck_assert_uint_gt(turns, 0);
    loop_free(&loop);
}
END_TEST

START_TEST(alarm_rings_once_for_the_earliest)
{
    unsigned rung = 0;
    int64_t began = clock_now().mono_us, far = began + 3600 * INT64_C(1000000);

    begin();
    loop_alarm(loop, far, count, &rung);
    loop_alarm(loop, began + 30000, count, &rung);
    loop_alarm(loop, began + 31000, count, &rung);
    loop_alarm(loop, far, count, &rung);
    UNTIL(rung > 0);
    ck_assert_int_ge(clock_now().mono_us - began, 30000);
    turn();
    turn();
    ck_assert_uint_eq(rung, 1);
    loop_free(&loop); /* with and without one set */
    begin();
    loop_alarm(loop, far, count, &rung);
    loop_free(&loop);
}
END_TEST

START_TEST(one_clock_reading_a_turn)
{
    int64_t first;

    begin();
    turn();
    first = loop_now_us(loop);
    while (clock_now().mono_us == first)
        ;
    ck_assert_int_eq(loop_now_us(loop), first);
    turn();
    ck_assert_int_gt(loop_now_us(loop), first);
    loop_free(&loop);
}
END_TEST

/* ---- stream */

struct wired {
    struct stream s;
    struct heard h;
    int peer;
};

static void wire(struct wired *w)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int l = socket(AF_INET, SOCK_STREAM, 0), fd;

    ck_assert_int_eq(bind(l, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listen(l, 1), 0);
    ck_assert_int_eq(getsockname(l, (struct sockaddr *)&in, &len), 0);
    w->peer = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(w->peer, (struct sockaddr *)&in, len), 0);
    fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
    ck_assert_int_ge(fd, 0);
    close(l);
    w->h = (struct heard){0};
    stream_init(&w->s, loop, fd, hear, &w->h);
}

/* What the peer has received by now. */
static size_t peer_takes(int fd)
{
    static char room[1 << 16];
    size_t got = 0;
    ssize_t n;

    while ((n = recv(fd, room, sizeof room, MSG_DONTWAIT)) > 0)
        got += (size_t)n;
    return got;
}

static enum stream_result reads(struct wired *w)
{
    enum stream_result r = STREAM_AGAIN;

    UNTIL((r = stream_read(&w->s, 16384)) != STREAM_AGAIN);
    return r;
}

START_TEST(stream_reads_and_gives_back)
{
    struct wired w;

    begin();
    wire(&w);
    ck_assert_int_eq(stream_read(&w.s, 100), STREAM_AGAIN);
    ck_assert(!stream_has_unread(&w.s));
    ck_assert_int_eq(write(w.peer, "hello", 5), 5);
    UNTIL(stream_has_unread(&w.s)); /* in the kernel */
    ck_assert_int_eq(stream_read(&w.s, 3), STREAM_OK);
    ck_assert_uint_eq(w.s.in.len, 3); /* no more than asked for */
    ck_assert_int_eq(reads(&w), STREAM_OK);
    ck_assert(stream_has_unread(&w.s)); /* in our buffer */
    ck_assert_str_eq(buf_str(&w.s.in), "hello");
    buf_consume(&w.s.in, 5);
    ck_assert_ptr_null(w.s.in.p);
    stream_close(&w.s);
    close(w.peer);
    loop_free(&loop);
}
END_TEST

START_TEST(stream_sees_half_close_and_reset)
{
    struct linger now = {1, 0};
    struct wired w;

    begin();
    wire(&w);
    shutdown(w.peer, SHUT_WR);
    ck_assert_int_eq(reads(&w), STREAM_EOF);
    ck_assert(w.s.eof);
    buf_append(&w.s.out, "bye", 3); /* the peer still reads */
    ck_assert_int_eq(stream_write(&w.s), STREAM_OK);
    stream_want(&w.s, true);
    ck_assert_uint_eq(watch_wanted(w.s.watch), 0); /* an end is always readable: never ask again */
    stream_close(&w.s);
    close(w.peer);

    wire(&w);
    setsockopt(w.peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(w.peer);
    ck_assert_int_eq(reads(&w), STREAM_FAILED);
    buf_append(&w.s.out, "bye", 3);
    ck_assert_int_eq(stream_write(&w.s), STREAM_FAILED); /* and no SIGPIPE */
    stream_close(&w.s);
    loop_free(&loop);
}
END_TEST

START_TEST(stream_writes_as_far_as_it_goes)
{
    static char block[1 << 20];
    struct wired w;
    size_t got = 0, total = 0;
    int little = 4096;

    begin();
    wire(&w);
    setsockopt(w.s.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 8; i++, total += sizeof block)
        buf_append(&w.s.out, block, sizeof block);
    ck_assert_int_eq(stream_write(&w.s), STREAM_AGAIN);
    ck_assert_uint_gt(w.s.out.len, 0);
    stream_want(&w.s, false);
    ck_assert_uint_eq(watch_wanted(w.s.watch), LOOP_WRITE);
    UNTIL((got += peer_takes(w.peer), stream_write(&w.s) == STREAM_OK));
    ck_assert_ptr_null(w.s.out.p);
    UNTIL((got += peer_takes(w.peer), got == total));
    stream_close(&w.s);
    close(w.peer);
    loop_free(&loop);
}
END_TEST

/* A wish to read that ends stays with the kernel until bytes come, and then only until stream_hush(). */
START_TEST(stream_hush_ends_it)
{
    struct wired w;

    begin();
    wire(&w);
    stream_want(&w.s, true);
    stream_want(&w.s, false);
    ck_assert_uint_eq(watch_wanted(w.s.watch), LOOP_READ);
    ck_assert_int_eq(write(w.peer, "x", 1), 1);
    UNTIL(w.h.calls > 0);
    stream_hush(&w.s);
    w.h.calls = 0;
    turn();
    turn();
    ck_assert_uint_eq(w.h.calls, 0);
    stream_want(&w.s, true);
    UNTIL(w.h.calls > 0);
    stream_close(&w.s);
    close(w.peer);
    loop_free(&loop);
}
END_TEST

START_TEST(stream_reset_resets)
{
    struct wired w;
    char c;

    begin();
    wire(&w);
    stream_reset(&w.s);
    ck_assert_int_eq(w.s.fd, -1);
    ck_assert_int_eq(read(w.peer, &c, 1), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(w.peer);
    loop_free(&loop);
}
END_TEST

/* ---- listener */

struct guests {
    unsigned count;
    int fd[64];
    bool nodelay, nonblocking;
};

static void take(void *arg, int fd, const struct addr *peer)
{
    struct guests *g = arg;
    int on = 0;
    socklen_t len = sizeof on;

    ck_assert(addr_is_loopback(peer));
    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len);
    g->nodelay = on != 0;
    g->nonblocking = (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
    g->fd[g->count++] = fd;
}

static int listening(struct sockaddr_in *in)
{
    socklen_t len = sizeof *in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_eq(bind(fd, (struct sockaddr *)in, sizeof *in), 0);
    ck_assert_int_eq(listen(fd, 128), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)in, &len), 0);
    return fd;
}

static void guests_leave(struct guests *g)
{
    while (g->count)
        close(g->fd[--g->count]);
}

START_TEST(listener_accepts_a_few_at_once)
{
    struct guests g = {0};
    struct sockaddr_in in;
    struct listener *l;
    int fd, c[40];

    begin();
    fd = listening(&in);
    l = listener_new(loop, fd, take, &g);
    for (int i = 0; i < 40; i++) {
        c[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(connect(c[i], (struct sockaddr *)&in, sizeof in), 0);
    }
    turn();
    ck_assert_uint_eq(g.count, 0); /* not started */
    listener_start(l);
    turn();
    ck_assert_uint_gt(g.count, 0);
    ck_assert_uint_lt(g.count, 40); /* the rest is for other workers, or the next turn */
    UNTIL(g.count == 40);
    ck_assert(g.nodelay && g.nonblocking);
    listener_stop(l);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* its descriptor is closed */
    listener_free(&l);
    for (int i = 0; i < 40; i++)
        close(c[i]);
    guests_leave(&g);
    loop_free(&loop);
}
END_TEST

/* Out of descriptors: one line, no spinning, and by itself again. */
START_TEST(listener_pauses_without_descriptors)
{
    struct guests g = {0};
    struct rlimit old, tight;
    struct sockaddr_in in;
    struct listener *l;
    char text[4096];
    int fd, c, next, log[2];
    ssize_t n;

    begin();
    ck_assert_int_eq(pipe2(log, O_NONBLOCK), 0);
    log_open(log[1], LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    fd = listening(&in);
    l = listener_new(loop, fd, take, &g);
    c = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(c, (struct sockaddr *)&in, sizeof in), 0);
    next = dup(c); /* the number the next one would get */
    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = (struct rlimit){(rlim_t)next, old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    listener_start(l);
    for (int i = 0; i < 50; i++)
        turn();
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    ck_assert_uint_eq(g.count, 0);
    n = read(log[0], text, sizeof text - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "network.accept-error"));
    ck_assert_ptr_null(strstr(strchr(text, '\n') + 1, "network.accept-error"));
    turn();
    ck_assert_uint_eq(g.count, 0); /* still paused */
    listener_tick(l);
    UNTIL(g.count == 1);
    listener_free(&l);
    close(c);
    close(log[0]);
    close(log[1]);
    guests_leave(&g);
    loop_free(&loop);
}
END_TEST

SUITE_MAIN("net", watch_hears_what_it_wants, watch_freed_inside_its_own_call, descriptor_used_again, ticker_and_stop,
           alarm_rings_once_for_the_earliest, one_clock_reading_a_turn, stream_reads_and_gives_back,
           stream_sees_half_close_and_reset, stream_writes_as_far_as_it_goes, stream_hush_ends_it, stream_reset_resets,
           listener_accepts_a_few_at_once, listener_pauses_without_descriptors)
