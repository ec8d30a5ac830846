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
    unsigned writes;
    size_t sent;
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
    if (ev->kind == BENCH_EV_HELLO)
        snprintf(r->events + n, sizeof r->events - n, "hello;");
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
            r->writes++, r->sent += d.bytes.n;
        if (d.kind == BENCH_DO_SEND)
            snprintf(r->out + n, sizeof r->out - n, "%.*s", (int)d.bytes.n, d.bytes.p);
        else if (d.kind == BENCH_DO_PAUSE)
            snprintf(r->out + n, sizeof r->out - n, "[%u ms%s]", d.ms, d.unread ? " unread" : "");
        else if (d.kind == BENCH_DO_START_TLS)
            snprintf(r->out + n, sizeof r->out - n, "[tls %zu]", d.bytes.n);
        else
            snprintf(r->out + n, sizeof r->out - n, "[end %d]", d.then);
    }
}

/* What begin() does not set by itself. */
static struct bench_ehlo with_ehlo;
static struct bench_names *names;
static unsigned with_at_once;

static void begin_heard_by(struct rig *r, struct bench_step *steps, unsigned n, bench_event_fn *event)
{
    struct bench_session_setup s = {.scenario = &r->scenario,
                                    .hostname = "bench.test",
                                    .client = "c",
                                    .lease = "",
                                    .tls_possible = true,
                                    .size_most = 1000000,
                                    .totals = &r->totals,
                                    .at_once = with_at_once,
                                    .names = names,
                                    .event = event,
                                    .arg = r};

    memset(r, 0, sizeof *r);
    r->count = s.count = bench_count_new(1);
    r->scenario.name = (char *)"x";
    r->scenario.ehlo = with_ehlo;
    r->scenario.steps = steps;
    r->scenario.step_count = n;
    for (unsigned i = 0; i < n; i++)
        steps[i].chance = 1000;
    r->s = bench_session_new(&s, 0);
    drain(r);
}

static void begin(struct rig *r, struct bench_step *steps, unsigned n)
{
    begin_heard_by(r, steps, n, on_event);
}

static int64_t now_s;

static const char *say(struct rig *r, const char *text)
{
    r->out[0] = '\0';
    r->writes = 0;
    bench_session_feed(r->s, text, strlen(text), now_s);
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

static char *login[] = {(char *)"AUTH PLAIN LOGIN", NULL};

/* However the bytes come, the answers are the same. */
START_TEST(cut_anywhere)
{
    static const char text[] = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\nabcdeBDAT 3 LAST\r\nxyzRSET\r\n"
                               "AUTH LOGIN\r\nYQ==\r\nYg==\r\nQUIT\r\n";
    char whole[8192];
    struct rig r;

    with_ehlo = (struct bench_ehlo){.add = login};
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
    with_ehlo = (struct bench_ehlo){.add = NULL};
}
END_TEST

/* What EHLO does not offer is not taken. */
START_TEST(what_is_offered_is_taken)
{
    static char *drop[] = {(char *)"CHUNKING", (char *)"SIZE", (char *)"8BITMIME", (char *)"SMTPUTF8", NULL};
    static char *small[] = {(char *)"SIZE 10", NULL};
    struct rig r;

    begin(&r, NULL, 0);
    say(&r, "EHLO me\r\n");
    ck_assert_str_eq(say(&r, "AUTH PLAIN eA==\r\n"), "503 5.5.1 AUTH was not offered\r\n");
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b> SIZE=5 BODY=8BITMIME SMTPUTF8\r\n"), "250 2.1.0 Ok\r\n");
    ck_assert_str_eq(say(&r, "RCPT TO:<a@b> NOTIFY=NEVER\r\n"), "555 5.5.4 a parameter that was not offered\r\n");
    ck_assert_str_eq(say(&r, "RSET\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\n"),
                     "250 2.0.0 Ok\r\n501 5.5.4 that BODY was not offered\r\n");
    end_rig(&r);
    with_ehlo = (struct bench_ehlo){.drop = drop, .starttls = (char *)"none"};
    begin(&r, NULL, 0);
    ck_assert_str_eq(say(&r, "EHLO me\r\n"), "250-bench.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n");
    ck_assert_str_eq(say(&r, "STARTTLS\r\n"), "502 5.5.1 not offered\r\n");
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b> SIZE=5\r\n"), "555 5.5.4 a parameter that was not offered\r\n");
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 2 LAST\r\nab"),
                     "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n502 5.5.1 CHUNKING was not offered\r\n");
    end_rig(&r);
    with_ehlo = (struct bench_ehlo){.drop = drop, .add = small};
    begin(&r, NULL, 0);
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b> SIZE=11\r\n"), "552 5.3.4 larger than what SIZE said\r\n");
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b> SIZE=10\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
                     "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n");
    ck_assert_str_eq(say(&r, "12345678\r\n.\r\n"), "250 2.0.0 Ok\r\n");
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n123456789\r\n.\r\n"),
                     "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n552 5.3.4 larger than what SIZE said\r\n");
    end_rig(&r);
    with_ehlo = (struct bench_ehlo){.add = NULL};
}
END_TEST

/* A step's own answer to EHLO counts, and after TLS the second one. */
START_TEST(what_was_said_is_what_is_offered)
{
    struct bench_step steps[] = {
        {.at = BENCH_EHLO, .reply = {(char *)"250-b\r\n250-starttls\r\n250 AUTH=LOGIN\r\n", 37}},
        {.at = BENCH_EHLO_TLS, .reply = {(char *)"250-b\r\n250 AUTH PLAIN\r\n", 23}}};
    struct rig r;

    begin(&r, steps, 2);
    say(&r, "EHLO me\r\n");
    ck_assert_str_eq(say(&r, "BDAT 1 LAST\r\nx"), "502 5.5.1 CHUNKING was not offered\r\n");
    ck_assert_str_eq(say(&r, "AUTH PLAIN\r\n"), "504 5.5.4 that mechanism was not offered\r\n");
    ck_assert_str_eq(say(&r, "AUTH LOGIN eA==\r\neA==\r\n"), "334 UGFzc3dvcmQ6\r\n235 2.7.0 Welcome\r\n");
    ck_assert_str_eq(say(&r, "AUTH LOGIN\r\n"), "503 5.5.1 once is enough\r\n");
    ck_assert_str_eq(say(&r, "STARTTLS\r\n"), "220 2.0.0 go ahead\r\n[tls 0]");
    bench_session_tls_done(r.s);
    say(&r, "EHLO me\r\n");
    ck_assert_str_eq(say(&r, "AUTH PLAIN\r\n*\r\n"), "334 \r\n501 5.7.0 cancelled\r\n");
    say(&r, "HELO me\r\n");
    ck_assert_str_eq(say(&r, "AUTH PLAIN eA==\r\n"), "503 5.5.1 AUTH was not offered\r\n");
    end_rig(&r);
}
END_TEST

/* RFC 3030 2: one answer to each, when its octets are there. */
START_TEST(one_answer_to_each_chunk)
{
    struct bench_step refuse = {.at = BENCH_BDAT, .times = 1, .reply = {(char *)"503 no\r\n", 8}};
    struct rig r;

    begin(&r, NULL, 0);
    ck_assert_str_eq(say(&r, "BDAT 3\r\nabcBDAT 3 LAST\r\nabcNOOP\r\n"),
                     "503 5.5.1 MAIL and RCPT first\r\n503 5.5.1 MAIL and RCPT first\r\n250 2.0.0 Ok\r\n");
    ck_assert_str_eq(say(&r, "BDAT 3 LOST\r\nBDAT x\r\n"), "501 5.5.4 BDAT what?\r\n501 5.5.4 BDAT what?\r\n");
    say(&r, "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    ck_assert_str_eq(say(&r, "BDAT 3\r\nabc"), "250 2.0.0 Ok\r\n");
    ck_assert_str_eq(say(&r, "DATA\r\n"), "503 5.5.1 this message came by BDAT\r\n");
    ck_assert_str_eq(say(&r, "BDAT 9999999\r\n"), "");
    end_rig(&r);
    begin(&r, &refuse, 1);
    say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    ck_assert_str_eq(say(&r, "BDAT 3\r\nabc"), "503 no\r\n");
    ck_assert_str_eq(say(&r, "BDAT 3 LAST\r\nabc"), "503 5.5.1 a chunk was refused, RSET first\r\n");
    say(&r, "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    ck_assert_str_eq(say(&r, "BDAT 3 LAST\r\nabc"), "250 2.0.0 Ok\r\n");
    end_rig(&r);
}
END_TEST

START_TEST(a_step_at_bdat_is_for_the_last_chunk_too)
{
    struct bench_step steps[] = {{.at = BENCH_DATA_END, .reply = {(char *)"250 dot\r\n", 9}},
                                 {.at = BENCH_BDAT, .reply = {(char *)"552 no\r\n", 8}}};
    struct rig r;

    begin(&r, steps, 2);
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 1 LAST\r\nx"),
                     "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n552 no\r\n");
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n"),
                     "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n250 dot\r\n");
    end_rig(&r);
}
END_TEST

START_TEST(turned_away)
{
    struct bench_step step = {.at = BENCH_CONNECT, .reply = {(char *)"554 no\r\n", 8}};
    struct rig r;

    begin(&r, &step, 1);
    ck_assert_str_eq(
        say(&r, "EHLO me\r\nMAIL FROM:<a@b>\r\nQUIT\r\n"),
        "503 5.5.1 QUIT is all that is left\r\n503 5.5.1 QUIT is all that is left\r\n221 2.0.0 bye\r\n[end 1]");
    end_rig(&r);
}
END_TEST

START_TEST(held_back_and_once_more)
{
    struct bench_step steps[] = {{.at = BENCH_MAIL, .hold = true},
                                 {.at = BENCH_RCPT, .hold = true},
                                 {.at = BENCH_NOOP, .then = BENCH_EXTRA_REPLY},
                                 {.at = BENCH_RSET, .then = BENCH_SWALLOW}};
    struct rig r;

    begin(&r, steps, 4);
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n"),
                     "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n");
    ck_assert_uint_eq(r.writes, 1);
    say(&r, ".\r\n");
    ck_assert_str_eq(say(&r, "MAIL FROM:<a@b>\r\n"), "250 2.1.0 Ok\r\n"); /* nobody waits for what will not come */
    ck_assert_str_eq(say(&r, "RCPT TO:<c@d>\r\nQUIT\r\n"), "250 2.1.5 Ok\r\n221 2.0.0 bye\r\n[end 1]");
    end_rig(&r);
    begin(&r, steps, 4);
    ck_assert_str_eq(say(&r, "NOOP\r\n"), "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    ck_assert_uint_eq(r.writes, 2);
    ck_assert_str_eq(say(&r, "RSET\r\n"), "");
    end_rig(&r);
}
END_TEST

START_TEST(a_flood_has_an_end)
{
    struct bench_step steps[] = {
        {.at = BENCH_NOOP,
         .also = true,
         .reply = {(char *)"250-a\r\n", 7},
         .flood = {(char *)"250-b\r\n", 7},
         .flood_times = 3},
        {.at = BENCH_NOOP, .reply = {(char *)"250 c\r\n", 7}},
        {.at = BENCH_RSET, .reply = {(char *)"", 0}, .flood = {(char *)"250-z\r\n", 7}, .then = BENCH_CLOSE}};
    struct rig r;

    begin(&r, steps, 3);
    ck_assert_str_eq(say(&r, "NOOP\r\n"), "250-a\r\n250-b\r\n250-b\r\n250-b\r\n250 c\r\n");
    r.sent = 0;
    say(&r, "RSET\r\n");
    ck_assert_uint_ge(r.sent, BENCH_FLOOD_MOST);
    ck_assert_uint_lt(r.sent, BENCH_FLOOD_MOST + 14);
    ck_assert_uint_gt(r.writes, 200);
    end_rig(&r);
}
END_TEST

START_TEST(split_unread_and_stored)
{
    struct bench_step steps[] = {{.at = BENCH_NOOP, .split = 6, .drip_ms = 9},
                                 {.at = BENCH_BODY, .bytes = 2, .unread_ms = 70},
                                 {.at = BENCH_DATA_END, .stored = true, .reply = {(char *)"", 0}, .then = BENCH_CLOSE}};
    struct rig r;

    begin(&r, steps, 3);
    ck_assert_str_eq(say(&r, "NOOP\r\n"), "250 2.[9 ms]0.0 Ok[9 ms]\r\n[9 ms]");
    say(&r, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    ck_assert_str_eq(say(&r, "xyz"), "[70 ms unread]");
    ck_assert_str_eq(say(&r, "\r\n.\r\n"), "[end 1]");
    ck_assert_ptr_nonnull(strstr(r.events, "message yes"));
    end_rig(&r);
}
END_TEST

START_TEST(by_its_own_name)
{
    struct rig r;

    names = bench_names_new();
    with_ehlo = (struct bench_ehlo){.own_name = true};
    begin(&r, NULL, 0);
    ck_assert_str_eq(r.out, "220 bench.test ESMTP TESTBENCH\r\n"); /* who it is is not known yet */
    ck_assert_ptr_nonnull(strstr(say(&r, "EHLO me.example\r\n"), "250-me.example\r\n"));
    end_rig(&r);
    begin(&r, NULL, 0);
    ck_assert_str_eq(r.out, "220 me.example ESMTP TESTBENCH\r\n");
    ck_assert_str_eq(say(&r, "HELO a\tb\r\n"), "250 bench.test\r\n"); /* nothing that could be another line */
    end_rig(&r);
    with_ehlo = (struct bench_ehlo){.add = NULL};
    bench_names_free(&names);
}
END_TEST

START_TEST(too_many_at_once)
{
    struct bench_step step = {.at = BENCH_CONNECT, .over = 2, .reply = {(char *)"421 no\r\n", 8}, .then = BENCH_CLOSE};
    struct rig r;

    with_at_once = 2;
    begin(&r, &step, 1);
    ck_assert_str_eq(r.out, "220 bench.test ESMTP TESTBENCH\r\n");
    end_rig(&r);
    with_at_once = 3;
    begin(&r, &step, 1);
    ck_assert_str_eq(r.out, "421 no\r\n[end 1]");
    end_rig(&r);
    with_at_once = 0;
}
END_TEST

/* Two sessions of one place in memory are two sessions. */
START_TEST(counted_for_each_session)
{
    struct bench_step step = {
        .at = BENCH_NOOP, .per = BENCH_SESSION, .after = 1, .chance = 1000, .reply = {(char *)"421 no\r\n", 8}};
    struct bench_scenario sc = {.name = (char *)"x", .steps = &step, .step_count = 1};
    struct bench_count *count = bench_count_new(1);

    for (unsigned i = 0; i < 3; i++) {
        struct rig r = {.count = count};
        struct bench_session_setup s = {
            .scenario = &sc, .count = count, .hostname = "b", .client = "c", .lease = "", .event = on_event, .arg = &r};

        r.s = bench_session_new(&s, 0);
        drain(&r);
        ck_assert_str_eq(say(&r, "NOOP\r\n"), "250 2.0.0 Ok\r\n");
        ck_assert_str_eq(say(&r, "NOOP\r\n"), "421 no\r\n");
        bench_session_free(&r.s);
    }
    bench_count_free(&count);
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
    ck_assert_str_eq(r.events, "hello;");
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

/* One write for all that is due, unless a scenario could want something between, or somebody is told in which order things
 * happen. */
START_TEST(answers_that_are_due_together)
{
    static const char text[] = "NOOP\r\nRSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    struct bench_step step = {.at = BENCH_QUIT, .delay_ms = 5};
    struct rig r;

    begin_heard_by(&r, NULL, 0, NULL);
    ck_assert_uint_eq(writes_to(&r, text), 1);
    ck_assert_uint_eq(writes_to(&r, "x\r\n.\r\nQUIT\r\nNOOP\r\n"), 1); /* and the end */
    end_rig(&r);
    begin(&r, NULL, 0);
    ck_assert_uint_eq(writes_to(&r, text), 5);
    ck_assert_uint_eq(r.sends, 6); /* the greeting among them */
    end_rig(&r);
    begin_heard_by(&r, &step, 1, NULL);
    ck_assert_uint_eq(writes_to(&r, text), 5);
    end_rig(&r);
    begin_heard_by(&r, NULL, 0, NULL);
    r.scenario.ehlo.split = true;
    ck_assert_uint_eq(writes_to(&r, text), 5);
    end_rig(&r);
}
END_TEST

/* Who sends and does not read has little done for him until he reads; nothing is lost then. */
START_TEST(answers_that_nobody_takes)
{
    static char text[60001];
    struct bench_do d;
    unsigned answers = 0;
    size_t most = 0;
    struct rig r;

    begin_heard_by(&r, NULL, 0, NULL);
    for (unsigned i = 0; i < 7500; i++)
        memcpy(text + 8 * i, "EHLO x\r\n", 8);
    bench_session_feed(r.s, text, strlen(text), 0);
    for (bench_session_next(r.s, &d); d.kind != BENCH_DO_WAIT; bench_session_next(r.s, &d)) {
        ck_assert_int_eq(d.kind, BENCH_DO_SEND);
        most = d.bytes.n > most ? d.bytes.n : most;
        for (size_t i = 4; i + 4 <= d.bytes.n; i++)
            answers += memcmp(d.bytes.p + i, "250 ", 4) == 0;
    }
    ck_assert_uint_eq(answers, 7500);
    ck_assert_uint_lt(most, 30000);
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

SUITE_MAIN("bench_session", a_client_hello_that_nobody_asked_for, answers_that_are_due_together,
           answers_that_nobody_takes, messages_are_counted, a_correct_server, order_is_kept,
           every_near_end_of_data_is_content, what_is_near_an_end_is_seen, what_is_right_is_near_nothing,
           starttls_and_what_stood_behind_it, steps_act, in_pieces_and_drops, cut_anywhere, what_is_offered_is_taken,
           what_was_said_is_what_is_offered, one_answer_to_each_chunk, a_step_at_bdat_is_for_the_last_chunk_too,
           turned_away, held_back_and_once_more, a_flood_has_an_end, split_unread_and_stored, by_its_own_name,
           too_many_at_once, counted_for_each_session)
