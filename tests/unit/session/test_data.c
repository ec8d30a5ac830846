/* Messages: what is written, what is answered, and every way a session can end around a commit. */
#include "unit/session/rig.h"

static const char whole[] = HELLO ENVELOPE "DATA\r\n";

static struct client *in_data(void)
{
    struct client *c = client_greeted(0);

    client_says(c, whole, "354 ");
    return c;
}

static struct session *only(void)
{
    ck_assert_uint_eq(rig.server->sessions, 1);
    return rig.server->first;
}

START_TEST(a_message_goes_in)
{
    struct client *c;
    char *m;

    rig_start(RIG_MX, false, NULL);
    c = in_data();
    client_send(c, "Subject: x\r\n\r\n..dot\r\n.\r\n");
    RIG_UNTIL(client_has(c, "250 2.0.0 Ok: "));
    m = rig_message();
    ck_assert_ptr_nonnull(strstr(m, "Return-Path: <s@example.net>\nReceived: from client.example.net"));
    ck_assert_ptr_nonnull(strstr(m, "\nSubject: x\n\n.dot\n"));
    free(m);
    ck_assert_uint_eq(rig.last_count, 1);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_MESSAGES), 1);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_RECIPIENTS), 1);
    client_says(c, "QUIT\r\n", "221 ");
    RIG_UNTIL(client_ended(c));
    ck_assert_uint_eq(rig_logged("message.received"), 1);
    ck_assert_uint_eq(rig_logged("smtp.connection-end"), 1);
    ck_assert_int_eq(rig_now(), 0);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(pipelined_messages_go_in)
{
    struct client *c;
    struct buf all = {0};

    rig_start(RIG_MX, false, NULL);
    c = client_greeted(0);
    buf_printf(&all, "%s", HELLO);
    for (int i = 0; i < 20; i++)
        buf_printf(&all, "%sDATA\r\nSubject: %d\r\n\r\n.\r\n", ENVELOPE, i);
    buf_printf(&all, "QUIT\r\n");
    client_send(c, buf_str(&all));
    RIG_UNTIL(client_ended(c));
    ck_assert_uint_eq(count_of(c->got, "250 2.0.0 Ok: "), 20);
    ck_assert_ptr_nonnull(strstr(c->got, "221 "));
    ck_assert_uint_eq(rig.commits, 20);
    buf_clear(&all);
    client_free(c);
    rig_stop();
}
END_TEST

static void refused(enum sink_result r, int error, const char *answer)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    rig.result = r;
    rig.error = error;
    c = in_data();
    client_send(c, "Subject: x\r\n\r\n.\r\n");
    RIG_UNTIL(client_has(c, answer));
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_MESSAGES), 0);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_MESSAGES_TEMPFAIL), 1);
    client_forget(c);
    rig.result = SINK_OK;
    client_says(c, ENVELOPE "DATA\r\n", "354 ");
    client_says(c, "Subject: again\r\n\r\n.\r\n", "250 2.0.0 Ok: ");
    client_free(c);
    rig_stop();
}

START_TEST(what_the_store_refuses_is_4xx)
{
    refused(SINK_FULL, ENOSPC, "452 4.3.1 ");
    refused(SINK_QUOTA, EDQUOT, "452 4.2.2 ");
    refused(SINK_FAILED, EIO, "451 4.3.0 ");
}
END_TEST

START_TEST(a_write_that_fails_is_4xx)
{
    struct client *c;

    rig_preset.sealed = true;
    rig_start(RIG_MX, false, NULL);
    c = in_data();
    client_send(c, "Subject: x\r\n\r\n.\r\n");
    RIG_UNTIL(client_has(c, "451 4.3.0 "));
    ck_assert_uint_eq(rig.commits, 0);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(reset_in_data)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    c = in_data();
    for (int i = 0; i < 5000; i++) /* enough for the message to have its file */
        client_send(c, "a line of a message\r\n");
    RIG_UNTIL(!stream_has_unread(&only()->stream) && sink_written(only()->message) > 90000);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_TRANSACTIONS_NOW), 1);
    client_reset(c);
    RIG_UNTIL(rig_now() == 0 && rig.drops == 1);
    ck_assert_uint_eq(rig.commits, 0);
    ck_assert_uint_eq(rig_logged("connection lost"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(half_close_in_data)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    c = in_data();
    client_send(c, "Subject: x\r\n\r\nhalf");
    shutdown(c->fd, SHUT_WR);
    RIG_UNTIL(client_ended(c));
    ck_assert_uint_eq(rig.commits, 0);
    client_free(c);
    rig_stop();
}
END_TEST

/* Everything was sent before the end: everything is answered. */
START_TEST(half_close_behind_a_message)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    c = in_data();
    client_send(c, "Subject: x\r\n\r\n.\r\nNOOP\r\n");
    shutdown(c->fd, SHUT_WR);
    RIG_UNTIL(client_ended(c));
    ck_assert_ptr_nonnull(strstr(c->got, "250 2.0.0 Ok: "));
    ck_assert_uint_eq(count_of(c->got, "250 "), 2);
    client_free(c);
    rig_stop();
}
END_TEST

/* The client is gone when the answer comes: delivered all the same, and nothing of the session is touched. */
START_TEST(reset_in_commit)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    rig.hold = true;
    c = in_data();
    client_send(c, "Subject: x\r\n\r\n.\r\n");
    RIG_UNTIL(rig.waiting_count == 1);
    ck_assert_int_eq(only()->wait, SESSION_COMMITTING);
    session_end(only(), "test");
    client_reset(c);
    rig.hold = false;
    rig_answer_all();
    RIG_UNTIL(store_client_in_flight(rig.server->sink) == 0);
    ck_assert_int_eq(rig_now(), 0);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(timeout_in_commit)
{
    struct client *c;

    rig_start(RIG_MX, false, NULL);
    rig.hold = true;
    c = in_data();
    client_send(c, "Subject: x\r\n\r\n.\r\n");
    RIG_UNTIL(rig.waiting_count == 1);
    only()->deadline_us = 1;
    session_tick(rig.server);
    RIG_UNTIL(client_has(c, "421 4.4.2 "));
    RIG_UNTIL(client_ended(c) && rig.server->sessions == 0);
    rig.hold = false;
    rig_answer_all();
    RIG_UNTIL(store_client_in_flight(rig.server->sink) == 0);
    client_free(c);
    rig_stop();
}
END_TEST

/* The peer does not read its last words while the commit's answer arrives. */
START_TEST(memory_limit_in_commit)
{
    struct client *c;
    char block[15000];

    rig_start(RIG_MX, false, NULL);
    rig.hold = true;
    c = in_data();
    memset(block, 'x', sizeof block);
    memcpy(block, "Subject: x\r\n\r\n.\r\n", 17);
    block[sizeof block - 1] = '\0';
    client_send(c, block);
    rig.conf->limits.session_memory = 8192;
    RIG_UNTIL(client_has(c, "421 4.3.1 "));
    RIG_UNTIL(client_ended(c));
    RIG_UNTIL(rig.waiting_count == 1);
    rig.hold = false;
    rig_answer_all();
    RIG_UNTIL(store_client_in_flight(rig.server->sink) == 0);
    ck_assert_uint_eq(rig_logged("limit.session-memory"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(gone_while_waiting_for_a_file)
{
    struct client *c;

    rig_preset.no_files = true;
    rig_start(RIG_MX, false, NULL);
    c = client_greeted(0);
    client_send(c, whole);
    RIG_UNTIL(rig.server->sessions == 1 && only()->wait == SESSION_OPENING);
    session_end(only(), "test");
    rig_make_files(1);
    RIG_UNTIL(rig.server->dead == NULL);
    for (int i = 0; i < 5; i++)
        rig_turn();
    client_free(c);
    rig_stop();
}
END_TEST

/* A dead store: what is open gets 451, EHLO is still answered. */
START_TEST(store_dies)
{
    struct client *open, *committing, *other;

    rig_start(RIG_MX, false, NULL);
    open = in_data();
    committing = client_greeted(0);
    other = client_greeted(0);
    rig.hold = true;
    client_says(committing, whole, "354 ");
    client_send(committing, "Subject: x\r\n\r\n.\r\n");
    RIG_UNTIL(rig.waiting_count == 1);
    close(rig.store);
    rig.store = -1;
    RIG_UNTIL(client_has(committing, "451 4.3.0 "));
    client_says(open, "Subject: x\r\n\r\n.\r\n", "451 4.3.0 ");
    client_says(other, HELLO ENVELOPE "DATA\r\n", "451 4.3.0 ");
    client_says(other, HELLO, "250 ");
    client_free(open);
    client_free(committing);
    client_free(other);
    rig_stop();
}
END_TEST

START_TEST(ids_differ)
{
    struct session *s;
    struct client *c[3];
    uint64_t id[3];

    rig_start(RIG_MX, false, NULL);
    for (unsigned i = 0; i < 3; i++) {
        rig.setup.slot = (int)i; /* as another worker would have it */
        rig.server->next_id = 7;
        c[i] = client_from("192.0.2.1:1");
        s = rig.server->first;
        id[i] = s->id;
        s->exempt = true;
    }
    ck_assert_uint_ne(id[0], id[1]);
    ck_assert_uint_ne(id[1], id[2]);
    ck_assert_uint_ne(id[0], id[2]);
    for (unsigned i = 0; i < 3; i++) {
        rig.setup.slot = 2 - (int)i; /* first is the last */
        session_end(rig.server->first, "test");
        client_free(c[i]);
    }
    rig.setup.slot = 0;
    rig_stop();
}
END_TEST

SUITE_MAIN("session/data", a_message_goes_in, pipelined_messages_go_in, what_the_store_refuses_is_4xx,
           a_write_that_fails_is_4xx, reset_in_data, half_close_in_data, half_close_behind_a_message, reset_in_commit,
           timeout_in_commit, memory_limit_in_commit, gone_while_waiting_for_a_file, store_dies, ids_differ)
