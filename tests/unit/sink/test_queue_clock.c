/* The queue while somebody sets the machine's clock. */
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "unit/sink/queue_rig.h"
#include "unit/suite.h"

static atomic_llong ahead_s;

/* In the C library's place, for this program alone. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ts);

    if (id == CLOCK_REALTIME)
        ts->tv_sec += (time_t)atomic_load(&ahead_s);
    return rc;
}

static struct rig_transfer t;

/* A machine that starts with tomorrow's date and hears from a time server: mail must not wait until tomorrow comes. */
START_TEST(set_back)
{
    struct queue_rig r;

    queue_rig_dir(&r);
    r.limits.retry.first_gap_us = 1000000;
    atomic_store(&ahead_s, 86400);
    queue_rig_put(&r, "a1", "alice@example.org", "smarthost", "bob@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_DEFERRED, RELAY_HEALTH_UNREACHABLE);
    queue_rig_until(queue_rig_says(&r, "list", "\"tries\":1"), "the first try");
    atomic_store(&ahead_s, 0);
    rig_relay_get(r.relay, &t);
    rig_relay_all(r.relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(!queue_rig_has(&r, "a1"), "the file's end");
    queue_rig_end(&r);
}
END_TEST

SUITE_MAIN("queue_clock", set_back)
