/* SIGKILL at every step of the scheduler's writing: nothing is lost, and what is done twice is done twice only because the
 * word about it was not written yet. */
#include "sink/fsops.h"
#include "unit/sink/queue_rig.h"
#include "unit/suite.h"

static unsigned steps_left; /* in the child */

static void step(const char *name)
{
    (void)name;
    if (steps_left && --steps_left == 0)
        kill(getpid(), SIGKILL);
}

/* A store's part of a process: the scheduler with that relay, until it is killed. */
static pid_t child(struct queue_rig *r, int relay, unsigned kill_at)
{
    static struct fsops ops;
    pid_t pid = fork();

    if (pid)
        return pid;
    steps_left = kill_at;
    ops = fsops_real;
    ops.step = step;
    fsops = &ops;
    queue_rig_start(r);
    queue_add_relay(r->q, relay);
    for (;;)
        pause();
}

struct tally {
    unsigned good, late, bad, reports;
};

static void serve_one(int relay, struct rig_transfer *t, struct tally *n)
{
    for (uint32_t i = 0; i < t->t.rcpt_count; i++) {
        const char *to = t->t.rcpts[i].address;
        enum relay_outcome outcome = RELAY_DELIVERED;

        if (strncmp(to, "bad", 3) == 0) {
            outcome = RELAY_FAILED;
            n->bad++;
        } else if (strncmp(to, "late", 4) == 0) {
            outcome = n->late++ ? RELAY_DELIVERED : RELAY_DEFERRED;
        } else if (strncmp(to, "zoe", 3) == 0) {
            n->reports++;
        } else {
            n->good++;
        }
        rig_relay_say(relay, &t->t, i, outcome);
    }
    rig_relay_done(relay, t, RELAY_HEALTH_GOOD);
}

/* True: the child lived to the end. */
static bool serve(struct queue_rig *r, unsigned kill_at, struct tally *n)
{
    static struct rig_transfer t;
    int64_t until = clock_now().mono_us + RIG_DEADLINE_MS * INT64_C(1000);
    bool killed = false;
    struct err e;
    int fd[2], status;
    pid_t pid;

    ck_assert_int_eq(chan_pair(fd, &e), 0);
    pid = child(r, fd[1], kill_at);
    close(fd[1]);
    while (!killed && queue_rig_count(r) > 0) {
        if (rig_relay_get_within(fd[0], &t, 2))
            serve_one(fd[0], &t, n);
        killed = waitpid(pid, &status, WNOHANG) == pid;
        if (clock_now().mono_us > until)
            RIG_DIE("not finished in time");
    }
    close(fd[0]);
    if (!killed) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    return !killed;
}

START_TEST(at_every_step)
{
    unsigned kill_at = 1;
    bool lived = false;

    for (; !lived; kill_at++) {
        struct queue_rig r;
        struct tally n = {0};

        queue_rig_dir(&r);
        r.limits.retry.first_gap_us = 2000;
        queue_rig_put(&r, "a1", "zoe@example.com", "smarthost", "good@example.net bad@example.net late@example.net", 0,
                      NULL);
        lived = serve(&r, kill_at, &n);
        while (!lived && queue_rig_count(&r) > 0)
            serve(&r, 0, &n);
        ck_assert_msg(n.good >= 1 && n.good <= 2, "killed at %u: %u good", kill_at, n.good);
        ck_assert_msg(n.bad >= 1 && n.bad <= 2, "killed at %u: %u bad", kill_at, n.bad);
        ck_assert_msg(n.late >= 2 && n.late <= 3, "killed at %u: %u late", kill_at, n.late);
        ck_assert_msg(n.reports >= 1 && n.reports <= 2, "killed at %u: %u reports", kill_at, n.reports);
        nftw(r.dir, rig_remove_one, 64, FTW_DEPTH | FTW_PHYS);
    }
    ck_assert_uint_gt(kill_at, 8);
}
END_TEST

/* A disk that refuses at any point: the result is not forgotten, and comes to the disk when that is well again. */
static struct {
    unsigned nth, seen;
} disk;

static int flaky_flush(int fd)
{
    if (__atomic_add_fetch(&disk.seen, 1, __ATOMIC_SEQ_CST) == disk.nth) {
        errno = EIO;
        return -1;
    }
    return fsops_real.flush_data(fd);
}

START_TEST(a_log_that_cannot_be_written_is_written_later)
{
    static struct rig_transfer t;
    static struct fsops ops;
    struct queue_rig r;

    ops = fsops_real;
    ops.flush_data = flaky_flush;
    fsops = &ops;
    disk.nth = 1;
    queue_rig_dir(&r);
    r.limits.retry.first_gap_us = 1000;
    queue_rig_put(&r, "a1", "", "smarthost", "bob@example.net", 0, NULL);
    queue_rig_start(&r);
    queue_rig_relay(&r);
    rig_relay_get(r.relay, &t);
    rig_relay_say(r.relay, &t.t, 0, RELAY_DEFERRED);
    rig_relay_done(r.relay, &t, RELAY_HEALTH_GOOD);
    queue_rig_until(__atomic_load_n(&disk.seen, __ATOMIC_SEQ_CST) >= 1, "the flush that fails");
    rig_relay_get(r.relay, &t); /* not before its result was kept, which is the second flush */
    ck_assert_uint_ge(__atomic_load_n(&disk.seen, __ATOMIC_SEQ_CST), 2);
    rig_relay_say(r.relay, &t.t, 0, RELAY_DELIVERED);
    rig_relay_done(r.relay, &t, RELAY_HEALTH_GOOD);
    queue_rig_until(queue_rig_count(&r) == 0, "the end");
    queue_rig_end(&r);
    fsops = &fsops_real;
}
END_TEST

SUITE_MAIN("queue_kill", at_every_step, a_log_that_cannot_be_written_is_written_later)
