/* What an address asks for by its local part, where a port lets addresses ask: a step for one address, without a scenario.
 * Pure.
 *
 *     rcpt-450@          RCPT gets 450 (4yz or 5yz; data: 354 and 250, too)
 *     rcpt-450-4.2.1x2@  with that enhanced code, and only twice; then it is taken
 *     dot-drop@          the connection is cut at the final dot, without an answer
 *     delay5-data@       the right answer to DATA after five seconds
 *     delay5-dot-451@    both
 *     dot-451+anna@      what stands behind + is free: an address of its own, counted apart
 *
 * Points: mail (in MAIL FROM), rcpt, data, dot, bdat, rset, quit. Instead of a code: drop (no answer, FIN), rst, hang, close
 * (the right answer, then FIN). */
#ifndef BENCH_BENCH_TRIGGER_H
#define BENCH_BENCH_TRIGGER_H

#include "bench/scenario.h"

#define BENCH_TRIGGER_DELAY 3600u /* seconds, at most */

struct bench_trigger {
    struct bench_step step; /* its .reply points to .reply below */
    char reply[80];
};

/* False: the address asks for nothing. */
bool bench_trigger_parse(struct bench_trigger *out, const char *address);

#endif
