/* Whether what a sender did was right. A scenario's `expect` says of each policy which facts (bench_facts.h) must be there
 * (demand) and which must not (forbid); to these come the policy's own rules, which hold in every scenario.
 *
 * fail: a fact that is forbidden is there; the verdict cites the line that shows it. pass: nothing forbidden, everything
 * demanded. undecided, which is common and honest: nobody came, or the policy demands what has not been seen yet, or silence
 * means nothing before something has happened (`wait`), or what is right cannot be seen from the server's side
 * (`undecided`, with the reason). */
#ifndef BENCH_VERDICT_H
#define BENCH_VERDICT_H

#include "bench/bench_facts.h"
#include "bench/scenario.h"

#define BENCH_VERDICT_RULES 32u

enum bench_result { BENCH_PASS, BENCH_FAIL, BENCH_UNDECIDED };
const char *bench_result_name(enum bench_result r); /* "pass" "fail" "undecided" */

struct bench_verdict_rule {
    enum bench_fact fact;
    bool forbid; /* else demanded */
    struct bench_seen seen;
};

struct bench_verdict {
    enum bench_result result;
    char why[300]; /* one line, with the session and number of the line that shows it */
    char sid[24];  /* that session; "": it is about none in particular */
    struct bench_verdict_rule rules[BENCH_VERDICT_RULES];
    unsigned count;
};
/* over: the sender has done all that it will do; there is nothing left to wait for, as when it has come back already. */
void bench_judge(struct bench_verdict *out, const struct bench_scenario *s, enum bench_policy p,
                 const struct bench_facts *f, bool over);
/* {scenario, policy, result, why, rules: [{id, kind: forbid|demand, ok: true|false, or null where a demand is open, why,
 * sid, seq}]}: what a transcript's "verdict" has, and what the API gives. */
json_t *bench_verdict_json(const struct bench_scenario *s, enum bench_policy p, const struct bench_verdict *v);

/* The facts that a policy forbids whatever the scenario. NULL behind the last: i is too high. */
const char *bench_policy_forbids(enum bench_policy p, unsigned i);
/* A word of expect that is none of a fact. NULL: all are. */
const char *bench_expect_unknown(const struct bench_scenario *s);

#endif
