#include "bench/verdict.h"

#include <stdio.h>
#include <string.h>

/* Who must have TLS says nothing that matters without it, in no session and whatever the server did (RFC 3207 6). */
static const enum bench_fact never_in_clear[] = {BENCH_F_MAIL_CLEAR, BENCH_F_AUTH_CLEAR};
static const struct {
    const enum bench_fact *list;
    unsigned count;
} of_policy[BENCH_POLICIES] = {
    [BENCH_REQUIRED] = {never_in_clear, 2},
    [BENCH_VERIFIED] = {never_in_clear, 2},
};

const char *bench_policy_forbids(enum bench_policy p, unsigned i)
{
    return i < of_policy[p].count ? bench_fact_name(of_policy[p].list[i]) : NULL;
}

const char *bench_result_name(enum bench_result r)
{
    static const char *const words[] = {"pass", "fail", "undecided"};

    return words[r];
}

const char *bench_expect_unknown(const struct bench_scenario *s)
{
    for (unsigned p = 0; p < BENCH_POLICIES; p++) {
        char **const lists[] = {s->expect[p].forbid, s->expect[p].demand};

        for (unsigned l = 0; l < 2; l++)
            for (char **w = lists[l]; w && *w; w++)
                if (bench_fact_find(*w) < 0)
                    return *w;
    }
    return NULL;
}

/* ---- the judgement */

static void add(struct bench_verdict *v, const struct bench_facts *f, int fact, bool forbid)
{
    for (unsigned i = 0; i < v->count; i++)
        if ((int)v->rules[i].fact == fact && v->rules[i].forbid == forbid)
            return;
    if (fact < 0 || v->count == BENCH_VERDICT_RULES)
        return;
    v->rules[v->count++] =
        (struct bench_verdict_rule){.fact = (enum bench_fact)fact, .forbid = forbid, .seen = f->fact[fact]};
}

/* What is forbidden first: a fail cites the first of these that is there. */
static void gather(struct bench_verdict *v, const struct bench_expect *x, enum bench_policy p,
                   const struct bench_facts *f)
{
    const char *word;

    for (unsigned i = 0; (word = bench_policy_forbids(p, i)); i++)
        add(v, f, bench_fact_find(word), true);
    for (char **w = x->forbid; w && *w; w++)
        add(v, f, bench_fact_find(*w), true);
    for (char **w = x->demand; w && *w; w++)
        add(v, f, bench_fact_find(*w), false);
}

static const struct bench_verdict_rule *first(const struct bench_verdict *v, bool forbid)
{
    for (unsigned i = 0; i < v->count; i++)
        if (v->rules[i].forbid == forbid && v->rules[i].seen.seen == forbid)
            return &v->rules[i];
    return NULL;
}

void bench_judge(struct bench_verdict *out, const struct bench_scenario *s, enum bench_policy p,
                 const struct bench_facts *f, bool over)
{
    const struct bench_expect *x = &s->expect[p];
    const struct bench_verdict_rule *wrong, *open;
    const char *wait = over || f->fact[BENCH_F_TRIED_AGAIN].seen ? NULL : x->wait;

    *out = (struct bench_verdict){.result = BENCH_UNDECIDED};
    gather(out, x, p, f);
    wrong = first(out, true);
    open = first(out, false);
    if (wrong) {
        out->result = BENCH_FAIL;
        memcpy(out->sid, wrong->seen.sid, sizeof out->sid);
        snprintf(out->why, sizeof out->why, "%s: line %u of %s", bench_fact_name(wrong->fact), wrong->seen.seq,
                 wrong->seen.sid);
    } else if (!f->fact[BENCH_F_SESSION].seen) {
        snprintf(out->why, sizeof out->why, "nobody came");
    } else if (!x->given || x->undecided) {
        snprintf(out->why, sizeof out->why, "%.250s",
                 x->undecided ? x->undecided : "nothing is expected of this policy here");
    } else if (open) {
        snprintf(out->why, sizeof out->why, "%s was not seen so far%s%.200s", bench_fact_name(open->fact),
                 wait ? "; wait for " : "", wait ? wait : "");
    } else if (wait) {
        snprintf(out->why, sizeof out->why, "nothing wrong so far; wait for %.200s", wait);
    } else {
        out->result = BENCH_PASS;
        snprintf(out->why, sizeof out->why, "%.290s", s->correct);
    }
}

/* ---- as JSON */

static json_t *rule_json(const struct bench_verdict_rule *r)
{
    json_t *ok = r->forbid ? json_boolean(!r->seen.seen) : r->seen.seen ? json_true() : json_null();
    json_t *o = json_pack("{s:s,s:s,s:o,s:s}", "id", bench_fact_name(r->fact), "kind", r->forbid ? "forbid" : "demand",
                          "ok", ok, "why", bench_fact_doc(r->fact));

    if (r->seen.seen) {
        json_object_set_new(o, "sid", json_string(r->seen.sid));
        json_object_set_new(o, "seq", json_integer(r->seen.seq));
    }
    return o;
}

json_t *bench_verdict_json(const struct bench_scenario *s, enum bench_policy p, const struct bench_verdict *v)
{
    json_t *rules = json_array();

    for (unsigned i = 0; i < v->count; i++)
        json_array_append_new(rules, rule_json(&v->rules[i]));
    return json_pack("{s:s,s:s,s:s,s:s,s:o}", "scenario", s->name, "policy", bench_policy_name(p), "result",
                     bench_result_name(v->result), "why", v->why, "rules", rules);
}
