/* Files of messages that are sent go by the hands of others: nobody sends one again meanwhile, and no end comes before
 * theirs. */
#include "unit/sink/meddle.h"
#include "unit/sink/queue_rig.h"
#include "unit/suite.h"

#define MANY 40u

static struct rig_transfer t;

static void slowly(void)
{
    poll(NULL, 0, 20);
}

static void put_many(const struct queue_rig *r)
{
    char id[16];

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "a%u", i);
        queue_rig_put(r, id, "", "smarthost", "b@example.net", 0, NULL);
    }
}

static void begin(struct queue_rig *r)
{
    queue_rig_dir(r);
    put_many(r);
    r->limits.transfers = r->limits.per_destination = MANY;
    queue_rig_start(r);
    queue_rig_relay(r);
}

static void send_all(const struct queue_rig *r)
{
    for (unsigned i = 0; i < MANY; i++) {
        rig_relay_get(r->relay, &t);
        rig_relay_all(r->relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    }
}

START_TEST(who_drains_waits_for_a_slow_disk)
{
    struct queue_rig r;

    fsops = &meddle_ops;
    meddle.op = MEDDLE_UNLINK;
    meddle.nth = 1;
    meddle.and_after = true;
    meddle.act = slowly;
    begin(&r);
    send_all(&r);
    ck_assert(!rig_relay_get_within(r.relay, &t, 50)); /* none of them again */
    queue_drain(r.q);
    queue_rig_until(queue_is_idle(r.q), "the end of the drain");
    ck_assert_uint_eq(queue_rig_count(&r), 0);
    queue_rig_end(&r);
}
END_TEST

START_TEST(who_ends_takes_with_it_what_was_sent)
{
    struct queue_rig r;

    fsops = &meddle_ops;
    meddle.op = MEDDLE_UNLINK;
    meddle.nth = 1;
    meddle.and_after = true;
    meddle.act = slowly;
    begin(&r);
    send_all(&r);
    queue_rig_until(queue_rig_says(&r, "list", "{\"ok\":true,\"count\":0}"), "the end of the last transfer");
    queue_rig_stop(&r);
    ck_assert_uint_eq(queue_rig_count(&r), 0);
    queue_rig_end(&r);
}
END_TEST

START_TEST(what_cannot_be_removed_is_not_sent_again)
{
    struct queue_rig r;

    fsops = &meddle_ops;
    meddle.op = MEDDLE_UNLINK;
    meddle.nth = 1;
    meddle.and_after = true;
    meddle.error = EROFS;
    queue_rig_dir(&r);
    queue_rig_put(&r, "a1", "", "smarthost", "b@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(strstr(queue_rig_read(&r, "a1"), "rcpt 0 delivered"), "the line in its log");
    queue_rig_stop(&r);
    meddle.nth = 0;
    queue_rig_start(&r);
    queue_rig_relay(&r);
    queue_rig_until(!queue_rig_has(&r, "a1"), "the file's end");
    ck_assert(!rig_relay_get_within(r.relay, &t, 0));
    queue_rig_end(&r);
}
END_TEST

SUITE_MAIN("queue_remove", who_drains_waits_for_a_slow_disk, who_ends_takes_with_it_what_was_sent,
           what_cannot_be_removed_is_not_sent_again)
