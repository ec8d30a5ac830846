/* The commands of postern-bench: one file each. Exit codes: 0 fine, 2 failure, 64 usage. */
#ifndef BENCH_BENCH_COMMAND_H
#define BENCH_BENCH_COMMAND_H

#include "bench/scenario_file.h"

#define BENCH_FILES 32
#define BENCH_ONLY 64
#define BENCH_HOST "mx.bench.test" /* in certificates and greetings */

#ifndef BENCH_DIR
#define BENCH_DIR "/usr/share/postern/bench"
#endif

struct bench_options {
    const char *catalogue, *files[BENCH_FILES];
    unsigned file_count;
    const char *only[BENCH_ONLY]; /* each a list of globs with commas; see bench_options_want() */
    unsigned only_count;
    const char *address, *out, *pki, *junit, *policy, *word;
    char **command; /* behind --, NULL-terminated; NULL: none */
    bool queue, tap, verbose;
    unsigned jobs, timeout_s; /* jobs 0: as many as this machine can */
    unsigned port;
    uint64_t seed;
    bool json;
    bool implicit, no_tls;    /* sink */
    unsigned every_s, idle_s; /* 0: as it likes */
};

/* Loads what the options name. -1: it was said what is wrong. */
int bench_options_catalogue(const struct bench_options *o, struct bench_catalogue *c);

/* Is the scenario of that name one of those that --only asks for? */
bool bench_options_want(const struct bench_options *o, const char *name);
/* -1: a glob fits nothing, which is a slip, and it was said. */
int bench_options_only(const struct bench_options *o, const struct bench_catalogue *c);

/* Makes them where they are missing. As above. */
int bench_options_pki(const struct bench_options *o);

int bench_cmd_sink(const struct bench_options *o);
int bench_cmd_serve(const struct bench_options *o);
int bench_cmd_list(const struct bench_options *o);
int bench_cmd_facts(const struct bench_options *o);
int bench_cmd_show(const struct bench_options *o);
int bench_cmd_pki(const struct bench_options *o);
int bench_cmd_run(const struct bench_options *o);
int bench_cmd_transcript(const struct bench_options *o);

#endif
