/* What a run has found, for people (a table), for TAP readers and for JUnit readers. */
#ifndef BENCH_RUN_REPORT_H
#define BENCH_RUN_REPORT_H

#include <stdio.h>

#include "bench/run_result.h"

struct run_report {
    const char *out; /* directory of the transcripts */
    enum bench_policy policy;
    bool tap, verbose;
    const struct run_result *list;
    unsigned count;
    unsigned told; /* of the list, in its order */
};

void run_report_begin(const struct run_report *r);
/* Prints what is judged and has nothing before it that is not; all: what was judged behind that, too. */
void run_report_tell(struct run_report *r, bool all);
/* The last line, or why it ends here (NULL: it is whole). */
void run_report_end(const struct run_report *r, const char *why);
/* -1: it could not be written. */
int run_report_junit(const struct run_report *r, const char *path, double seconds, struct err *e);

#endif
