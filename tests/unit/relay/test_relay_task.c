/* A message to a next hop that speaks by script: what is tried, in which order, and what each recipient is told. */
#include <fcntl.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "relay/relay_task.h"
#include "unit/relay/server.h"
#include "unit/suite.h"

#define RCPTS 4

static struct loop *loop;
static struct tls_client *tls;
static struct relay_desk *desk;
static struct cert_source pair;
static char ca_file[64];
static unsigned kept_seconds = 300;

struct told {
    bool done;
    enum relay_health health;
    unsigned count[RCPTS];
    enum relay_outcome outcome[RCPTS];
    uint16_t code[RCPTS];
    char enhanced[RCPTS][12], text[RCPTS][700], remote[RCPTS][200], tls[RCPTS][200];
    bool local[RCPTS];
};

static void copy(char *to, size_t cap, struct peer_text t)
{
    snprintf(to, cap, "%.*s", (int)t.n, t.p ? t.p : "");
}

static void on_result(void *arg, struct relay_result *r)
{
    struct told *t = arg;
    uint32_t i = r->index;

    t->count[i]++;
    t->outcome[i] = r->outcome;
    t->code[i] = r->code;
    t->local[i] = r->local;
    snprintf(t->enhanced[i], sizeof t->enhanced[i], "%s", r->enhanced);
    copy(t->text[i], sizeof t->text[i], r->text);
    copy(t->remote[i], sizeof t->remote[i], r->remote);
    copy(t->tls[i], sizeof t->tls[i], r->tls);
}

static void on_done(void *arg, enum relay_health health)
{
    struct told *t = arg;

    t->health = health;
    t->done = true;
}

static const struct relay_task_events events = {on_result, on_done};

static void at_turn_end(void *arg)
{
    (void)arg;
    relay_desk_turn(desk);
}

static void on_tick(void *arg)
{
    (void)arg;
    relay_desk_tick(desk);
}

static void begin(void)
{
    struct relay_desk_setup s = {.hostname = "relay.example.org",
                                 .connect_timeout = 5,
                                 .idle_seconds = 60,
                                 .kept_seconds = kept_seconds,
                                 .idle_most = 10};
    struct err e;
    int fd;

    signal(SIGPIPE, SIG_IGN);
    pair = make_pair(&make_good); /* for mx.example.test */
    snprintf(ca_file, sizeof ca_file, "/tmp/postern-relay.XXXXXX");
    fd = mkstemp(ca_file);
    ck_assert_int_eq((int)write(fd, pair.bytes.chain, pair.bytes.chain_len), (int)pair.bytes.chain_len);
    close(fd);
    ck_assert_int_eq(loop_new(&loop, &e), 0);
    ck_assert_int_eq(tls_client_new(&tls, ca_file, &e), 0);
    s.loop = loop;
    s.tls = tls;
    desk = relay_desk_new(&s);
    loop_ticker(loop, 100000, on_tick, NULL);
}

static void end(void)
{
    relay_desk_free(&desk);
    tls_client_free(&tls);
    loop_free(&loop);
    cert_source_free(&pair);
    unlink(ca_file);
}

static int content(const char *text)
{
    char path[] = "/tmp/postern-content.XXXXXX";
    int fd = mkstemp(path);

    unlink(path);
    ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
    return fd;
}

static const struct smtp_client_rcpt to[RCPTS] = {
    {"a@example.net", NULL, 0}, {"b@example.net", NULL, 0}, {"c@example.net", NULL, 0}, {"d@example.net", NULL, 0}};
static const char letter[] = "Subject: x\n\n.dot\nend\n";

static void transfer_text(const struct relay_route *r, uint32_t rcpts, const char *text, struct told *t)
{
    struct smtp_client_message m = {.sender = "me@example.org", .rcpts = to, .rcpt_count = rcpts, .size = strlen(text)};
    struct relay_job job = {.route = r, .message = &m, .fd = content(text)};
    int64_t until = clock_now().mono_us + 20000000;

    memset(t, 0, sizeof *t);
    relay_task_start(desk, &job, &events, t);
    while (!t->done) {
        ck_assert_msg(clock_now().mono_us < until, "no end of the transfer");
        ck_assert_int_eq(loop_turn(loop, true, at_turn_end, NULL), 0);
    }
    close(job.fd);
    for (uint32_t i = 0; i < rcpts; i++)
        ck_assert_uint_eq(t->count[i], 1);
    ck_assert_uint_eq(relay_desk_busy(desk), 0);
}

static void transfer(const struct relay_route *r, uint32_t rcpts, struct told *t)
{
    transfer_text(r, rcpts, letter, t);
}

static struct relay_route route(const struct server *s, enum relay_tls policy)
{
    return (struct relay_route){.title = "next", .kind = RELAY_TO_HOST, .address = s->address, .tls = policy};
}

/* So that the server sees the end of what is kept, and may end. */
static void let_go(void)
{
    relay_desk_free(&desk);
}

#define HELLO "S: 220 mx.example.test ESMTP\nC: EHLO relay.example.org\n"
#define MAIL_A                                                                                                         \
    "C: MAIL FROM:<me@example.org>*\nS: 250 2.1.0 ok\nC: RCPT TO:<a@example.net>*\nS: 250 2.1.5 ok\nC: DATA\nS: 354 "  \
    "go\nDATA\n"
#define TAKEN "S: 250 2.0.0 taken as 42"

START_TEST(in_clear)
{
    const char *scripts[] = {HELLO "S: 250-mx.example.test\nS: 250 PIPELINING\n" MAIL_A TAKEN, NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_MAY);
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_RELAYED); /* it said nothing about DSN */
    ck_assert_uint_eq(t.code[0], 250);
    ck_assert_str_eq(t.enhanced[0], "2.0.0");
    ck_assert_msg(strstr(t.text[0], "taken as 42"), "%s", t.text[0]);
    ck_assert_str_eq(t.tls[0], "");
    ck_assert_int_eq(t.health, RELAY_HEALTH_GOOD);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

#define TLS_OFFERED "S: 250-mx.example.test\nS: 250-PIPELINING\nS: 250 STARTTLS\n"
#define UP                                                                                                             \
    "C: STARTTLS\nS: 220 2.0.0 go\nTLS\nC: EHLO relay.example.org\nS: 250-mx.example.test\nS: 250-DSN\nS: 250 "        \
    "PIPELINING\n"

START_TEST(in_tls_verified)
{
    const char *scripts[] = {HELLO TLS_OFFERED UP MAIL_A TAKEN, NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_VERIFY);
    r.host = "mx.example.test";
    transfer(&r, 1, &t);
    ck_assert_msg(t.outcome[0] == RELAY_DELIVERED, "%d %u %s", t.outcome[0], t.code[0], t.text[0]);
    ck_assert_msg(strstr(t.remote[0], "mx.example.test[127.0.0.1]:"), "%s", t.remote[0]);
    ck_assert_msg(strstr(t.tls[0], "verified by CA and name"), "%s", t.tls[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

START_TEST(another_name_is_not_verified)
{
    const char *scripts[] = {HELLO TLS_OFFERED "C: STARTTLS\nS: 220 2.0.0 go\nTLS\nCLOSE", NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_VERIFY);
    r.host = "mx2.example.test";
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_DEFERRED);
    ck_assert_msg(strstr(t.text[0], "the server's certificate is not accepted"), "%s", t.text[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

START_TEST(required_and_not_offered)
{
    const char *scripts[] = {HELLO "S: 250-mx.example.test here\nS: 250-PIPELINING\nS: 250 HELP", NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_REQUIRED);
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_DEFERRED);
    ck_assert_uint_eq(t.code[0], 451);
    ck_assert_str_eq(t.enhanced[0], "4.7.6");
    ck_assert_msg(strstr(t.text[0], "STARTTLS is required and was not offered") && strstr(t.text[0], "HELP"), "%s",
                  t.text[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

/* Opportunistic: a server whose TLS is broken gets the mail in clear, on a new connection (RFC 7435). */
START_TEST(a_broken_handshake_and_once_more_in_clear)
{
    const char *scripts[] = {HELLO TLS_OFFERED "C: STARTTLS\nS: 220 2.0.0 go\nS: this is not TLS\nCLOSE",
                             HELLO TLS_OFFERED MAIL_A TAKEN, NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_MAY);
    transfer(&r, 1, &t);
    ck_assert_msg(t.outcome[0] == RELAY_RELAYED, "%s", t.text[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

START_TEST(each_recipient_its_own)
{
    const char *scripts[] = {
        HELLO "S: 250-mx.example.test\nS: 250 PIPELINING\n"
              "C: MAIL FROM:<me@example.org>*\nC: RCPT TO:<a@example.net>*\nC: RCPT TO:<b@example.net>*\n"
              "C: RCPT TO:<c@example.net>*\nC: DATA\nS: 250 2.1.0 ok\nS: 550 5.1.1 no such user\nS: 250 2.1.5 ok\n"
              "S: 450 4.2.1 later\nS: 354 go\nDATA\n" TAKEN,
        NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_NONE);
    transfer(&r, 3, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_FAILED);
    ck_assert_uint_eq(t.code[0], 550);
    ck_assert_str_eq(t.enhanced[0], "5.1.1");
    ck_assert_int_eq(t.outcome[1], RELAY_RELAYED);
    ck_assert_int_eq(t.outcome[2], RELAY_DEFERRED);
    ck_assert_uint_eq(t.code[2], 450);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

START_TEST(one_connection_for_two_messages)
{
    const char *scripts[] = {HELLO "S: 250-mx.example.test\nS: 250 PIPELINING\n" MAIL_A TAKEN "\n" MAIL_A TAKEN, NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_NONE);
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_RELAYED);
    transfer(&r, 1, &t);
    ck_assert_msg(t.outcome[0] == RELAY_RELAYED, "%s", t.text[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

/* Messages that follow each other fast must not keep a connection for ever: DNS, TLSA records and certificates change. */
START_TEST(a_connection_that_is_old)
{
    const char *scripts[] = {HELLO "S: 250-mx.example.test\nS: 250 PIPELINING\n" MAIL_A TAKEN "\nC: QUIT\nS: 221 bye",
                             HELLO "S: 250-mx.example.test\nS: 250 PIPELINING\n" MAIL_A TAKEN, NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    kept_seconds = 0;
    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_NONE);
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_RELAYED);
    transfer(&r, 1, &t);
    ck_assert_msg(t.outcome[0] == RELAY_RELAYED, "%s", t.text[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

/* A kept connection that the server has closed in the meantime costs nobody a deferral. */
START_TEST(a_kept_connection_that_is_over)
{
    const char *scripts[] = {HELLO "S: 250-mx.example.test\nS: 250 PIPELINING\n" MAIL_A TAKEN "\nCLOSE\n",
                             HELLO "S: 250-mx.example.test\nS: 250 PIPELINING\n" MAIL_A TAKEN, NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_NONE);
    transfer(&r, 1, &t);
    transfer(&r, 1, &t);
    ck_assert_msg(t.outcome[0] == RELAY_RELAYED, "%s", t.text[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

START_TEST(nobody_there)
{
    const char *none[] = {NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(none, &pair);
    server_end_well(&s);
    r = route(&s, RELAY_TLS_MAY);
    transfer(&r, 2, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_DEFERRED);
    ck_assert_str_eq(t.enhanced[1], "4.4.1");
    ck_assert(t.local[0]);
    ck_assert_msg(strcasestr(t.text[0], "connection refused"), "%s", t.text[0]);
    end();
}
END_TEST

START_TEST(broken_in_the_middle)
{
    const char *scripts[] = {
        HELLO "S: 250 mx.example.test\nC: MAIL FROM:<me@example.org>*\nS: 250 ok\nC: RCPT*\nS: 250 ok\nC: DATA\nRST",
        NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_NONE);
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_DEFERRED);
    server_end_well(&s);
    end();
}
END_TEST

/* Nothing is wrong with the way there: others' mail must not wait for a message that can never go. */
START_TEST(a_message_that_is_impossible_there)
{
    const char *scripts[] = {HELLO "S: 250-mx.example.test\nS: 250 SIZE 10", NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_NONE);
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_FAILED);
    ck_assert_str_eq(t.enhanced[0], "5.3.4");
    ck_assert_int_eq(t.health, RELAY_HEALTH_GOOD);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

START_TEST(refused_at_the_greeting)
{
    const char *later[] = {"S: 421 4.3.2 not now\nCLOSE", NULL},
               *never[] = {"S: 554 5.7.1 not you\nC: QUIT\nS: 221 bye", NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(later, &pair);
    r = route(&s, RELAY_TLS_NONE);
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_DEFERRED);
    ck_assert_uint_eq(t.code[0], 421);
    server_end_well(&s);
    s = server_start(never, &pair);
    r = route(&s, RELAY_TLS_NONE);
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_FAILED);
    ck_assert_uint_eq(t.code[0], 554);
    ck_assert_msg(strstr(t.text[0], "not you"), "%s", t.text[0]);
    server_end_well(&s);
    end();
}
END_TEST

/* AHUAdQBw: "\0u\0p" */
#define LOGIN_WANTED "S: 250-mx.example.test\nS: 250-DSN\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AHUAcA==\n"

START_TEST(with_a_login)
{
    const char *scripts[] = {"TLS\n" HELLO LOGIN_WANTED "S: 235 2.7.0 welcome\n" MAIL_A TAKEN,
                             "TLS\n" HELLO LOGIN_WANTED "S: 535 5.7.8 no", NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_VERIFY);
    r.host = "mx.example.test";
    r.implicit_tls = true;
    r.user = "u";
    r.password = "p";
    transfer(&r, 1, &t);
    ck_assert_msg(t.outcome[0] == RELAY_DELIVERED, "%s", t.text[0]);
    let_go();
    {
        struct relay_desk_setup d = {.loop = loop, .tls = tls, .hostname = "relay.example.org", .connect_timeout = 5};

        desk = relay_desk_new(&d);
    }
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_DEFERRED); /* no message bounces for our password */
    ck_assert_msg(strstr(t.text[0], "no"), "%s", t.text[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

/* More than the sockets hold: it waits to be written when the refusal comes. */
static char *long_letter(void)
{
    static const char line[] = "0123456789012345678901234567890123456789012345678901234567890\n";
    struct buf b = {0};
    char *text;

    while (b.len < (size_t)16 * 1024 * 1024)
        buf_append(&b, line, sizeof line - 1);
    text = mem_strn(buf_data(&b), b.len);
    buf_clear(&b);
    return text;
}

/* The piece that was asked for before the refusal came is not sent after it. */
START_TEST(a_bdat_is_refused_while_content_waits)
{
    const char *scripts[] = {HELLO "S: 250-mx.example.test\nS: 250-PIPELINING\nS: 250 CHUNKING\n"
                                   "C: MAIL FROM:<me@example.org>*\nS: 250 ok\nC: RCPT*\nS: 250 ok\n"
                                   "BDATS: 452 4.3.1 no room",
                             NULL};
    char *text = long_letter();
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_NONE);
    transfer_text(&r, 1, text, &t);
    free(text);
    ck_assert_int_eq(t.outcome[0], RELAY_DEFERRED);
    ck_assert_msg(strstr(t.text[0], "no room"), "%s", t.text[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

START_TEST(a_reply_without_end)
{
    const char *scripts[] = {HELLO TLS_OFFERED "C: STARTTLS\nS: 220 2.0.0 go\nTLS\nFLOOD", NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_REQUIRED);
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_DEFERRED);
    ck_assert_msg(strstr(t.text[0], "a reply without end"), "%s", t.text[0]);
    server_end_well(&s);
    end();
}
END_TEST

/* Whoever sits between has a certificate, too: without a look at it he would have the password. */
START_TEST(no_login_where_nobody_is_verified)
{
    const char *scripts[] = {HELLO TLS_OFFERED "C: STARTTLS\nS: 220 2.0.0 go\nTLS\nCLOSE", NULL};
    struct server s;
    struct relay_route r;
    struct told t;

    begin();
    s = server_start(scripts, &pair);
    r = route(&s, RELAY_TLS_MAY); /* as DANE is where there are no records */
    r.host = "mx2.example.test";
    r.user = "u";
    r.password = "p";
    transfer(&r, 1, &t);
    ck_assert_int_eq(t.outcome[0], RELAY_DEFERRED);
    ck_assert_msg(strstr(t.text[0], "certificate is not accepted"), "%s", t.text[0]);
    let_go();
    server_end_well(&s);
    end();
}
END_TEST

SUITE_MAIN("relay_task", no_login_where_nobody_is_verified, a_reply_without_end, a_bdat_is_refused_while_content_waits,
           in_clear, in_tls_verified, another_name_is_not_verified, required_and_not_offered,
           a_broken_handshake_and_once_more_in_clear, each_recipient_its_own, one_connection_for_two_messages,
           a_connection_that_is_old, a_kept_connection_that_is_over, nobody_there, broken_in_the_middle,
           a_message_that_is_impossible_there, refused_at_the_greeting, with_a_login)
