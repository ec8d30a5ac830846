/* What dialogs cannot show of the sending engine: facts, time-outs, memory, and a conversation with
 * the receiving one. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/client.h"
#include "smtp/engine.h"
#include "unit/suite.h"

static struct smtp_client_profile profile = {.hostname = "relay.example.test", .tls = SMTP_CLIENT_TLS_MAY};
static const struct smtp_client_rcpt rcpts[] = {
    {.address = "b@example.test"}, {.address = "refused@example.test"}, {.address = "c@example.test"}};

/* Takes actions up to one that rests; SENDs are gathered. */
static struct smtp_client_action rest(struct smtp_client *c, struct buf *sent)
{
    struct smtp_client_action a;

    for (;;) {
        smtp_client_next(c, &a);
        switch (a.kind) {
        case SMTP_CLIENT_SEND:
            if (sent)
                buf_append(sent, a.bytes.p, a.bytes.n);
            break;
        case SMTP_CLIENT_EVENT:
        case SMTP_CLIENT_RCPT_RESULT:
        case SMTP_CLIENT_MESSAGE_DONE:
        case SMTP_CLIENT_FAILED:
            break;
        default:
            return a;
        }
    }
}

static struct smtp_client_action say(struct smtp_client *c, const char *words)
{
    size_t n = strlen(words), took;

    rest(c, NULL);
    for (; n; words += took, n -= took) {
        took = smtp_client_feed(c, words, n);
        ck_assert_uint_gt(took, 0);
        rest(c, NULL);
    }
    return rest(c, NULL);
}

START_TEST(facts)
{
    struct smtp_client *c = smtp_client_new(&profile);
    const struct smtp_client_offers *o = smtp_client_offers(c);

    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_NEED_INPUT);
    ck_assert_uint_eq(smtp_client_greeting(c).n, 0);
    say(c, "220 mx.example.test hello\r\n");
    ck_assert_uint_eq(smtp_client_greeting(c).n, strlen("mx.example.test hello"));
    ck_assert(!o->esmtp);
    say(c, "250-MX.example.test at\r\n250-PIPELINING\r\n250-8bitmime\r\n250-SIZE 12345678901\r\n"
           "250-AUTH PLAIN  LOGIN\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n"
           "250-SMTPUTF8\r\n250-REQUIRETLS\r\n250 LIMITS RCPTMAX=20 MAILMAX=5 RCPTDOMAINMAX=1\r\n");
    ck_assert(o->esmtp && o->pipelining && o->eight_bit && o->size && o->dsn && o->enhanced && o->chunking &&
              o->smtputf8 && o->requiretls && o->auth);
    ck_assert(!o->starttls && !o->starttls_masked);
    ck_assert_uint_eq(o->size_max, 12345678901u);
    ck_assert_uint_eq(o->rcpt_max, 20);
    ck_assert_uint_eq(o->mail_max, 5);
    ck_assert_uint_eq(o->rcpt_domain_max, 1);
    ck_assert(o->mechanisms.n == 11 && memcmp(o->mechanisms.p, "PLAIN LOGIN", 11) == 0);
    ck_assert(o->name.n == 15 && memcmp(o->name.p, "MX.example.test", 15) == 0);
    ck_assert(smtp_client_reusable(c) && !smtp_client_in_tls(c));
    ck_assert_uint_eq(smtp_client_progress(c), 2);
    ck_assert_uint_lt(smtp_client_memory(c), 2048);
    smtp_client_free(&c);
    ck_assert_ptr_null(c);
    smtp_client_free(&c);
}
END_TEST

/* RFC 5321 4.5.3.2, at each step of a transaction. */
START_TEST(timeouts)
{
    const struct smtp_client_message m = {.sender = "", .rcpts = rcpts, .rcpt_count = 1, .size = 4};
    struct smtp_client *c = smtp_client_new(&profile);

    rest(c, NULL);
    ck_assert_uint_eq(smtp_client_timeout(c), 300);
    say(c, "220 x\r\n");
    ck_assert_uint_eq(smtp_client_timeout(c), 300);
    say(c, "250 x\r\n");
    ck_assert_uint_eq(smtp_client_timeout(c), 0);
    smtp_client_message(c, &m);
    ck_assert(!smtp_client_reusable(c));
    rest(c, NULL);
    ck_assert_int_eq(smtp_client_stage(c), SMTP_CLIENT_AT_MAIL);
    ck_assert_uint_eq(smtp_client_timeout(c), 300);
    say(c, "250 x\r\n");
    ck_assert_int_eq(smtp_client_stage(c), SMTP_CLIENT_AT_RCPT);
    ck_assert_uint_eq(smtp_client_timeout(c), 300);
    say(c, "250 x\r\n");
    ck_assert_int_eq(smtp_client_stage(c), SMTP_CLIENT_AT_DATA);
    ck_assert_uint_eq(smtp_client_timeout(c), 120);
    ck_assert_int_eq(say(c, "354 x\r\n").kind, SMTP_CLIENT_NEED_CONTENT);
    ck_assert_uint_eq(smtp_client_timeout(c), 180);
    smtp_client_content(c, "ab", 2);
    ck_assert_uint_eq(rest(c, NULL).offset, 2);
    ck_assert_uint_eq(smtp_client_timeout(c), 180);
    smtp_client_content(c, "c\n", 2);
    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_NEED_INPUT);
    ck_assert_uint_eq(smtp_client_timeout(c), 600);
    ck_assert_int_eq(say(c, "250 x\r\n").kind, SMTP_CLIENT_READY);
    smtp_client_quit(c);
    rest(c, NULL);
    ck_assert_uint_eq(smtp_client_timeout(c), 30);
    ck_assert_int_eq(say(c, "221 x\r\n").kind, SMTP_CLIENT_CLOSE);
    ck_assert_uint_eq(smtp_client_feed(c, "more", 4), 4);
    smtp_client_lost(c, NULL);
    smtp_client_timed_out(c);
    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_CLOSE);
    smtp_client_free(&c);
}
END_TEST

/* What holds a password says so, and only that. */
START_TEST(secrets)
{
    struct smtp_client_profile p = profile;
    struct smtp_client_action a;
    struct smtp_client *c;

    p.sasl = p.implicit_tls = true;
    c = smtp_client_new(&p);
    say(c, "220 x\r\n");
    smtp_client_next(c, &a);
    say(c, "250-x\r\n250 AUTH PLAIN\r\n");
    smtp_client_sasl_start(c, "PLAIN", "\0u\0p", 4, true);
    smtp_client_next(c, &a);
    ck_assert(a.kind == SMTP_CLIENT_SEND && a.secret);
    ck_assert(a.bytes.n == 21 && memcmp(a.bytes.p, "AUTH PLAIN AHUAcA==\r\n", 21) == 0);
    ck_assert_int_eq(say(c, "235 x\r\n").kind, SMTP_CLIENT_READY);
    smtp_client_quit(c);
    smtp_client_next(c, &a);
    ck_assert(a.kind == SMTP_CLIENT_SEND && !a.secret);
    smtp_client_free(&c);
}
END_TEST

/* feed() stops where it is the caller's turn: what follows may answer what it does now. */
START_TEST(stops_at_turns)
{
    static const char said[] = "250 EHLO\r\n250 MAIL\r\n250 RCPT\r\n354 DATA\r\n250 END\r\n";
    const struct smtp_client_message m = {.sender = "", .rcpts = rcpts, .rcpt_count = 1, .size = 2};
    struct smtp_client *c = smtp_client_new(&profile);
    size_t at;

    say(c, "220 x\r\n");
    at = smtp_client_feed(c, said, sizeof said - 1);
    ck_assert_uint_eq(at, strlen("250 EHLO\r\n"));
    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_READY);
    smtp_client_message(c, &m);
    for (int i = 0; i < 3; i++) {
        rest(c, NULL);
        at += smtp_client_feed(c, said + at, sizeof said - 1 - at);
    }
    ck_assert_uint_eq(at, strlen("250 EHLO\r\n250 MAIL\r\n250 RCPT\r\n354 DATA\r\n"));
    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_NEED_CONTENT);
    smtp_client_content(c, "x\n", 2);
    rest(c, NULL);
    at += smtp_client_feed(c, said + at, sizeof said - 1 - at);
    ck_assert_uint_eq(at, sizeof said - 1);
    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_READY);
    smtp_client_free(&c);
}
END_TEST

/* The connection was lost while the caller made its answer: the answer is dropped, and a message
 * that is given has its results all the same. */
START_TEST(late_answers)
{
    struct smtp_client_profile p = profile;
    const struct smtp_client_message m = {.sender = "", .rcpts = rcpts, .rcpt_count = 3, .size = 4};
    struct smtp_client *c;
    struct smtp_client_action a;
    unsigned results = 0;

    p.sasl = p.implicit_tls = true;
    c = smtp_client_new(&p);
    say(c, "220 x\r\n");
    ck_assert_int_eq(say(c, "250-x\r\n250 AUTH PLAIN\r\n").kind, SMTP_CLIENT_WAIT);
    smtp_client_lost(c, NULL);
    smtp_client_sasl_start(c, "PLAIN", "x", 1, true);
    smtp_client_sasl_none(c);
    smtp_client_sasl_respond(c, "x", 1, true);
    smtp_client_sasl_cancel(c);
    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_CLOSE);
    smtp_client_free(&c);

    c = smtp_client_new(&profile);
    say(c, "220 x\r\n");
    ck_assert_int_eq(say(c, "250-x\r\n250 STARTTLS\r\n220 x\r\n").kind, SMTP_CLIENT_WAIT);
    smtp_client_timed_out(c);
    smtp_client_tls_done(c, &(struct smtp_client_tls_facts){.ok = true});
    smtp_client_tls_injected(c);
    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_CLOSE);
    smtp_client_free(&c);

    c = smtp_client_new(&profile);
    say(c, "220 x\r\n");
    say(c, "250-x\r\n250 PIPELINING\r\n");
    smtp_client_message(c, &m);
    ck_assert_int_eq(say(c, "250 x\r\n250 x\r\n250 x\r\n250 x\r\n354 x\r\n").kind, SMTP_CLIENT_NEED_CONTENT);
    smtp_client_lost(c, NULL);
    smtp_client_content(c, "ab", 2);
    smtp_client_content_failed(c, "no file");
    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_CLOSE);
    smtp_client_message(c, &m);
    smtp_client_quit(c);
    for (smtp_client_next(c, &a); a.kind == SMTP_CLIENT_RCPT_RESULT; smtp_client_next(c, &a)) {
        ck_assert_int_eq(a.outcome, SMTP_CLIENT_UNTRIED);
        results++;
    }
    ck_assert_uint_eq(results, 3);
    ck_assert_int_eq(a.kind, SMTP_CLIENT_MESSAGE_DONE);
    ck_assert_int_eq(rest(c, NULL).kind, SMTP_CLIENT_CLOSE);
    smtp_client_free(&c);
}
END_TEST

/* Of a long reply so much is kept as is promised. */
START_TEST(long_text)
{
    struct smtp_client *c = smtp_client_new(&profile);
    struct smtp_client_action a;
    char said[3000];

    rest(c, NULL);
    memset(said, 'y', sizeof said);
    memcpy(said, "554 ", 4);
    memcpy(said + sizeof said - 2, "\r\n", 2);
    ck_assert_uint_eq(smtp_client_feed(c, said, sizeof said), sizeof said);
    smtp_client_next(c, &a);
    ck_assert_int_eq(a.kind, SMTP_CLIENT_FAILED);
    ck_assert_uint_eq(a.reply.text.n, 1000);
    smtp_client_free(&c);
}
END_TEST

/* Every failure, stage and event has its word, and no two the same. */
START_TEST(names)
{
    for (int i = 0; i < SMTP_CLIENT_FAILURES; i++) {
        ck_assert_ptr_nonnull(smtp_client_failure_name((enum smtp_client_failure)i));
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(smtp_client_failure_name((enum smtp_client_failure)i),
                             smtp_client_failure_name((enum smtp_client_failure)k));
    }
    ck_assert_str_eq(smtp_client_failure_name(SMTP_CLIENT_TLS_NOT_OFFERED), "tls-not-offered");
    ck_assert_str_eq(smtp_client_stage_name(SMTP_CLIENT_AT_QUIT), "QUIT");
    ck_assert_str_eq(smtp_client_event_name(SMTP_CLIENT_EVENT_TOO_MANY_RCPTS), "too-many-rcpts");
}
END_TEST

/* A connection may be given up anywhere. */
START_TEST(freed_anywhere)
{
    static const char *const said[] = {"220 x\r\n", "250-x\r\n250 PIPELINING\r\n", "250 x\r\n550 x\r\n",
                                       "250 x\r\n354 x\r\n", "250 x\r\n"};
    const struct smtp_client_message m = {.sender = "", .rcpts = rcpts, .rcpt_count = 2, .size = 2};

    for (size_t stop = 0; stop <= sizeof said / sizeof *said; stop++) {
        struct smtp_client *c = smtp_client_new(&profile);

        for (size_t i = 0; i < stop; i++) {
            struct smtp_client_action a = say(c, said[i]);

            if (a.kind == SMTP_CLIENT_READY && smtp_client_transactions(c) == 0)
                smtp_client_message(c, &m);
            if (a.kind == SMTP_CLIENT_NEED_CONTENT)
                smtp_client_content(c, "x\n", 2);
        }
        smtp_client_free(&c);
    }
}
END_TEST

/* Content of any size costs the memory of one piece. */
START_TEST(memory)
{
    static char piece[65536];
    const struct smtp_client_message m = {
        .sender = "", .rcpts = rcpts, .rcpt_count = 1, .size = (uint64_t)sizeof piece * 64};
    struct smtp_client *c = smtp_client_new(&profile);
    uint64_t at = 0;

    memset(piece, '\n', sizeof piece); /* the worst: each byte becomes two */
    say(c, "220 x\r\n");
    say(c, "250-x\r\n250 PIPELINING\r\n");
    smtp_client_message(c, &m);
    rest(c, NULL);
    say(c, "250 x\r\n250 x\r\n354 x\r\n");
    for (struct smtp_client_action a; (a = rest(c, NULL)).kind == SMTP_CLIENT_NEED_CONTENT;) {
        ck_assert_uint_eq(a.offset, at);
        ck_assert_uint_eq(a.want, sizeof piece);
        smtp_client_content(c, piece, a.want);
        ck_assert_uint_lt(smtp_client_memory(c), 6 * sizeof piece);
        at += a.want;
    }
    ck_assert_uint_eq(at, m.size);
    ck_assert_uint_lt(smtp_client_memory(c), 4096);
    smtp_client_free(&c);
}
END_TEST

/* ---- both engines, back to back */

struct pair {
    struct smtp_client *c;
    struct smtp_engine *g;
    struct buf to_server, to_client;
    struct buf content, got;
    unsigned random, results, ok, commits, rcpts;
    bool offer_tls, done, client_closed, server_closed;
};

static unsigned chance(struct pair *p, unsigned n)
{
    p->random = p->random * 1664525u + 1013904223u;
    return (p->random >> 8) % n;
}

static void server_tls(struct pair *p)
{
    struct smtp_tls_view v = {.advertise = p->offer_tls && !smtp_client_in_tls(p->c),
                              .code = 454,
                              .enhanced = "4.7.0",
                              .text = "no",
                              .reason = "ok"};

    v.accept = v.advertise;
    smtp_engine_answer_tls(p->g, &v);
}

static void server_act(struct pair *p, const struct smtp_action *a)
{
    static const uint32_t id = 1;
    struct smtp_verdict yes = {.rcpt_ids = &id, .rcpt_id_count = 1};
    const struct smtp_verdict no = {.code = 550, .enhanced = "5.1.1", .text = "nobody"};

    switch (a->kind) {
    case SMTP_REPLY:
        buf_append(&p->to_client, a->bytes.p, a->bytes.n);
        break;
    case SMTP_ASK_TLS:
        server_tls(p);
        break;
    case SMTP_START_TLS:
        buf_append(&p->to_client, a->bytes.p, a->bytes.n);
        smtp_engine_tls_done(p->g, &(struct smtp_tls_facts){.ok = true});
        break;
    case SMTP_ASK_RCPT:
        p->rcpts++;
        smtp_engine_answer(p->g, a->rcpt_local.p[0] == 'r' ? &no : &yes);
        break;
    case SMTP_ASK_SENDER:
    case SMTP_OPEN_MESSAGE:
        smtp_engine_answer(p->g, &yes);
        break;
    case SMTP_CHUNK:
        buf_append(&p->got, a->bytes.p, a->bytes.n);
        break;
    case SMTP_COMMIT:
        p->commits++;
        smtp_engine_answer(p->g, &yes);
        break;
    case SMTP_CLOSE:
        p->server_closed = true;
        break;
    case SMTP_EVENT:
        break;
    default:
        ck_abort_msg("server: %d", a->kind);
    }
}

static void client_act(struct pair *p, const struct smtp_client_action *a)
{
    switch (a->kind) {
    case SMTP_CLIENT_SEND:
        buf_append(&p->to_server, a->bytes.p, a->bytes.n);
        break;
    case SMTP_CLIENT_START_TLS:
        smtp_client_tls_done(p->c, &(struct smtp_client_tls_facts){.ok = true, .verified = true});
        break;
    case SMTP_CLIENT_RCPT_RESULT:
        p->results++;
        p->ok += a->outcome == SMTP_CLIENT_OK;
        ck_assert_int_eq(a->outcome, a->index == 1 ? SMTP_CLIENT_PERMANENT : SMTP_CLIENT_OK);
        break;
    case SMTP_CLIENT_MESSAGE_DONE:
        p->done = true;
        break;
    case SMTP_CLIENT_FAILED:
        ck_abort_msg("failed: %s %.*s", smtp_client_failure_name(a->failure), (int)a->reply.text.n, a->reply.text.p);
    default:
        break;
    }
}

/* One turn of the client; false: it waits. */
static bool client_turn(struct pair *p, const struct smtp_client_message *m)
{
    struct smtp_client_action a;

    smtp_client_next(p->c, &a);
    if (a.kind == SMTP_CLIENT_READY) {
        if (p->done)
            smtp_client_quit(p->c);
        else
            smtp_client_message(p->c, m);
    } else if (a.kind == SMTP_CLIENT_NEED_CONTENT) {
        size_t n = 1 + chance(p, chance(p, 2) ? 10 : 3000);

        smtp_client_content(p->c, buf_data(&p->content) + a.offset, n < a.want ? n : a.want);
    } else if (a.kind == SMTP_CLIENT_CLOSE) {
        p->client_closed = true;
        return false;
    } else if (a.kind == SMTP_CLIENT_NEED_INPUT) {
        size_t n = 1 + chance(p, 40);

        if (!p->to_client.len)
            return false;
        n = smtp_client_feed(p->c, buf_data(&p->to_client), n < p->to_client.len ? n : p->to_client.len);
        buf_consume(&p->to_client, n);
    } else {
        client_act(p, &a);
    }
    return true;
}

static bool server_turn(struct pair *p)
{
    struct smtp_action a;

    smtp_engine_next(p->g, &a);
    if (a.kind == SMTP_NEED_INPUT) {
        size_t n = 1 + chance(p, 700);

        if (!p->to_server.len)
            return false;
        n = smtp_engine_feed(p->g, buf_data(&p->to_server), n < p->to_server.len ? n : p->to_server.len);
        buf_consume(&p->to_server, n);
        return true;
    }
    server_act(p, &a);
    return !p->server_closed;
}

static void make_content(struct pair *p)
{
    static const char *const lines[] = {".", "..", "", ".a", "text", "a line.", "\xc3\xbc", "Subject: x"};
    unsigned n = chance(p, 200);

    while (n--) {
        const char *s = lines[chance(p, 8)];

        buf_append(&p->content, s, strlen(s));
        buf_append(&p->content, "\n", 1);
    }
}

static void converse(unsigned seed, bool chunking, bool tls)
{
    static const struct smtp_profile server = {
        .hostname = "mx.example.test", .max_line = 512, .max_hops = 30, .max_message_size = 1000000, .smtputf8 = true};
    struct smtp_client_profile client = profile;
    struct pair p = {.random = seed, .offer_tls = tls};
    struct smtp_client_message m = {.sender = "a@example.org", .rcpts = rcpts, .rcpt_count = 3, .content_8bit = true};

    client.no_chunking = !chunking;
    client.tls = tls ? SMTP_CLIENT_TLS_REQUIRED : SMTP_CLIENT_TLS_MAY;
    make_content(&p);
    m.size = p.content.len;
    p.c = smtp_client_new(&client);
    p.g = smtp_engine_new(&server, false);
    while (!p.client_closed) {
        bool moved = client_turn(&p, &m);

        moved |= server_turn(&p);
        ck_assert_msg(moved || p.client_closed, "both wait (seed %u)", seed);
    }
    ck_assert_uint_eq(p.results, 3);
    ck_assert_uint_eq(p.ok, 2);
    ck_assert_uint_eq(p.rcpts, 3);
    ck_assert_uint_eq(p.commits, 1);
    ck_assert_uint_eq(p.got.len, p.content.len);
    if (p.got.len)
        ck_assert_mem_eq(buf_data(&p.got), buf_data(&p.content), p.got.len);
    ck_assert(smtp_client_in_tls(p.c) == tls);
    smtp_client_free(&p.c);
    smtp_engine_free(&p.g);
    buf_clear(&p.to_server);
    buf_clear(&p.to_client);
    buf_clear(&p.content);
    buf_clear(&p.got);
}

START_TEST(both_engines)
{
    for (unsigned seed = 1; seed <= 200; seed++)
        converse(seed, seed & 1, seed & 2);
}
END_TEST

SUITE_MAIN("client", facts, timeouts, secrets, stops_at_turns, late_answers, long_text, names, freed_anywhere, memory,
           both_engines)
