/* What dialogs cannot see: memory, phases, what may be asked of an engine and when. */
#include <string.h>

#include "smtp/engine.h"
#include "unit/suite.h"

static struct smtp_profile profile = {.hostname = "mx.example.test",
                                      .banner = "ESMTP postern",
                                      .max_message_size = 0,
                                      .max_recipients = 1000,
                                      .max_line = 512,
                                      .max_hops = 30,
                                      .smtputf8 = true};
static const struct smtp_tls_view offered = {.advertise = true, .accept = true, .reason = "ok"};
static struct smtp_action last;
static uint64_t content; /* bytes of all CHUNKs */
static unsigned chunks;

/* Says yes to everything until the engine wants input. keep: stop at this kind, unanswered. */
static bool run_until(struct smtp_engine *g, enum smtp_action_kind keep)
{
    struct smtp_verdict yes = {0};
    uint32_t id = 4;

    for (;;) {
        smtp_engine_next(g, &last);
        if (last.kind == keep)
            return true;
        switch (last.kind) {
        case SMTP_NEED_INPUT:
            return false;
        case SMTP_ASK_TLS:
            smtp_engine_answer_tls(g, &offered);
            break;
        case SMTP_ASK_RCPT:
            yes.rcpt_ids = &id;
            yes.rcpt_id_count = 1;
            smtp_engine_answer(g, &yes);
            break;
        case SMTP_ASK_SENDER:
        case SMTP_OPEN_MESSAGE:
        case SMTP_COMMIT:
            smtp_engine_answer(g, &yes);
            break;
        case SMTP_CHUNK:
            content += last.bytes.n;
            chunks++;
            break;
        default:
            ck_assert_int_ne(last.kind, SMTP_WAIT);
            break;
        }
    }
}

static void say(struct smtp_engine *g, const char *text)
{
    size_t n = strlen(text);

    while (n) {
        size_t took = smtp_engine_feed(g, text, n);

        ck_assert_uint_gt(took, 0);
        text += took;
        n -= took;
        run_until(g, SMTP_NEED_INPUT);
    }
}

static struct smtp_engine *begin(const char *text)
{
    struct smtp_engine *g = smtp_engine_new(&profile, false);

    run_until(g, SMTP_NEED_INPUT);
    say(g, text);
    return g;
}

static bool is(struct peer_text t, const char *want)
{
    return t.n == strlen(want) && memcmp(t.p, want, t.n) == 0;
}

START_TEST(idle_engines_are_small)
{
    struct smtp_engine *g = begin("");

    ck_assert_uint_le(smtp_engine_memory(g), 400);
    say(g, "EHLO a.rather.long.name.of.a.client.example\r\n");
    ck_assert_uint_le(smtp_engine_memory(g), 400);
    say(g, "MAIL FROM:<ann@sender.example>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nx\r\n.\r\n");
    ck_assert_uint_le(smtp_engine_memory(g), 400);
    say(g, "MAIL FROM:<ann@sender.example>\r\nRCPT TO:<alice@example.test>\r\nRSET\r\n");
    ck_assert_uint_le(smtp_engine_memory(g), 400);
    smtp_engine_free(&g);
    ck_assert_ptr_null(g);
    smtp_engine_free(&g);
}
END_TEST

START_TEST(phases_and_accessors)
{
    struct smtp_engine *g = begin("NOOP\r\n");

    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_GREETING);
    ck_assert(is(smtp_engine_hello(g), "") && is(smtp_engine_sender(g), ""));
    ck_assert(!smtp_engine_params(g)->size_given);
    say(g, "EHLO client.example\r\n");
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_COMMAND);
    ck_assert(smtp_engine_is_esmtp(g) && is(smtp_engine_hello(g), "client.example"));
    say(g, "MAIL FROM:<ann@sender.example> SIZE=7 BODY=8BITMIME\r\n");
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_ENVELOPE);
    ck_assert(is(smtp_engine_sender(g), "ann@sender.example"));
    ck_assert(smtp_engine_params(g)->size == 7 && smtp_engine_params(g)->body_8bit);
    say(g, "RCPT TO:<@route.example:\"a b\"@example.test>\r\n");
    ck_assert(is(smtp_engine_only_rcpt(g), "\"a b\"@example.test"));
    say(g, "RCPT TO:<bob@example.test>\r\n");
    ck_assert_uint_eq(smtp_engine_rcpt_count(g), 2);
    ck_assert_uint_eq(smtp_engine_rcpt_id_count(g), 1);
    ck_assert_uint_eq(smtp_engine_rcpt_ids(g)[0], 4);
    ck_assert(is(smtp_engine_only_rcpt(g), ""));
    say(g, "DATA\r\n");
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_DATA);
    say(g, "..12\r\n34\r\n");
    ck_assert_uint_eq(smtp_engine_message_size(g), 9);
    say(g, ".\r\n");
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_COMMAND);
    say(g, "HELO other.example\r\n");
    ck_assert(!smtp_engine_is_esmtp(g));
    smtp_engine_free(&g);
}
END_TEST

START_TEST(nothing_is_taken_while_an_answer_is_owed)
{
    struct smtp_engine *g = begin("EHLO a.example\r\n");
    const char two[] = "MAIL FROM:<ann@sender.example>\r\nRSET\r\n";
    size_t took = smtp_engine_feed(g, two, strlen(two));

    ck_assert_uint_eq(took, strlen("MAIL FROM:<ann@sender.example>\r\n"));
    ck_assert_uint_eq(smtp_engine_feed(g, two, 1), 0);
    ck_assert(run_until(g, SMTP_ASK_SENDER));
    ck_assert(is(last.sender, "ann@sender.example"));
    ck_assert_uint_eq(smtp_engine_feed(g, two, 1), 0);
    smtp_engine_next(g, &last);
    ck_assert_int_eq(last.kind, SMTP_WAIT);
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_COMMAND);
    smtp_engine_answer(g, &(struct smtp_verdict){0});
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_ENVELOPE);
    smtp_engine_free(&g);
}
END_TEST

START_TEST(the_transaction_is_there_while_its_content_is)
{
    struct smtp_engine *g = begin("EHLO a.example\r\nMAIL FROM:<ann@sender.example>\r\n"
                                  "RCPT TO:<alice@example.test>\r\n");

    ck_assert_uint_eq(smtp_engine_feed(g, "BDAT 6 LAST\r\n", 13), 13);
    ck_assert(!run_until(g, SMTP_CHUNK));
    ck_assert_uint_eq(smtp_engine_feed(g, "ab\r\nc\nRSET\r\n", 12), 6);
    ck_assert(run_until(g, SMTP_CHUNK));
    ck_assert(last.bytes.n == 4 && memcmp(last.bytes.p, "ab\nc", 4) == 0);
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_DATA);
    ck_assert(run_until(g, SMTP_ABORT));
    ck_assert_uint_eq(smtp_engine_rcpt_count(g), 1);
    ck_assert(run_until(g, SMTP_REPLY));
    ck_assert_int_eq(memcmp(last.bytes.p, "550 5.5.2", 9), 0);
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_COMMAND);
    smtp_engine_free(&g);
}
END_TEST

START_TEST(bytes_behind_starttls_stay_with_the_session)
{
    struct smtp_engine *g = begin("EHLO a.example\r\n");

    ck_assert_uint_eq(smtp_engine_feed(g, "STARTTLS\r\nRSET\r\n", 16), 10);
    ck_assert(run_until(g, SMTP_START_TLS));
    ck_assert_int_eq(memcmp(last.bytes.p, "220 ", 4), 0);
    smtp_engine_tls_injected(g);
    ck_assert(run_until(g, SMTP_CLOSE));
    ck_assert_int_eq(last.close, SMTP_CLOSE_INJECTION);
    ck_assert_uint_eq(smtp_engine_feed(g, "RSET\r\n", 6), 6);
    smtp_engine_next(g, &last);
    ck_assert_int_eq(last.kind, SMTP_NEED_INPUT);
    smtp_engine_free(&g);
}
END_TEST

START_TEST(tls_forgets_everything)
{
    struct smtp_engine *g = begin("EHLO a.example\r\n");

    smtp_engine_feed(g, "STARTTLS\r\n", 10);
    ck_assert(run_until(g, SMTP_START_TLS));
    smtp_engine_tls_done(g, &(struct smtp_tls_facts){.ok = true});
    ck_assert(is(smtp_engine_hello(g), ""));
    ck_assert(!smtp_engine_is_esmtp(g));
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_COMMAND);
    smtp_engine_free(&g);
}
END_TEST

/* The auth process comes again between EHLO and AUTH: the list that EHLO was told is gone, the engine's is not. */
START_TEST(the_list_of_mechanisms_is_its_own)
{
    static struct smtp_profile submission;
    char list[] = "PLAIN LOGIN";
    struct smtp_tls_view view = {.reason = "already-tls", .auth = list};
    struct smtp_engine *g;

    submission = profile;
    submission.auth = true;
    g = smtp_engine_new(&submission, true);
    run_until(g, SMTP_NEED_INPUT);
    smtp_engine_feed(g, "EHLO a.example\r\n", 16);
    ck_assert(run_until(g, SMTP_ASK_TLS));
    smtp_engine_answer_tls(g, &view);
    run_until(g, SMTP_NEED_INPUT);
    memset(list, 'x', sizeof list - 1);
    smtp_engine_feed(g, "AUTH PLAIN eA==\r\n", 17);
    ck_assert(run_until(g, SMTP_ASK_AUTH));
    smtp_engine_free(&g);
}
END_TEST

/* Sends the piece so many times, inside DATA or where a command should be. */
static void large(const char *piece, uint64_t times, bool data, const char *end)
{
    struct smtp_engine *g = begin("EHLO a.example\r\nMAIL FROM:<ann@sender.example>\r\n"
                                  "RCPT TO:<alice@example.test>\r\n");
    size_t most = 0, n = strlen(piece);

    content = chunks = 0;
    if (data)
        say(g, "DATA\r\n");
    for (uint64_t i = 0; i < times; i++) {
        for (size_t at = 0; at < n;) {
            at += smtp_engine_feed(g, piece + at, n - at);
            if (smtp_engine_memory(g) > most)
                most = smtp_engine_memory(g);
            run_until(g, SMTP_NEED_INPUT);
        }
        ck_assert_uint_le(smtp_engine_memory(g), 1000);
    }
    ck_assert_uint_le(most, 140000);
    ck_assert_uint_le(chunks, times * (n / 60000 + 1));
    say(g, end);
    ck_assert_int_eq(smtp_engine_phase(g), data ? SMTP_PHASE_COMMAND : SMTP_PHASE_ENVELOPE);
    smtp_engine_free(&g);
}

START_TEST(a_hundred_megabytes_without_a_line_end)
{
    size_t n = 1000000;
    char *piece = mem_alloc(n + 1);

    memset(piece, 'x', n);
    large(piece, 100, false, "\r\n.\r\n"); /* one command line, too long */
    ck_assert_uint_eq(content, 0);
    large(piece, 100, true, ".\r\n.\r\n");
    ck_assert_uint_eq(content, 100 * n + 2);
    free(piece);
}
END_TEST

/* Each of these, looked at once per byte from here to the end of the block, would take minutes. */
START_TEST(hostile_bodies_take_no_longer)
{
    static const char *const units[] = {"\n", "\r", "\r\r\n", "\r\n", ".", "\r\n.", "\r\n.\r", "a\n", "\r\n.\r\r\n"};
    char *piece = mem_alloc(300001);

    for (int normalize = 0; normalize < 2; normalize++) {
        profile.normalize_newlines = normalize;
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            size_t n = strlen(units[u]);

            for (size_t i = 0; i < 300000; i++)
                piece[i] = units[u][i % n];
            piece[300000] = '\0';
            large(piece, 1, true, "..\r\n.\r\n");
        }
    }
    free(piece);
}
END_TEST

START_TEST(nul_bodies_take_no_longer)
{
    struct smtp_engine *g = begin("EHLO a.example\r\nMAIL FROM:<ann@sender.example>\r\n"
                                  "RCPT TO:<alice@example.test>\r\nDATA\r\n");
    char *piece = mem_alloc(1000000);

    for (size_t at = 0, i = 0; i < 10; i++)
        for (at = 0; at < 1000000;) {
            at += smtp_engine_feed(g, piece + at, 1000000 - at);
            run_until(g, SMTP_NEED_INPUT);
        }
    say(g, "\r\n.\r\n");
    ck_assert_int_eq(smtp_engine_phase(g), SMTP_PHASE_COMMAND);
    free(piece);
    smtp_engine_free(&g);
}
END_TEST

SUITE_MAIN("engine", idle_engines_are_small, phases_and_accessors, nothing_is_taken_while_an_answer_is_owed,
           the_transaction_is_there_while_its_content_is, bytes_behind_starttls_stay_with_the_session,
           tls_forgets_everything, the_list_of_mechanisms_is_its_own, a_hundred_megabytes_without_a_line_end,
           hostile_bodies_take_no_longer, nul_bodies_take_no_longer)
