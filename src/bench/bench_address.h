/* Where the bench listens when it is given an address alone: on the loopback, and nowhere else. */
#ifndef BENCH_BENCH_ADDRESS_H
#define BENCH_BENCH_ADDRESS_H

#include "base/addr.h"

/* ip: "127.0.0.1", "::1"; port 0: a free one. -1 and e. */
int bench_address_loopback(struct addr *out, const char *ip, unsigned port, struct err *e);

#endif
