/* Which scenario is played from here on, when the port does not decide it: the first one whose `select` fits. Pure.
 *
 * Each step of a session shows more of the sender: its address, the name that its ClientHello asks for, the name it gives
 * itself, its MAIL, its RCPT. A `select` is looked at as soon as the last thing that it asks for is there, and all that it
 * asks for must fit; of several patterns of one kind, one. */
#ifndef BENCH_BENCH_SELECT_H
#define BENCH_BENCH_SELECT_H

#include "bench/scenario.h"

enum bench_stage { BENCH_AT_CONNECT, BENCH_AT_SNI, BENCH_AT_HELO, BENCH_AT_MAIL, BENCH_AT_RCPT, BENCH_STAGES };
const char *bench_stage_name(enum bench_stage at); /* "connect", "sni", "helo", "mail", "rcpt" */

struct bench_shown { /* NULL: not yet */
    const struct addr *client;
    const char *sni, *helo, *mail, *rcpt; /* addresses without < and > */
};

struct bench_choices {
    const struct bench_scenario *const *list;
    unsigned count;
};

/* Is it ever chosen? */
bool bench_select_wants(const struct bench_scenario *sc);
/* NULL: none. */
const struct bench_scenario *bench_select(const struct bench_choices *c, enum bench_stage at,
                                          const struct bench_shown *shown);

#endif
