/* How often a step has come to act: one number for each step and each of what it counts by (step.per). Of one run of the
 * bench, or of one lease; pure.
 *
 * Chance is seeded, and what is drawn depends on the seed, the step, what it counts by and the how-manieth time it is, and
 * on nothing else: the same seed gives the same bytes, whatever else went on meanwhile. */
#ifndef BENCH_BENCH_COUNT_H
#define BENCH_BENCH_COUNT_H

#include "bench/scenario.h"

/* Senders choose what is counted by (recipients, addresses): of more than so many the oldest are forgotten. */
#define BENCH_COUNT_MOST 65536u

struct bench_count;

struct bench_count *bench_count_new(uint64_t seed);
void bench_count_free(struct bench_count **c);
uint64_t bench_count_seed(const struct bench_count *c);

/* The next session's number, from 1. */
unsigned bench_count_session(struct bench_count *c);

/* Which step that is, the same in every run: the scenario's name and the step's place in it. */
uint64_t bench_count_step(const char *scenario, unsigned place);

/* Does the step act now? id: bench_count_step(). key: of what it counts by. *count: for which time it stood there, from 1. */
bool bench_count_acts(struct bench_count *c, const struct bench_step *s, uint64_t id, const char *key, int64_t now_s,
                      unsigned *count);

#endif
