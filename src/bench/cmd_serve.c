#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "bench/api.h"
#include "bench/bench_address.h"
#include "bench/bench_command.h"
#include "bench/bench_conf.h"
#include "bench/bench_probe.h"
#include "bench/bench_process.h"

/* All that serves, in the order in which it is made. */
struct house {
    struct bench_options o; /* a file sets .only */
    struct bench_conf conf;
    struct loop *loop;
    struct transcript_book *book;
    struct bench_shelf *shelf;
    struct bench_server *server;
    struct lease_table *leases;
    struct session_list *sessions;
    struct mail_store *mail; /* NULL: messages are not kept */
    struct listener_list listeners;
    struct api *api; /* NULL: none is wanted */
};

static void on_stop(void *arg)
{
    loop_stop(arg);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void on_line(void *arg, const json_t *line)
{
    struct house *h = arg;
    struct lease *l = h->leases ? lease_take(h->leases, line) : NULL;

    session_list_take(h->sessions, line);
    if (h->api)
        api_line(h->api, l, line);
}

/* ---- what listens */

static int open_port(struct house *h, const char *name, struct bench_port_setup *s, struct err *e)
{
    struct bench_port *p;
    char where[ADDR_TEXT];

    s->name = name;
    p = bench_port_open(h->server, s, e);
    if (!p)
        return err_wrap(e, "%s", name);
    listener_list_add(&h->listeners, name, p);
    printf("%-28s %s\n", name, addr_text(bench_port_address(p), where));
    return 0;
}

static void next_address(struct addr *a)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&a->ss;

    in->sin_addr.s_addr = htonl(ntohl(in->sin_addr.s_addr) + 1);
}

/* A port, or an address, for each scenario, in their order. */
static int open_each(struct house *h, struct err *e)
{
    const struct bench_catalogue *c = &h->conf.scenarios;
    struct addr at = h->conf.each_at;

    for (unsigned i = 0; i < c->count && h->conf.each; i++) {
        const struct bench_scenario *s = &c->list[i];
        struct bench_port_setup setup = {.address = &at, .scenario = s, .lease = "", .implicit = h->o.implicit};
        unsigned opened = h->listeners.count;

        if (s->why_not || !bench_options_want(&h->o, s->name))
            continue;
        if (h->conf.pool && opened == h->conf.pool)
            return err_set(e, "the pool has %u addresses, and there are more scenarios", h->conf.pool);
        if (open_port(h, s->name, &setup, e) < 0)
            return -1;
        if (h->conf.pool)
            next_address(&at);
        else if (addr_port(&at))
            addr_set_port(&at, (uint16_t)(addr_port(&at) + 1));
    }
    return 0;
}

/* Behind what listens, so that nobody waits for them in vain. */
static void print_missing(const struct house *h)
{
    const struct bench_catalogue *c = &h->conf.scenarios;

    for (unsigned i = 0; i < c->count && h->conf.each; i++)
        if (c->list[i].why_not && bench_options_want(&h->o, c->list[i].name))
            printf("%-28s not available: %s\n", c->list[i].name, c->list[i].why_not);
}

static int open_listener(struct house *h, const struct bench_conf_listener *l, struct err *e)
{
    const struct bench_choices *choices = bench_shelf_choices(h->shelf);
    struct bench_port_setup setup = {.scenario = bench_shelf_find(h->shelf, l->scenario),
                                     .lease = "",
                                     .choices = l->select ? choices : NULL,
                                     .clients = l->clients.count ? l->clients.nets : NULL,
                                     .client_count = l->clients.count,
                                     .implicit = l->implicit};

    if (setup.scenario->why_not)
        return err_set(e, "%s: not available: %s", l->scenario, setup.scenario->why_not);
    for (unsigned i = 0; l->select && i < choices->count; i++)
        if (bench_select_wants(choices->list[i]) && bench_server_try(h->server, choices->list[i], e) < 0)
            return err_wrap(e, "%s", choices->list[i]->name);
    for (unsigned i = 0; i < l->address_count; i++) {
        setup.address = &l->addresses[i];
        if (open_port(h, l->name, &setup, e) < 0)
            return -1;
    }
    return 0;
}

static int open_api(struct house *h, struct err *e)
{
    const struct bench_conf *c = &h->conf;
    struct api_setup s = {.loop = h->loop,
                          .server = h->server,
                          .shelf = h->shelf,
                          .leases = h->leases,
                          .listeners = &h->listeners,
                          .sessions = h->sessions,
                          .mail = h->mail,
                          .book = h->book,
                          .out = c->capture.dir,
                          .pki = c->pki,
                          .hostname = c->hostname,
                          .listen = &c->api.listen,
                          .clients = c->api.clients.count ? c->api.clients.nets : NULL,
                          .client_count = c->api.clients.count,
                          .leases_at = &c->leases_at,
                          .token_file = c->api.token_file,
                          .write = c->api.write,
                          .seed = c->seed};
    char where[ADDR_TEXT];

    if (!c->api.on)
        return 0;
    if (api_open(&h->api, &s, e) < 0)
        return err_wrap(e, "api");
    printf("%-28s http://%s token in %s\n", "api", addr_text(api_address(h->api), where), c->api.token_file);
    return 0;
}

/* ---- from the command line, or from the file */

/* -1: it was said what is wrong. */
static int from_options(struct house *h)
{
    const struct bench_options *o = &h->o;
    struct bench_conf *c = &h->conf;
    struct err e;
    int rc;

    bench_conf_defaults(c);
    c->each = true;
    c->seed = o->seed;
    free(c->pki);
    c->pki = mem_str(o->pki);
    free(c->capture.dir);
    c->capture.dir = mem_str(o->out);
    c->capture.max_sessions = o->max_sessions;
    c->capture.max_mib = o->max_mib;
    c->capture.keep_auth = o->keep_auth;
    rc = bench_address_loopback(&c->each_at, o->address, o->port, &e);
    if (rc == 0 && o->api) {
        rc = addr_parse(&c->api.listen, o->api, &e);
        if (rc == 0 && !addr_is_loopback(&c->api.listen))
            rc = err_set(&e, "--api %s: on the loopback only; a file can say more (-c)", o->api);
        c->api.on = c->api.write = true;
        c->api.token_file = mem_printf("%s/api.token", o->out);
    }
    if (rc < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        return -1;
    }
    return bench_options_catalogue(o, &c->scenarios) < 0 || bench_options_only(o, &c->scenarios) < 0 ? -1 : 0;
}

static int configure(struct house *h)
{
    struct err e;

    if (!h->o.conf)
        return from_options(h);
    if (h->o.file_count || h->o.only_count || h->o.api || h->o.port || h->o.implicit) {
        fprintf(stderr, "postern-bench: -c %s says what is served: put what the other options say into it\n",
                h->o.conf);
        return -1;
    }
    if (bench_conf_load(&h->conf, h->o.conf, h->o.catalogue, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        return -1;
    }
    h->o.only_count = h->conf.only != NULL;
    h->o.only[0] = h->conf.only;
    return bench_options_only(&h->o, &h->conf.scenarios);
}

/* ---- all of it */

static int open_mail(struct house *h, struct err *e)
{
    char *dir = mem_printf("%s/messages", h->conf.capture.dir);
    int rc = 0;

    unsigned most = h->conf.capture.max_sessions;
    uint64_t bytes = (uint64_t)h->conf.capture.max_mib << 20;

    if (h->conf.capture.body)
        rc = mail_store_open(&h->mail, dir, most ? most : UINT_MAX, bytes ? bytes : UINT64_MAX, e);
    free(dir);
    return rc;
}

static int open_house(struct house *h, struct err *e)
{
    struct bench_server_setup setup = {
        .loop = h->loop, .hostname = h->conf.hostname, .pki_dir = h->conf.pki, .seed = h->conf.seed};
    struct transcript_book_setup book = {.dir = h->conf.capture.dir,
                                         .max_sessions = h->conf.capture.max_sessions,
                                         .max_mib = h->conf.capture.max_mib,
                                         .keep_auth = h->conf.capture.keep_auth};

    if (transcript_book_open(&h->book, &book, e) < 0)
        return -1;
    if (open_mail(h, e) < 0)
        return -1;
    setup.book = h->book;
    setup.mail = h->mail;
    h->sessions =
        session_list_new(h->conf.capture.max_sessions ? h->conf.capture.max_sessions : TRANSCRIPT_MAX_SESSIONS);
    h->shelf = bench_shelf_new(&h->conf.scenarios);
    h->server = bench_server_new(&setup);
    h->leases = lease_table_new(h->server, h->conf.leases);
    transcript_book_listen(h->book, on_line, h);
    if (open_each(h, e) < 0)
        return -1;
    for (unsigned i = 0; i < h->conf.listener_count; i++)
        if (open_listener(h, &h->conf.listeners[i], e) < 0)
            return -1;
    if (open_api(h, e) < 0)
        return -1;
    if (!h->listeners.count && !h->api)
        return err_set(e, "nothing is to listen");
    print_missing(h);
    fflush(stdout);
    return 0;
}

static void close_house(struct house *h)
{
    api_close(&h->api);
    lease_table_free(&h->leases);
    bench_server_free(&h->server);
    mail_store_close(&h->mail);
    transcript_book_close(&h->book);
    listener_list_free(&h->listeners);
    session_list_free(&h->sessions);
    bench_shelf_free(&h->shelf);
}

static int serve(struct house *h)
{
    struct bench_process *p = bench_process_listen(h->loop, on_stop, h->loop);
    struct err e;
    int rc = 2;

    if (open_house(h, &e) == 0) {
        loop_run(h->loop, nothing, NULL);
        rc = 0;
    } else {
        fprintf(stderr, "postern-bench: %s\n", e.text);
    }
    close_house(h);
    bench_process_free(&p);
    return rc;
}

int bench_cmd_serve(const struct bench_options *o)
{
    struct house h = {.o = *o};
    struct err e;
    int rc = 2;

    bench_process_raise_files();
    if (configure(&h) < 0)
        goto out;
    if (o->check) {
        printf("%s: %u scenarios, %u listeners, api %s\n", o->conf ? o->conf : "defaults", h.conf.scenarios.count,
               h.conf.listener_count, h.conf.api.on ? "on" : "off");
        rc = 0;
        goto out;
    }
    if (bench_options_pki(h.conf.pki, h.conf.hostname) < 0)
        goto out;
    bench_probe_all(&h.conf.scenarios, o, !o->conf && !o->api); /* leases may be of any */
    if (loop_new(&h.loop, &e) < 0)
        fprintf(stderr, "postern-bench: %s\n", e.text);
    else
        rc = serve(&h);
    loop_free(&h.loop);
out:
    bench_conf_free(&h.conf);
    return rc;
}
