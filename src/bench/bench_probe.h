/* Can this machine's OpenSSL play a scenario? Asked by playing it: a handshake in memory, with a client that takes anything.
 * What distributors have left out or forbidden (RC4, TLS 1.0 by a crypto policy, SHA-1) shows there, and nowhere else. */
#ifndef BENCH_BENCH_PROBE_H
#define BENCH_BENCH_PROBE_H

#include "bench/bench_options.h"

/* -1: it cannot, and why. */
int bench_probe(const struct bench_scenario *s, struct err *why);
/* Sets .why_not where it cannot, or where the options leave no room for it; what is set already stays. Those that --only does
 * not ask for are left alone when only_wanted: keys take their time. */
void bench_probe_all(struct bench_catalogue *c, const struct bench_options *o, bool only_wanted);

#endif
