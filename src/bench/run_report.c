#include "bench/run_report.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static const char *const words[] = {[BENCH_PASS] = "pass", [BENCH_FAIL] = "FAIL", [BENCH_UNDECIDED] = "undecided"};

/* The session that shows it, or the first one. */
static const char *session_of(const struct run_result *t)
{
    return *t->verdict.sid ? t->verdict.sid : t->sessions ? t->sids[0] : "-";
}

/* Where the transcript of the i-th session is; false: there are no more to name. */
static bool transcript_of(const struct run_report *r, const struct run_result *t, unsigned i, char path[PATH_MAX])
{
    if (i >= t->sessions || i > RUN_SIDS)
        return false;
    if (i == RUN_SIDS)
        snprintf(path, PATH_MAX, "and %u more, see %s/all.jsonl", t->sessions - RUN_SIDS, r->out);
    else
        snprintf(path, PATH_MAX, "%s/%s.jsonl", r->out, t->sids[i]);
    return true;
}

/* ---- for people */

static void row(const struct run_report *r, const struct run_result *t)
{
    static const char indent[] = "                             ";
    char path[PATH_MAX];

    printf("%-28s %-9s %-12s %s\n", t->scenario->name, words[t->verdict.result], session_of(t), t->verdict.why);
    if (t->verdict.result == BENCH_FAIL)
        printf("%spostern-bench transcript %s/%s.jsonl\n", indent, r->out, session_of(t));
    if (!r->verbose || !*t->ended)
        return;
    printf("%s%.1f s, %s\n", indent, t->seconds, t->ended);
    if (t->log)
        printf("%s%s\n", indent, t->log);
    for (unsigned i = 0; transcript_of(r, t, i, path); i++)
        printf("%s%s\n", indent, path);
}

/* ---- TAP 13 */

static void tap_word(const char *key, const char *value)
{
    printf("  %s: \"", key);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            putchar('\\');
        putchar((unsigned char)*value < ' ' ? '?' : *value);
    }
    printf("\"\n");
}

/* A # would begin a directive. */
static void tap_text(const char *text)
{
    for (; *text; text++)
        putchar(*text == '#' ? '.' : (unsigned char)*text < ' ' ? '?' : *text);
}

static void tap(const struct run_report *r, const struct run_result *t, unsigned number)
{
    char path[PATH_MAX];

    printf("%s %u - ", t->verdict.result == BENCH_FAIL ? "not ok" : "ok", number);
    tap_text(t->scenario->name);
    if (t->verdict.result == BENCH_UNDECIDED) {
        printf(" # SKIP undecided: ");
        tap_text(t->verdict.why);
    }
    printf("\n  ---\n");
    tap_word("why", t->verdict.why);
    if (t->sessions) {
        snprintf(path, sizeof path, "%s/%s.jsonl", r->out, session_of(t));
        tap_word("transcript", path);
        printf("  sessions: %u\n", t->sessions);
    }
    if (t->log)
        tap_word("log", t->log);
    if (*t->ended)
        tap_word("command", t->ended);
    printf("  ...\n");
}

/* ---- both */

void run_report_begin(const struct run_report *r)
{
    if (r->tap)
        printf("TAP version 13\n1..%u\n", r->count);
}

void run_report_tell(struct run_report *r, bool all)
{
    for (; r->told < r->count && (all || r->list[r->told].judged); r->told++) {
        const struct run_result *t = &r->list[r->told];

        if (!t->judged)
            continue;
        if (r->tap)
            tap(r, t, r->told + 1);
        else
            row(r, t);
    }
    fflush(stdout);
}

static unsigned count_of(const struct run_report *r, enum bench_result result)
{
    unsigned n = 0;

    for (unsigned i = 0; i < r->count; i++)
        n += r->list[i].judged && r->list[i].verdict.result == result;
    return n;
}

void run_report_end(const struct run_report *r, const char *why)
{
    unsigned pass = count_of(r, BENCH_PASS), fail = count_of(r, BENCH_FAIL), undecided = count_of(r, BENCH_UNDECIDED);
    unsigned judged = pass + fail + undecided;

    if (r->tap && why)
        printf("Bail out! %s\n", why);
    if (r->tap)
        return;
    if (judged)
        printf("\n");
    printf("%u pass, %u fail, %u undecided", pass, fail, undecided);
    if (judged < r->count)
        printf(", %u not judged", r->count - judged);
    printf("; transcripts in %s\n", r->out);
    fflush(stdout);
}

/* ---- JUnit */

/* XML 1.0 has no control characters but three; what is no ASCII may be no UTF-8 either. */
static void put_xml(FILE *f, const char *text)
{
    for (; *text; text++) {
        if (*text == '<' || *text == '>' || *text == '&' || *text == '"')
            fprintf(f, "&#%d;", *text);
        else
            putc((*text >= ' ' && *text <= '~') || *text == '\n' ? *text : '?', f);
    }
}

static void junit_case(FILE *f, const struct run_report *r, const struct run_result *t)
{
    char path[PATH_MAX];

    fprintf(f, "  <testcase classname=\"%s\" time=\"%.3f\" name=\"", bench_policy_name(r->policy), t->seconds);
    put_xml(f, t->scenario->name);
    fprintf(f, "\">\n");
    if (!t->judged || t->verdict.result != BENCH_PASS) {
        bool failed = t->judged && t->verdict.result == BENCH_FAIL;

        fprintf(f, "    <%s message=\"", failed ? "failure" : "skipped");
        put_xml(f, t->judged ? t->verdict.why : "not judged");
        fprintf(f, "\"/>\n");
    }
    if (*t->ended) {
        fprintf(f, "    <system-out>");
        put_xml(f, t->ended);
        for (unsigned i = 0; transcript_of(r, t, i, path); i++) {
            putc('\n', f);
            put_xml(f, path);
        }
        putc('\n', f);
        put_xml(f, t->log ? t->log : "");
        fprintf(f, "</system-out>\n");
    }
    fprintf(f, "  </testcase>\n");
}

int run_report_junit(const struct run_report *r, const char *path, double seconds, struct err *e)
{
    unsigned fail = count_of(r, BENCH_FAIL), pass = count_of(r, BENCH_PASS);
    FILE *f = fopen(path, "we");

    if (!f)
        return err_set(e, "%s: %s", path, strerror(errno));
    fprintf(
        f,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuite name=\"postern-bench\" tests=\"%u\" failures=\"%u\" errors=\"0\" skipped=\"%u\" time=\"%.3f\">\n",
        r->count, fail, r->count - fail - pass, seconds);
    for (unsigned i = 0; i < r->count; i++)
        junit_case(f, r, &r->list[i]);
    fprintf(f, "</testsuite>\n");
    return fclose(f) == 0 ? 0 : err_set(e, "%s: %s", path, strerror(errno));
}
