/* The commands of postern-bench: one file each. Exit codes: 0 fine, 2 failure, 64 usage. */
#ifndef BENCH_BENCH_COMMAND_H
#define BENCH_BENCH_COMMAND_H

#include "bench/bench_options.h"

#ifndef BENCH_DIR
#define BENCH_DIR "/usr/share/postern/bench"
#endif

int bench_cmd_sink(const struct bench_options *o);
int bench_cmd_serve(const struct bench_options *o);
int bench_cmd_list(const struct bench_options *o);
int bench_cmd_facts(const struct bench_options *o);
int bench_cmd_show(const struct bench_options *o);
int bench_cmd_pki(const struct bench_options *o);
int bench_cmd_run(const struct bench_options *o);
int bench_cmd_judge(const struct bench_options *o);
int bench_cmd_transcript(const struct bench_options *o);

#endif
