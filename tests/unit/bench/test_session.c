#include <stdio.h>
#include <string.h>

#include "bench/bench_session.h"
#include "unit/suite.h"

struct rig {
    struct bench_session *s;
    struct bench_count *count;
    struct bench_scenario scenario;
    unsigned near, sends;
    struct bench_totals totals;
    char out[8192], events[4096];
};

static void on_event(void *arg, const struct bench_event *ev)
{
    struct rig *r = arg;
    size_t n = strlen(r->events);

    r->sends += ev->kind == BENCH_EV_SEND;
    if (ev->kind == BENCH_EV_FAULT)
        snprintf(r->events + n, sizeof r->events - n, "fault %s %u;", bench_at_name(ev->step->at), ev->count);
    if (ev->kind == BENCH_EV_MESSAGE)
        snprintf(r->events + n, sizeof r->events - n, "message %s %llu;", ev->accepted ? "yes" : "no",
                 (unsigned long long)ev->body->bytes);
    if (ev->kind == BENCH_EV_LINT)
        snprintf(r->events + n, sizeof r->events - n, "lint %.*s;", (int)ev->text.n, ev->text.p);
    if (ev->kind == BENCH_EV_BODY)
        r->near = ev->body->near;
    if (ev->kind == BENCH_EV_BODY)
        snprintf(r->events + n, sizeof r->events - n, "body lf%u cr%u nul%u stuffed%d;", ev->body->bare_lf,
                 ev->body->bare_cr, ev->body->nul, ev->body->dots_stuffed);
}

static void drain(struct rig *r)
{
    struct bench_do d;

    for (bench_session_next(r->s, &d); d.kind != BENCH_DO_WAIT; bench_session_next(r->s, &d)) {
        size_t n = strlen(r->out);

        if (d.kind == BENCH_DO_SEND)
            snprintf(r->out + n, sizeof r->out - n, "%.*s", (int)d.bytes.n, d.bytes.p);
        else if (d.kind == BENCH_DO_PAUSE)
            snprintf(r->out + n, sizeof r->out - n, "[%u ms]", d.ms);
        else if (d.kind == BENCH_DO_START_TLS)
            snprintf(r->out + n, sizeof r->out - n, "[tls %zu]", d.bytes.n);
        else
            snprintf(r->out + n, sizeof r->out - n, "[end %d]", d.then);
    }
}

static void begin(struct rig *r, struct bench_step *steps, unsigned n)
{
    struct bench_session_setup s = {.scenario = &r->scenario,
                                    .hostname = "bench.test",
                                    .client = "c",
                                    .lease = "",
                                    .tls_possible = true,
                                    .size_most = 1000000,
                                    .totals = &r->totals,
                                    .event = on_event,
                                    .arg = r};

    memset(r, 0, sizeof *r);
    r->count = s.count = bench_count_new(1);
    r->scenario.name = (char *)"x";
    r->scenario.steps = steps;
    r->scenario.step_count = n;
    for (unsigned i = 0; i < n; i++)
        steps[i].chance = 1000;
    r->s = bench_session_new(&s, 0);
    drain(r);
}

static const char *say(struct rig *r, const char *text)
{
    r->out[0] = '\0';
    bench_session_feed(r->s, text, strlen(text), 0);
    drain(r);
    return r->out;
}

static void end_rig(struct rig *r)
{
    bench_session_free(&r->s);
    bench_count_free(&r->count);
}

START_TEST(a_correct_server)
{
    struct rig r;

    begin(&r, NULL, 0);
    ck_assert_str_eq(r.out, "220 bench.test ESMTP TESTBENCH\r\n");
    ck_assert_ptr_nonnull(strstr(say(&r, "EHLO me\r\n"), "250 STARTTLS\r\n"));
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
                     "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n");
    ck_assert_str_eq(say(&r, "x\r\n..y\r\n"), "");
    ck_assert_str_eq(say(&r, ".\r\nQUIT\r\n"), "250 2.0.0 Ok\r\n221 2.0.0 bye\r\n[end 1]");
    ck_assert_str_eq(r.events, "body lf0 cr0 nul0 stuffed1;message yes 11;");
    end_rig(&r);
}
END_TEST

START_TEST(order_is_kept)
{
    struct rig r;

    begin(&r, NULL, 0);
    ck_assert_str_eq(say(&r, "RCPT TO:<c@d>\r\n"), "503 5.5.1 MAIL first\r\n");
    ck_assert_str_eq(say(&r, "DATA\r\n"), "503 5.5.1 MAIL first\r\n");
    say(&r, "MAIL FROM:<a@b>\r\n");
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\n"), "503 5.5.1 nested MAIL\r\n");
    ck_assert_str_eq(say(&r, "DATA\r\n"), "554 5.5.1 no valid recipients\r\n");
    ck_assert_str_eq(say(&r, "XYZZY\r\n"), "500 5.5.1 what?\r\n");
    end_rig(&r);
}
END_TEST

START_TEST(every_near_end_of_data_is_content)
{
    static const char *const near[] = {"\n.\n",   "\r.\r",   "\r.\n",     "\n.\r",
                                       "\n.\r\n", "\r\n.\n", "\r\n.\r\r", "\r\n\0.\r\n"};

    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        struct rig r;

        begin(&r, NULL, 0);
        say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
        say(&r, "x");
        ck_assert_str_eq(say(&r, near[i]), "");
        ck_assert_str_eq(say(&r, "x\r\n.\r\n"), "250 2.0.0 Ok\r\n");
        end_rig(&r);
    }
}
END_TEST

START_TEST(what_is_near_an_end_is_seen)
{
    for (unsigned i = 0; i < BENCH_NEAR_ENDS; i++) {
        struct rig r;

        begin(&r, NULL, 0);
        say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx");
        bench_session_feed(r.s, bench_near_end[i].bytes, bench_near_end[i].n, 0);
        say(&r, "x\r\n.\r\n");
        ck_assert_msg(r.near == 1u << i, "%s: %x", bench_near_end[i].name, r.near);
        end_rig(&r);
    }
}
END_TEST

START_TEST(what_is_right_is_near_nothing)
{
    struct rig r;

    begin(&r, NULL, 0);
    say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n..\r\n..x\r\n\r\n.\r\n");
    ck_assert_uint_eq(r.near, 0);
    r.near = 1;
    say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 7 LAST\r\nx\r\n.\r\nx");
    ck_assert_uint_eq(r.near, 0);
    end_rig(&r);
}
END_TEST

START_TEST(starttls_and_what_stood_behind_it)
{
    struct bench_step step = {.at = BENCH_STARTTLS, .inject = {(char *)"250 forged\r\n", 12}};
    struct rig r;

    begin(&r, &step, 1);
    say(&r, "EHLO me\r\n");
    ck_assert_str_eq(say(&r, "STARTTLS\r\nMAIL FROM:<evil>\r\n"), "220 2.0.0 go ahead\r\n250 forged\r\n[tls 18]");
    bench_session_tls_done(r.s);
    ck_assert_str_eq(say(&r, "RCPT TO:<c@d>\r\n"), "503 5.5.1 MAIL first\r\n"); /* nothing of before counts */
    ck_assert_ptr_null(strstr(say(&r, "EHLO me\r\n"), "STARTTLS"));
    ck_assert_str_eq(say(&r, "STARTTLS\r\n"), "503 5.5.1 in TLS already\r\n");
    end_rig(&r);
}
END_TEST

START_TEST(steps_act)
{
    struct bench_step steps[] = {
        {.at = BENCH_RCPT, .rcpt = (char *)"bad-*", .reply = {(char *)"550 no\r\n", 8}},
        {.at = BENCH_MAIL, .times = 1, .per = BENCH_SESSION, .delay_ms = 70, .reply = {(char *)"451 later\r\n", 11}},
        {.at = BENCH_DATA_END, .then = BENCH_RST, .reply = {(char *)"", 0}},
    };
    struct rig r;

    begin(&r, steps, 3);
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\n"), "[70 ms]451 later\r\n");
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\n"), "250 2.1.0 Ok\r\n");
    ck_assert_str_eq(say(&r, "RCPT TO:<BAD-one@d>\r\n"), "550 no\r\n");
    ck_assert_str_eq(say(&r, "RCPT TO:<good@d>\r\n"), "250 2.1.5 Ok\r\n");
    ck_assert_str_eq(say(&r, "DATA\r\nx\r\n.\r\nNOOP\r\n"), "354 go\r\n[end 3]");
    ck_assert_str_eq(say(&r, "NOOP\r\n"), ""); /* deaf */
    ck_assert_str_eq(r.events, "fault mail 1;fault rcpt 1;body lf0 cr0 nul0 stuffed1;fault data-end 1;message no 6;");
    end_rig(&r);
}
END_TEST

START_TEST(in_pieces_and_drops)
{
    struct bench_bytes pieces[] = {{(char *)"250-a\r\n25", 9}, {(char *)"0 b\r\n", 5}};
    struct bench_step steps[] = {{.at = BENCH_EHLO, .pieces = pieces, .piece_count = 2},
                                 {.at = BENCH_NOOP, .drip_ms = 5, .reply = {(char *)"250\r\n", 5}}};
    struct rig r;

    begin(&r, steps, 2);
    ck_assert_str_eq(say(&r, "EHLO x\r\n"), "250-a\r\n25[1 ms]0 b\r\n[1 ms]");
    ck_assert_str_eq(say(&r, "NOOP\r\n"), "2[5 ms]5[5 ms]0[5 ms]\r[5 ms]\n[5 ms]");
    end_rig(&r);
}
END_TEST

/* However the bytes come, the answers are the same. */
START_TEST(cut_anywhere)
{
    static const char text[] = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\nabcdeBDAT 3 LAST\r\nxyzRSET\r\n"
                               "AUTH LOGIN\r\nYQ==\r\nYg==\r\nQUIT\r\n";
    char whole[8192];
    struct rig r;

    begin(&r, NULL, 0);
    snprintf(whole, sizeof whole, "%s", say(&r, text));
    end_rig(&r);
    ck_assert_ptr_nonnull(strstr(whole, "235 2.7.0"));
    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        begin(&r, NULL, 0);
        r.out[0] = '\0';
        bench_session_feed(r.s, text, cut, 0);
        drain(&r);
        bench_session_feed(r.s, text + cut, sizeof text - 1 - cut, 0);
        drain(&r);
        ck_assert_str_eq(r.out, whole);
        end_rig(&r);
    }
}
END_TEST

START_TEST(a_client_hello_that_nobody_asked_for)
{
    static const char hello[] = "\x16\x03\x01\0\x08\n\r\n45678EHLO me\r\n";
    struct rig r;

    begin(&r, NULL, 0);
    r.out[0] = '\0';
    for (size_t i = 0; i < sizeof hello - 1; i += 5)
        bench_session_feed(r.s, hello + i, sizeof hello - 1 - i < 5 ? sizeof hello - 1 - i : 5, 0);
    drain(&r);
    ck_assert_msg(strncmp(r.out, "250-bench.test\r\n", 16) == 0, "%s", r.out);
    ck_assert_str_eq(r.events, "lint client-hello-in-clear;");
    end_rig(&r);
}
END_TEST

static unsigned writes_to(struct rig *r, const char *text)
{
    struct bench_do d;
    unsigned n = 0;

    bench_session_feed(r->s, text, strlen(text), 0);
    for (bench_session_next(r->s, &d); d.kind != BENCH_DO_WAIT; bench_session_next(r->s, &d))
        n += d.kind == BENCH_DO_SEND;
    return n;
}

/* One write for all that is due, unless a scenario could want something between; each is told by itself. */
START_TEST(answers_that_are_due_together)
{
    static const char text[] = "NOOP\r\nRSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    struct bench_step step = {.at = BENCH_QUIT, .delay_ms = 5};
    struct rig r;

    begin(&r, NULL, 0);
    ck_assert_uint_eq(writes_to(&r, text), 1);
    ck_assert_uint_eq(writes_to(&r, "x\r\n.\r\nQUIT\r\nNOOP\r\n"), 1); /* and the end */
    ck_assert_uint_eq(r.sends, 8);                                     /* the greeting among them */
    end_rig(&r);
    begin(&r, &step, 1);
    ck_assert_uint_eq(writes_to(&r, text), 5);
    end_rig(&r);
    begin(&r, NULL, 0);
    r.scenario.ehlo.split = true;
    ck_assert_uint_eq(writes_to(&r, text), 5);
    end_rig(&r);
}
END_TEST

/* Messages are counted with and without somebody who listens. */
START_TEST(messages_are_counted)
{
    static const char text[] = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n";
    struct bench_step step = {.at = BENCH_DATA_END, .times = 1, .reply = {(char *)"450 no\r\n", 8}};
    struct rig r;

    begin(&r, &step, 1);
    say(&r, text);
    say(&r, text);
    say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 1\r\nxBDAT 2 LAST\r\nyy");
    ck_assert_uint_eq(r.totals.messages, 2);
    ck_assert_uint_eq(r.totals.refused, 1);
    ck_assert_uint_eq(r.totals.octets, 6 + 3);
    end_rig(&r);
}
END_TEST

SUITE_MAIN("bench_session", a_client_hello_that_nobody_asked_for, answers_that_are_due_together, messages_are_counted,
           a_correct_server, order_is_kept, every_near_end_of_data_is_content, what_is_near_an_end_is_seen,
           what_is_right_is_near_nothing, starttls_and_what_stood_behind_it, steps_act, in_pieces_and_drops,
           cut_anywhere)
