/* Leases: a port for one test, with its own scenario, counters, chance, facts and verdict. What happens at other ports
 * changes nothing here, so tests run side by side; and a lease ends, with everything, when its time is over.
 *
 * What happened is taken from the lines of transcripts, as they are made. */
#ifndef BENCH_LEASE_H
#define BENCH_LEASE_H

#include "bench/bench_server.h"
#include "bench/verdict.h"

#define LEASE_ID 20
#define LEASE_TTL_S 600u
#define LEASE_TTL_MOST 86400u

struct lease {
    struct lease *next;
    char id[LEASE_ID];
    char *name; /* the tester's word for it; "" */
    struct bench_port *port;
    struct addr address;
    const struct bench_scenario *scenario;
    enum bench_policy policy;
    uint64_t seed;
    int64_t expires_us; /* monotonic */
    struct bench_facts facts;
    unsigned sessions, ended, messages, accepted;
};

struct lease_table;

struct lease_setup {
    const char *name;
    const struct addr *address; /* port 0: a free one */
    const struct bench_scenario *scenario;
    enum bench_policy policy;
    uint64_t seed;
    unsigned ttl_s;
    const struct bench_choices *choices; /* as of bench_port_setup */
};

struct lease_table *lease_table_new(struct bench_server *v, unsigned most);
void lease_table_free(struct lease_table **t);
unsigned lease_table_count(const struct lease_table *t);
struct lease *lease_table_first(const struct lease_table *t);

/* NULL and e. */
struct lease *lease_new(struct lease_table *t, const struct lease_setup *s, int64_t now_us, struct err *e);
struct lease *lease_find(const struct lease_table *t, const char *id);
/* Its sessions end, too. */
void lease_end(struct lease_table *t, struct lease **l);

/* Whose line that is; NULL: nobody's. */
struct lease *lease_take(struct lease_table *t, const json_t *line);
/* One whose time is over; NULL: none. */
struct lease *lease_expired(const struct lease_table *t, int64_t now_us);

/* over: the sender has done all that it will do. While one of its sessions is open, silence means nothing. */
void lease_judge(const struct lease *l, bool over, struct bench_verdict *out);

#endif
