#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define AT_ONCE 16 /* the rest is for the other workers, or the next turn */

struct listener {
    int fd;
    struct watch *watch;
    listener_accepted *cb;
    void *arg;
    bool paused;
};

/* What failed was one connection, which is gone from the queue: the next may be fine (accept(2), "Error handling"). */
static bool is_one_connection(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EOPNOTSUPP:
        return true;
    default:
        return false;
    }
}

/* EMFILE, ENFILE, ENOMEM and whatever else stays true while the queue is full: a level-triggered loop would spin on it,
 * so accepting pauses until the next tick. The clients wait in the queue meanwhile. */
static void pause_accepting(struct listener *s, int error)
{
    log_event(LOG_LEVEL_ERROR, "network.accept-error", "%s; accepting pauses for a second", strerror(error));
    s->paused = true;
    watch_want(s->watch, 0);
}

static void on_ready(void *arg, unsigned what)
{
    struct listener *s = arg;

    (void)what;
    for (int i = 0; i < AT_ONCE && s->fd >= 0; i++) {
        struct addr peer = {.len = sizeof peer.ss};
        int one = 1, fd = accept4(s->fd, (struct sockaddr *)&peer.ss, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (fd < 0 && is_one_connection(errno))
            continue;
        if (fd < 0) {
            pause_accepting(s, errno);
            return;
        }
        /* without it the last flight of a TLS 1.3 handshake waits 40 ms for a delayed ACK */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        s->cb(s->arg, fd, &peer);
    }
}

struct listener *listener_new(struct loop *l, int fd, listener_accepted *cb, void *arg)
{
    struct listener *s = mem_alloc(sizeof *s);

    s->fd = fd;
    s->cb = cb;
    s->arg = arg;
    s->watch = watch_new(l, fd, on_ready, s);
    return s;
}

void listener_start(struct listener *s)
{
    if (s->fd >= 0)
        watch_want(s->watch, LOOP_READ);
}

void listener_stop(struct listener *s)
{
    watch_want(s->watch, 0);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->paused = false;
}

void listener_tick(struct listener *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    listener_start(s);
}

void listener_free(struct listener **sp)
{
    struct listener *s = *sp;

    if (!s)
        return;
    watch_free(&s->watch);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    *sp = NULL;
}
