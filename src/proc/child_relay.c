/* The relay as a process: what it must read is read here, with the leader's rights, before they are dropped. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/log.h"
#include "base/text.h"
#include "proc/child.h"
#include "proc/sandbox.h"
#include "proc/spawn.h"
#include "relay/relay_process.h"

#define RELAY_DESCRIPTORS 4096
#define READY_MS 5000

struct reading {
    const struct generation *g;
    struct relay_route *routes;
    unsigned count;
    struct tls_client *tls; /* with the machine's CAs */
    struct dns *dns;
};

/* As it was read for this generation: a file half-edited on the disk must not keep a relay that died from coming back. */
static int trust_of(const struct generation *g, const struct conf_delivery *d, struct relay_route *r, struct err *e)
{
    char *pem = NULL;
    size_t len;
    int rc;

    if (!d->next.ca_file)
        return 0;
    rc = generation_file(g, d->next.ca_file, &pem, &len, e);
    if (rc == 0)
        rc = tls_client_new_pem(&r->trust, pem, len, e);
    free(pem);
    return rc < 0 ? err_wrap(e, "delivery \"%s\": ca-file", d->title) : 0;
}

static int password_of(const struct generation *g, const struct conf_delivery *d, struct relay_route *r, struct err *e)
{
    char *text;
    size_t len;

    if (!d->next.password_file)
        return 0;
    if (generation_file(g, d->next.password_file, &text, &len, e) < 0)
        return err_wrap(e, "delivery \"%s\": password-file", d->title);
    text[strcspn(text, "\r\n")] = '\0';
    r->user = d->next.user;
    r->password = text;
    return 0;
}

static int make_route(const struct generation *g, const struct conf_delivery *d, struct relay_route *r, struct err *e)
{
    static const enum relay_tls tls[] = {[CONF_NEXT_TLS_NONE] = RELAY_TLS_NONE,
                                         [CONF_NEXT_TLS_MAY] = RELAY_TLS_MAY,
                                         [CONF_NEXT_TLS_REQUIRED] = RELAY_TLS_REQUIRED,
                                         [CONF_NEXT_TLS_VERIFY] = RELAY_TLS_VERIFY,
                                         [CONF_NEXT_TLS_DANE] = RELAY_TLS_DANE};
    const struct conf_next_hop *n = &d->next;

    *r = (struct relay_route){.title = d->title,
                              .kind = d->type == CONF_DELIVERY_MX ? RELAY_TO_MX : RELAY_TO_HOST,
                              .lmtp = d->type == CONF_DELIVERY_LMTP,
                              .implicit_tls = n->implicit_tls,
                              .tls = tls[n->tls],
                              .address = n->address,
                              .host = n->host ? n->host : n->tls_name,
                              .also = n->host ? n->tls_name : NULL,
                              .port = n->port};
    if (d->type == CONF_DELIVERY_MX)
        r->port = 25;
    return trust_of(g, d, r, e) < 0 || password_of(g, d, r, e) < 0 ? -1 : 0;
}

static int make_dns(struct reading *x, struct err *e)
{
    const struct conf *c = x->g->conf;
    struct dns_setup s = {.resolvers = c->resolvers, .trust_anchor = c->trust_anchor, .own_name = c->hostname};
    bool names = false;

    for (unsigned i = 0; i < x->count; i++)
        names = names || x->routes[i].kind == RELAY_TO_MX || x->routes[i].address.ss.ss_family == AF_UNSPEC;
    if (getrandom(&s.seed, sizeof s.seed, GRND_NONBLOCK) < 0)
        s.seed = x->g->conf->workers;
    return names ? dns_new(&x->dns, &s, e) : 0;
}

static int read_all(struct reading *x, struct err *e)
{
    const struct conf *c = x->g->conf;

    x->routes = mem_alloc((c->delivery_count + 1) * sizeof *x->routes);
    for (unsigned i = 0; i < c->delivery_count; i++)
        if (c->deliveries[i].type != CONF_DELIVERY_MAILDIR &&
            make_route(x->g, &c->deliveries[i], &x->routes[x->count++], e) < 0)
            return -1;
    return tls_client_new(&x->tls, NULL, e) < 0 || make_dns(x, e) < 0 ? -1 : 0;
}

int child_relay(const struct generation *g, const struct child_rights *r, int leader_fd, int store_fd, int log_fd,
                unsigned number)
{
    struct sandbox box = {
        .profile = SANDBOX_RELAY, .drop = r->drop, .uid = r->uid, .gid = r->gid, .user = r->user, .chroot = r->chroot};
    struct reading x = {.g = g};
    struct relay_setup s;
    struct err e;
    int *keep = mem_alloc((g->snapshot.count + 3) * sizeof *keep);
    unsigned n = 0;

    keep[n++] = leader_fd;
    keep[n++] = store_fd;
    keep[n++] = log_fd;
    for (unsigned i = 0; i < g->snapshot.count; i++)
        keep[n++] = g->snapshot.items[i].fd;
    spawn_keep_only(keep, n);
    spawn_settle("postern: relay");
    log_identity("relay", number);
    (void)sandbox_descriptors(RELAY_DESCRIPTORS);
    if (read_all(&x, &e) < 0) {
        free(keep);
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "relay: %s", e.text);
        return 70;
    }
    free(keep);
    for (unsigned i = 0; i < g->snapshot.count;
         i++) /* the passwords are read; keys were never meant for this process */
        close(g->snapshot.items[i].fd);
    if (sandbox_enter(&box, &e) < 0)
        return child_refuse(&e);
    s = (struct relay_setup){.routes = x.routes,
                             .route_count = x.count,
                             .hostname = g->conf->hostname,
                             .tls = x.tls,
                             .dns = x.dns,
                             .store_fd = store_fd,
                             .leader_fd = leader_fd};
    if (chan_send_wait(leader_fd, READY_MS, RELAY_READY, NULL, 0, NULL, 0, &e) != 1)
        return 70;
    return relay_run(&s);
}
