/* The scenarios that can be played now: those of the files, and those that were brought while the bench runs. A later one
 * of the same name takes the place of an earlier one; that one is kept as long as somebody is still played it. */
#ifndef BENCH_BENCH_SHELF_H
#define BENCH_BENCH_SHELF_H

#include "bench/bench_select.h"
#include "bench/scenario_file.h"

#define BENCH_SHELF_BROUGHT 1000u /* names that can be brought */

struct bench_shelf;

/* c: outlives the shelf, and does not change. */
struct bench_shelf *bench_shelf_new(const struct bench_catalogue *c);
void bench_shelf_free(struct bench_shelf **s);

const struct bench_scenario *bench_shelf_find(const struct bench_shelf *s, const char *name);
/* All, those that were brought first: for whoever chooses among them. What is pointed to lives as long as the shelf, and
 * always tells of now. */
const struct bench_choices *bench_shelf_choices(const struct bench_shelf *s);

/* What a text that was read has to say yes to before it is taken: 0, or -1 and e. */
typedef int bench_shelf_check(void *arg, const struct bench_scenario *sc, struct err *e);
/* text: the configuration language; it must define the scenario of that name and nothing else. *out: what there is now.
 * *old: what there was, or NULL. -1 and e: nothing has changed. */
int bench_shelf_bring(struct bench_shelf *s, const char *name, const char *text, bench_shelf_check *check, void *arg,
                      const struct bench_scenario **out, const struct bench_scenario **old, struct err *e);
/* Frees those of which is_free() says that nobody is played them any more. */
void bench_shelf_sweep(struct bench_shelf *s, bool (*is_free)(void *arg, const struct bench_scenario *sc), void *arg);

#endif
