#include "bench/scenario_json.h"

static json_t *words(char *const *list)
{
    json_t *a = json_array();

    for (; list && *list; list++)
        json_array_append_new(a, json_string(*list));
    return a;
}

json_t *scenario_json(const struct bench_scenario *s)
{
    json_t *expect = json_object(), *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:o}", "name", s->name, "section",
                                                   s->section, "doc", s->doc, "correct", s->correct, "source",
                                                   s->source, "available", s->why_not == NULL, "expect", expect);

    if (s->why_not)
        json_object_set_new(o, "reason", json_string(s->why_not));
    for (unsigned p = 0; p < BENCH_POLICIES; p++) {
        const struct bench_expect *x = &s->expect[p];
        json_t *rules;

        if (!x->given)
            continue;
        rules = json_pack("{s:o,s:o}", "demand", words(x->demand), "forbid", words(x->forbid));
        if (x->wait)
            json_object_set_new(rules, "wait", json_string(x->wait));
        json_object_set_new(expect, bench_policy_name((enum bench_policy)p), rules);
    }
    return o;
}
