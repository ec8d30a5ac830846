/* tests/tables/bench_select.txt and bench_triggers.txt, row by row; and what a session makes of them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/bench_session.h"
#include "bench/bench_trigger.h"
#include "bench/scenario_file.h"
#include "unit/suite.h"

static const char scenarios[] = "scenario \"fixed\" { }\n"
                                "scenario \"by-client\" { select { client = {\"192.0.2.0/24\"} } }\n"
                                "scenario \"by-sni\" { select { sni = {\"*.acme.test\"} } }\n"
                                "scenario \"by-helo\" { select { helo = {\"big-*\", \"huge.*\"} } }\n"
                                "scenario \"by-mail\" { select { mail = {\"*@news.test\"} } }\n"
                                "scenario \"by-null-sender\" { select { mail = {\"\"} } }\n"
                                "scenario \"by-both\" { select { helo = {\"big-*\"} rcpt = {\"both@*\"} } }\n"
                                "scenario \"by-rcpt\" { select { rcpt = {\"*@acme.test\"} }\n"
                                "    step { at = rcpt reply = {\"450 later\"} times = 1 } }\n"
                                "scenario \"not\" { unavailable = \"x\" select { rcpt = {\"*@unavailable.test\"} } }\n";

static const struct bench_scenario *list[16];

static void load(struct bench_catalogue *c, struct bench_choices *choices)
{
    char path[] = "/tmp/postern-select-XXXXXX";
    int fd = mkstemp(path);
    struct err e;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, scenarios, sizeof scenarios - 1), sizeof scenarios - 1);
    close(fd);
    ck_assert_msg(bench_scenario_load(c, path, &e) == 0, "%s", e.text);
    unlink(path);
    for (unsigned i = 0; i < c->count; i++)
        list[i] = &c->list[i];
    *choices = (struct bench_choices){list, c->count};
}

/* Columns, cut at tabs. */
static unsigned split(char *row, char **column, unsigned most)
{
    unsigned n = 0;

    row[strcspn(row, "\n")] = '\0';
    while (n < most && (column[n] = strsep(&row, "\t")) != NULL)
        n++;
    return n;
}

static const char *given(const char *column)
{
    return strcmp(column, "-") == 0 ? NULL : column;
}

START_TEST(selection)
{
    struct bench_catalogue c = {0};
    struct bench_choices choices;
    FILE *f = fopen(TESTS_DIR "/tables/bench_select.txt", "r");
    char row[1000], *col[7];
    unsigned rows = 0;
    struct err e;

    load(&c, &choices);
    ck_assert_ptr_nonnull(f);
    while (fgets(row, sizeof row, f)) {
        struct bench_shown shown;
        const struct bench_scenario *s;
        struct addr client;
        unsigned at = 0;

        if (*row == '#')
            continue;
        rows++;
        ck_assert_uint_eq(split(row, col, 7), 7);
        while (at < BENCH_STAGES && strcmp(bench_stage_name((enum bench_stage)at), col[0]) != 0)
            at++;
        ck_assert_uint_lt(at, BENCH_STAGES);
        shown = (struct bench_shown){NULL, given(col[2]), given(col[3]), given(col[4]), given(col[5])};
        if (given(col[1]) && addr_parse(&client, col[1], &e) == 0)
            shown.client = &client;
        s = bench_select(&choices, (enum bench_stage)at, &shown);
        ck_assert_msg(strcmp(s ? s->name : "-", col[6]) == 0, "row %u: %s, not %s", rows, s ? s->name : "-", col[6]);
    }
    ck_assert_uint_gt(rows, 15);
    fclose(f);
    bench_catalogue_free(&c);
}
END_TEST

static void check_trigger(unsigned row, char **col, unsigned n)
{
    static const char *const then[] = {"continue", "close", "cut", "rst", "half-close", "hang", "plain"};
    struct bench_trigger t;
    char has[300];

    if (n == 2) {
        ck_assert_msg(!bench_trigger_parse(&t, col[0]), "row %u: %s", row, col[0]);
        return;
    }
    ck_assert_uint_eq(n, 6);
    ck_assert_msg(bench_trigger_parse(&t, col[0]), "row %u: %s", row, col[0]);
    snprintf(has, sizeof has, "%s %u %u %s %s", bench_at_name(t.step.at), t.step.delay_ms, t.step.times,
             then[t.step.then],
             !t.step.reply.p   ? "-"
             : !t.step.reply.n ? "(nothing)"
                               : t.step.reply.p);
    has[strcspn(has, "\r")] = '\0';
    for (unsigned i = 1; i < 5; i++)
        col[i][strlen(col[i])] = ' '; /* the columns again in one line */
    ck_assert_msg(strcmp(has, col[1]) == 0, "row %u: %s, not %s", row, has, col[1]);
}

START_TEST(triggers)
{
    FILE *f = fopen(TESTS_DIR "/tables/bench_triggers.txt", "r");
    char row[1000], *col[6];
    unsigned rows = 0;

    ck_assert_ptr_nonnull(f);
    while (fgets(row, sizeof row, f)) {
        if (*row == '#')
            continue;
        rows++;
        check_trigger(rows, col, split(row, col, 6));
    }
    ck_assert_uint_gt(rows, 40);
    fclose(f);
}
END_TEST

/* ---- in a session */

struct rig {
    struct bench_session *s;
    struct bench_count *count;
    char out[2000], chosen[200];
};

static void on_event(void *arg, const struct bench_event *ev)
{
    struct rig *r = arg;
    size_t n = strlen(r->chosen);

    if (ev->kind == BENCH_EV_SELECT)
        snprintf(r->chosen + n, sizeof r->chosen - n, "%s:%s;", ev->stage, ev->scenario->name);
}

static void begin(struct rig *r, const struct bench_choices *choices)
{
    struct bench_session_setup s = {.scenario = list[0],
                                    .count = r->count,
                                    .hostname = "bench.test",
                                    .client = "c",
                                    .lease = "",
                                    .choices = choices,
                                    .size_most = 1000,
                                    .event = on_event,
                                    .arg = r};

    r->chosen[0] = '\0';
    r->s = bench_session_new(&s, 0);
}

static const char *say(struct rig *r, const char *text)
{
    struct bench_do d;

    r->out[0] = '\0';
    bench_session_feed(r->s, text, strlen(text), 0);
    for (bench_session_next(r->s, &d); d.kind != BENCH_DO_WAIT; bench_session_next(r->s, &d)) {
        size_t n = strlen(r->out);

        if (d.kind == BENCH_DO_SEND)
            snprintf(r->out + n, sizeof r->out - n, "%.*s", (int)d.bytes.n, d.bytes.p);
        else
            snprintf(r->out + n, sizeof r->out - n, d.kind == BENCH_DO_END ? "[end]" : "[%u ms]", d.ms);
    }
    return r->out;
}

START_TEST(a_session_changes)
{
    struct bench_catalogue c = {0};
    struct bench_choices choices;
    struct rig r = {.count = bench_count_new(1)};

    load(&c, &choices);
    begin(&r, &choices);
    say(&r, "EHLO big-one\r\nMAIL FROM:<a@b>\r\n");
    ck_assert_str_eq(say(&r, "RCPT TO:<anna@acme.test>\r\n"), "450 later\r\n");
    ck_assert_str_eq(say(&r, "RCPT TO:<anna@acme.test>\r\n"), "250 2.1.5 Ok\r\n");
    ck_assert_str_eq(r.chosen, "helo:by-helo;rcpt:by-rcpt;");
    bench_session_free(&r.s);
    begin(&r, NULL); /* a port of its own */
    say(&r, "EHLO big-one\r\nMAIL FROM:<a@b>\r\n");
    ck_assert_str_eq(say(&r, "RCPT TO:<anna@acme.test>\r\nRCPT TO:<rcpt-550@x>\r\n"),
                     "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n");
    ck_assert_str_eq(r.chosen, "");
    bench_session_free(&r.s);
    bench_count_free(&r.count);
    bench_catalogue_free(&c);
}
END_TEST

START_TEST(addresses_ask)
{
    struct bench_catalogue c = {0};
    struct bench_choices choices;
    struct rig r = {.count = bench_count_new(1)};

    load(&c, &choices);
    for (unsigned i = 0; i < 3; i++) { /* over sessions, as a sender tries again */
        begin(&r, &choices);
        say(&r, "EHLO x\r\nMAIL FROM:<a@b>\r\n");
        ck_assert_str_eq(say(&r, "RCPT TO:<rcpt-450-4.2.1x2@d>\r\n"),
                         i < 2 ? "450 4.2.1 as the address asks\r\n" : "250 2.1.5 Ok\r\n");
        ck_assert_str_eq(say(&r, "RCPT TO:<good@d>\r\n"), "250 2.1.5 Ok\r\n");
        bench_session_free(&r.s);
    }
    begin(&r, &choices);
    say(&r, "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<delay5-data@d>\r\nRCPT TO:<dot-drop@d>\r\n");
    ck_assert_str_eq(say(&r, "DATA\r\n"), "[5000 ms]354 go\r\n");
    ck_assert_str_eq(say(&r, "x\r\n.\r\n"), "[end]");
    bench_session_free(&r.s);
    begin(&r, &choices); /* it is about that transaction only */
    say(&r, "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<dot-drop@d>\r\nRSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<e@d>\r\n");
    ck_assert_str_eq(say(&r, "DATA\r\nx\r\n.\r\n"), "354 go\r\n250 2.0.0 Ok\r\n");
    bench_session_free(&r.s);
    bench_count_free(&r.count);
    bench_catalogue_free(&c);
}
END_TEST

/* Nobody reads what we say: at some point no more is taken. */
START_TEST(a_session_fills)
{
    static const char noop[] = "NOOP\r\n";
    struct rig r = {.count = bench_count_new(1)};
    struct bench_scenario plain = {.name = (char *)"plain"};
    unsigned n = 0;

    list[0] = &plain;
    begin(&r, NULL);
    for (; !bench_session_is_full(r.s) && n < 100000; n++)
        bench_session_feed(r.s, noop, sizeof noop - 1, 0);
    ck_assert_uint_lt(n, 100000);
    say(&r, "");
    ck_assert(!bench_session_is_full(r.s));
    bench_session_free(&r.s);
    bench_count_free(&r.count);
}
END_TEST

SUITE_MAIN("bench_select", selection, triggers, a_session_changes, addresses_ask, a_session_fills)
