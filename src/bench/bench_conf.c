#include "bench/bench_conf.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_address.h"
#include "bench/scenario_value.h"
#include "bench/transcript.h"

#define POOL_MOST 65536u
#define LEASES_MOST 4096u

/* What one load needs at hand. */
struct loading {
    struct bench_conf *c;
    const char *path, *builtin;
    struct err *e;
};

void bench_conf_defaults(struct bench_conf *c)
{
    struct err e;

    memset(c, 0, sizeof *c);
    c->hostname = mem_str(BENCH_HOST);
    c->pki = mem_str("bench-pki");
    c->seed = 1;
    c->capture.dir = mem_str("bench-out");
    c->capture.body = true;
    c->capture.max_sessions = TRANSCRIPT_MAX_SESSIONS;
    c->capture.max_mib = TRANSCRIPT_MAX_MIB;
    c->leases = 512;
    (void)addr_parse(&c->leases_at, "127.0.0.1:0", &e);
    (void)addr_parse(&c->each_at, "127.0.0.1:0", &e);
}

static void free_listener(struct bench_conf_listener *l)
{
    free(l->name);
    free(l->scenario);
    free(l->addresses);
    free(l->clients.nets);
}

void bench_conf_free(struct bench_conf *c)
{
    for (unsigned i = 0; i < c->listener_count; i++)
        free_listener(&c->listeners[i]);
    free(c->listeners);
    free(c->hostname);
    free(c->catalogue);
    free(c->pki);
    free(c->only);
    free(c->capture.dir);
    free(c->api.token_file);
    free(c->api.clients.nets);
    bench_catalogue_free(&c->scenarios);
    memset(c, 0, sizeof *c);
}

/* ---- values */

static void take_text(char **dst, cfg_t *sec, const char *option)
{
    if (!cfg_getstr(sec, option))
        return;
    free(*dst);
    *dst = mem_str(cfg_getstr(sec, option));
}

/* A name in the file system. */
static void take_path(const struct loading *x, char **dst, cfg_t *sec, const char *option)
{
    const char *text = cfg_getstr(sec, option), *slash = strrchr(x->path, '/');

    if (!text)
        return;
    free(*dst);
    *dst = slash && *text != '/' ? mem_printf("%.*s/%s", (int)(slash - x->path), x->path, text) : mem_str(text);
}

/* The default stays where nothing is said. */
static int number_of(cfg_t *sec, const char *option, unsigned least, unsigned most, unsigned *out)
{
    return scenario_value_given(sec, option) ? scenario_value_number(sec, option, least, most, out) : 0;
}

static int choice_of(cfg_t *sec, const char *option, const char *no, const char *yes, bool *out)
{
    const char *const words[] = {no, yes, NULL};
    int i = scenario_value_word(sec, option, words, *out ? yes : no);

    *out = i == 1;
    return i < 0 ? -1 : 0;
}

static int clients_of(cfg_t *sec, struct bench_conf_clients *c)
{
    return scenario_value_nets(sec, "client", &c->nets, &c->count);
}

/* A server that is wrong on purpose, and an API that steers it, are for this machine unless it is said twice. */
static int may_listen(const struct loading *x, cfg_t *sec, const char *option, const struct addr *a,
                      const struct bench_conf_clients *clients)
{
    if (a->ss.ss_family != AF_INET && a->ss.ss_family != AF_INET6)
        return scenario_cfg_complain(sec, option, "an IP address and a port, \"127.0.0.1:2525\"");
    if (addr_is_loopback(a))
        return 0;
    if (!x->c->expose)
        return scenario_cfg_complain(sec, option,
                                     "not on the loopback; if others shall come: expose = yes, and client = {...}");
    if (!clients->count)
        return scenario_cfg_complain(sec, option, "not on the loopback: say who may come, client = {\"192.0.2.0/24\"}");
    return 0;
}

/* ---- bench {} */

/* "127.1.0.0/16:2525": the first address behind the network's own, and how many there are. */
static int pool_of(cfg_t *sec, struct bench_conf *c)
{
    static const char what[] = "IPv4 loopback addresses and a port, \"127.1.0.0/16:2525\"";
    const char *text = cfg_getstr(sec, "pool"), *slash = text ? strchr(text, '/') : NULL,
               *colon = slash ? strchr(slash, ':') : NULL;
    struct sockaddr_in *in = (struct sockaddr_in *)&c->each_at.ss;
    uint64_t bits, port;
    char *first;
    struct err e;
    int rc;

    if (!text)
        return 0;
    if (!colon || !text_u64((struct span){slash + 1, (size_t)(colon - slash - 1)}, &bits) || bits < 16 || bits > 30 ||
        !text_u64(span_str(colon + 1), &port) || port < 1 || port > 65535)
        return scenario_cfg_complain(sec, "pool", what);
    first = mem_printf("%.*s:%u", (int)(slash - text), text, (unsigned)port);
    rc = addr_parse(&c->each_at, first, &e);
    free(first);
    if (rc < 0 || c->each_at.ss.ss_family != AF_INET || !addr_is_loopback(&c->each_at))
        return scenario_cfg_complain(sec, "pool", what);
    c->pool = (1u << (32 - bits)) - 2;
    in->sin_addr.s_addr = htonl((ntohl(in->sin_addr.s_addr) & ~((1u << (32 - bits)) - 1)) + 1);
    c->each = true;
    return 0;
}

static int ports_of(cfg_t *sec, struct bench_conf *c)
{
    const char *text = cfg_getstr(sec, "ports");
    struct err e;

    if (!text)
        return 0;
    if (cfg_getstr(sec, "pool"))
        return scenario_cfg_complain(sec, "ports", "pool stands there, too; remove one");
    if (addr_parse(&c->each_at, text, &e) < 0 || !addr_is_loopback(&c->each_at))
        return scenario_cfg_complain(sec, "ports",
                                     "a loopback address and the first port, \"127.0.0.1:2500\"; 0: free ones");
    c->each = true;
    return 0;
}

static int capture_of(const struct loading *x, cfg_t *sec)
{
    struct bench_conf *c = x->c;

    take_path(x, &c->capture.dir, sec, "dir");
    if (choice_of(sec, "body", "none", "full", &c->capture.body) < 0 ||
        choice_of(sec, "auth", "redact", "keep", &c->capture.keep_auth) < 0)
        return -1;
    return number_of(sec, "max_sessions", 1, 10000000, &c->capture.max_sessions) < 0 ||
                   number_of(sec, "max_mib", 1, 1000000, &c->capture.max_mib) < 0
               ? -1
               : 0;
}

static int api_of(const struct loading *x, cfg_t *sec)
{
    struct bench_conf *c = x->c;
    struct err e;

    if (!cfg_getstr(sec, "listen"))
        return scenario_cfg_complain(sec, "listen", "where? \"127.0.0.1:8026\"");
    if (addr_parse(&c->api.listen, cfg_getstr(sec, "listen"), &e) < 0)
        return scenario_cfg_complain(sec, "listen", e.text);
    c->api.on = true;
    take_path(x, &c->api.token_file, sec, "token_file");
    if (!c->api.token_file)
        c->api.token_file = mem_printf("%s/api.token", c->capture.dir);
    c->api.write = cfg_getbool(sec, "write");
    return clients_of(sec, &c->api.clients) < 0 || may_listen(x, sec, "listen", &c->api.listen, &c->api.clients) < 0
               ? -1
               : 0;
}

static int leases_of(const struct loading *x, cfg_t *sec)
{
    struct bench_conf *c = x->c;
    const char *at = cfg_getstr(sec, "address");
    struct err e;

    if (at && bench_address_loopback(&c->leases_at, at, 0, &e) < 0)
        return scenario_cfg_complain(sec, "address", "a loopback address, \"127.0.0.1\"");
    return number_of(sec, "max", 1, LEASES_MOST, &c->leases);
}

/* It stands in greetings and certificates. */
static bool is_host(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");

    return n > 0 && n < 64 && !name[n];
}

static int bench_of(const struct loading *x, cfg_t *sec)
{
    struct bench_conf *c = x->c;
    long seed = cfg_getint(sec, "seed");

    c->expose = cfg_getbool(sec, "expose");
    take_text(&c->hostname, sec, "hostname");
    take_text(&c->only, sec, "only");
    if (!is_host(c->hostname))
        return scenario_cfg_complain(sec, "hostname", "a host's name, \"mx.bench.test\"");
    take_path(x, &c->pki, sec, "pki_dir");
    if (seed < 0)
        return scenario_cfg_complain(sec, "seed", "a number from 0 on");
    c->seed = (uint64_t)seed;
    if (pool_of(sec, c) < 0 || ports_of(sec, c) < 0 || capture_of(x, cfg_getsec(sec, "capture")) < 0 ||
        leases_of(x, cfg_getsec(sec, "leases")) < 0)
        return -1;
    return cfg_size(sec, "api") ? api_of(x, cfg_getnsec(sec, "api", 0)) : 0;
}

/* "builtin", a directory, or "none". */
static int catalogue_of(const struct loading *x, cfg_t *sec)
{
    const char *word = sec && cfg_getstr(sec, "catalogue") ? cfg_getstr(sec, "catalogue") : "builtin";

    if (strcmp(word, "none") == 0)
        return 0;
    if (strcmp(word, "builtin") == 0)
        x->c->catalogue = mem_str(x->builtin);
    else
        take_path(x, &x->c->catalogue, sec, "catalogue");
    return bench_scenario_load_dir(&x->c->scenarios, x->c->catalogue, x->e);
}

/* ---- listener {} */

static int addresses_of(const struct loading *x, cfg_t *sec, struct bench_conf_listener *l)
{
    unsigned n = cfg_size(sec, "address");
    struct err e;

    if (!n)
        return scenario_cfg_complain(sec, "address", "where? address = {\"127.0.0.1:2525\"}");
    l->addresses = mem_alloc(n * sizeof *l->addresses);
    for (; l->address_count < n; l->address_count++) {
        struct addr *a = &l->addresses[l->address_count];

        if (addr_parse(a, cfg_getnstr(sec, "address", l->address_count), &e) < 0)
            return scenario_cfg_complain(sec, "address", e.text);
        if (may_listen(x, sec, "address", a, &l->clients) < 0)
            return -1;
    }
    return 0;
}

static int listener_of(const struct loading *x, cfg_t *sec, struct bench_conf_listener *l)
{
    const struct bench_scenario *s;

    l->name = mem_str(cfg_title(sec));
    l->scenario = mem_str(cfg_getstr(sec, "scenario"));
    l->implicit = cfg_getbool(sec, "implicit");
    l->select = cfg_getbool(sec, "select");
    l->line = (unsigned)sec->line;
    if (!bench_scenario_is_name(l->name))
        return scenario_cfg_complain(sec, "listener", "its name: letters, digits, dot, minus, underscore; at most 64");
    if (clients_of(sec, &l->clients) < 0 || addresses_of(x, sec, l) < 0)
        return -1;
    s = bench_catalogue_find(&x->c->scenarios, l->scenario);
    if (!s)
        return scenario_cfg_complain(sec, "scenario", "there is none of that name; postern-bench list has them");
    return s->why_not ? scenario_cfg_complain(sec, "scenario", s->why_not) : 0;
}

static int listeners_of(const struct loading *x, cfg_t *cfg)
{
    unsigned n = cfg_size(cfg, "listener");

    x->c->listeners = mem_alloc((n + 1) * sizeof *x->c->listeners);
    while (x->c->listener_count < n) {
        unsigned i = x->c->listener_count++;

        if (listener_of(x, cfg_getnsec(cfg, "listener", i), &x->c->listeners[i]) < 0)
            return -1;
    }
    return 0;
}

/* ---- the file */

static cfg_opt_t capture_options[] = {
    CFG_STR("dir", NULL, CFGF_NODEFAULT), CFG_STR("body", NULL, CFGF_NODEFAULT), CFG_INT("max_sessions", 0, CFGF_NONE),
    CFG_INT("max_mib", 0, CFGF_NONE),     CFG_STR("auth", NULL, CFGF_NODEFAULT), CFG_END(),
};
static cfg_opt_t api_options[] = {
    CFG_STR("listen", NULL, CFGF_NODEFAULT),
    CFG_STR("token_file", NULL, CFGF_NODEFAULT),
    CFG_BOOL("write", cfg_false, CFGF_NONE),
    CFG_STR_LIST("client", NULL, CFGF_NODEFAULT),
    CFG_END(),
};
static cfg_opt_t leases_options[] = {
    CFG_INT("max", 0, CFGF_NONE),
    CFG_STR("address", NULL, CFGF_NODEFAULT),
    CFG_END(),
};
static cfg_opt_t bench_options[] = {
    CFG_STR("hostname", NULL, CFGF_NODEFAULT),
    CFG_STR("catalogue", NULL, CFGF_NODEFAULT),
    CFG_STR("only", NULL, CFGF_NODEFAULT),
    CFG_STR("pki_dir", NULL, CFGF_NODEFAULT),
    CFG_STR("pool", NULL, CFGF_NODEFAULT),
    CFG_STR("ports", NULL, CFGF_NODEFAULT),
    CFG_INT("seed", 1, CFGF_NONE),
    CFG_BOOL("expose", cfg_false, CFGF_NONE),
    CFG_SEC("capture", capture_options, CFGF_NONE),
    CFG_SEC("leases", leases_options, CFGF_NONE),
    CFG_SEC("api", api_options, CFGF_MULTI),
    CFG_END(),
};
static cfg_opt_t listener_options[] = {
    CFG_STR_LIST("address", NULL, CFGF_NODEFAULT), CFG_STR("scenario", "good", CFGF_NONE),
    CFG_BOOL("implicit", cfg_false, CFGF_NONE),    CFG_BOOL("select", cfg_true, CFGF_NONE),
    CFG_STR_LIST("client", NULL, CFGF_NODEFAULT),  CFG_END(),
};

static int take_all(const struct loading *x, cfg_t *cfg)
{
    cfg_t *sec = cfg_size(cfg, "bench") ? cfg_getnsec(cfg, "bench", 0) : NULL;

    if (cfg_size(cfg, "bench") > 1)
        return scenario_cfg_complain(cfg_getnsec(cfg, "bench", 1), "bench", "it stands there twice; remove one");
    if (catalogue_of(x, sec) < 0 || scenario_cfg_again(x->path, x->e) < 0 ||
        scenario_file_take(&x->c->scenarios, cfg) < 0 || (sec && bench_of(x, sec) < 0) || listeners_of(x, cfg) < 0)
        return -1;
    x->c->each |= !x->c->listener_count && !x->c->api.on;
    return 0;
}

int bench_conf_load(struct bench_conf *c, const char *path, const char *builtin, struct err *e)
{
    cfg_opt_t options[] = {
        CFG_SEC("bench", bench_options, CFGF_MULTI),
        CFG_SEC("listener", listener_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
        CFG_SEC("scenario", scenario_file_options(), CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
        CFG_FUNC("include", scenario_cfg_include),
        CFG_END(),
    };
    struct loading x = {.c = c, .path = path, .builtin = builtin, .e = e};
    cfg_t *cfg;
    int rc;

    bench_conf_defaults(c);
    cfg = cfg_init(options, CFGF_NONE);
    rc = scenario_cfg_parse(cfg, path, e) == 0 ? take_all(&x, cfg) : -1;
    cfg_free(cfg);
    if (rc < 0)
        bench_conf_free(c);
    return rc;
}
