/* What a bench that serves is told: bench.conf, or the command line. Text in, values or one error out.
 *
 *     bench {
 *         seed = 42
 *         pool = "127.1.0.0/16:2525"     # each scenario at an address of its own, all at one port
 *         capture { dir = "bench-out" body = full }
 *         api { listen = "127.0.0.1:8026" token_file = "bench.token" write = yes }
 *     }
 *     listener "mx" { address = {"127.0.0.1:2526"} scenario = "good" }
 *     scenario "mine" { ... }
 *
 * Relative names are relative to the file's directory. What listens beyond the loopback needs expose = yes, and then a list
 * of clients that may come. */
#ifndef BENCH_BENCH_CONF_H
#define BENCH_BENCH_CONF_H

#include "bench/scenario_file.h"

struct bench_conf_clients {
    struct net *nets;
    unsigned count; /* 0: everybody who can reach it */
};

struct bench_conf_listener {
    char *name, *scenario;
    struct addr *addresses;
    unsigned address_count;
    struct bench_conf_clients clients;
    bool implicit, select; /* select: others may be chosen by what a session shows */
    unsigned line;
};

struct bench_conf {
    char *hostname, *catalogue, *pki; /* catalogue NULL: none */
    char *only;                       /* of the scenarios that get a port of their own; NULL: all */
    bool each;                        /* they do */
    struct addr each_at;              /* the first one's; port 0: any free ones */
    unsigned pool;                    /* so many addresses from there on, at one port; 0: one address, port by port */
    uint64_t seed;
    bool expose;
    struct {
        char *dir;
        bool body, keep_auth;
        unsigned max_sessions, max_mib;
    } capture;
    struct {
        bool on, write;
        struct addr listen;
        char *token_file;
        struct bench_conf_clients clients;
    } api;
    unsigned leases;
    struct addr leases_at;
    struct bench_conf_listener *listeners;
    unsigned listener_count;
    struct bench_catalogue scenarios;
};

/* What stands where nothing is said. */
void bench_conf_defaults(struct bench_conf *c);
/* builtin: the catalogue's directory, for catalogue = "builtin". -1 and e: file, line, option, what is wrong and what to do;
 * c is empty. */
int bench_conf_load(struct bench_conf *c, const char *path, const char *builtin, struct err *e);
void bench_conf_free(struct bench_conf *c);

#endif
