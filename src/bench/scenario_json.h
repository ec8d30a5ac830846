/* A scenario for programs: {"name", "section", "doc", "correct", "source", "available", "expect": {POLICY: {"demand",
 * "forbid", "wait"}}}, and "reason" where it is not available. */
#ifndef BENCH_SCENARIO_JSON_H
#define BENCH_SCENARIO_JSON_H

#include <jansson.h>

#include "bench/scenario.h"

json_t *scenario_json(const struct bench_scenario *s);

#endif
