/* Deadlines, rates and orders. No test waits for a deadline: the numbers in the session are moved instead. */
#include "unit/session/rig.h"

#define SECOND INT64_C(1000000)

static struct session *only(void)
{
    ck_assert_uint_eq(rig.server->sessions, 1);
    return rig.server->first;
}

/* As if the session had begun, and everything in it had happened, that much earlier. */
static void age(struct session *s, int64_t seconds)
{
    s->started_us -= seconds * SECOND;
    s->deadline_us -= seconds * SECOND;
    s->activity_us -= seconds * SECOND;
    if (s->rate_from_us)
        s->rate_from_us -= seconds * SECOND;
    session_tick(rig.server);
}

static void ends_with(struct client *c, const char *reply, const char *logged)
{
    RIG_UNTIL(client_has(c, reply));
    RIG_UNTIL(client_ended(c) && rig.server->sessions == 0);
    ck_assert_uint_ge(rig_logged(logged), 1);
    client_free(c);
    rig_stop();
}

static void roomy(struct conf *c)
{
    c->limits.command_timeout = 300;
    c->limits.data_timeout = 180;
    c->limits.session_time = 3600;
    c->limits.min_rate = 0;
}

START_TEST(command_timeout)
{
    struct client *c;

    rig_start(RIG_MX, false, roomy);
    c = client_greeted(0);
    age(only(), 299);
    ck_assert(!client_has(c, "421 "));
    age(only(), 2);
    ends_with(c, "421 4.4.2 mx.example.test", "network.timeout");
}
END_TEST

START_TEST(data_timeout)
{
    struct client *c;

    rig_start(RIG_MX, false, roomy);
    c = client_greeted(0);
    client_says(c, HELLO ENVELOPE "DATA\r\n", "354 ");
    client_send(c, "Subject: x\r\n");
    for (int i = 0; i < 3; i++)
        rig_turn();
    age(only(), 179);
    ck_assert(!client_has(c, "421 "));
    age(only(), 2);
    ends_with(c, "421 4.4.2 ", "network.timeout");
}
END_TEST

static void short_session(struct conf *c)
{
    roomy(c);
    c->limits.session_time = 600;
}

START_TEST(session_time)
{
    struct client *c;

    rig_start(RIG_MX, false, short_session);
    c = client_greeted(0);
    for (int i = 0; i < 6; i++) {
        age(only(), 99);
        client_says(c, "NOOP\r\n", "250 ");
    }
    age(only(), 10);
    ends_with(c, "421 4.4.2 ", "smtp.time-limit-exceeded");
}
END_TEST

static void rated(struct conf *c)
{
    roomy(c);
    c->limits.min_rate = 100;
    c->limits.command_timeout = c->limits.data_timeout = 1000;
}

/* Some bytes a minute keep a session alive by idle time alone; by rate they do not. */
START_TEST(too_slow_in_a_line)
{
    struct client *c;

    rig_start(RIG_MX, false, rated);
    c = client_greeted(0);
    client_send(c, "NOO");
    RIG_UNTIL(only()->rate_from_us != 0);
    age(only(), 50);
    ck_assert(!client_has(c, "421 ")); /* a slow start is no sin */
    client_send(c, "P");
    rig_turn();
    age(only(), 11);
    ends_with(c, "421 4.4.2 ", "too slow");
}
END_TEST

START_TEST(too_slow_in_data)
{
    struct client *c;

    rig_start(RIG_MX, false, rated);
    c = client_greeted(0);
    client_says(c, HELLO ENVELOPE "DATA\r\n", "354 ");
    for (int i = 0; i < 58; i++) {
        client_send(c, "x");
        rig_turn();
        rig_turn();
        age(only(), 1);
    }
    ck_assert(!client_has(c, "421 "));
    age(only(), 4);
    ends_with(c, "421 4.4.2 ", "too slow");
}
END_TEST

START_TEST(fast_enough_in_data)
{
    struct client *c;
    char line[203];

    memset(line, 'x', 200);
    memcpy(line + 200, "\r\n", 3);
    rig_start(RIG_MX, false, rated);
    c = client_greeted(0);
    client_says(c, HELLO ENVELOPE "DATA\r\n", "354 ");
    for (int i = 0; i < 200; i++) {
        client_send(c, line);
        rig_turn();
        rig_turn();
        age(only(), 1);
    }
    client_says(c, ".\r\n", "250 2.0.0 Ok");
    /* silence between commands is not slowness */
    age(only(), 400);
    client_says(c, "QUIT\r\n", "221 ");
    client_free(c);
    rig_stop();
}
END_TEST

static void small(struct conf *c)
{
    roomy(c);
    c->limits.max_connections = 10;
    c->limits.busy_percent = 80;
    c->limits.busy_timeout = 30;
}

START_TEST(busy_gives_less_time)
{
    struct client *c[9];
    struct session *s;

    rig_start(RIG_MX, false, small);
    for (int i = 0; i < 8; i++)
        c[i] = client_greeted(0);
    client_says(c[0], HELLO, "250 ");
    for (s = rig.server->first; s; s = s->next)
        s->started_us -= 31 * SECOND;
    session_tick(rig.server);
    ck_assert_uint_eq(rig.server->sessions, 8); /* eight of ten: not above 80 percent */
    c[8] = client_greeted(0);
    session_tick(rig.server);
    RIG_UNTIL(rig.server->sessions == 2); /* the new one, and the one that has said something */
    ck_assert(!client_has(c[0], "421 "));
    ck_assert(client_has(c[1], "421 "));
    ck_assert(!client_has(c[8], "421 "));
    for (int i = 0; i < 9; i++)
        client_free(c[i]);
    rig_stop();
}
END_TEST

/* The client does not read its replies: nothing can be said to it. */
START_TEST(reply_timeout)
{
    struct client *c;
    char some[6000];

    for (int i = 0; i < 1000; i++)
        memcpy(some + 6 * i, "HELP\r\n", 6);
    rig_start(RIG_MX, false, roomy);
    c = client_greeted(0);
    while (!only()->stream.out.len) {
        (void)send(c->fd, some, sizeof some, MSG_NOSIGNAL);
        rig_turn();
    }
    age(only(), rig.conf->limits.reply_timeout + 1);
    RIG_UNTIL(rig.server->sessions == 0);
    ck_assert_uint_ge(rig_logged("network.timeout"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

/* ---- the greeting */

static void delayed(struct conf *c)
{
    roomy(c);
    c->limits.greet_delay_ms = 60;
}

START_TEST(greeting_is_delayed)
{
    struct client *c;
    int64_t began, took;

    rig_start(RIG_MX, false, delayed);
    began = clock_now().mono_us;
    c = client_new(0);
    RIG_UNTIL(client_has(c, "220 "));
    took = clock_now().mono_us - began;
    ck_assert_msg(took >= 60000, "after %d us", (int)took);
    ck_assert_msg(took < 900000, "after %d us: waited for a tick", (int)took);
    client_says(c, "NOOP\r\n", "250 ");
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(early_talker_with_delay)
{
    struct client *c;

    rig_start(RIG_MX, false, delayed);
    c = client_new(0);
    client_send(c, HELLO);
    ends_with(c, "421 4.7.0 ", "smtp.talked-early");
}
END_TEST

START_TEST(early_talker_without_delay)
{
    struct client *c;

    rig_start(RIG_MX, false, roomy);
    c = client_new(0);
    client_send(c, HELLO); /* before the server turns once */
    RIG_UNTIL(client_has(c, "250 "));
    ck_assert_uint_eq(rig_logged("smtp.talked-early"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

/* ---- orders of the leader */

static bool reported(uint32_t what)
{
    struct chan_msg m;
    bool yes = false;

    while (chan_recv(rig.leader, rig.room, sizeof rig.room, &m, NULL) == 1) {
        yes |= m.type == what;
        chan_msg_close(&m);
    }
    return yes;
}

static bool refuses_connections(void)
{
    const struct addr *a = &rig.socket[0].local;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r, error;

    r = connect(fd, (const struct sockaddr *)&a->ss, a->len);
    error = errno;
    close(fd);
    return r < 0 && error == ECONNREFUSED;
}

START_TEST(drain)
{
    struct client *idle, *busy;
    struct session *s;

    rig_start(RIG_MX, false, roomy);
    idle = client_greeted(0);
    busy = client_greeted(0);
    client_says(busy, HELLO ENVELOPE, "250 2.1.5");
    rig_order(SERVER_DRAIN);
    ck_assert(refuses_connections());
    client_says(idle, "NOOP\r\n", "250 "); /* nobody is hurried */
    for (s = rig.server->first; s; s = s->next)
        s->activity_us -= 61 * SECOND;
    session_tick(rig.server);
    RIG_UNTIL(client_has(idle, "421 4.3.2") && client_ended(idle));
    ck_assert(!client_has(busy, "421 "));
    client_says(busy, "DATA\r\n", "354 ");
    client_says(busy, "Subject: x\r\n\r\n.\r\n", "250 2.0.0 Ok");
    client_says(busy, "QUIT\r\n", "221 ");
    RIG_UNTIL(reported(SERVER_DRAINED));
    client_free(idle);
    client_free(busy);
    rig_stop();
}
END_TEST

START_TEST(drained_at_once_when_empty)
{
    rig_start(RIG_MX, false, roomy);
    rig_order(SERVER_DRAIN);
    RIG_UNTIL(reported(SERVER_DRAINED));
    rig_stop();
}
END_TEST

START_TEST(close_old)
{
    struct client *idle, *busy;

    rig_start(RIG_MX, false, roomy);
    idle = client_greeted(0);
    busy = client_greeted(0);
    client_says(busy, HELLO ENVELOPE, "250 2.1.5");
    rig_order(SERVER_DRAIN);
    rig_order(SERVER_CLOSE_OLD);
    RIG_UNTIL(client_has(idle, "421 4.3.2") && client_ended(idle));
    client_says(busy, "DATA\r\n", "354 ");
    client_send(busy, "Subject: x\r\n\r\n.\r\n");
    RIG_UNTIL(client_has(busy, "250 2.0.0 Ok") && client_has(busy, "421 4.3.2") && client_ended(busy));
    client_free(idle);
    client_free(busy);
    rig_stop();
}
END_TEST

START_TEST(shutdown_waits_for_data)
{
    struct client *idle, *envelope, *data, *late;

    rig_start(RIG_MX, false, delayed);
    late = client_greeted(0);
    idle = client_greeted(0);
    envelope = client_greeted(0);
    data = client_greeted(0);
    client_says(envelope, HELLO ENVELOPE, "250 2.1.5");
    client_says(data, HELLO ENVELOPE "DATA\r\n", "354 ");
    client_free(late);
    late = client_new(0); /* not greeted yet */
    RIG_UNTIL(rig_now() == 4);
    rig_order(SERVER_SHUTDOWN);
    RIG_UNTIL(client_has(idle, "421 4.3.2") && client_ended(idle));
    RIG_UNTIL(client_has(late, "421 4.3.2") && client_ended(late));
    RIG_UNTIL(client_has(envelope, "421 4.3.2") && client_ended(envelope));
    client_send(data, "Subject: x\r\n\r\n.\r\n");
    RIG_UNTIL(client_has(data, "250 2.0.0 Ok") && client_has(data, "421 4.3.2") && client_ended(data));
    RIG_UNTIL(reported(SERVER_DRAINED));
    client_free(idle);
    client_free(envelope);
    client_free(data);
    client_free(late);
    rig_stop();
}
END_TEST

static void hasty(struct conf *c)
{
    roomy(c);
    c->limits.shutdown_data_time = 0;
}

START_TEST(shutdown_does_not_wait_for_ever)
{
    struct client *data;
    int64_t began;

    rig_start(RIG_MX, false, hasty);
    data = client_greeted(0);
    client_says(data, HELLO ENVELOPE "DATA\r\n", "354 ");
    began = clock_now().mono_us;
    rig_order(SERVER_SHUTDOWN);
    RIG_UNTIL(client_ended(data));
    ck_assert_int_lt(clock_now().mono_us - began, 900000); /* an alarm, not a tick */
    RIG_UNTIL(reported(SERVER_DRAINED));
    client_free(data);
    rig_stop();
}
END_TEST

/* The running commit is finished, everything is over within two seconds. */
START_TEST(leader_dies)
{
    struct client *committing, *data;
    int64_t began;

    rig_start(RIG_MX, false, roomy);
    committing = client_greeted(0);
    data = client_greeted(0);
    rig.hold = true;
    client_says(committing, HELLO ENVELOPE "DATA\r\n", "354 ");
    client_says(data, HELLO ENVELOPE "DATA\r\n", "354 ");
    client_send(committing, "Subject: x\r\n\r\n.\r\n");
    RIG_UNTIL(rig.waiting_count == 1);
    began = clock_now().mono_us;
    close(rig.leader);
    rig.leader = -1;
    RIG_UNTIL(rig.server->leaderless);
    ck_assert(refuses_connections());
    rig.hold = false;
    RIG_UNTIL(client_has(committing, "250 2.0.0 Ok") && client_ended(committing));
    RIG_UNTIL(rig.server->reported);
    ck_assert_int_lt(clock_now().mono_us - began, 2 * SECOND);
    client_free(committing);
    client_free(data);
    rig_stop();
}
END_TEST

SUITE_MAIN("session/timer", command_timeout, data_timeout, session_time, too_slow_in_a_line, too_slow_in_data,
           fast_enough_in_data, busy_gives_less_time, reply_timeout, greeting_is_delayed, early_talker_with_delay,
           early_talker_without_delay, drain, drained_at_once_when_empty, close_old, shutdown_waits_for_data,
           shutdown_does_not_wait_for_ever, leader_dies)
