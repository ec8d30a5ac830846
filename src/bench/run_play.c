#include "bench/run_play.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/bench_address.h"
#include "bench/bench_json.h"
#include "bench/run_command.h"

#define QUIET_US INT64_C(300000)   /* after the command's end, for what is still on its way */
#define GRACE_US INT64_C(10000000) /* for a command that was asked to end */
#define WORDS 7u
#define LACKS 127

struct run_play {
    struct run_play_setup setup;
    struct run_result *result;
    struct bench_facts facts;
    struct bench_port *port;
    struct run_command *command;
    char *log;
    char (*open)[24]; /* sessions that have not ended */
    unsigned open_count, open_cap;
    int64_t begun_us, until_us;
    bool stopped, ended;
};

/* ---- its beginning */

static void words_of(const struct run_play *p, char *words[WORDS + RUN_MAIL_WORDS + 1])
{
    const struct run_play_setup *u = &p->setup;
    const struct bench_scenario *s = p->result->scenario;
    const struct addr *a = bench_port_address(p->port);
    char ip[ADDR_TEXT];

    words[0] = mem_printf("BENCH_HOST=%s", addr_ip_text(a, ip));
    words[1] = mem_printf("BENCH_PORT=%u", (unsigned)addr_port(a));
    words[2] = mem_printf("BENCH_NAME=%s", BENCH_HOST);
    words[3] = mem_printf("BENCH_CA=%s/ca.pem", u->options->pki);
    words[4] = mem_printf("BENCH_SCENARIO=%s", s->name);
    words[5] = mem_printf("BENCH_POLICY=%s", bench_policy_name(u->policy));
    words[6] = mem_printf("BENCH_IMPLICIT=%s", bench_told_implicit(s, u->options->implicit) ? "yes" : "no");
    run_mail_words(u->mail, s, words + WORDS);
    words[WORDS + RUN_MAIL_WORDS] = NULL;
}

static int open_port(struct run_play *p, struct err *e)
{
    struct addr a;

    if (bench_address_loopback(&a, p->setup.options->address, 0, e) < 0)
        return -1;
    p->port = bench_port_open(p->setup.server,
                              &(struct bench_port_setup){.address = &a,
                                                         .scenario = p->result->scenario,
                                                         .lease = p->result->scenario->name,
                                                         .seed = p->setup.options->seed,
                                                         .implicit = p->setup.options->implicit},
                              e);
    return p->port ? 0 : -1;
}

int run_play_start(struct run_play **out, const struct run_play_setup *s, struct err *e)
{
    struct run_play *p = mem_alloc(sizeof *p);
    char *words[WORDS + RUN_MAIL_WORDS + 1];
    int rc;

    p->setup = *s;
    p->result = s->result;
    p->result->played = true;
    p->result->queue = s->options->queue;
    p->result->timeout_s = s->options->timeout_s;
    p->log = mem_printf("%s/%s.log", s->options->out, s->result->scenario->name);
    rc = open_port(p, e);
    if (rc == 0) {
        words_of(p, words);
        rc = run_command_start(&p->command, s->options->command, words, p->log, e);
        for (size_t i = 0; words[i]; i++)
            free(words[i]);
    }
    run_result_want(&p->facts, s->result->scenario);
    p->begun_us = clock_now().mono_us;
    p->until_us = p->begun_us + s->options->timeout_s * INT64_C(1000000);
    if (rc < 0)
        run_play_free(&p);
    *out = p;
    return rc;
}

void run_play_free(struct run_play **pp)
{
    struct run_play *p = *pp;

    if (!p)
        return;
    run_command_free(&p->command);
    if (p->port) {
        bench_port_end_sessions(p->port);
        bench_port_close(&p->port);
    }
    free(p->open);
    free(p->log);
    free(p);
    *pp = NULL;
}

/* ---- what its sessions do */

static void session_begins(struct run_play *p, const char *sid)
{
    struct run_result *t = p->result;

    if (p->open_count == p->open_cap) {
        p->open_cap = p->open_cap ? p->open_cap * 2 : 8;
        p->open = mem_grow(p->open, p->open_cap * sizeof *p->open);
    }
    snprintf(p->open[p->open_count++], sizeof *p->open, "%s", sid);
    if (t->sessions < RUN_SIDS)
        snprintf(t->sids[t->sessions], sizeof *t->sids, "%s", sid);
    t->sessions++;
}

bool run_play_take(struct run_play *p, const json_t *line)
{
    const char *sid = bench_json_str(line, "sid"), *ev = bench_json_str(line, "ev");
    unsigned i = 0;

    if (strcmp(ev, "session_start") == 0 && strcmp(bench_json_str(line, "lease"), p->result->scenario->name) == 0)
        session_begins(p, sid);
    while (i < p->open_count && strcmp(p->open[i], sid) != 0)
        i++;
    if (i == p->open_count)
        return false;
    bench_facts_take(&p->facts, line);
    if (strcmp(ev, "session_end") == 0)
        memcpy(p->open[i], p->open[--p->open_count], sizeof *p->open);
    return true;
}

/* ---- its end */

/* How the command did, and what it said last. */
static void tell_end(struct run_play *p)
{
    struct run_result *t = p->result;
    char how[40], tail[140];
    int signal;

    t->code = run_command_status(p->command, &signal);
    if (signal)
        snprintf(how, sizeof how, "ended by signal %d", signal);
    else
        snprintf(how, sizeof how, "exit %d", t->code);
    run_log_tail(p->log, tail, sizeof tail);
    snprintf(t->ended, sizeof t->ended, "%s%s%s", how, *tail ? ": " : "", tail);
    if (*tail)
        t->log = mem_str(p->log);
    else
        (void)unlink(p->log);
}

bool run_play_tick(struct run_play *p, int64_t now_us)
{
    if (!p->ended && run_command_ended(p->command)) {
        p->ended = true;
        p->until_us = now_us + QUIET_US;
        tell_end(p);
    }
    if (now_us < p->until_us)
        return false;
    if (!p->ended) {
        run_command_stop(p->command, p->result->late || p->stopped);
        p->result->late = true;
        p->until_us = now_us + GRACE_US;
        return false;
    }
    p->result->seconds = (double)(now_us - p->begun_us) / 1e6;
    bench_port_end_sessions(p->port);
    if (!p->stopped && !run_play_lacks(p))
        run_result_judge(p->result, p->setup.policy, &p->facts);
    return true;
}

void run_play_stop(struct run_play *p)
{
    run_command_stop(p->command, p->stopped);
    if (p->stopped)
        return;
    p->stopped = true;
    p->until_us = clock_now().mono_us + GRACE_US;
}

const struct run_result *run_play_result(const struct run_play *p)
{
    return p->result;
}

bool run_play_lacks(const struct run_play *p)
{
    return p->ended && p->result->code == LACKS;
}
