/* libconfuse, as scenario_file.c and bench_conf.c share it: one load at a time, since it hands nothing through to its
 * callbacks. Nobody else includes this. */
#ifndef BENCH_SCENARIO_CFG_H
#define BENCH_SCENARIO_CFG_H

#include <confuse.h>

#include "bench/scenario_file.h"

/* From here on errors go to e, with file, line and, for a name that is not known, the nearest one. */
void scenario_cfg_begin(cfg_t *cfg, struct err *e);
/* "FILE:LINE: OPTION: WHAT". Always -1. */
int scenario_cfg_complain(cfg_t *sec, const char *option, const char *what);
/* Of a scenario {} section; and include(). */
cfg_opt_t *scenario_cfg_options(void);
int scenario_cfg_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv);
/* Those that stand in the file. -1: it was said what is wrong. */
int scenario_cfg_take(struct bench_catalogue *c, cfg_t *cfg, const char *path);
/* No string, comment or section is left open. -1 and e. */
int scenario_cfg_is_whole(const char *path, struct err *e);

#endif
