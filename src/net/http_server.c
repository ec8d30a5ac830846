#include "net/http_server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define SWEEP_US 50000
#define PAUSE_US 1000000
#define BACKLOG 128

/* evhttp does not say when a connection ends, so each one's bufferevent is held until evhttp has let go of it. */
struct place {
    struct bufferevent *bev; /* NULL: free */
    int64_t since_us;        /* of the connection, then of the answer */
    bool busy;               /* the request is there, and its owner has it */
};

struct http_request {
    struct http_request *next, **link;
    struct http_server *server;
    struct evhttp_request *ev;
    struct place *place;
    struct evkeyvalq query;
    http_gone *gone; /* NULL: not kept */
    void *arg;
};

struct http_server {
    struct loop *loop;
    struct evhttp *ev;
    struct evconnlistener *listener;
    struct http_limits limits;
    struct addr address;
    http_handler *fn;
    void *arg;
    struct place *places;
    unsigned count;
    int64_t resume_us; /* until then nobody is taken from the queue, since accept() failed; 0: it did not */
    struct http_request *requests;
    struct http_server *next;
};

/* All there are: libevent's callback for a failed accept() is given nothing of ours. */
static struct http_server *servers;

/* ---- who is connected */

static struct place *place_of(struct http_server *s, const struct bufferevent *bev)
{
    for (unsigned i = 0; i < s->limits.connections; i++)
        if (s->places[i].bev == bev)
            return &s->places[i];
    return NULL;
}

static void listen_or_not(struct http_server *s)
{
    if (s->resume_us || s->count >= s->limits.connections)
        evconnlistener_disable(s->listener);
    else
        evconnlistener_enable(s->listener);
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    struct http_server *s = arg;
    /* closed with its last reference, which is ours: closed by evhttp its descriptor could come again while libevent
     * still has the old one's events */
    struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    struct place *p = bev ? place_of(s, NULL) : NULL;

    if (!p)
        return bev;
    bufferevent_incref(bev);
    *p = (struct place){.bev = bev, .since_us = clock_now().mono_us};
    ++s->count;
    listen_or_not(s);
    return bev;
}

/* No descriptor is left, or no memory: what stays true while the queue is full would be told, by libevent on stderr, as
 * often as the loop turns. */
static void on_accept_error(struct evconnlistener *l, void *arg)
{
    struct http_server *s = servers;

    (void)arg;
    log_event(LOG_LEVEL_ERROR, "network.accept-error", "%s; accepting pauses for a second", strerror(errno));
    while (s->listener != l)
        s = s->next;
    s->resume_us = clock_now().mono_us + PAUSE_US;
    listen_or_not(s);
}

/* evhttp takes its callbacks off what it frees. */
static bool is_let_go(struct bufferevent *bev)
{
    bufferevent_data_cb read, write;
    bufferevent_event_cb event;
    void *arg;

    bufferevent_getcb(bev, &read, &write, &event, &arg);
    return !read && !write && !event;
}

static void sweep_place(struct http_server *s, struct place *p, int64_t now)
{
    if (is_let_go(p->bev)) {
        bufferevent_decref(p->bev);
        *p = (struct place){0};
        s->count--;
        listen_or_not(s);
        return;
    }
    if (!p->busy && now - p->since_us > s->limits.seconds * INT64_C(1000000))
        (void)shutdown(bufferevent_getfd(p->bev), SHUT_RDWR); /* evhttp sees an end, and frees it */
}

/* While a request waits for its answer evhttp does not read, and so does not see that its client left. */
static bool has_left(const struct http_request *r)
{
    char c;
    ssize_t n = recv(bufferevent_getfd(r->place->bev), &c, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void tell_gone(struct http_request *r)
{
    http_gone *gone = r->gone;
    void *arg = r->arg;

    http_request_reply(&r, 503, "text/plain", SPAN("the server stops\n"));
    gone(arg);
}

static void on_sweep(void *arg)
{
    struct http_server *s = arg;
    int64_t now = clock_now().mono_us;

    for (struct http_request *r = s->requests, *next; r; r = next) {
        next = r->next;
        if (r->gone && has_left(r))
            tell_gone(r);
    }
    for (unsigned i = 0; i < s->limits.connections; i++)
        if (s->places[i].bev)
            sweep_place(s, &s->places[i], now);
    if (s->resume_us && now >= s->resume_us) {
        s->resume_us = 0;
        listen_or_not(s);
    }
}

/* ---- requests */

static void on_request(struct evhttp_request *ev, void *arg)
{
    struct http_server *s = arg;
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(ev));
    struct place *p = place_of(s, bev);
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(ev));
    struct http_request *r;

    evhttp_add_header(evhttp_request_get_output_headers(ev), "Connection", "close");
    if (!p) { /* more connections at once than evhttp was to take from the queue */
        evhttp_send_reply(ev, 503, NULL, NULL);
        return;
    }
    bufferevent_disable(bev, EV_READ); /* a second request behind this one is never looked at */
    r = mem_alloc(sizeof *r);
    r->server = s;
    r->ev = ev;
    r->place = p;
    p->busy = true;
    TAILQ_INIT(&r->query);
    if (query && evhttp_parse_query_str(query, &r->query) < 0)
        evhttp_clear_headers(&r->query);
    r->next = s->requests;
    r->link = &s->requests;
    if (r->next)
        r->next->link = &r->next;
    s->requests = r;
    s->fn(s->arg, r);
}

enum http_method http_request_method(const struct http_request *r)
{
    switch (evhttp_request_get_command(r->ev)) {
    case EVHTTP_REQ_GET:
        return HTTP_GET;
    case EVHTTP_REQ_POST:
        return HTTP_POST;
    case EVHTTP_REQ_PUT:
        return HTTP_PUT;
    case EVHTTP_REQ_DELETE:
        return HTTP_DELETE;
    default:
        return HTTP_OTHER;
    }
}

const char *http_request_path(const struct http_request *r)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(r->ev));

    return path && *path ? path : "/";
}

static const char *only(const struct evkeyvalq *q, const char *name)
{
    const char *found = NULL;
    struct evkeyval *kv;

    TAILQ_FOREACH(kv, q, next)
    {
        if (strcasecmp(kv->key, name) != 0)
            continue;
        if (found)
            return NULL;
        found = kv->value;
    }
    return found;
}

const char *http_request_query(const struct http_request *r, const char *name)
{
    return only(&r->query, name);
}

const char *http_request_header(const struct http_request *r, const char *name)
{
    return only(evhttp_request_get_input_headers(r->ev), name);
}

const char *http_request_host(const struct http_request *r)
{
    const char *host = evhttp_request_get_host(r->ev);

    return host ? host : "";
}

struct span http_request_body(const struct http_request *r)
{
    struct evbuffer *b = evhttp_request_get_input_buffer(r->ev);
    size_t n = evbuffer_get_length(b);

    return (struct span){n ? (const char *)evbuffer_pullup(b, -1) : "", n};
}

bool http_request_from(const struct http_request *r, const struct net *nets, unsigned count)
{
    struct addr a = {.len = sizeof a.ss};

    return getpeername(bufferevent_getfd(r->place->bev), (struct sockaddr *)&a.ss, &a.len) == 0 &&
           net_has(nets, count, &a);
}

void http_request_keep(struct http_request *r, http_gone *gone, void *arg)
{
    r->gone = gone;
    r->arg = arg;
}

void http_request_add(struct http_request *r, const char *header, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(r->ev), header, value);
}

void http_request_reply(struct http_request **rp, int status, const char *type, struct span body)
{
    struct http_request *r = *rp;
    struct evbuffer *b = evbuffer_new();

    *rp = NULL;
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    r->place->busy = false;
    r->place->since_us = clock_now().mono_us;
    http_request_add(r, "Content-Type", type);
    evbuffer_add(b, body.p, body.n);
    evhttp_send_reply(r->ev, status, NULL, b);
    evbuffer_free(b);
    evhttp_clear_headers(&r->query);
    free(r);
}

/* ---- the server */

static int listen_at(struct http_server *s, const struct addr *at, struct err *e)
{
    int fd = socket(at->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct evhttp_bound_socket *bound;
    char text[ADDR_TEXT];

    s->address.len = sizeof s->address.ss;
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at->ss, at->len) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&s->address.ss, &s->address.len) < 0) {
        err_set(e, "%s: %s", addr_text(at, text), strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    bound = evhttp_accept_socket_with_handle(s->ev, fd);
    if (!bound) {
        close(fd);
        return err_set(e, "%s: libevent cannot listen there", addr_text(at, text));
    }
    s->listener = evhttp_bound_socket_get_listener(bound);
    evconnlistener_set_error_cb(s->listener, on_accept_error);
    return 0;
}

int http_server_new(struct http_server **out, struct loop *l, const struct addr *at, const struct http_limits *limits,
                    http_handler *fn, void *arg, struct err *e)
{
    struct http_server *s = mem_alloc(sizeof *s);

    s->loop = l;
    s->limits = *limits;
    s->fn = fn;
    s->arg = arg;
    s->places = mem_alloc(limits->connections * sizeof *s->places);
    s->ev = evhttp_new(loop_base(l));
    evhttp_set_bevcb(s->ev, on_connection, s);
    evhttp_set_gencb(s->ev, on_request, s);
    evhttp_set_timeout(s->ev, (int)limits->seconds);
    evhttp_set_max_headers_size(s->ev, (ev_ssize_t)limits->headers);
    evhttp_set_max_body_size(s->ev, (ev_ssize_t)limits->body);
    evhttp_set_allowed_methods(s->ev, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
                                          EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    evhttp_set_default_content_type(s->ev, NULL);
    s->next = servers;
    servers = s;
    if (listen_at(s, at, e) < 0) {
        http_server_free(&s);
        return -1;
    }
    loop_ticker(l, SWEEP_US, on_sweep, s);
    *out = s;
    return 0;
}

void http_server_free(struct http_server **sp)
{
    struct http_server *s = *sp, **at = &servers;

    if (!s)
        return;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    while (s->requests) {
        struct http_request *r = s->requests;

        if (r->gone)
            tell_gone(r);
        else
            http_request_reply(&r, 503, "text/plain", SPAN("the server stops\n"));
    }
    evhttp_free(s->ev);
    for (unsigned i = 0; i < s->limits.connections; i++)
        if (s->places[i].bev)
            bufferevent_decref(s->places[i].bev);
    free(s->places);
    free(s);
    *sp = NULL;
}

const struct addr *http_server_address(const struct http_server *s)
{
    return &s->address;
}

unsigned http_server_connections(const struct http_server *s)
{
    return s->count;
}
