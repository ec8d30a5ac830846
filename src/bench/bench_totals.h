/* What the sessions of a server come to, for rates. It is counted whether or not anything is written down. */
#ifndef BENCH_BENCH_TOTALS_H
#define BENCH_BENCH_TOTALS_H

#include <stdint.h>

struct bench_totals {
    uint64_t sessions;                    /* that came, those that are open among them */
    uint64_t messages, octets;            /* that were taken, and of their content as it came */
    uint64_t refused;                     /* messages, behind their end */
    uint64_t handshakes, resumed, broken; /* resumed ones are among the handshakes; broken: those that failed */
    unsigned open;
    int64_t first_us, last_us; /* monotonic, of the first session and of the latest message; 0: none yet */
};

#endif
