/* The words behind a command: one row for each option, from which parsing, errors and help are made. */
#ifndef BENCH_BENCH_OPTIONS_H
#define BENCH_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "bench/scenario_file.h"
#include "bench/transcript.h"

#define BENCH_FILES 32
#define BENCH_ONLY 64

struct bench_options {
    const char *catalogue, *files[BENCH_FILES];
    unsigned file_count;
    const char *only[BENCH_ONLY]; /* each a list of globs with commas; see bench_options_want() */
    unsigned only_count;
    const char *address, *out, *pki, *junit, *policy, *sid, *word;
    char **command; /* behind --, NULL-terminated; NULL: none */
    bool queue, tap, verbose;
    unsigned jobs, timeout_s; /* jobs 0: as many as this machine can */
    unsigned port;
    uint64_t seed;
    bool json, keep_auth;
    unsigned max_sessions, max_mib; /* of transcripts; 0: all */
    const char *conf, *api;         /* serve; NULL: none */
    bool check;                     /* ... the file, and no more */
    bool implicit, no_tls;          /* no_tls: sink */
    unsigned every_s, idle_s;       /* 0: as it likes */
};

/* argv: what stands behind the command's name. *o holds what counts where nothing is given; strings stay argv's. -1 and e:
 * which word, what is wrong with it, and what was meant. */
int bench_options_parse(struct bench_options *o, const char *command, int argc, char **argv, struct err *e);
/* A line for each option; the commands that take it in parentheses. */
void bench_options_help(FILE *f);

/* Loads what the options name. -1: it was said what is wrong. */
int bench_options_catalogue(const struct bench_options *o, struct bench_catalogue *c);

/* Is the scenario of that name one of those that --only asks for? */
bool bench_options_want(const struct bench_options *o, const char *name);
/* -1: a glob fits nothing, which is a slip, and it was said. */
int bench_options_only(const struct bench_options *o, const struct bench_catalogue *c);

/* Makes certificates for that host where they are missing. As above. */
int bench_options_pki(const char *dir, const char *host);

/* How they want transcripts to be kept. */
struct transcript_book_setup bench_options_book(const struct bench_options *o);

#endif
