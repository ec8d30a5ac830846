#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/bench_server_own.h"

#define BACKLOG 511

static void on_accepted(void *arg, int fd, const struct addr *peer)
{
    struct bench_port *p = arg;

    if (p->clients && !net_has(p->clients, p->client_count, peer))
        close(fd);
    else
        bench_conn_begin(p, fd, peer);
}

static int cannot_listen(const struct bench_port *p, struct err *e)
{
    int why = errno;
    char text[ADDR_TEXT];

    return err_set(e, "listening at %s: %s", addr_text(&p->address, text), strerror(why));
}

/* A socket at the port's address, whose port is fixed from the first time on. */
static int take_address(struct bench_port *p, struct err *e)
{
    int fd = socket(p->address.ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    socklen_t len = sizeof p->address.ss;

    int most = (int)p->scenario->receive_buffer;

    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd >= 0 && most) /* connections inherit it */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &most, sizeof most);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&p->address.ss, p->address.len) < 0 ||
        getsockname(fd, (struct sockaddr *)&p->address.ss, &len) < 0) {
        (void)cannot_listen(p, e);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    p->address.len = len;
    return fd;
}

/* Every segment that comes to the socket is dropped before TCP sees it, so a SYN is neither answered nor refused: a full
 * backlog would let the first few in, and a firewall is not ours. */
static int swallow(int fd)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &nothing};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static void let_nobody_in(struct bench_port *p)
{
    if (p->listener) {
        listener_stop(p->listener);
        listener_free(&p->listener);
    }
    if (p->held >= 0)
        close(p->held);
    p->held = -1;
}

/* A port that is bound, and where nobody listens, refuses; and nobody else gets it meanwhile. */
int bench_port_listen(struct bench_port *p, enum bench_listen how, struct err *e)
{
    let_nobody_in(p);
    p->how = BENCH_LISTEN_REFUSE;
    p->held = take_address(p, e);
    if (p->held < 0)
        return -1;
    if ((how == BENCH_LISTEN_BLACKHOLE && swallow(p->held) < 0) ||
        (how != BENCH_LISTEN_REFUSE && listen(p->held, BACKLOG) < 0))
        return cannot_listen(p, e);
    p->how = how;
    if (how != BENCH_LISTEN_ACCEPT)
        return 0;
    p->listener = listener_new(p->server->setup.loop, p->held, on_accepted, p);
    p->held = -1;
    listener_start(p->listener);
    return 0;
}

enum bench_listen bench_port_listens(const struct bench_port *p)
{
    return p->how;
}

struct bench_port *bench_port_open(struct bench_server *v, const struct bench_port_setup *s, struct err *e)
{
    struct bench_port *p = mem_alloc(sizeof *p);

    p->server = v;
    p->scenario = s->scenario;
    p->name = mem_str(s->name);
    p->lease = mem_str(s->lease);
    p->count = *s->lease ? bench_count_new(s->seed) : NULL;
    p->choices = s->choices;
    p->clients = s->clients;
    p->client_count = s->client_count;
    p->implicit = s->implicit;
    p->no_tls = s->no_tls;
    p->address = *s->address;
    p->held = -1;
    p->next = v->ports;
    v->ports = p;
    if ((!p->no_tls && !bench_server_tls(v, s->scenario, e)) || bench_port_listen(p, s->scenario->listen, e) < 0)
        bench_port_close(&p);
    return p;
}

void bench_port_end_sessions(struct bench_port *p)
{
    for (struct bench_conn *c = p->server->conns, *next; c; c = next) {
        next = c->next;
        if (c->port == p)
            bench_conn_end(c, "server", "stopped");
    }
}

void bench_port_close(struct bench_port **pp)
{
    struct bench_port *p = *pp;

    let_nobody_in(p);
    p->closed = true;
    *pp = NULL;
    bench_port_drop(p);
}

void bench_port_drop(struct bench_port *p)
{
    struct bench_port **at = &p->server->ports;

    if (!p->closed || p->sessions)
        return;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    bench_count_free(&p->count);
    free(p->name);
    free(p->lease);
    free(p);
}

unsigned bench_port_sessions(const struct bench_port *p)
{
    return p->sessions;
}

int bench_port_play(struct bench_port *p, const struct bench_scenario *sc, struct err *e)
{
    if (!bench_server_tls(p->server, sc, e) || (sc->listen != p->how && bench_port_listen(p, sc->listen, e) < 0))
        return -1;
    p->scenario = sc;
    return 0;
}

const struct bench_scenario *bench_port_scenario(const struct bench_port *p)
{
    return p->scenario;
}

const struct addr *bench_port_address(const struct bench_port *p)
{
    return &p->address;
}
