/* postern-bench judge: what a run has written down is judged anew, by the scenarios' rules as they are now. Nothing is played. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_command.h"
#include "bench/bench_json.h"
#include "bench/run_report.h"

struct judge {
    const struct bench_options *o;
    enum bench_policy policy;
    const struct bench_catalogue *catalogue;
    struct run_result *results; /* as many as scenarios, in their order; those without .played were not */
    struct bench_facts *facts;
    json_t *sessions; /* sid: number of the result */
};

/* fn for each line of a file. -1: it cannot be read, which was said; a line that is no JSON is none of ours. */
static int each_line(const char *path, void (*fn)(struct judge *j, const json_t *line), struct judge *j)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    ssize_t n;

    if (!f) {
        fprintf(stderr, "postern-bench: %s: %s\n", path, strerror(errno));
        return -1;
    }
    while ((n = getline(&text, &room, f)) > 0) {
        json_t *line = json_loadb(text, (size_t)n, 0, NULL);

        if (line)
            fn(j, line);
        json_decref(line);
    }
    free(text);
    fclose(f);
    return 0;
}

/* The last play of a scenario counts. */
static void take_result(struct judge *j, const json_t *line)
{
    const struct bench_scenario *s = bench_catalogue_find(j->catalogue, bench_json_str(line, "scenario"));
    struct run_result *t = s ? &j->results[s - j->catalogue->list] : NULL;

    if (!s || strcmp(bench_json_str(line, "policy"), bench_policy_name(j->policy)) != 0 ||
        !bench_options_want(j->o, s->name))
        return;
    for (unsigned i = 0; i < t->sessions && i < RUN_SIDS; i++)
        json_object_del(j->sessions, t->sids[i]);
    run_result_read(t, line);
    for (unsigned i = 0; i < t->sessions && i < RUN_SIDS; i++)
        json_object_set_new(j->sessions, t->sids[i], json_integer(s - j->catalogue->list));
}

static void take_line(struct judge *j, const json_t *line)
{
    const json_t *number = json_object_get(j->sessions, bench_json_str(line, "sid"));

    if (number)
        bench_facts_take(&j->facts[json_integer_value(number)], line);
}

static int read_run(struct judge *j)
{
    char *results = mem_printf("%s/results.json", j->o->out), *all = mem_printf("%s/all.jsonl", j->o->out);
    int rc = each_line(results, take_result, j);

    for (unsigned i = 0; i < j->catalogue->count && rc == 0; i++)
        run_result_want(&j->facts[i], &j->catalogue->list[i]);
    rc = rc < 0 ? rc : each_line(all, take_line, j);
    free(results);
    free(all);
    return rc;
}

static int report(struct judge *j)
{
    struct run_report r = {
        .out = j->o->out, .policy = j->policy, .tap = j->o->tap, .verbose = j->o->verbose, .list = j->results};
    double seconds = 0;
    struct err e;
    bool failed = false;

    for (unsigned i = 0; i < j->catalogue->count; i++) {
        struct run_result *t = &j->results[i];

        if (!t->played)
            continue;
        t->scenario = &j->catalogue->list[i];
        run_result_judge(t, j->policy, &j->facts[i]);
        failed |= t->verdict.result == BENCH_FAIL;
        seconds += t->seconds;
        j->results[r.count++] = *t;
        if (&j->results[r.count - 1] != t)
            memset(t, 0, sizeof *t);
    }
    run_report_begin(&r);
    run_report_tell(&r, true);
    run_report_end(&r, NULL);
    if (j->o->junit && run_report_junit(&r, j->o->junit, seconds, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        return 2;
    }
    return failed;
}

int bench_cmd_judge(const struct bench_options *o)
{
    struct bench_catalogue c = {0};
    struct judge j = {.o = o, .catalogue = &c};
    int policy = bench_policy_find(o->policy), rc = 2;

    if (policy < 0) {
        fprintf(stderr, "postern-bench: --policy opportunistic, required or verified\n");
        return 64;
    }
    j.policy = (enum bench_policy)policy;
    j.sessions = json_object();
    if (bench_options_catalogue(o, &c) == 0 && bench_options_only(o, &c) == 0) {
        j.results = mem_alloc((c.count + 1) * sizeof *j.results);
        j.facts = mem_alloc((c.count + 1) * sizeof *j.facts);
        if (read_run(&j) == 0)
            rc = report(&j);
    }
    for (unsigned i = 0; j.results && i < c.count; i++)
        run_result_clear(&j.results[i]);
    free(j.results);
    free(j.facts);
    json_decref(j.sessions);
    bench_catalogue_free(&c);
    return rc;
}
