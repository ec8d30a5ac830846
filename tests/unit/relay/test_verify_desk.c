/* A worker asks, the relay asks a next hop that speaks by script: all of it in one loop, and once in a process of its own. */
#include <fcntl.h>

#include "base/chan.h"
#include "base/clock.h"
#include "relay/relay_process.h"
#include "relay/verify_client.h"
#include "relay/verify_server.h"
#include "unit/relay/server.h"
#include "unit/suite.h"

static struct loop *loop;
static struct tls_client *tls;
static struct relay_desk *desk;
static struct verify_desk *verify;
static struct verify_server *server;
static struct verify_client *client;
static struct cert_source pair;
static struct relay_route route;
static char ca_file[64];

struct told {
    unsigned times;
    struct verify_answer answer;
    char text[600];
};

static void on_told(void *arg, const struct verify_answer *a)
{
    struct told *t = arg;

    t->times++;
    t->answer = *a;
    snprintf(t->text, sizeof t->text, "%.*s", (int)a->text.n, a->text.p);
}

static void at_turn_end(void *arg)
{
    (void)arg;
    verify_desk_turn(verify);
    relay_desk_turn(desk);
}

static void at_turn_end_alone(void *arg)
{
    (void)arg;
}

static void on_tick(void *arg)
{
    (void)arg;
    verify_desk_tick(verify);
    relay_desk_tick(desk);
}

static struct verify_client *another_client(void)
{
    int fd[2];
    struct err e;

    ck_assert_int_eq(chan_pair(fd, &e), 0);
    verify_server_add(server, fd[1]);
    return verify_client_new(loop, fd[0]);
}

static void begin_with(const struct server *s, const struct verify_desk_setup *setup)
{
    struct relay_desk_setup r = {.hostname = "relay.example.org",
                                 .connect_timeout = 20,
                                 .idle_seconds = 60,
                                 .kept_seconds = 300,
                                 .idle_most = 10};
    struct verify_desk_setup v = *setup;
    struct err e;
    int fd;

    signal(SIGPIPE, SIG_IGN);
    snprintf(ca_file, sizeof ca_file, "/tmp/postern-verify.XXXXXX");
    fd = mkstemp(ca_file);
    ck_assert_int_eq((int)write(fd, pair.bytes.chain, pair.bytes.chain_len), (int)pair.bytes.chain_len);
    close(fd);
    ck_assert_int_eq(loop_new(&loop, &e), 0);
    ck_assert_int_eq(tls_client_new(&tls, ca_file, &e), 0);
    r.loop = v.loop = loop;
    r.tls = tls;
    v.relay = desk = relay_desk_new(&r);
    route = (struct relay_route){.title = "next", .kind = RELAY_TO_HOST, .address = s->address};
    v.routes = &route;
    v.route_count = 1;
    verify = verify_desk_new(&v);
    server = verify_server_new(loop, verify);
    loop_ticker(loop, 50000, on_tick, NULL);
    client = another_client();
}

/* The server is forked before anything else is there. */
static struct server begin(const char *const *scripts)
{
    struct verify_desk_setup v = verify_desk_default;
    struct server s;

    pair = make_pair(&make_good); /* for mx.example.test */
    s = server_start(scripts, &pair);
    v.at_once = 1;
    begin_with(&s, &v);
    return s;
}

static void end(struct server *s)
{
    verify_client_free(&client);
    verify_server_free(&server);
    verify_desk_free(&verify);
    relay_desk_free(&desk);
    server_end_well(s);
    tls_client_free(&tls);
    loop_free(&loop);
    cert_source_free(&pair);
    unlink(ca_file);
}

#define UNTIL_WITH(turn_end, what)                                                                                     \
    do {                                                                                                               \
        int64_t until = clock_now().mono_us + 20000000;                                                                \
        while (!(what)) {                                                                                              \
            ck_assert_msg(clock_now().mono_us < until, "%s", #what);                                                   \
            ck_assert_int_eq(loop_turn(loop, true, turn_end, NULL), 0);                                                \
        }                                                                                                              \
    } while (0)
#define UNTIL(what) UNTIL_WITH(at_turn_end, what)

static void ask(const char *address, struct told *t)
{
    memset(t, 0, sizeof *t);
    verify_client_ask(client, "next", address, on_told, t);
    ck_assert_uint_eq(t->times, 0);
}

static const char *words(const struct told *t)
{
    static char out[700];

    snprintf(out, sizeof out, "%s %u %s %s", verify_verdict_name(t->answer.verdict), t->answer.code, t->answer.enhanced,
             t->text);
    return out;
}

static void expect(const char *address, const char *answer)
{
    struct told t;

    ask(address, &t);
    UNTIL(t.times);
    ck_assert_str_eq(words(&t), answer);
}

#define HELLO                                                                                                          \
    "S: 220 mx.example.test ESMTP\nC: EHLO relay.example.org\nS: 250-mx.example.test\nS: 250-SIZE 1000\nS: 250 "       \
    "PIPELINING\n"
#define QUESTION(who, reply)                                                                                           \
    "C: MAIL FROM:<>\nC: RCPT TO:<" who ">\nC: RSET\nS: 250 2.1.0 ok\nS: " reply "\nS: 250 2.0.0 ok\n"

START_TEST(asked_once_and_remembered)
{
    const char *scripts[] = {
        HELLO QUESTION("a@example.net", "250 2.1.5 a is here") QUESTION("b@example.net", "550 5.1.1 no such user")
            QUESTION("c@example.net", "450 4.2.1 busy") QUESTION("c@example.net", "251 will forward"),
        NULL};
    struct server s = begin(scripts);

    expect("a@example.net", "yes 250 2.1.5 a is here");
    expect("b@example.net", "no 550 5.1.1 no such user");
    expect("c@example.net", "unknown 0  busy");
    expect("a@example.net", "yes 250 2.1.5 a is here");
    expect("a@Example.NET", "yes 250 2.1.5 a is here");
    expect("b@example.net", "no 550 5.1.1 no such user");
    expect("c@example.net", "yes 251 2.0.0 will forward");
    end(&s);
}
END_TEST

START_TEST(alike_questions_are_one)
{
    const char *scripts[] = {HELLO QUESTION("a@example.net", "250 yes") QUESTION("b@example.net", "550 no"), NULL};
    struct server s = begin(scripts);
    struct verify_client *other = another_client();
    struct verify_question *q;
    struct told t[5];

    ask("a@example.net", &t[0]);
    ask("b@example.net", &t[1]);
    ask("a@example.net", &t[2]);
    q = verify_client_ask(client, "next", "a@example.net", on_told, &t[3]);
    t[3].times = t[4].times = 0;
    verify_client_ask(other, "next", "a@example.net", on_told, &t[4]);
    UNTIL(relay_desk_busy(desk));
    verify_question_cancel(&q);
    UNTIL(t[0].times && t[1].times && t[2].times && t[4].times);
    ck_assert_str_eq(words(&t[0]), "yes 250 2.0.0 yes");
    ck_assert_str_eq(words(&t[1]), "no 550 5.0.0 no");
    ck_assert_str_eq(words(&t[2]), "yes 250 2.0.0 yes");
    ck_assert_str_eq(words(&t[4]), "yes 250 2.0.0 yes");
    ck_assert_uint_eq(t[0].times + t[1].times + t[2].times + t[4].times, 4);
    ck_assert_uint_eq(t[3].times, 0);
    verify_client_free(&other);
    end(&s);
}
END_TEST

/* It said nothing of the recipient: not "no", whatever its code is, and no reason to ask for it again and again. */
START_TEST(refusals_of_something_else)
{
    const char *scripts[] = {
        HELLO
        "C: MAIL FROM:<>\nC: RCPT TO:<a@example.net>\nC: RSET\nS: 550 5.7.1 no null senders\nS: 503 5.5.1 no MAIL\n"
        "S: 250 ok\n" QUESTION("b@example.net", "530 5.7.0 Must issue a STARTTLS command first")
            QUESTION("c@example.net", "552 5.2.2 full"),
        NULL};
    struct server s = begin(scripts);

    expect("a@example.net", "unknown 0  no null senders");
    expect("b@example.net", "unknown 0  Must issue a STARTTLS command first");
    expect("c@example.net", "unknown 0  full");
    end(&s);
}
END_TEST

START_TEST(a_server_that_wants_nobody)
{
    const char *scripts[] = {"S: 554 5.7.1 not you\nC: QUIT\nS: 221 bye", NULL};
    struct server s = begin(scripts);

    expect("a@example.net", "unknown 0  not you");
    expect("b@example.net", "unknown 0  the next hop could not be asked a moment ago");
    end(&s);
}
END_TEST

/* An address that this server cannot be told of will never be taken. */
START_TEST(an_address_that_needs_more)
{
    const char *scripts[] = {HELLO QUESTION("b@example.net", "250 ok"), NULL};
    struct server s = begin(scripts);

    expect("j\xc3\xbcrgen@example.net", "no 553 5.6.7 the address needs SMTPUTF8, and the server does not offer it");
    expect("b@example.net", "yes 250 2.0.0 ok");
    end(&s);
}
END_TEST

START_TEST(demands_on_tls)
{
    const char *without[] = {HELLO, NULL},
               *with[] = {"S: 220 mx.example.test ESMTP\nC: EHLO relay.example.org\nS: 250-mx.example.test\nS: 250 "
                          "STARTTLS\nC: STARTTLS\nS: 220 2.0.0 go\nTLS\nC: EHLO relay.example.org\nS: 250-mx.example."
                          "test\nS: 250 PIPELINING\n" QUESTION("a@example.net", "250 inside"),
                          NULL};
    struct server s = begin(without);
    struct told t;

    route.tls = RELAY_TLS_REQUIRED;
    ask("a@example.net", &t);
    UNTIL(t.times);
    ck_assert_int_eq(t.answer.verdict, VERIFY_UNKNOWN);
    ck_assert_msg(strstr(t.text, "STARTTLS is required and was not offered"), "%s", t.text);
    end(&s);
    s = begin(with);
    route.tls = RELAY_TLS_VERIFY;
    route.host = "mx.example.test";
    expect("a@example.net", "yes 250 2.0.0 inside");
    end(&s);
}
END_TEST

START_TEST(by_lmtp_step_by_step)
{
    const char *scripts[] = {
        "S: 220 mx.example.test LMTP\nC: LHLO relay.example.org\nS: 250 mx.example.test\n"
        "C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<a@example.net>\nS: 550 5.1.1 no\nC: RSET\nS: 250 ok\n"
        "C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<b@example.net>\nS: 250 2.1.5 ok\nC: RSET\nS: 250 ok",
        NULL};
    struct server s = begin(scripts);

    route.lmtp = true;
    expect("a@example.net", "no 550 5.1.1 no");
    expect("b@example.net", "yes 250 2.1.5 ok");
    end(&s);
}
END_TEST

/* After a failed connection nothing is asked for a while; then it is. */
START_TEST(a_rest_after_a_failure)
{
    const char *scripts[] = {"S: 421 4.3.2 not now\nCLOSE", HELLO QUESTION("c@example.net", "250 yes"), NULL};
    struct verify_desk_setup v = verify_desk_default;
    struct server s;
    struct told t[2];

    pair = make_pair(&make_good);
    s = server_start(scripts, &pair);
    v.at_once = 1;
    v.rest_us = 1000000;
    begin_with(&s, &v);
    ask("a@example.net", &t[0]);
    ask("b@example.net", &t[1]); /* waits, and finds out without a connection of its own */
    UNTIL(t[0].times && t[1].times);
    ck_assert_str_eq(words(&t[0]), "unknown 0  not now");
    ck_assert_str_eq(words(&t[1]), "unknown 0  the next hop could not be asked a moment ago");
    do {
        ask("c@example.net", &t[0]);
        UNTIL(t[0].times);
    } while (t[0].answer.verdict == VERIFY_UNKNOWN && strstr(t[0].text, "a moment ago"));
    ck_assert_str_eq(words(&t[0]), "yes 250 2.0.0 yes");
    end(&s);
}
END_TEST

START_TEST(nobody_there)
{
    const char *none[] = {NULL};
    struct server s = begin(none);
    struct told t;

    ck_assert_int_eq(waitpid(s.pid, NULL, 0), s.pid);
    ask("a@example.net", &t);
    UNTIL(t.times);
    ck_assert_int_eq(t.answer.verdict, VERIFY_UNKNOWN);
    ck_assert_msg(strcasestr(t.text, "connection refused"), "%s", t.text);
    expect("b@example.net", "unknown 0  the next hop could not be asked a moment ago");
    s.pid = fork();
    if (s.pid == 0)
        _exit(0);
    end(&s);
}
END_TEST

/* The client that waits for its RCPT does not wait as long as SMTP would let a server. */
START_TEST(a_silent_server)
{
    const char *scripts[] = {HELLO "C: MAIL FROM:<>\nC: RCPT*\nC: RSET\n", NULL};
    struct verify_desk_setup v = verify_desk_default;
    struct server s;
    struct told t[3];

    pair = make_pair(&make_good);
    s = server_start(scripts, &pair);
    v.at_once = 1;
    v.deadline_us = 500000;
    begin_with(&s, &v);
    ask("a@example.net", &t[0]);
    ask("b@example.net", &t[1]);
    ask("a@example.net", &t[2]);
    UNTIL(t[0].times && t[1].times && t[2].times);
    ck_assert_str_eq(words(&t[0]), "unknown 0  the next hop did not answer in time");
    ck_assert_int_eq(t[1].answer.verdict, VERIFY_UNKNOWN);
    ck_assert_str_eq(words(&t[2]), "unknown 0  the next hop did not answer in time");
    ck_assert_uint_eq(relay_desk_busy(desk), 0);
    end(&s);
}
END_TEST

/* The answer to a question whose worker has died is kept for others. */
START_TEST(a_worker_that_dies)
{
    const char *scripts[] = {HELLO QUESTION("a@example.net", "550 5.1.1 no"), NULL};
    struct server s = begin(scripts);
    struct told t, gone;

    ask("a@example.net", &gone);
    UNTIL(relay_desk_busy(desk));
    verify_client_free(&client);
    UNTIL(verify_server_workers(server) == 0 && relay_desk_busy(desk) == 0);
    client = another_client();
    ask("a@example.net", &t);
    UNTIL(t.times);
    ck_assert_str_eq(words(&t), "no 550 5.1.1 no");
    ck_assert_uint_eq(gone.times, 0);
    end(&s);
}
END_TEST

START_TEST(a_worker_that_lies)
{
    const char *scripts[] = {HELLO QUESTION("a@example.net", "250 yes"), NULL};
    struct server s = begin(scripts);
    struct err e;
    int fd[2];

    for (unsigned i = 0; i < 3; i++) {
        static const char *const bad[] = {"", "\1\0\0\0next", "\1\0\0\0next\0a@example.net\0"};
        static const size_t n[] = {0, 8, 24};

        ck_assert_int_eq(chan_pair(fd, &e), 0);
        verify_server_add(server, fd[1]);
        ck_assert_int_eq(chan_send(fd[0], i == 2 ? VERIFY_ANSWER : VERIFY_ASK, bad[i], n[i], NULL, 0, &e), 1);
        UNTIL(verify_server_workers(server) == 1);
        close(fd[0]);
    }
    expect("a@example.net", "yes 250 2.0.0 yes");
    end(&s);
}
END_TEST

START_TEST(routes_that_are_not_there)
{
    const char *scripts[] = {HELLO QUESTION("a@example.net", "250 yes"), NULL};
    struct server s = begin(scripts);
    struct told t = {0};

    verify_client_ask(client, "nxt", "a@example.net", on_told, &t);
    UNTIL(t.times);
    ck_assert_str_eq(words(&t), "unknown 0  no such delivery");
    expect("a@example.net", "yes 250 2.0.0 yes");
    end(&s);
}
END_TEST

/* Hundreds at once, few connections: everybody is answered, and memory is given back (under the sanitizer). */
START_TEST(many)
{
    const char *scripts[] = {"S: 421 4.3.2 not now\nCLOSE", NULL};
    struct verify_desk_setup v = verify_desk_default;
    struct server s;
    static struct told t[5000];
    char address[40];
    unsigned told = 0;

    pair = make_pair(&make_good);
    s = server_start(scripts, &pair);
    v.at_once = 1;
    begin_with(&s, &v);
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(address, sizeof address, "%u@example.net", i);
        ask(address, &t[i]);
    }
    while (told < 5000) {
        UNTIL(t[told].times);
        ck_assert_int_eq(t[told].answer.verdict, VERIFY_UNKNOWN);
        ck_assert_uint_eq(t[told++].times, 1);
    }
    end(&s);
}
END_TEST

/* The process: workers come by the leader's channel; it ends when both the queue and the workers have no more use for it. */
START_TEST(in_a_process)
{
    const char *scripts[] = {HELLO QUESTION("a@example.net", "250 2.1.5 yes"), NULL};
    struct relay_setup r = {.route_count = 1, .hostname = "relay.example.org", .dns = NULL};
    int leader[2], store[2], worker[2], status;
    struct server s;
    struct told t = {0};
    struct err e;
    pid_t pid;

    pair = make_pair(&make_good);
    s = server_start(scripts, &pair);
    route = (struct relay_route){.title = "next", .kind = RELAY_TO_HOST, .address = s.address};
    r.routes = &route;
    ck_assert_int_eq(tls_client_new(&tls, NULL, &e), 0);
    ck_assert_int_eq(chan_pair(leader, &e) | chan_pair(store, &e) | chan_pair(worker, &e), 0);
    pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_IGN);
        alarm(25);
        close(leader[0]);
        close(store[0]);
        close(worker[0]);
        close(worker[1]);
        r.tls = tls;
        r.leader_fd = leader[1];
        r.store_fd = store[1];
        _exit(relay_run(&r));
    }
    close(leader[1]);
    close(store[1]);
    ck_assert_int_eq(chan_send(leader[0], RELAY_ADD_WORKER, NULL, 0, &worker[1], 1, &e), 1);
    close(worker[1]);
    ck_assert_int_eq(loop_new(&loop, &e), 0);
    client = verify_client_new(loop, worker[0]);
    ck_assert_int_eq(chan_send(store[0], RELAY_DRAIN, NULL, 0, NULL, 0, &e), 1);
    verify_client_ask(client, "next", "a@example.net", on_told, &t);
    UNTIL_WITH(at_turn_end_alone, t.times);
    ck_assert_str_eq(words(&t), "yes 250 2.1.5 yes");
    ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
    verify_client_free(&client);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    server_end_well(&s);
    close(leader[0]);
    close(store[0]);
    loop_free(&loop);
    tls_client_free(&tls);
    cert_source_free(&pair);
}
END_TEST

SUITE_MAIN("verify_desk", asked_once_and_remembered, alike_questions_are_one, refusals_of_something_else,
           a_server_that_wants_nobody, an_address_that_needs_more, demands_on_tls, by_lmtp_step_by_step,
           a_rest_after_a_failure, nobody_there, a_silent_server, a_worker_that_dies, a_worker_that_lies,
           routes_that_are_not_there, many, in_a_process)
