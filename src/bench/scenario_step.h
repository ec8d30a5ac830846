/* A step {} of a scenario's file: when it acts, what it does, and what makes no sense together. */
#ifndef BENCH_SCENARIO_STEP_H
#define BENCH_SCENARIO_STEP_H

#include "bench/scenario_cfg.h"

extern cfg_opt_t scenario_step_options[];
/* -1: it was said what is wrong. Either way *s is the caller's, to be freed with its scenario. */
int scenario_step_take(cfg_t *sec, struct bench_step *s);
#endif
