/* postern-bench run: for each scenario a port of its own and a run of the command, several at once; then the judgement. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/bench_command.h"
#include "bench/bench_probe.h"
#include "bench/bench_process.h"
#include "bench/bench_server.h"
#include "bench/run_play.h"

#define TICK_US 20000
#define JOBS_MOST 256u /* as --jobs has it */

struct run {
    const struct bench_options *o;
    enum bench_policy policy;
    struct loop *loop;
    struct bench_server *server;
    struct transcript_book *book;
    struct run_mail *mail;
    struct run_result *results; /* in the order of the catalogue */
    struct run_report report;
    struct run_play *plays[JOBS_MOST]; /* NULL: free */
    unsigned jobs, next, active;
    char why[400]; /* it ends before its end, for this reason; "": it does not */
};

/* ---- the scenarios */

/* 0: no scenario fits. */
static unsigned choose(struct run *r, const struct bench_catalogue *c)
{
    unsigned n = 0;

    r->results = mem_alloc((c->count + 1) * sizeof *r->results);
    for (unsigned i = 0; i < c->count; i++)
        if (bench_options_want(r->o, c->list[i].name))
            r->results[n++].scenario = &c->list[i];
    r->report = (struct run_report){.out = r->o->out,
                                    .policy = r->policy,
                                    .tap = r->o->tap,
                                    .verbose = r->o->verbose,
                                    .list = r->results,
                                    .count = n};
    return n;
}

static void unavailable(struct run_result *t)
{
    t->judged = true;
    t->verdict.result = BENCH_UNDECIDED;
    snprintf(t->verdict.why, sizeof t->verdict.why, "not available: %s", t->scenario->why_not);
}

static void give_up(struct run *r, const char *scenario, const char *why)
{
    if (*r->why)
        return;
    snprintf(r->why, sizeof r->why, "%s%s%s", scenario, *scenario ? ": " : "", why);
    for (unsigned i = 0; i < r->jobs; i++)
        if (r->plays[i])
            run_play_stop(r->plays[i]);
}

/* ---- several at once */

static void fill(struct run *r)
{
    struct err e;

    for (unsigned i = 0; i < r->jobs; i++) {
        while (!r->plays[i] && r->next < r->report.count && !*r->why) {
            struct run_result *t = &r->results[r->next++];

            if (t->scenario->why_not)
                unavailable(t);
            else if (run_play_start(&r->plays[i], &(struct run_play_setup){r->o, r->policy, r->server, r->mail, t},
                                    &e) < 0)
                give_up(r, t->scenario->name, e.text);
            else
                r->active++;
        }
    }
}

static void keep(struct run *r, const struct run_result *t)
{
    struct err e;

    if (!t->judged)
        return;
    transcript_verdict(r->book, t->scenario->name, bench_verdict_json(t->scenario, r->policy, &t->verdict));
    if (run_result_write(t, r->policy, r->o->out, &e) < 0)
        give_up(r, t->scenario->name, e.text);
}

static void on_tick(void *arg)
{
    struct run *r = arg;
    int64_t now = clock_now().mono_us;

    for (unsigned i = 0; i < r->jobs; i++) {
        struct run_play *p = r->plays[i];

        if (!p || !run_play_tick(p, now))
            continue;
        if (run_play_lacks(p)) {
            const struct run_result *t = run_play_result(p);

            give_up(r, t->scenario->name, t->ended);
        }
        keep(r, run_play_result(p));
        run_play_free(&r->plays[i]);
        r->active--;
    }
    fill(r);
    run_report_tell(&r->report, false);
}

static void on_line(void *arg, const json_t *line)
{
    struct run *r = arg;

    for (unsigned i = 0; i < r->jobs; i++)
        if (r->plays[i] && run_play_take(r->plays[i], line))
            return;
}

/* The second time nobody waits for commands that are deaf to it. */
static void on_stop(void *arg)
{
    struct run *r = arg;

    for (unsigned i = 0; i < r->jobs && *r->why; i++)
        if (r->plays[i])
            run_play_stop(r->plays[i]);
    give_up(r, "", "interrupted");
}

static void nothing(void *arg)
{
    (void)arg;
}

static int play_all(struct run *r)
{
    int64_t begun = clock_now().mono_us;
    struct err e;
    int rc = 0;

    run_report_begin(&r->report);
    loop_ticker(r->loop, TICK_US, on_tick, r);
    fill(r);
    while (r->active && loop_turn(r->loop, true, nothing, NULL) == 0)
        ;
    run_report_tell(&r->report, true);
    run_report_end(&r->report, *r->why ? r->why : NULL);
    if (*r->why) {
        fprintf(stderr, "postern-bench: %s\n", r->why);
        rc = 2;
    }
    for (unsigned i = 0; i < r->report.count && rc == 0; i++)
        rc = r->results[i].judged && r->results[i].verdict.result == BENCH_FAIL;
    if (r->o->junit && run_report_junit(&r->report, r->o->junit, (double)(clock_now().mono_us - begun) / 1e6, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        rc = 2;
    }
    return rc;
}

/* ---- around it */

static int with_server(struct run *r)
{
    struct bench_server_setup setup = {
        .loop = r->loop, .hostname = BENCH_HOST, .pki_dir = r->o->pki, .seed = r->o->seed};
    struct transcript_book_setup book = bench_options_book(r->o);
    struct err e;
    int rc = 2;

    if (transcript_book_open(&r->book, &book, &e) < 0 || run_mail_new(&r->mail, r->o->out, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
    } else {
        transcript_book_listen(r->book, on_line, r);
        setup.book = r->book;
        r->server = bench_server_new(&setup);
        rc = play_all(r);
        bench_server_free(&r->server);
    }
    run_mail_free(&r->mail);
    transcript_book_close(&r->book);
    return rc;
}

static int with_loop(struct run *r)
{
    struct bench_process *p;
    struct err e;
    int rc;

    if (loop_new(&r->loop, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        return 2;
    }
    p = bench_process_listen(r->loop, on_stop, r);
    rc = with_server(r);
    bench_process_free(&p);
    loop_free(&r->loop);
    return rc;
}

static unsigned jobs_of(const struct bench_options *o)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (o->jobs)
        return o->jobs;
    return cpus > 0 && cpus < 32 ? (unsigned)cpus * 2 + 2 : 64; /* senders mostly wait */
}

static const char *usage_of(const struct bench_options *o)
{
    if (bench_policy_find(o->policy) < 0)
        return "--policy opportunistic, required or verified";
    if (!o->command)
        return "run [OPTION...] -- COMMAND [WORD...]";
    if (strpbrk(o->out, " \t\n"))
        return "--out: a path without blanks, since BENCH_MESSAGES has them between its paths";
    return NULL;
}

/* A report that cannot be written is told before half an hour of playing, not behind it. */
static bool can_report(const char *path)
{
    FILE *f = path ? fopen(path, "ae") : NULL;

    if (path && !f)
        fprintf(stderr, "postern-bench: --junit %s: %s\n", path, strerror(errno));
    if (f)
        fclose(f);
    return !path || f;
}

int bench_cmd_run(const struct bench_options *o)
{
    const char *usage = usage_of(o);
    struct bench_catalogue c = {0};
    struct run r = {.o = o};
    int rc = 2;

    if (usage) {
        fprintf(stderr, "postern-bench: %s\n", usage);
        return 64;
    }
    r.policy = (enum bench_policy)bench_policy_find(o->policy);
    r.jobs = jobs_of(o);
    if (bench_options_pki(o->pki, BENCH_HOST) == 0 && bench_options_catalogue(o, &c) == 0 &&
        bench_options_only(o, &c) == 0) {
        bench_probe_all(&c, o, true);
        if (choose(&r, &c) && can_report(o->junit))
            rc = with_loop(&r);
    }
    for (unsigned i = 0; i < r.report.count; i++)
        run_result_clear(&r.results[i]);
    free(r.results);
    bench_catalogue_free(&c);
    return rc;
}
