/* What an option says, for scenarios' files and bench.conf. -1: it was said what is wrong with it and what may stand there. */
#ifndef BENCH_SCENARIO_VALUE_H
#define BENCH_SCENARIO_VALUE_H

#include "bench/scenario_cfg.h"

bool scenario_value_given(cfg_t *sec, const char *option);
/* Copies, for the caller. NULL: it is not there. */
char *scenario_value_text(cfg_t *sec, const char *option);
char **scenario_value_list(cfg_t *sec, const char *option); /* NULL-terminated; of no words: NULL */
int scenario_value_number(cfg_t *sec, const char *option, unsigned least, unsigned most, unsigned *out);
/* Its place in words, which end with NULL; of fallback's where the option is not there. */
int scenario_value_word(cfg_t *sec, const char *option, const char *const *words, const char *fallback);
/* A copy of that word as it stands in words, however it was written; NULL: the option is not there. */
int scenario_value_one_of(cfg_t *sec, const char *option, const char *const *words, char **out);
/* Octets, as bench_bytes_parse() has them: text, which stands in that option. */
int scenario_value_bytes(cfg_t *sec, const char *option, const char *text, struct bench_bytes *out);
int scenario_value_nets(cfg_t *sec, const char *option, struct net **out, unsigned *count); /* .out NULL: none */

#endif
