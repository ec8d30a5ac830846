/* What each client called itself last, in EHLO or HELO: for a server that greets it by its own name. Each lease and scenario has its own. Bounded: who was not
 * seen for long is forgotten. */
#ifndef BENCH_BENCH_NAMES_H
#define BENCH_BENCH_NAMES_H

#include "base/text.h"

#define BENCH_NAME_MOST 255u

struct bench_names;

struct bench_names *bench_names_new(void);
void bench_names_free(struct bench_names **n);
/* name: not empty, BENCH_NAME_MOST octets or less. */
void bench_names_learn(struct bench_names *n, const char *lease, const char *scenario, const char *client,
                       struct span name);
/* NULL: not known. */
const char *bench_names_find(const struct bench_names *n, const char *lease, const char *scenario, const char *client);

#endif
