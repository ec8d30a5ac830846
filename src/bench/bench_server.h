/* Listeners, each with its scenario, and the sessions that come to them; one loop. */
#ifndef BENCH_BENCH_SERVER_H
#define BENCH_BENCH_SERVER_H

#include "base/addr.h"
#include "bench/bench_count.h"
#include "bench/bench_tls.h"
#include "bench/transcript.h"
#include "net/loop.h"

struct bench_server;
struct bench_port;

struct bench_server_setup {
    struct loop *loop;
    struct transcript_book *book;
    const char *hostname, *pki_dir;
    uint64_t seed;
};

struct bench_server *bench_server_new(const struct bench_server_setup *s);
void bench_server_free(struct bench_server **v);
/* Listens at addr (port 0: a free one) and plays the scenario there. lease: "" for none. NULL and e. */
struct bench_port *bench_server_open(struct bench_server *v, const struct addr *addr, const struct bench_scenario *sc,
                                     const char *lease, struct err *e);
const struct addr *bench_port_address(const struct bench_port *p);
void bench_server_end_sessions(struct bench_server *v);
void bench_server_close(struct bench_server *v, struct bench_port **p); /* its sessions go on */

#endif
