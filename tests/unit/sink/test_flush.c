/* One syncfs or a flush for each: the choice is arithmetic, the flushing is done on operations that only count. */
#include "sink/flush.h"

#include <pthread.h>
#include <unistd.h>

#include "unit/sink/meddle.h"
#include "unit/suite.h"

#define MS INT64_C(1000)
#define S INT64_C(1000000)

START_TEST(few_are_flushed_each)
{
    struct flush_history h = {0};

    ck_assert(!flush_whole_is_better(&h, 1, S));
    ck_assert(!flush_whole_is_better(&h, 2, S));
    ck_assert(flush_whole_is_better(&h, 3, S));
    ck_assert(flush_whole_is_better(&h, 100, S));
}
END_TEST

START_TEST(a_fast_syncfs_stays)
{
    struct flush_history h = {0};

    for (int i = 0; i < 100; i++) {
        ck_assert(flush_whole_is_better(&h, 10, i * S));
        flush_learn(&h, true, 10, 2 * MS, i * S, false);
    }
}
END_TEST

START_TEST(a_slow_syncfs_is_compared_and_left_alone)
{
    struct flush_history h = {0};
    int64_t now = 100 * S;

    flush_learn(&h, true, 10, 400 * MS, now, false);
    /* the other way is not known: one group shows */
    ck_assert(!flush_whole_is_better(&h, 10, now));
    flush_learn(&h, false, 10, 5 * MS, now, false);
    /* once more a syncfs: now there is something to compare with */
    ck_assert(flush_whole_is_better(&h, 10, now));
    flush_learn(&h, true, 10, 400 * MS, now, false);
    ck_assert(!flush_whole_is_better(&h, 10, now));
    ck_assert(!flush_whole_is_better(&h, 10, now + S - 1));
    ck_assert(flush_whole_is_better(&h, 10, now + S));
}
END_TEST

START_TEST(the_pause_grows_and_ends)
{
    struct flush_history h = {.each_us = 5 * MS};
    int64_t now = 100 * S, pauses[10];

    for (int i = 0; i < 10; i++) {
        flush_learn(&h, true, 10, 400 * MS, now, false);
        pauses[i] = h.again_us - now;
        now = h.again_us;
        ck_assert(flush_whole_is_better(&h, 10, now));
    }
    ck_assert_int_eq(pauses[0], S);
    ck_assert_int_eq(pauses[1], 2 * S);
    ck_assert_int_eq(pauses[9], 60 * S);
    flush_learn(&h, true, 10, 2 * MS, now, false);
    ck_assert(flush_whole_is_better(&h, 10, now));
    flush_learn(&h, true, 10, 400 * MS, now, false);
    ck_assert_int_eq(h.again_us - now, S);
}
END_TEST

START_TEST(a_slow_disk_is_no_reason)
{
    /* flushing each file takes as long as the syncfs: nothing is won by it */
    struct flush_history h = {.each_us = 300 * MS};

    for (int i = 0; i < 20; i++) {
        ck_assert(flush_whole_is_better(&h, 10, i * S));
        flush_learn(&h, true, 10, 400 * MS, i * S, false);
    }
}
END_TEST

START_TEST(a_failed_syncfs_makes_a_pause)
{
    struct flush_history h = {0};

    flush_learn(&h, true, 10, 2 * MS, 100 * S, true);
    ck_assert(!flush_whole_is_better(&h, 10, 100 * S));
    ck_assert(flush_whole_is_better(&h, 10, 101 * S));
}
END_TEST

/* ---- the flusher, on operations that count */

static atomic_uint flushing, most;

static int slow_flush(int fd)
{
    unsigned now = ++flushing, was = most;

    while (now > was && !atomic_compare_exchange_weak(&most, &was, now))
        ;
    usleep(2000); /* so that they overlap: the work itself, not a wait for somebody */
    flushing--;
    if (fd == 7) {
        errno = EIO;
        return -1;
    }
    meddle.count[MEDDLE_DATA]++;
    return 0;
}

static int count_fs(int fd)
{
    meddle.count[MEDDLE_FS]++;
    if (fd >= 500) {
        errno = EIO;
        return -1;
    }
    return 0;
}

static int count_check(int fd)
{
    meddle.count[MEDDLE_CHECK]++;
    if (fd == 7) {
        errno = ENOSPC;
        return -1;
    }
    return 0;
}

static int nothing(int fd)
{
    (void)fd;
    return 0;
}

static const struct fsops counting = {.flush_data = slow_flush,
                                      .flush_dir = slow_flush,
                                      .flush_fs = count_fs,
                                      .flush_check = count_check,
                                      .flush_start = nothing};

static struct flusher *counting_flusher(int force)
{
    struct flusher *f;
    struct err e;

    fsops = &counting;
    flush_force = force;
    most = 0;
    for (int i = 0; i < MEDDLE_OPS; i++)
        meddle.count[i] = 0;
    ck_assert_int_eq(flusher_new(&f, &e), 0);
    return f;
}

static void fill(struct flush_item *items, unsigned n, int first, dev_t dev)
{
    for (unsigned i = 0; i < n; i++)
        items[i] = (struct flush_item){.fd = first + (int)i, .dev = dev, .error = -1};
}

START_TEST(each_by_at_most_sixteen)
{
    struct flusher *f = counting_flusher(0);
    struct flush_item items[100];

    fill(items, 100, 0, 1);
    flusher_run(f, items, 100, FLUSH_DATA);
    ck_assert_uint_eq(meddle.count[MEDDLE_DATA], 99);
    ck_assert_uint_eq(meddle.count[MEDDLE_FS], 0);
    ck_assert_uint_le(most, FLUSH_THREADS);
    ck_assert_uint_ge(most, 4);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_int_eq(items[i].error, items[i].fd == 7 ? EIO : 0);
    flusher_free(&f);
}
END_TEST

START_TEST(whole_is_one_call_for_each_file_system)
{
    struct flusher *f = counting_flusher(1);
    struct flush_item items[30];

    fill(items, 10, 0, 1);
    fill(items + 10, 10, 100, 2);
    fill(items + 20, 10, 500, 3);
    flusher_run(f, items, 30, FLUSH_DATA);
    ck_assert_uint_eq(meddle.count[MEDDLE_FS], 3);
    /* every file is asked for its own error, unless the whole failed */
    ck_assert_uint_eq(meddle.count[MEDDLE_CHECK], 20);
    for (unsigned i = 0; i < 30; i++)
        ck_assert_int_eq(items[i].error, items[i].fd == 7 ? ENOSPC : items[i].fd >= 500 ? EIO : 0);
    flusher_free(&f);
}
END_TEST

static struct flusher *shared;

static void *many_groups(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        struct flush_item items[20];

        fill(items, 20, 10, 1);
        flusher_run(shared, items, 20, FLUSH_NAMES);
        for (unsigned k = 0; k < 20; k++)
            if (items[k].error)
                abort();
    }
    return NULL;
}

START_TEST(several_groups_at_once)
{
    pthread_t t[3];

    shared = counting_flusher(0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, many_groups, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    ck_assert_uint_eq(meddle.count[MEDDLE_DATA], 600);
    flusher_free(&shared);
    ck_assert_ptr_null(shared);
}
END_TEST

SUITE_MAIN("flush", few_are_flushed_each, a_fast_syncfs_stays, a_slow_syncfs_is_compared_and_left_alone,
           the_pause_grows_and_ends, a_slow_disk_is_no_reason, a_failed_syncfs_makes_a_pause, each_by_at_most_sixteen,
           whole_is_one_call_for_each_file_system, several_groups_at_once)
