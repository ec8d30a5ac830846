/* How often a step has come to act: one number for each step and each of what it counts by (step.per). Of one run of the
 * bench; pure. Chance is seeded, so that a run can be repeated: the same seed, the same order of events, the same bytes. */
#ifndef BENCH_BENCH_COUNT_H
#define BENCH_BENCH_COUNT_H

#include "bench/scenario.h"

struct bench_count;

struct bench_count *bench_count_new(uint64_t seed);
void bench_count_free(struct bench_count **c);

/* Does the step act now? key: of what it counts by. *count: for which time it stood there, from 1. */
bool bench_count_acts(struct bench_count *c, const struct bench_step *s, const char *key, int64_t now_s,
                      unsigned *count);

#endif
