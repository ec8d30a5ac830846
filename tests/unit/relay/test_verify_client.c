/* The worker's side: the test is the relay at the other end of the channel. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "relay/verify_client.h"
#include "unit/suite.h"

static struct loop *loop;
static struct verify_client *client;
static int relay = -1;
static char room[CHAN_MAX + 4];

struct told {
    unsigned times;
    struct verify_answer answer;
    char text[600];
    struct verify_question *cancel; /* ... from inside */
    bool ask_again;
};

static void on_told(void *arg, const struct verify_answer *a)
{
    struct told *t = arg;

    t->times++;
    t->answer = *a;
    snprintf(t->text, sizeof t->text, "%.*s", (int)a->text.n, a->text.p);
    verify_question_cancel(&t->cancel);
    if (t->ask_again) {
        unsigned before = t->times;

        t->ask_again = false;
        verify_client_ask(client, "next", "again@example.org", on_told, t);
        ck_assert_uint_eq(t->times, before); /* never from inside */
    }
}

static int channel(void)
{
    int fd[2];
    struct err e;

    ck_assert_int_eq(chan_pair(fd, &e), 0);
    relay = fd[1];
    return fd[0];
}

static void begin(void)
{
    struct err e;

    ck_assert_int_eq(loop_new(&loop, &e), 0);
    client = verify_client_new(loop, channel());
}

static void end(void)
{
    verify_client_free(&client);
    loop_free(&loop);
    close(relay);
}

static void at_turn_end(void *arg)
{
    (void)arg;
}

static void turn(void)
{
    ck_assert_int_eq(loop_turn(loop, false, at_turn_end, NULL), 0);
}

/* Turns until it is true. */
#define UNTIL(what)                                                                                                    \
    do {                                                                                                               \
        int64_t until = clock_now().mono_us + 20000000;                                                                \
        while (!(what)) {                                                                                              \
            ck_assert_msg(clock_now().mono_us < until, "%s", #what);                                                   \
            turn();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* The next question; false: none has come. */
static bool hear(struct verify_ask *a)
{
    struct chan_msg m;
    int r = chan_recv(relay, room, sizeof room, &m, NULL);

    ck_assert_int_ge(r, 0);
    if (r == 0)
        return false;
    ck_assert_uint_eq(m.type, VERIFY_ASK);
    ck_assert_int_eq(verify_ask_decode(a, m.data, m.len), 0);
    return true;
}

static void say(uint32_t number, enum verify_verdict v, const char *text)
{
    struct verify_answer a = {.verdict = v, .text = {text, strlen(text)}};
    struct buf b = {0};

    if (v != VERIFY_UNKNOWN) {
        a.code = v == VERIFY_YES ? 250 : 550;
        snprintf(a.enhanced, sizeof a.enhanced, "%s", v == VERIFY_YES ? "2.1.5" : "5.1.1");
    }
    verify_answer_encode(&b, number, &a);
    ck_assert_int_eq(chan_send(relay, VERIFY_ANSWER, buf_data(&b), b.len, NULL, 0, NULL), 1);
    buf_clear(&b);
}

START_TEST(asked_and_answered)
{
    struct told one = {0}, other = {0};
    struct verify_ask a, b;

    begin();
    verify_client_ask(client, "next", "one@example.org", on_told, &one);
    verify_client_ask(client, "next", "other@example.org", on_told, &other);
    UNTIL(hear(&a));
    ck_assert_str_eq(a.route, "next");
    ck_assert_str_eq(a.address, "one@example.org");
    b = a;
    UNTIL(hear(&a));
    ck_assert_str_eq(a.address, "other@example.org");
    say(a.number, VERIFY_NO, "no such user");
    UNTIL(other.times);
    ck_assert_uint_eq(one.times, 0);
    ck_assert_int_eq(other.answer.verdict, VERIFY_NO);
    ck_assert_uint_eq(other.answer.code, 550);
    ck_assert_str_eq(other.answer.enhanced, "5.1.1");
    ck_assert_str_eq(other.text, "no such user");
    say(b.number, VERIFY_YES, "");
    UNTIL(one.times);
    ck_assert_int_eq(one.answer.verdict, VERIFY_YES);
    ck_assert_uint_eq(verify_client_open(client), 0);
    end();
}
END_TEST

START_TEST(cancelled_at_any_time)
{
    struct told early = {0}, late = {0}, left = {0};
    struct verify_question *q;
    struct verify_ask a;
    uint32_t number;

    begin();
    q = verify_client_ask(client, "next", "early@example.org", on_told, &early);
    verify_question_cancel(&q);
    ck_assert_ptr_null(q);
    verify_question_cancel(&q);
    q = verify_client_ask(client, "next", "late@example.org", on_told, &late);
    verify_client_ask(client, "next", "left@example.org", on_told, &left);
    UNTIL(hear(&a));
    ck_assert_str_eq(a.address, "late@example.org");
    number = a.number;
    verify_question_cancel(&q);
    UNTIL(hear(&a));
    say(number, VERIFY_YES, ""); /* nobody wants it: let pass */
    say(number + 100, VERIFY_YES, "");
    say(a.number, VERIFY_YES, "");
    say(a.number, VERIFY_NO, "");
    UNTIL(left.times);
    turn();
    ck_assert_uint_eq(left.times, 1);
    ck_assert_int_eq(left.answer.verdict, VERIFY_YES);
    ck_assert_uint_eq(early.times + late.times, 0);
    end();
}
END_TEST

START_TEST(cancelled_by_an_answer)
{
    struct told t[3] = {{0}};
    struct verify_ask a;

    begin();
    verify_client_ask(client, "next", "a@example.org", on_told, &t[0]);
    t[0].cancel = verify_client_ask(client, "next", "b@example.org", on_told, &t[1]);
    verify_client_ask(client, "next", "c@example.org", on_told, &t[2]);
    UNTIL(hear(&a));
    close(relay); /* each is told, but for the one that the first one takes back */
    relay = -1;
    UNTIL(t[2].times);
    ck_assert_uint_eq(t[0].times, 1);
    ck_assert_uint_eq(t[1].times, 0);
    ck_assert_uint_eq(verify_client_open(client), 0);
    end();
}
END_TEST

START_TEST(a_relay_that_dies)
{
    struct told t[4] = {{0}};
    struct verify_ask a, b;

    begin();
    for (unsigned i = 0; i < 3; i++)
        verify_client_ask(client, "next", "x@example.org", on_told, &t[i]);
    t[1].ask_again = true;
    UNTIL(hear(&a));
    UNTIL(hear(&b)); /* what an end leaves unread makes the other side lose last words */
    UNTIL(hear(&b));
    say(a.number, VERIFY_NO, "its last word");
    close(relay);
    relay = -1;
    UNTIL(t[1].times == 2 && t[2].times);
    ck_assert_uint_eq(t[0].times, 1);
    ck_assert_int_eq(t[0].answer.verdict, VERIFY_NO);
    ck_assert_int_eq(t[1].answer.verdict, VERIFY_UNKNOWN);
    ck_assert_int_eq(t[2].answer.verdict, VERIFY_UNKNOWN);
    ck_assert_uint_eq(t[2].times, 1);
    /* and whoever asks later */
    verify_client_ask(client, "next", "x@example.org", on_told, &t[3]);
    ck_assert_uint_eq(t[3].times, 0);
    UNTIL(t[3].times);
    ck_assert_int_eq(t[3].answer.verdict, VERIFY_UNKNOWN);
    ck_assert_uint_eq(t[3].answer.code, 0);
    end();
}
END_TEST

START_TEST(another_relay)
{
    struct told t[3] = {{0}};
    struct verify_ask a;
    int old;

    begin();
    verify_client_ask(client, "next", "sent@example.org", on_told, &t[0]);
    UNTIL(hear(&a));
    verify_client_ask(client, "next", "unsent@example.org", on_told, &t[1]);
    old = relay;
    verify_client_use(client, channel());
    ck_assert_int_eq(t[0].times, 1);
    ck_assert_int_eq(t[0].answer.verdict, VERIFY_UNKNOWN);
    close(old);
    UNTIL(hear(&a));
    ck_assert_str_eq(a.address, "unsent@example.org");
    verify_client_ask(client, "next", "new@example.org", on_told, &t[2]);
    say(a.number, VERIFY_YES, "");
    UNTIL(t[1].times);
    ck_assert_int_eq(t[1].answer.verdict, VERIFY_YES);
    UNTIL(hear(&a));
    say(a.number, VERIFY_NO, "");
    UNTIL(t[2].times);
    ck_assert_int_eq(t[2].answer.verdict, VERIFY_NO);
    end();
}
END_TEST

START_TEST(a_relay_that_lies)
{
    struct told t = {0};
    struct chan_msg m;

    begin();
    verify_client_ask(client, "next", "x@example.org", on_told, &t);
    ck_assert_int_eq(chan_send(relay, VERIFY_ANSWER, "\1\0\0\0", 4, NULL, 0, NULL), 1);
    UNTIL(t.times);
    ck_assert_int_eq(t.answer.verdict, VERIFY_UNKNOWN);
    while (chan_recv(relay, room, sizeof room, &m, NULL) > 0)
        chan_msg_close(&m);
    ck_assert_int_eq(chan_recv(relay, room, sizeof room, &m, NULL), -1); /* its channel has ended */
    end();
}
END_TEST

START_TEST(what_cannot_be_asked)
{
    struct told t = {0};
    struct verify_ask a;
    char address[VERIFY_ADDRESS_MOST + 20];

    begin();
    memset(address, 'a', sizeof address);
    memcpy(address + sizeof address - 13, "@example.org", 13);
    verify_client_ask(client, "next", address, on_told, &t);
    ck_assert_uint_eq(t.times, 0);
    UNTIL(t.times);
    ck_assert_int_eq(t.answer.verdict, VERIFY_UNKNOWN);
    ck_assert(!hear(&a));
    end();
}
END_TEST

#define MANY 5000

/* More than the channel holds: what does not fit waits, in order. */
START_TEST(a_relay_that_is_slow)
{
    struct told *t = mem_alloc(MANY * sizeof *t);
    struct verify_ask a;
    char address[80];

    begin();
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(address, sizeof address, "user%u-with-a-rather-long-name@example.org", i);
        verify_client_ask(client, "next", address, on_told, &t[i]);
    }
    for (unsigned i = 0; i < 10; i++)
        turn();
    for (unsigned i = 0; i < MANY; i++) {
        UNTIL(hear(&a));
        snprintf(address, sizeof address, "user%u-with-a-rather-long-name@example.org", i);
        ck_assert_str_eq(a.address, address);
        say(a.number, i % 2 ? VERIFY_YES : VERIFY_NO, "");
        UNTIL(t[i].times);
        ck_assert_int_eq(t[i].answer.verdict, i % 2 ? VERIFY_YES : VERIFY_NO);
    }
    ck_assert_uint_eq(verify_client_open(client), 0);
    end();
    free(t);
}
END_TEST

START_TEST(freed_with_open_questions)
{
    struct told t[2] = {{0}};
    struct verify_ask a;

    begin();
    verify_client_ask(client, "next", "x@example.org", on_told, &t[0]);
    UNTIL(hear(&a));
    verify_client_ask(client, "next", "y@example.org", on_told, &t[1]);
    verify_client_free(&client);
    ck_assert_ptr_null(client);
    ck_assert_uint_eq(t[0].times + t[1].times, 0);
    end();
}
END_TEST

SUITE_MAIN("verify_client", asked_and_answered, cancelled_at_any_time, cancelled_by_an_answer, a_relay_that_dies,
           another_relay, a_relay_that_lies, what_cannot_be_asked, a_relay_that_is_slow, freed_with_open_questions)
