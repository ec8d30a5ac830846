#include <jansson.h>
#include <stdio.h>

#include "bench/bench_command.h"
#include "bench/verdict.h"

static void print_json(enum bench_fact f)
{
    json_t *o = json_pack("{s:s,s:s}", "id", bench_fact_name(f), "doc", bench_fact_doc(f));

    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

int bench_cmd_facts(const struct bench_options *o)
{
    for (int f = 0; f < BENCH_FACTS; f++) {
        if (o->json)
            print_json((enum bench_fact)f);
        else
            printf("%-24s %s\n", bench_fact_name((enum bench_fact)f), bench_fact_doc((enum bench_fact)f));
    }
    for (unsigned p = 0; p < BENCH_POLICIES && !o->json; p++)
        for (unsigned i = 0; bench_policy_forbids((enum bench_policy)p, i); i++)
            printf("%s%s forbids %s in every scenario\n", p == BENCH_REQUIRED && i == 0 ? "\n" : "",
                   bench_policy_name((enum bench_policy)p), bench_policy_forbids((enum bench_policy)p, i));
    return 0;
}
