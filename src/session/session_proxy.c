/* Connections from a proxy, until its header has said who the client is. They are no sessions yet: nobody has been
 * admitted, and limits count clients, not the proxy. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/proxy_header.h"
#include "session/session.h"

#define HEADER_US INT64_C(10000000) /* a proxy sends it with its first packet */
#define PROXIED_MOST 512u /* descriptors beyond max-connections; a worker has 1024 of them */

struct proxied {
    struct proxied *next, **link;
    struct accept_state *accept;
    int fd;
    struct watch *watch;
    struct addr peer;
    int64_t deadline_us;
    size_t have;
    char head[PROXY_HEADER_MOST];
};

/* The descriptor stays open: it is closed, or somebody's. */
static void release(struct proxied *x)
{
    struct server *v = x->accept->server;

    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    v->proxied_count--;
    watch_free(&x->watch);
    free(x);
}

static void drop(struct proxied *x)
{
    struct server *v = x->accept->server;

    close(x->fd);
    release(x);
    server_check_drained(v);
}

static void say_refused(struct accept_state *a, const struct addr *peer, const char *why)
{
    struct server *v = a->server;
    struct listener_state *l = &v->listeners[a->socket->listener];
    struct log_line line;
    unsigned held;

    session_count_in(v, SHARE_REFUSED);
    if (!throttle_opens(&l->proxy_invalid, loop_now_us(v->loop), INT64_C(1000000), &held))
        return;
    log_begin(&line, LOG_LEVEL_WARN, "proxy.invalid");
    log_str(&line, "listenerId", l->conf->title);
    log_ip(&line, "remoteIp", "remotePort", peer);
    log_str(&line, "reason", why);
    if (held)
        log_int(&line, "heldBack", held);
    log_end(&line);
}

static void refuse(struct proxied *x, const char *why)
{
    say_refused(x->accept, &x->peer, why);
    drop(x);
}

/* True: there may be more. */
static bool advance(struct proxied *x)
{
    struct accept_state *a = x->accept;
    struct proxy_header h;
    struct addr peer = x->peer;
    int fd = x->fd;
    ssize_t n;

    proxy_header_parse(&h, x->head, x->have);
    switch (h.kind) {
    case PROXY_HEADER_BAD:
        refuse(x, h.why);
        return false;
    case PROXY_HEADER_PROXY:
        release(x);
        session_start(a, fd, &h.source, &peer);
        return false;
    case PROXY_HEADER_LOCAL:
        release(x);
        session_start(a, fd, &peer, NULL);
        return false;
    case PROXY_HEADER_MORE:
        break;
    }
    n = recv(fd, x->head + x->have, h.wants, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        if (!x->have)
            drop(x); /* a monitor that looks whether the port is open; many end it with a reset */
        else
            refuse(x, "the connection ended within the header");
        return false;
    }
    x->have += (size_t)n;
    return true;
}

static void on_io(void *arg, unsigned what)
{
    (void)what;
    while (advance(arg))
        ;
}

void session_proxied(struct accept_state *a, int fd, const struct addr *peer)
{
    struct server *v = a->server;
    struct proxied *x;

    if (v->proxied_count >= PROXIED_MOST) {
        say_refused(a, peer, "too many headers are waited for");
        close(fd);
        return;
    }
    x = mem_alloc(sizeof *x);
    x->accept = a;
    x->fd = fd;
    x->peer = *peer;
    x->deadline_us = loop_now_us(v->loop) + HEADER_US;
    x->next = v->proxied;
    x->link = &v->proxied;
    if (x->next)
        x->next->link = &x->next;
    v->proxied = x;
    v->proxied_count++;
    x->watch = watch_new(v->loop, fd, on_io, x);
    watch_want(x->watch, LOOP_READ);
}

void session_proxied_tick(struct server *v, int64_t now)
{
    struct proxied *next;

    for (struct proxied *x = v->proxied; x; x = next) {
        next = x->next;
        if (now >= x->deadline_us)
            refuse(x, "no header in time");
    }
}

void session_proxied_free(struct server *v)
{
    while (v->proxied) {
        close(v->proxied->fd);
        release(v->proxied);
    }
}
