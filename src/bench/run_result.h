/* What came of one scenario: the judgement, and all that is needed to come to another one when the rules have changed
 * (`postern-bench judge`). DIR/results.json has a line for each, beside the transcripts. */
#ifndef BENCH_RUN_RESULT_H
#define BENCH_RUN_RESULT_H

#include "bench/verdict.h"

#define RUN_SIDS 50u

struct run_result {
    const struct bench_scenario *scenario;
    struct bench_verdict verdict;
    bool judged;
    char sids[RUN_SIDS][24]; /* of its sessions, the first ones */
    unsigned sessions;
    /* the command */
    bool played, late, queue; /* late: it did not end by itself; queue: its end is not the end of its tries */
    int code;                 /* -1: it was ended by a signal */
    unsigned timeout_s;
    char ended[200]; /* how it did: "exit 1: ..."; "": it was not run */
    char *log;       /* what it printed, a path; NULL: nothing */
    double seconds;
};

/* Before anything has happened. */
void run_result_want(struct bench_facts *f, const struct bench_scenario *s);
/* Judges what has happened, when it is over. */
void run_result_judge(struct run_result *t, enum bench_policy p, struct bench_facts *f);
/* Appends a line to DIR/results.json. -1 and e. */
int run_result_write(const struct run_result *t, enum bench_policy p, const char *dir, struct err *e);
/* From such a line, all but the judgement, which is due anew. The scenario is the caller's to find. */
void run_result_read(struct run_result *t, const json_t *line);
void run_result_clear(struct run_result *t);

#endif
