#include "bench/run_result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_json.h"
#include "bench/run_mail.h"

void run_result_want(struct bench_facts *f, const struct bench_scenario *s)
{
    bench_facts_want_messages(f, s->messages);
    for (char **r = s->recipients; *r; r++) {
        char *to = mem_printf("%s@%s", *r, RUN_MAIL_DOMAIN);

        bench_facts_want(f, to);
        free(to);
    }
}

/* What nobody came for is told with what the command said, which most often has the reason. */
void run_result_judge(struct run_result *t, enum bench_policy p, struct bench_facts *f)
{
    struct bench_verdict *v = &t->verdict;

    if (!t->queue && !t->late) /* exit 0: all was delivered */
        bench_facts_claim(f, t->code == 0);
    bench_judge(v, t->scenario, p, f, !t->queue && !t->late);
    t->judged = true;
    if (t->late && v->result != BENCH_FAIL) {
        v->result = BENCH_UNDECIDED;
        snprintf(v->why, sizeof v->why, "the command did not end within %u s%s", t->timeout_s,
                 t->sessions ? "" : ", and nobody came");
    } else if (v->result == BENCH_UNDECIDED && !t->sessions) {
        char *all =
            mem_printf("%s; %s%s%s%s", v->why, t->ended, t->log ? " (" : "", t->log ? t->log : "", t->log ? ")" : "");

        snprintf(v->why, sizeof v->why, "%s", all);
        free(all);
    }
}

int run_result_write(const struct run_result *t, enum bench_policy p, const char *dir, struct err *e)
{
    json_t *o = bench_verdict_json(t->scenario, p, &t->verdict), *sids = json_array();
    char *path = mem_printf("%s/results.json", dir);
    FILE *f = fopen(path, "ae");
    int rc = f ? 0 : err_set(e, "%s: %s", path, strerror(errno));

    for (unsigned i = 0; i < t->sessions && i < RUN_SIDS; i++)
        json_array_append_new(sids, json_string(t->sids[i]));
    json_object_set_new(o, "sids", sids);
    json_object_set_new(o, "sessions", json_integer(t->sessions));
    json_object_set_new(o, "exit", json_integer(t->code));
    json_object_set_new(o, "late", json_boolean(t->late));
    json_object_set_new(o, "queue", json_boolean(t->queue));
    json_object_set_new(o, "timeout_s", json_integer(t->timeout_s));
    json_object_set_new(o, "seconds", json_real(t->seconds));
    json_object_set_new(o, "command", json_string(t->ended));
    if (t->log)
        json_object_set_new(o, "log", json_string(t->log));
    if (f) {
        json_dumpf(o, f, JSON_COMPACT | JSON_ENSURE_ASCII);
        putc('\n', f);
        rc = fclose(f) == 0 ? 0 : err_set(e, "%s: %s", path, strerror(errno));
    }
    json_decref(o);
    free(path);
    return rc;
}

void run_result_read(struct run_result *t, const json_t *line)
{
    const json_t *sids = json_object_get(line, "sids");
    const char *log = bench_json_str(line, "log");

    for (unsigned i = 0; i < json_array_size(sids) && i < RUN_SIDS; i++) {
        const char *sid = json_string_value(json_array_get(sids, i));

        snprintf(t->sids[i], sizeof t->sids[i], "%s", sid ? sid : "");
    }
    t->sessions = (unsigned)json_integer_value(json_object_get(line, "sessions"));
    t->played = true;
    t->late = json_is_true(json_object_get(line, "late"));
    t->queue = json_is_true(json_object_get(line, "queue"));
    t->code = (int)json_integer_value(json_object_get(line, "exit"));
    t->timeout_s = (unsigned)json_integer_value(json_object_get(line, "timeout_s"));
    t->seconds = json_number_value(json_object_get(line, "seconds"));
    snprintf(t->ended, sizeof t->ended, "%s", bench_json_str(line, "command"));
    free(t->log);
    t->log = *log ? mem_str(log) : NULL;
}

void run_result_clear(struct run_result *t)
{
    free(t->log);
    memset(t, 0, sizeof *t);
}
