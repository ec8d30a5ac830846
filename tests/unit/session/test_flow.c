/* What comes in goes out: batches, back-pressure, memory, half-close, the end of a connection. */
#include <malloc.h>

#include "unit/session/rig.h"

START_TEST(greeting_and_quit)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    c = client_greeted(0);
    ck_assert_int_eq(rig_now(), 1);
    client_says(c, "QUIT\r\n", "221 ");
    RIG_UNTIL(client_ended(c));
    ck_assert(!c->reset);
    ck_assert_int_eq(rig_now(), 0);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_CONNECTIONS), 1);
    ck_assert_uint_eq(rig_logged("reason=quit"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

/* More replies than are held at once, for input that came in one piece: nobody sends another byte to go on. */
START_TEST(many_replies_for_one_batch)
{
    enum { COMMANDS = 2000 };
    struct client *c;
    struct buf all = {0};
    unsigned lines;

    rig_start(RIG_MX, false, NULL);
    c = client_greeted(0);
    client_send(c, "HELP\r\n");
    RIG_UNTIL(client_has(c, "214 "));
    lines = (unsigned)c->len;
    ck_assert_uint_gt(lines * COMMANDS, 2 * 64 * 1024);
    client_forget(c);
    for (int i = 0; i < COMMANDS; i++)
        buf_append(&all, "HELP\r\n", 6);
    client_send(c, buf_str(&all));
    RIG_UNTIL(client_has(c, "214 ") && count_of(c->got, "214 ") == COMMANDS);
    buf_clear(&all);
    client_free(c);
    rig_stop();
}
END_TEST

/* A client that asks and does not read: we stop reading, hold little, and go on where we stopped. */
START_TEST(slow_reader)
{
    struct client *c;
    struct session *s;
    size_t sent = 0, most = 0, got = 0, one;
    int little = 16384, full = 0;
    char some[600];

    for (int i = 0; i < 100; i++)
        memcpy(some + 6 * i, "HELP\r\n", 6);
    rig_start(RIG_MX, false, NULL);
    c = client_greeted(0);
    client_send(c, "HELP\r\n");
    RIG_UNTIL(client_has(c, "214 "));
    one = c->len;
    s = rig.server->first;
    setsockopt(s->stream.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    setsockopt(s->stream.fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    while (full < 100 && sent < (64 << 20)) { /* until our reading has stopped, and the kernel is full */
        ssize_t n = send(c->fd, some + sent % 6, sizeof some - sent % 6, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        full = n > 0 ? 0 : full + 1;
        rig_turn();
        if (s->stream.out.len + s->stream.in.len > most)
            most = s->stream.out.len + s->stream.in.len;
    }
    ck_assert_int_eq(full, 100);
    ck_assert_uint_gt(s->stream.out.len, 0);
    ck_assert_uint_lt(most, 128 * 1024);
    ck_assert_uint_eq(watch_wanted(s->stream.watch), LOOP_WRITE); /* what waits unread wakes nobody */
    client_forget(c);
    RIG_UNTIL((client_take(c), got += c->len, client_forget(c), got >= one * (sent / 6)));
    ck_assert_uint_eq(rig.server->sessions, 1);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(half_close_is_answered)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    c = client_greeted(0);
    client_send(c, HELLO "NOOP\r\nNOO");
    shutdown(c->fd, SHUT_WR);
    RIG_UNTIL(client_ended(c));
    ck_assert_ptr_nonnull(strstr(c->got, "250 2.0.0"));
    ck_assert_int_eq(rig_now(), 0);
    ck_assert_uint_eq(rig_logged("closed by the client"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

/* The last reply is read although more of the client's bytes were on their way: no RST overtakes it. */
START_TEST(last_words_arrive)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    c = client_greeted(0);
    client_send(c, "QUIT\r\n");
    rig_turn();
    client_send(c, "NOOP\r\nNOOP\r\n");
    RIG_UNTIL(client_ended(c));
    ck_assert_ptr_nonnull(strstr(c->got, "221 "));
    client_free(c);

    c = client_greeted(0);
    client_send(c, "QUIT\r\nNOOP\r\nNOOP\r\n");
    for (int i = 0; i < 30; i++)
        client_send(c, "a line that comes behind the end of all things, and is read by nobody at all\r\n");
    RIG_UNTIL(client_ended(c));
    ck_assert_ptr_nonnull(strstr(c->got, "221 "));
    client_free(c);
    RIG_UNTIL(rig_now() == 0);
    rig_stop();
}
END_TEST

START_TEST(byte_by_byte)
{
    static const char talk[] = HELLO ENVELOPE "DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n";
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    c = client_greeted(0);
    for (const char *p = talk; *p; p++) {
        char one[2] = {*p, 0};

        client_send(c, one);
        rig_turn();
    }
    RIG_UNTIL(client_ended(c));
    ck_assert_ptr_nonnull(strstr(c->got, "250 2.0.0 Ok: "));
    ck_assert_ptr_nonnull(strstr(c->got, "221 "));
    client_free(c);
    rig_stop();
}
END_TEST

/* One session over its limit ends with a 4xx; the others do not notice. */
START_TEST(memory_limit)
{
    struct client *greedy, *other;
    int little = 4096;

    rig_start(RIG_MX, false, NULL);
    other = client_greeted(0);
    greedy = client_greeted(0);
    rig.conf->limits.session_memory = 20000;
    setsockopt(rig.server->first->stream.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    for (int i = 0; i < 2000; i++) /* replies that nobody reads */
        (void)send(greedy->fd, "HELP\r\n", 6, MSG_NOSIGNAL);
    RIG_UNTIL(rig_logged("limit.session-memory") == 1);
    RIG_UNTIL(client_has(greedy, "421 4.3.1 "));
    RIG_UNTIL(client_ended(greedy));
    client_says(other, HELLO ENVELOPE "DATA\r\n", "354 ");
    client_says(other, "Subject: x\r\n\r\n.\r\n", "250 2.0.0 Ok");
    client_free(greedy);
    client_free(other);
    rig_stop();
}
END_TEST

START_TEST(idle_sessions_are_small)
{
#if defined(__SANITIZE_ADDRESS__) || defined(POSTERN_SANITIZED)
    /* the sanitizer's allocator pads */
#else
    enum { SESSIONS = 400 };
    struct client *c[SESSIONS];
    size_t before, each;

    rig_start(RIG_MX, false, NULL);
    for (int i = 0; i < SESSIONS; i++)
        c[i] = mem_alloc(sizeof *c[i]);
    before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (int i = 0; i < SESSIONS; i++) {
        const struct addr *a = &rig.socket[0].local;

        c[i]->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(c[i]->fd, (const struct sockaddr *)&a->ss, a->len), 0);
        rig_turn();
    }
    RIG_UNTIL(rig_now() == SESSIONS);
    each = (mallinfo2().uordblks + mallinfo2().hblkhd - before) / SESSIONS;
    ck_assert_msg(each <= 2048, "%zu bytes for each", each);
    /* and after a command, too */
    for (int i = 0; i < SESSIONS; i++)
        client_says(c[i], HELLO, "250 ");
    each = (mallinfo2().uordblks + mallinfo2().hblkhd - before) / SESSIONS;
    ck_assert_msg(each <= 2048, "%zu bytes for each after EHLO", each);
    for (int i = 0; i < SESSIONS; i++)
        client_free(c[i]);
    rig_stop();
#endif
}
END_TEST

static void few(struct conf *c)
{
    c->limits.max_connections = 4;
    c->limits.max_per_address = 2;
    c->limits.max_per_network = 3;
}

START_TEST(connections_are_counted)
{
    struct client *c[5], *more;

    rig_start(RIG_MX, false, few);
    c[0] = client_from("192.0.2.1:1000");
    c[1] = client_from("192.0.2.1:1001");
    more = client_from("192.0.2.1:1002");
    ck_assert(client_has(more, "421 4.7.0 ") && client_ended(more));
    client_free(more);
    c[2] = client_from("192.0.2.2:1000");
    more = client_from("192.0.2.3:1000");
    ck_assert(client_has(more, "421 4.7.0 ") && client_ended(more));
    client_free(more);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_REFUSED), 2);
    c[3] = client_from("198.51.100.1:1");
    more = client_from("203.0.113.1:1"); /* the total holds for everybody */
    ck_assert(client_has(more, "421 4.3.2 ") && client_ended(more));
    client_free(more);
    for (int i = 0; i < 4; i++)
        ck_assert(client_has(c[i], "220 "));
    close(c[0]->fd);
    c[0]->fd = -1;
    RIG_UNTIL(rig_now() == 3);
    c[4] = client_from("192.0.2.1:1003");
    ck_assert(client_has(c[4], "220 "));
    for (int i = 0; i < 5; i++)
        client_free(c[i]);
    rig_stop();
}
END_TEST

START_TEST(a_flood_of_refusals_is_few_lines)
{
    struct client *c[3];

    rig_start(RIG_MX, false, few);
    c[0] = client_from("192.0.2.1:1000");
    c[1] = client_from("192.0.2.1:1001");
    for (int i = 0; i < 50; i++) {
        c[2] = client_from("192.0.2.1:1002");
        client_free(c[2]);
    }
    ck_assert_uint_le(rig_logged("smtp.concurrency-limit-exceeded"), 3);
    ck_assert_uint_ge(rig_logged("smtp.concurrency-limit-exceeded"), 1);
    client_free(c[0]);
    client_free(c[1]);
    rig_stop();
}
END_TEST

/* 452 and its kind end no session, so their number has no other bound. */
START_TEST(a_flood_of_words_is_few_lines)
{
    enum { FIRST = 100, AGAIN = 400 };
    struct client *c;

    rig_start(RIG_STARTTLS "max-recipients = 100\nmax-messages-per-session = 0\n", true, NULL);
    c = client_greeted(0);
    client_says(c, HELLO, "250 ");
    client_says(c, "MAIL FROM:<s@example.net>\r\n", "250 2.1.0");
    for (int i = 0; i < FIRST; i++)
        client_says(c, "RCPT TO:<alice@example.test>\r\n", "250 2.1.5");
    for (int i = 0; i < AGAIN; i++)
        client_says(c, "RCPT TO:<alice@example.test>\r\n", "452 4.5.3");
    ck_assert_uint_eq(rig_logged("event=smtp.too-many-recipients"), SESSION_LINES_MOST);
    client_says(c, "QUIT\r\n", "221 ");
    RIG_UNTIL(client_ended(c));
    ck_assert_uint_eq(rig_logged("heldBack=300"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(loopback_is_exempt)
{
    struct client *c[3];

    rig_start(RIG_MX, false, few);
    for (int i = 0; i < 3; i++)
        c[i] = client_greeted(0);
    for (int i = 0; i < 3; i++)
        client_free(c[i]);
    RIG_UNTIL(rig_now() == 0);
    rig_stop();
}
END_TEST

START_TEST(events_have_their_names)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    c = client_greeted(0);
    client_says(c, HELLO "MAIL FROM:<s@example.net>\r\n", "250 2.1.0");
    client_says(c, "RCPT TO:<nobody@example.test>\r\n", "550 5.1.1");
    client_says(c, "RCPT TO:<x@elsewhere.example>\r\n", "550 5.7.1");
    client_says(c, "NONSENSE\x01\x1b[2J\r\n", "500 ");
    ck_assert_uint_eq(rig_logged("smtp.mailbox-does-not-exist"), 1);
    ck_assert_uint_eq(rig_logged("smtp.relay-not-allowed"), 1);
    ck_assert_uint_eq(rig_logged("\x1b"), 0); /* what a peer sends reaches no terminal */
    client_free(c);
    RIG_UNTIL(rig_now() == 0);
    ck_assert_uint_eq(rig_logged("smtp.connection-start"), 1);
    ck_assert_uint_eq(rig_logged("smtp.connection-end"), 1);
    ck_assert_uint_ge(rig_logged("hostname=client.example.net"), 1);
    rig_stop();
}
END_TEST

SUITE_MAIN("session/flow", greeting_and_quit, many_replies_for_one_batch, slow_reader, half_close_is_answered,
           last_words_arrive, byte_by_byte, memory_limit, idle_sessions_are_small, connections_are_counted,
           a_flood_of_refusals_is_few_lines, a_flood_of_words_is_few_lines, loopback_is_exempt, events_have_their_names)
