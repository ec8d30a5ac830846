/* The queue's scheduler with a relay of the test's own. */
#include "unit/sink/queue_rig.h"
#include "unit/suite.h"

static struct rig_transfer t;

START_TEST(a_message_leaves)
{
    struct queue_rig r;
    char *text;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "alice@example.org", "smarthost", "bob@example.net carol@example.com", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    ck_assert_str_eq(t.t.id, "a1");
    ck_assert_str_eq(t.t.route, "smarthost");
    ck_assert_str_eq(t.t.domain, "");
    ck_assert_str_eq(t.t.sender, "alice@example.org");
    ck_assert_uint_eq(t.t.rcpt_count, 2);
    ck_assert_str_eq(t.t.rcpts[1].address, "carol@example.com");
    text = rig_content(&t);
    ck_assert_str_eq(text, RIG_CONTENT);
    free(text);
    ck_assert_int_eq(fcntl(t.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(!queue_rig_has(&r, "a1"), "the file's end");
    queue_rig_end(&r);
}
END_TEST

START_TEST(one_that_comes_later_is_found)
{
    struct queue_rig r;

    queue_rig_dir(&r);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    queue_rig_until(queue_rig_says(&r, "status", "\"messages\":0"), "a scheduler");
    queue_rig_put(&r, "a1", "alice@example.org", "smarthost", "bob@example.net", 0, NULL);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_RELAYED, RELAY_HEALTH_GOOD);
    queue_rig_until(!queue_rig_has(&r, "a1"), "the file's end");
    queue_rig_end(&r);
}
END_TEST

START_TEST(recipients_progress_one_by_one)
{
    struct queue_rig r;
    const char *text;

    queue_rig_dir(&r);
    r.limits.retry.first_gap_us = 20000;
    queue_rig_put(&r, "a1", "", "smarthost", "a@example.net b@example.net c@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_say(r.relay, &t.t, 0, RELAY_DELIVERED);
    rig_relay_say(r.relay, &t.t, 1, RELAY_DEFERRED);
    rig_relay_say(r.relay, &t.t, 2, RELAY_FAILED);
    rig_relay_done(r.relay, &t, RELAY_HEALTH_GOOD);
    rig_relay_get(r.relay, &t);
    ck_assert_uint_eq(t.t.rcpt_count, 1);
    ck_assert_str_eq(t.t.rcpts[0].address, "b@example.net");
    ck_assert_uint_eq(t.t.rcpts[0].index, 1);
    text = queue_rig_read(&r, "a1");
    ck_assert_ptr_nonnull(
        strstr(text, "try 1 rcpt 0 delivered 250 2.0.0 by mx.example.net[192.0.2.25] \"so it is\"\n"));
    ck_assert_ptr_nonnull(strstr(text, "try 1 rcpt 1 deferred 450 4.2.0 by "));
    ck_assert_ptr_nonnull(strstr(text, "rcpt 2 reported -\n"));
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(queue_rig_count(&r) == 0, "the file's end");
    queue_rig_end(&r);
}
END_TEST

START_TEST(domains_go_apart_where_the_route_asks_for_it)
{
    struct queue_rig r;
    unsigned seen = 0;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "", "mx", "a@Example.NET b@example.com c@example.net.", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    for (int i = 0; i < 2; i++) {
        rig_relay_get(r.relay, &t);
        seen += strcmp(t.t.domain, "example.net") == 0 && t.t.rcpt_count == 2;
        seen += strcmp(t.t.domain, "example.com") == 0 && t.t.rcpt_count == 1;
        rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    }
    ck_assert_uint_eq(seen, 2);
    queue_rig_until(queue_rig_count(&r) == 0, "the file's end");
    queue_rig_end(&r);
}
END_TEST

START_TEST(a_failure_is_told_locally)
{
    struct queue_rig r;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "alice@example.org", "smarthost", "bob@example.net carol@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_FAILED, RELAY_HEALTH_GOOD);
    queue_rig_until(!queue_rig_has(&r, "a1"), "the file's end");
    ck_assert_uint_eq(rig_home.delivered, 1);
    ck_assert_int_eq(strncmp(rig_home.mail, "Return-Path: <>\nFrom: Mail Delivery System", 42), 0);
    ck_assert_ptr_nonnull(strstr(rig_home.mail, "Final-Recipient: rfc822; bob@example.net\n"));
    ck_assert_ptr_nonnull(strstr(rig_home.mail, "Final-Recipient: rfc822; carol@example.net\n"));
    ck_assert_ptr_nonnull(strstr(rig_home.mail, "\n" RIG_CONTENT));
    queue_rig_end(&r);
}
END_TEST

START_TEST(a_failure_is_sent_to_a_sender_elsewhere)
{
    struct queue_rig r;
    char *text;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "zoe@example.com", "lmtp", "bob@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_FAILED, RELAY_HEALTH_GOOD);
    rig_relay_get(r.relay, &t); /* the report */
    ck_assert_str_eq(t.t.sender, "");
    ck_assert_str_eq(t.t.route, "back");
    ck_assert_str_eq(t.t.rcpts[0].address, "zoe@example.com");
    ck_assert_uint_eq(t.t.rcpts[0].notify, QUEUE_NOTIFY_NEVER);
    text = rig_content(&t);
    ck_assert_ptr_nonnull(strstr(text, "Action: failed\n"));
    free(text);
    queue_rig_until(!queue_rig_has(&r, "a1"), "the file's end");
    rig_relay_all(r.relay, &t, RELAY_FAILED, RELAY_HEALTH_GOOD); /* no report on a report */
    queue_rig_until(queue_rig_count(&r) == 0, "the file's end");
    queue_rig_end(&r);
}
END_TEST

/* RFC 8689 5: "All non-delivery messages resulting from messages with the REQUIRETLS SMTP option [...] MUST also specify the
 * REQUIRETLS SMTP option". */
START_TEST(a_report_is_as_secret_as_its_message)
{
    struct queue_rig r;

    queue_rig_dir(&r);
    rig_requiretls = true;
    queue_rig_put(&r, "a1", "alice@example.com", "smarthost", "bob@example.net", 0, NULL);
    rig_requiretls = false;
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    ck_assert(t.t.requiretls);
    rig_relay_all(r.relay, &t, RELAY_FAILED, RELAY_HEALTH_GOOD);
    rig_relay_get(r.relay, &t);
    ck_assert_str_eq(t.t.sender, "");
    ck_assert(t.t.requiretls);
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(queue_rig_count(&r) == 0, "the file's end");
    queue_rig_end(&r);
}
END_TEST

START_TEST(success_is_told_when_it_is_ours_to_tell)
{
    static const struct {
        const char *route;
        enum relay_outcome outcome;
        const char *action;
    } c[] = {{"lmtp", RELAY_DELIVERED, "Action: delivered"},
             {"smarthost", RELAY_RELAYED, "Action: relayed"},
             {"smarthost", RELAY_DELIVERED, NULL}};

    for (unsigned i = 0; i < 3; i++) {
        struct queue_rig r;

        rig_home.delivered = 0;
        queue_rig_dir(&r);
        queue_rig_put(&r, "a1", "alice@example.org", c[i].route, "!bob@example.net carol@example.net", 0, NULL);
        queue_rig_start(&r);
        queue_rig_relay(&r);
        rig_relay_get(r.relay, &t);
        rig_relay_all(r.relay, &t, c[i].outcome, RELAY_HEALTH_GOOD);
        queue_rig_until(queue_rig_count(&r) == 0, "the file's end");
        ck_assert_uint_eq(rig_home.delivered, c[i].action != NULL);
        if (c[i].action) {
            ck_assert_ptr_nonnull(strstr(rig_home.mail, c[i].action));
            ck_assert_ptr_null(strstr(rig_home.mail, "carol@"));
        }
        queue_rig_end(&r);
    }
}
END_TEST

#define TRIED "try 1 rcpt 0 deferred 451 4.4.1 at mx.example.net[192.0.2.25] \"no answer\"\n"

static char *tried(int64_t ago_s)
{
    char time[QUEUE_FILE_TIME];

    queue_file_time(time, clock_now().real_us - ago_s * 1000000);
    return mem_printf("%s " TRIED, time);
}

START_TEST(a_delay_is_told_once)
{
    struct queue_rig r;
    char *log = tried(10);

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "alice@example.org", "smarthost", "bob@example.net", 5 * 3600, log);
    queue_rig_start(&r); /* no relay at all */
    queue_rig_until(rig_home.delivered == 1, "the notice");
    ck_assert_ptr_nonnull(strstr(rig_home.mail, "Action: delayed\n"));
    ck_assert_ptr_nonnull(strstr(rig_home.mail, "Will-Retry-Until: "));
    ck_assert_ptr_nonnull(strstr(rig_home.mail, "X-Postern; no answer\n"));
    queue_rig_until(strstr(queue_rig_read(&r, "a1"), "rcpt 0 delay-notice r") != NULL, "the line");
    queue_rig_stop(&r);
    queue_rig_start(&r);
    queue_rig_until(queue_rig_says(&r, "status", "\"messages\":1"), "a scheduler");
    ck_assert_uint_eq(rig_home.delivered, 1);
    free(log);
    queue_rig_end(&r);
}
END_TEST

START_TEST(what_is_too_old_comes_back)
{
    struct queue_rig r;
    char *log = tried(3590);

    queue_rig_dir(&r);
    r.limits.retry.max_age_us = INT64_C(3600) * 1000000;
    queue_rig_put(&r, "a1", "alice@example.org", "smarthost", "bob@example.net", 7200, log);
    queue_rig_start(&r);
    queue_rig_until(queue_rig_count(&r) == 0, "the file's end");
    ck_assert_uint_eq(rig_home.delivered, 1);
    ck_assert_ptr_nonnull(strstr(rig_home.mail, "Status: 5.4.7\n"));
    ck_assert_ptr_nonnull(strstr(rig_home.mail, "no answer"));
    free(log);
    queue_rig_end(&r);
}
END_TEST

START_TEST(a_report_that_cannot_be_made_waits)
{
    struct queue_rig r;

    queue_rig_dir(&r);
    rig_home.error = ENOSPC;
    queue_rig_put(&r, "a1", "alice@example.org", "smarthost", "bob@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_FAILED, RELAY_HEALTH_GOOD);
    queue_rig_until(strstr(queue_rig_read(&r, "a1"), "rcpt 0 failed 550") != NULL, "the line");
    ck_assert_ptr_null(strstr(queue_rig_read(&r, "a1"), "reported"));
    queue_rig_stop(&r);
    rig_home.error = 0;
    queue_rig_start(&r); /* the next one makes it */
    queue_rig_until(queue_rig_count(&r) == 0, "the file's end");
    ck_assert_uint_eq(rig_home.delivered, 1);
    queue_rig_end(&r);
}
END_TEST

START_TEST(a_sender_without_a_way_ends_it)
{
    struct queue_rig r;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "x@nowhere.example", "smarthost", "bob@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_FAILED, RELAY_HEALTH_GOOD);
    queue_rig_until(queue_rig_count(&r) == 0, "the file's end");
    queue_rig_end(&r);
}
END_TEST

START_TEST(a_relay_that_dies_makes_them_wait_again)
{
    struct queue_rig r;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "", "smarthost", "a@example.net b@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_say(r.relay, &t.t, 0, RELAY_DELIVERED);
    close(t.fd);
    close(r.relay);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t); /* a has its result, which counts */
    ck_assert_uint_eq(t.t.rcpt_count, 1);
    ck_assert_str_eq(t.t.rcpts[0].address, "b@example.net");
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(queue_rig_count(&r) == 0, "the file's end");
    queue_rig_end(&r);
}
END_TEST

static void is_cut_off(struct queue_rig *r)
{
    struct pollfd p = {.fd = r->relay, .events = POLLIN};
    char byte;

    ck_assert_int_eq(poll(&p, 1, RIG_DEADLINE_MS), 1);
    ck_assert_int_le(recv(r->relay, &byte, 1, 0), 0);
    close(r->relay);
    close(t.fd);
    queue_rig_relay(r);
    rig_relay_get(r->relay, &t);
}

START_TEST(a_relay_that_talks_nonsense_is_cut_off)
{
    struct queue_rig r;
    struct relay_transfer lie;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "", "smarthost", "a@example.net b@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    chan_send_wait(r.relay, RIG_DEADLINE_MS, RELAY_RESULT, "x", 1, NULL, 0, NULL);
    is_cut_off(&r);
    lie = t.t;
    lie.number++;
    rig_relay_say(r.relay, &lie, 0, RELAY_DELIVERED); /* no such transfer */
    is_cut_off(&r);
    lie = t.t;
    lie.rcpts[0].index = 7;
    rig_relay_say(r.relay, &lie, 0, RELAY_DELIVERED); /* no such recipient */
    is_cut_off(&r);
    rig_relay_done(r.relay, &t, RELAY_HEALTH_GOOD); /* without results */
    t.fd = -1;
    is_cut_off(&r);
    rig_relay_say(r.relay, &t.t, 0, RELAY_DEFERRED);
    rig_relay_say(r.relay, &t.t, 0, RELAY_DEFERRED); /* twice */
    is_cut_off(&r);
    close(t.fd);
    ck_assert(queue_rig_has(&r, "a1"));
    queue_rig_end(&r);
}
END_TEST

static void put_many(const struct queue_rig *r, unsigned n, const char *route)
{
    for (unsigned i = 0; i < n; i++) {
        char id[16];

        snprintf(id, sizeof id, "m%u", i);
        queue_rig_put(r, id, "", route, "a@example.net", 0, NULL);
    }
}

START_TEST(limits_hold)
{
    static struct rig_transfer held[7];
    struct queue_rig r;

    queue_rig_dir(&r);
    r.limits.transfers = 5;
    r.limits.per_destination = 3;
    put_many(&r, 5, "one");
    queue_rig_put(&r, "x1", "", "two", "a@example.net", 0, NULL);
    queue_rig_put(&r, "x2", "", "two", "a@example.net", 0, NULL);
    queue_rig_put(&r, "x3", "", "two", "a@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_until(queue_rig_says(&r, "status", "\"messages\":8"), "the scan");
    queue_rig_relay(&r);
    for (unsigned i = 0; i < 5; i++)
        rig_relay_get(r.relay, &held[i]);
    ck_assert(!rig_relay_get_within(r.relay, &held[5], 50));
    for (unsigned i = 0, one = 0; i < 5; i++)
        ck_assert_uint_le(one += strcmp(held[i].t.route, "one") == 0, 3);
    ck_assert(queue_rig_says(&r, "status", "\"running\":5"));
    rig_relay_all(r.relay, &held[0], RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    rig_relay_get(r.relay, &held[5]);
    for (unsigned i = 1; i < 6; i++)
        rig_relay_all(r.relay, &held[i], RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    for (unsigned i = 0; i < 2; i++) {
        rig_relay_get(r.relay, &held[i]);
        rig_relay_all(r.relay, &held[i], RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    }
    queue_rig_until(queue_rig_count(&r) == 0, "the end");
    queue_rig_end(&r);
}
END_TEST

START_TEST(a_destination_that_is_down_keeps_others_waiting_no_longer)
{
    struct queue_rig r;

    queue_rig_dir(&r);
    r.limits.per_destination = 1;
    r.limits.retry.first_gap_us = 1000;
    put_many(&r, 3, "down");
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_DEFERRED, RELAY_HEALTH_UNREACHABLE);
    ck_assert(!rig_relay_get_within(r.relay, &t, 100)); /* some seconds of back-off */
    ck_assert(queue_rig_says(&r, "list", "\"reason\":\"450 4.2.0 mx.example.net[192.0.2.25]: so it is\""));
    ck_assert(queue_rig_says(&r, "status", "\"destinationsDown\":1"));
    queue_rig_put(&r, "x1", "", "up", "a@example.net", 0, NULL);
    rig_relay_get(r.relay, &t);
    ck_assert_str_eq(t.t.id, "x1");
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    ck_assert(queue_rig_says(&r, "flush all", "\"ok\":true")); /* an operator knows better */
    rig_relay_get(r.relay, &t);
    ck_assert_str_eq(t.t.route, "down");
    close(t.fd);
    queue_rig_end(&r);
}
END_TEST

START_TEST(commands)
{
    struct queue_rig r;
    const char *text;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "alice@example.org", "smarthost", "\"a\\b\"@example.net", 100, NULL);
    queue_rig_put(&r, "a2", "", "mx", "b@Example.COM c@example.net", 10, NULL);
    queue_rig_start(&r);
    queue_rig_until(queue_rig_says(&r, "list", "\"count\":2"), "the scan");
    ck_assert(queue_rig_says(&r, "list", "\"from\":\"alice@example.org\",\"rcpts\":1,\"waiting\":1"));
    ck_assert(queue_rig_says(&r, "list older=50", "{\"ok\":true,\"count\":1}"));
    ck_assert(queue_rig_says(&r, "list domain=example.com", "\"id\":\"a2\""));
    ck_assert(queue_rig_says(&r, "list domain=example.com", "{\"ok\":true,\"count\":1}"));
    ck_assert(queue_rig_says(&r, "list from=", "{\"ok\":true,\"count\":1}"));
    ck_assert(queue_rig_says(&r, "show a1", "\"address\":\"\\\"a\\\\b\\\"@example.net\",\"route\":\"smarthost\""));
    ck_assert(queue_rig_says(&r, "show a3", "no such message"));
    ck_assert(queue_rig_says(&r, "hold id=a1", "{\"ok\":true,\"count\":1}"));
    ck_assert(queue_rig_says(&r, "list held", "\"id\":\"a1\""));
    text = queue_rig_read(&r, "a1");
    ck_assert_ptr_nonnull(strstr(text, "Z held \"by the operator\"\n"));
    queue_rig_relay(&r);
    for (unsigned i = 0; i < 2; i++) { /* both of a2 */
        rig_relay_get(r.relay, &t);
        ck_assert_str_eq(t.t.id, "a2");
        rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    }
    ck_assert(!rig_relay_get_within(r.relay, &t, 50));
    ck_assert(queue_rig_says(&r, "release all", "{\"ok\":true,\"count\":1}"));
    rig_relay_get(r.relay, &t);
    ck_assert_str_eq(t.t.id, "a1");
    ck_assert(queue_rig_says(&r, "delete a1", "{\"ok\":true,\"count\":1}"));
    ck_assert(!queue_rig_has(&r, "a1"));
    rig_relay_all(r.relay, &t, RELAY_DEFERRED, RELAY_HEALTH_GOOD);
    queue_rig_until(queue_rig_says(&r, "status", "\"messages\":0"), "its end");
    ck_assert_uint_eq(queue_rig_count(&r), 0);
    queue_rig_end(&r);
}
END_TEST

START_TEST(requests_are_checked)
{
    static const char *const bad[] = {"",
                                      "lis",
                                      "show",
                                      "delete",
                                      "hold",
                                      "delete domain=",
                                      "list older=x",
                                      "list older=0",
                                      "show ../x",
                                      "list all  held",
                                      "show all"};
    struct queue_request r;
    struct err e;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(queue_command_parse(&r, span_str(bad[i]), &e) < 0, "%s", bad[i]);
    ck_assert_int_eq(queue_command_parse(&r, SPAN("flush domain=Example.ORG older=60 held"), &e), 0);
    ck_assert(r.verb == QUEUE_FLUSH && r.held && r.older_us == 60000000);
    ck_assert_str_eq(r.domain, "example.org");
}
END_TEST

/* ---- answers */

#define MANY 1500

static int ask_slowly(const struct queue_rig *r, const char *request)
{
    int fd[2], least = 1;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    queue_ask(r->q, span_str(request), fd[0]);
    return fd[1];
}

/* To the end. */
static char *read_all(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct buf b = {0};
    char *text;
    ssize_t n;

    while (poll(&p, 1, RIG_DEADLINE_MS) == 1 && (n = read(fd, buf_space(&b, 4096), 4096)) > 0)
        buf_added(&b, (size_t)n);
    ck_assert_msg(p.revents, "no answer in time");
    close(fd);
    text = mem_strn(b.len ? buf_data(&b) : "", b.len);
    buf_clear(&b);
    return text;
}

static void put_hundreds(struct queue_rig *r)
{
    queue_rig_dir(r);
    for (unsigned i = 0; i < MANY; i++) {
        char id[16];

        snprintf(id, sizeof id, "m%04u", i);
        queue_rig_put(r, id, "alice@example.org", "smarthost", "b@example.net", 20000 - i * 10, NULL);
    }
    queue_rig_start(r);
}

START_TEST(a_slow_reader_is_waited_for_by_nobody)
{
    struct queue_rig r;
    unsigned seen = 0;
    char last[16] = "", first[16], *text;
    int fd;

    put_hundreds(&r);
    fd = ask_slowly(&r, "list");
    ck_assert_int_eq(read(fd, first, 1), 1); /* it has begun, and cannot go on */
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    ck_assert(queue_rig_says(&r, "delete older=10000", "\"ok\":true")); /* what it rests at goes */
    ck_assert(queue_rig_says(&r, "status", "\"messages\":"));
    text = read_all(fd);
    for (char *p = strstr(text, "\"id\":\""); p; p = strstr(p + 1, "\"id\":\""), seen++) {
        ck_assert_msg(memcmp(p + 6, last, 5) != 0, "twice: %s", last);
        memcpy(last, p + 6, 5);
    }
    ck_assert_uint_gt(seen, 300);
    ck_assert_uint_lt(seen, MANY);
    ck_assert_str_eq(last, "m1499");
    ck_assert_str_eq(strrchr(text, '{') - 1, strstr(text, "\n{\"ok\":true,\"count\":"));
    free(text);
    queue_rig_end(&r);
}
END_TEST

START_TEST(so_many_may_ask)
{
    struct queue_rig r;
    char *text;
    int fd[16], gone;

    put_hundreds(&r);
    for (unsigned i = 0; i < 16; i++)
        fd[i] = ask_slowly(&r, "list");
    text = read_all(ask_slowly(&r, "status"));
    ck_assert_ptr_nonnull(strstr(text, "{\"ok\":false,\"error\":\"too many ask"));
    free(text);
    close(fd[0]); /* hung up */
    queue_rig_until(queue_rig_says(&r, "status", "\"ok\":true"), "a place");
    gone = ask_slowly(&r, "list from=alice@example.org older=1");
    close(gone);
    for (unsigned i = 1; i < 16; i++) {
        text = read_all(fd[i]);
        ck_assert_ptr_nonnull(strstr(text, "{\"ok\":true,\"count\":1500}"));
        free(text);
    }
    queue_rig_end(&r);
}
END_TEST

START_TEST(answers_are_ascii)
{
    struct queue_rig r;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "\xc3\xbc\xc2\x9b\xe2\x82\xac\xf0\x9f\x98\x80@example.org", "smarthost", "b\"@example.net",
                  0, NULL);
    queue_rig_put(&r, "a2", "\xfc@example.org", "smarthost", "b@example.net", 0, NULL);
    queue_rig_start(&r);
    ck_assert(queue_rig_says(&r, "list", "\"from\":\"\\u00fc\\u009b\\u20ac\\ud83d\\ude00@example.org\""));
    ck_assert(queue_rig_says(&r, "list", "\"from\":\"\\u00fc@example.org\""));
    queue_rig_end(&r);
}
END_TEST

START_TEST(damaged_files_are_left_alone)
{
    struct queue_rig r;
    char *path;
    FILE *f;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "", "smarthost", "b@example.net", 0, "2026-11-23T07:05:00Z nonsense\n");
    queue_rig_put(&r, "a2", "", "smarthost", "b@example.net", 0,
                  "2026-11-23T07:05:00Z try 1 rcpt 0 deliv"); /* cut off */
    path = mem_printf("%s/queue/a3", r.dir);
    f = fopen(path, "w");
    fputs("postern-queue 1\nsize: 0000", f);
    fclose(f);
    free(path);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    ck_assert_str_eq(t.t.id, "a2");
    rig_relay_all(r.relay, &t, RELAY_DEFERRED, RELAY_HEALTH_GOOD);
    queue_rig_until(strstr(queue_rig_read(&r, "a2"), "Hello\n20") != NULL &&
                        strstr(queue_rig_read(&r, "a2"), "deferred 450") != NULL,
                    "a log without the cut-off line");
    ck_assert_ptr_null(strstr(queue_rig_read(&r, "a2"), "deliv"));
    ck_assert(queue_rig_says(&r, "status", "\"damaged\":2"));
    ck_assert(queue_rig_has(&r, "a1") && queue_rig_has(&r, "a3"));
    queue_rig_end(&r);
}
END_TEST

START_TEST(a_file_may_be_moved_away_and_back)
{
    struct queue_rig r;
    char *here, *there;

    queue_rig_dir(&r);
    here = mem_printf("%s/queue/a1", r.dir);
    there = mem_printf("%s/a1", r.dir);
    queue_rig_put(&r, "a1", "", "smarthost", "b@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_until(queue_rig_says(&r, "status", "\"messages\":1,"), "the scan");
    ck_assert_int_eq(rename(here, there), 0);
    queue_rig_until(queue_rig_says(&r, "status", "\"messages\":0,"), "its absence");
    ck_assert_int_eq(rename(there, here), 0);
    queue_rig_until(queue_rig_says(&r, "status", "\"messages\":1,"), "its return");
    for (unsigned i = 0; i < 50; i++) { /* quicker than anybody looks */
        ck_assert_int_eq(rename(here, there), 0);
        ck_assert_int_eq(rename(there, here), 0);
    }
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(queue_rig_count(&r) == 0, "the end");
    free(here);
    free(there);
    queue_rig_end(&r);
}
END_TEST

START_TEST(one_schedules_and_hands_over)
{
    struct queue_rig r, next;
    char text[8192] = "";
    int fd, mine;

    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "", "smarthost", "b@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    next = r;
    queue_rig_start(&next);
    queue_rig_relay(&next);
    queue_drain(r.q);
    fd = memfd_create("answer", MFD_CLOEXEC);
    mine = dup(fd);
    queue_ask(next.q, SPAN("list"), fd); /* waits for it */
    ck_assert(queue_rig_says(&r, "list", "{\"ok\":true,\"count\":1}"));
    queue_rig_put(&r, "a2", "", "smarthost", "c@example.net", 0, NULL);
    ck_assert(!queue_is_idle(r.q));
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(queue_is_idle(r.q), "the old one's end");
    ck_assert(queue_rig_says(&r, "list", "handed over"));
    queue_rig_until(pread(mine, text, sizeof text - 1, 0) > 0 && strstr(text, "{\"ok\":"), "the answer");
    ck_assert_ptr_nonnull(strstr(text, "{\"ok\":true,\"count\":1}"));
    close(mine);
    rig_relay_get(next.relay, &t);
    ck_assert_str_eq(t.t.id, "a2");
    rig_relay_all(next.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(queue_rig_count(&r) == 0, "the end");
    queue_rig_stop(&r);
    queue_rig_end(&next);
}
END_TEST

SUITE_MAIN("queue", a_message_leaves, one_that_comes_later_is_found, recipients_progress_one_by_one,
           domains_go_apart_where_the_route_asks_for_it, a_failure_is_told_locally,
           a_report_is_as_secret_as_its_message, a_failure_is_sent_to_a_sender_elsewhere,
           success_is_told_when_it_is_ours_to_tell, a_delay_is_told_once, what_is_too_old_comes_back,
           a_report_that_cannot_be_made_waits, a_sender_without_a_way_ends_it, a_relay_that_dies_makes_them_wait_again,
           a_relay_that_talks_nonsense_is_cut_off, limits_hold,
           a_destination_that_is_down_keeps_others_waiting_no_longer, commands, requests_are_checked,
           a_slow_reader_is_waited_for_by_nobody, so_many_may_ask, answers_are_ascii, damaged_files_are_left_alone,
           a_file_may_be_moved_away_and_back, one_schedules_and_hands_over)
