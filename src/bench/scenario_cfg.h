/* libconfuse, as scenario files (scenario_file.c, scenario_step.c, scenario_value.c) and bench_conf.c share it: one load at a
 * time, since it hands nothing through to its callbacks. Nobody else includes this. */
#ifndef BENCH_SCENARIO_CFG_H
#define BENCH_SCENARIO_CFG_H

#include <confuse.h>

#include "bench/scenario_file.h"

/* The file, and what it includes, relative to where that stands, goes into cfg. -1 and e: file, line and, for a name that is
 * not known, the nearest one; of an included file, by whom. What follows is about the last one that was parsed. */
int scenario_cfg_parse(cfg_t *cfg, const char *path, struct err *e);
/* The same from memory; it reads no files. name: what it is called in errors. */
int scenario_cfg_parse_text(cfg_t *cfg, const char *name, const char *text, struct err *e);
/* What was parsed before is what follows is about again: another load came between. */
int scenario_cfg_again(const char *path, struct err *e);
/* "FILE:LINE: OPTION: WHAT", the option's line. Always -1. */
int scenario_cfg_complain(cfg_t *sec, const char *option, const char *what);
/* The same for a word that is none of those, with the nearest one. */
int scenario_cfg_unknown(cfg_t *sec, const char *option, const char *word, const char *const *words);
/* Where the section begins. */
unsigned scenario_cfg_line(const cfg_t *sec);
const char *scenario_cfg_file(const cfg_t *sec);
/* For a table's include: what is left of them in the end stands where none may. */
int scenario_cfg_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv);

/* scenario_file.c: a scenario {} section, for tables that have it; and those that stand in what was parsed. -1: it was said
 * what is wrong. */
cfg_opt_t *scenario_file_options(void);
int scenario_file_take(struct bench_catalogue *c, cfg_t *cfg);

#endif
