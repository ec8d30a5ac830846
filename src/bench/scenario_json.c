#include "bench/scenario_json.h"

#include "bench/bench_json.h"

static json_t *words(char *const *list)
{
    json_t *a = json_array();

    for (; list && *list; list++)
        json_array_append_new(a, bench_json_text(*list));
    return a;
}

json_t *scenario_json(const struct bench_scenario *s)
{
    json_t *expect = json_object(), *o = json_object();

    json_object_set_new(o, "name", bench_json_text(s->name));
    json_object_set_new(o, "section", bench_json_text(s->section));
    json_object_set_new(o, "doc", bench_json_text(s->doc));
    json_object_set_new(o, "correct", bench_json_text(s->correct));
    json_object_set_new(o, "source", bench_json_text(s->source));
    json_object_set_new(o, "available", json_boolean(s->why_not == NULL));
    json_object_set_new(o, "expect", expect);
    if (s->why_not)
        json_object_set_new(o, "reason", bench_json_text(s->why_not));
    for (unsigned p = 0; p < BENCH_POLICIES; p++) {
        const struct bench_expect *x = &s->expect[p];
        json_t *rules;

        if (!x->given)
            continue;
        rules = json_pack("{s:o,s:o}", "demand", words(x->demand), "forbid", words(x->forbid));
        if (x->wait)
            json_object_set_new(rules, "wait", bench_json_text(x->wait));
        json_object_set_new(expect, bench_policy_name((enum bench_policy)p), rules);
    }
    return o;
}
