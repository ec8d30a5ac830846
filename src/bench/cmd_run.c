/* postern-bench run: for each scenario a port of its own and a run of the command; then the judgement. */
#include <errno.h>
#include <fnmatch.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/bench_command.h"
#include "bench/bench_server.h"
#include "bench/run_mail.h"
#include "bench/verdict.h"

#define COMMAND_SECONDS 120
#define OUR_WORDS (7u + RUN_MAIL_WORDS)
#define QUIET_US INT64_C(300000) /* after the command's end, for what is still on its way */

extern char **environ;

struct run {
    const struct bench_options *o;
    enum bench_policy policy;
    struct loop *loop;
    struct bench_server *server;
    struct bench_facts facts;
    pid_t pid;
    int status;
    int64_t until_us;
    bool late, over;
    unsigned results[BENCH_UNDECIDED + 1], count;
    FILE *junit;
    struct run_mail *mail;
};

static void on_line(void *arg, const json_t *line)
{
    struct run *r = arg;

    bench_facts_take(&r->facts, line);
}

static void on_tick(void *arg)
{
    struct run *r = arg;
    int64_t now = clock_now().mono_us;

    if (r->pid > 0 && waitpid(r->pid, &r->status, WNOHANG) == r->pid) {
        r->pid = 0;
        r->until_us = now + QUIET_US;
    }
    if (now < r->until_us)
        return;
    if (r->pid > 0 && !r->late) {
        r->late = true;
        (void)killpg(r->pid, SIGKILL);
        return;
    }
    if (r->pid <= 0)
        r->over = true;
}

static void nothing(void *arg)
{
    (void)arg;
}

/* The words of the environment that a driver needs, over our own. */
static char **environment(const struct run *r, const struct bench_scenario *s, const struct addr *a)
{
    char ip[ADDR_TEXT];
    char *const ours[] = {mem_printf("BENCH_HOST=%s", addr_ip_text(a, ip)),
                          mem_printf("BENCH_NAME=%s", BENCH_HOST),
                          mem_printf("BENCH_PORT=%u", (unsigned)addr_port(a)),
                          mem_printf("BENCH_CA=%s/ca.pem", r->o->pki),
                          mem_printf("BENCH_SCENARIO=%s", s->name),
                          mem_printf("BENCH_POLICY=%s", bench_policy_name(r->policy)),
                          mem_printf("BENCH_IMPLICIT=%s", s->tls.implicit ? "yes" : "no")};
    size_t n = 0, k = sizeof ours / sizeof *ours;
    char **env;

    while (environ[n])
        n++;
    env = mem_alloc((n + k + RUN_MAIL_WORDS + 1) * sizeof *env);
    memcpy(env, ours, sizeof ours);
    run_mail_words(r->mail, s, env + k);
    memcpy(env + k + RUN_MAIL_WORDS, environ, n * sizeof *env);
    return env;
}

/* In a group of its own, so that all of it ends when its time is over. */
static int start(struct run *r, const struct bench_scenario *s, const struct addr *a, struct err *e)
{
    char **env = environment(r, s, a);
    posix_spawnattr_t attr;
    int rc;

    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attr, 0);
    rc = posix_spawnp(&r->pid, r->o->command[0], NULL, &attr, r->o->command, env);
    posix_spawnattr_destroy(&attr);
    for (size_t i = 0; i < OUR_WORDS; i++)
        free(env[i]);
    free(env);
    if (rc) {
        r->pid = 0;
        return err_set(e, "%s: %s", r->o->command[0], strerror(rc));
    }
    r->until_us = clock_now().mono_us + COMMAND_SECONDS * INT64_C(1000000);
    r->late = r->over = false;
    return 0;
}

static void put_xml(FILE *f, const char *text)
{
    for (; *text; text++) {
        if (*text == '<' || *text == '>' || *text == '&' || *text == '"')
            fprintf(f, "&#%d;", *text);
        else
            putc(*text, f);
    }
}

static void report(struct run *r, const struct bench_scenario *s, const struct bench_verdict *v)
{
    static const char *const words[] = {"pass", "FAIL", "undecided"};
    const char *sid = r->facts.fact[BENCH_F_SESSION].sid;

    r->results[v->result]++;
    r->count++;
    if (r->o->tap)
        printf("%s %u - %s%s%s\n", v->result == BENCH_FAIL ? "not ok" : "ok", r->count, s->name,
               v->result == BENCH_UNDECIDED ? " # SKIP undecided: " : " # ", v->why);
    else
        printf("%-28s %-9s %s\n", s->name, words[v->result], v->why);
    if (v->result == BENCH_FAIL && !r->o->tap)
        printf("%-38s postern-bench transcript %s/%s.jsonl\n", "", r->o->out, sid);
    fflush(stdout);
    if (!r->junit)
        return;
    fprintf(r->junit, "  <testcase classname=\"%s\" name=\"", bench_policy_name(r->policy));
    put_xml(r->junit, s->name);
    fprintf(r->junit, "\">");
    if (v->result != BENCH_PASS) {
        fprintf(r->junit, "<%s message=\"", v->result == BENCH_FAIL ? "failure" : "skipped");
        put_xml(r->junit, v->why);
        fprintf(r->junit, "\"/>");
    }
    fprintf(r->junit, "</testcase>\n");
}

/* -1: the command could not even be started. */
static int play(struct run *r, const struct bench_scenario *s, struct err *e)
{
    char *where = mem_printf(strchr(r->o->address, ':') ? "[%s]:0" : "%s:0", r->o->address);
    struct bench_port *p = NULL;
    struct bench_verdict v;
    struct addr a;
    int rc = -1;

    memset(&r->facts, 0, sizeof r->facts);
    if (addr_parse(&a, where, e) == 0 && !addr_is_loopback(&a))
        err_set(e, "%s: a server that is wrong on purpose listens on the loopback only", r->o->address);
    else if (addr_parse(&a, where, e) == 0)
        p = bench_port_open(
            r->server, &(struct bench_port_setup){.address = &a, .scenario = s, .lease = s->name, .seed = r->o->seed},
            e);
    free(where);
    if (p && start(r, s, bench_port_address(p), e) == 0) {
        while (!r->over && loop_turn(r->loop, true, nothing, NULL) == 0)
            ;
        bench_server_end_sessions(r->server);
        bench_judge(&v, s, r->policy, &r->facts, !r->o->queue && !r->late);
        if (r->late && v.result == BENCH_PASS) {
            v.result = BENCH_UNDECIDED;
            snprintf(v.why, sizeof v.why, "the command did not end within %d s", COMMAND_SECONDS);
        }
        report(r, s, &v);
        rc = 0;
    }
    if (p)
        bench_port_close(&p);
    return rc;
}

static int play_all(struct run *r, const struct bench_catalogue *c)
{
    struct err e;
    unsigned total = 0;

    for (unsigned i = 0; i < c->count; i++)
        total += !r->o->only || fnmatch(r->o->only, c->list[i].name, 0) == 0;
    if (r->o->tap)
        printf("1..%u\n", total);
    for (unsigned i = 0; i < c->count; i++) {
        const struct bench_scenario *s = &c->list[i];

        if (r->o->only && fnmatch(r->o->only, s->name, 0) != 0)
            continue;
        if (s->why_not) {
            struct bench_verdict v = {.result = BENCH_UNDECIDED};

            snprintf(v.why, sizeof v.why, "not available: %s", s->why_not);
            memset(&r->facts, 0, sizeof r->facts);
            report(r, s, &v);
            continue;
        }
        if (play(r, s, &e) < 0) {
            fprintf(stderr, "postern-bench: %s: %s\n", s->name, e.text);
            return 2;
        }
    }
    if (!total) {
        fprintf(stderr, "postern-bench: no scenario fits %s\n", r->o->only);
        return 2;
    }
    if (!r->o->tap)
        printf("\n%u pass, %u fail, %u undecided; transcripts in %s\n", r->results[BENCH_PASS], r->results[BENCH_FAIL],
               r->results[BENCH_UNDECIDED], r->o->out);
    return r->results[BENCH_FAIL] ? 1 : 0;
}

static int run(struct run *r, const struct bench_catalogue *c)
{
    struct bench_server_setup setup = {
        .loop = r->loop, .hostname = BENCH_HOST, .pki_dir = r->o->pki, .seed = r->o->seed};
    struct err e;
    int rc;

    if (transcript_book_open(&setup.book, r->o->out, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        return 2;
    }
    if (run_mail_new(&r->mail, r->o->out, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        transcript_book_close(&setup.book);
        return 2;
    }
    transcript_book_listen(setup.book, on_line, r);
    r->server = bench_server_new(&setup);
    loop_ticker(r->loop, 20000, on_tick, r);
    rc = play_all(r, c);
    bench_server_free(&r->server);
    transcript_book_close(&setup.book);
    return rc;
}

int bench_cmd_run(const struct bench_options *o)
{
    struct bench_catalogue c = {0};
    struct run r = {.o = o};
    int policy = bench_policy_find(o->policy), rc = 2;
    struct err e;

    if (policy < 0 || !o->command) {
        fprintf(stderr, "postern-bench: %s\n",
                policy < 0 ? "--policy opportunistic, required or verified" : "run [OPTION...] -- COMMAND [WORD...]");
        return 64;
    }
    r.policy = (enum bench_policy)policy;
    if (bench_options_pki(o) < 0 || bench_options_catalogue(o, &c) < 0)
        goto out;
    r.junit = o->junit ? fopen(o->junit, "we") : NULL;
    if (o->junit && !r.junit) {
        fprintf(stderr, "postern-bench: %s: %s\n", o->junit, strerror(errno));
        goto out;
    }
    if (loop_new(&r.loop, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        goto out;
    }
    if (r.junit)
        fprintf(r.junit, "<?xml version=\"1.0\"?>\n<testsuite name=\"postern-bench\">\n");
    rc = run(&r, &c);
    if (r.junit)
        fprintf(r.junit, "</testsuite>\n");
out:
    if (r.junit && fclose(r.junit) != 0)
        rc = 2;
    run_mail_free(&r.mail);
    loop_free(&r.loop);
    bench_catalogue_free(&c);
    return rc;
}
