#include "sink/store_msg.h"

#include <errno.h>
#include <string.h>

#include "base/chan.h"
#include "unit/suite.h"

static const struct store_bounds bounds = {.deliveries = 2, .mailboxes = 5, .size = 1000};

static int next(const struct buf *b, size_t len, const struct store_bounds *with, struct store_commit *c)
{
    const uint8_t *p = (const uint8_t *)buf_data(b);

    return store_commit_next(&p, &len, with, c);
}

START_TEST(records_come_back)
{
    const uint32_t to[] = {0, 4, 2};
    struct buf b = {0};
    const uint8_t *p;
    size_t left;
    struct store_commit c;

    store_commit_add(&b, 7, 999, to, 3);
    store_commit_add(&b, STORE_SLOTS - 1, 0, to, 1);
    ck_assert_uint_eq(b.len, store_commit_size(3) + store_commit_size(1));
    p = (const uint8_t *)buf_data(&b);
    left = b.len;
    ck_assert_int_eq(store_commit_next(&p, &left, &bounds, &c), 1);
    ck_assert_uint_eq(c.slot, 7);
    ck_assert_uint_eq(c.size, 999);
    ck_assert_uint_eq(c.count, 3);
    ck_assert_uint_eq(store_commit_mailbox(&c, 1), 4);
    ck_assert_int_eq(store_commit_next(&p, &left, &bounds, &c), 1);
    ck_assert_uint_eq(c.slot, STORE_SLOTS - 1);
    ck_assert_int_eq(store_commit_next(&p, &left, &bounds, &c), 0);
    buf_clear(&b);
}
END_TEST

START_TEST(every_cut_record_is_refused)
{
    const uint32_t to[] = {0, 1, 2};
    struct buf b = {0};
    struct store_commit c;

    store_commit_add(&b, 7, 999, to, 3);
    for (size_t n = 1; n < b.len; n++)
        ck_assert_int_eq(next(&b, n, &bounds, &c), -1);
    buf_clear(&b);
}
END_TEST

static int one(uint32_t slot, uint64_t size, const uint32_t *to, uint32_t count)
{
    struct buf b = {0};
    struct store_commit c;
    int r;

    store_commit_add(&b, slot, size, to, count);
    r = next(&b, b.len, &bounds, &c);
    buf_clear(&b);
    return r;
}

START_TEST(every_number_is_checked)
{
    const uint32_t good[] = {0, 1, 2, 3, 4}, bad[] = {0, 5}, many[] = {0, 1, 2, 3, 4, 0};

    ck_assert_int_eq(one(0, 1000, good, 5), 1);
    ck_assert_int_eq(one(STORE_SLOTS, 1, good, 1), -1);
    ck_assert_int_eq(one(0, 1001, good, 1), -1);
    ck_assert_int_eq(one(0, UINT64_MAX, good, 1), -1);
    ck_assert_int_eq(one(0, 1, bad, 2), -1);
    ck_assert_int_eq(one(0, 1, many, 6), -1); /* more recipients than mailboxes */
    ck_assert_int_eq(one(0, 1, good, 0), -1);
}
END_TEST

START_TEST(a_count_that_lies_is_refused)
{
    static const uint32_t counts[] = {0, 2, STORE_RCPTS + 1, UINT32_MAX, UINT32_MAX / 4 + 1};
    struct store_commit c;

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct buf b = {0};
        const uint32_t to[] = {0};

        store_commit_add(&b, 0, 1, to, 1);
        memcpy(buf_data(&b) + 4, &counts[i], 4);
        ck_assert_int_eq(next(&b, b.len, &bounds, &c), -1);
        ck_assert_int_eq(next(&b, b.len, NULL, &c), -1);
        buf_clear(&b);
    }
}
END_TEST

START_TEST(a_datagram_holds_whole_records)
{
    static uint32_t to[STORE_RCPTS];
    struct buf b = {0};
    unsigned datagrams = 0;

    for (int i = 0; i < 3; i++)
        store_commit_add(&b, (uint32_t)i, 1, to, STORE_RCPTS);
    for (int i = 0; i < 20000; i++)
        store_commit_add(&b, 3, 1, to, 1);
    while (b.len) {
        size_t n = store_commit_datagram(&b), left = n;
        const uint8_t *p = (const uint8_t *)buf_data(&b);
        struct store_commit c;

        ck_assert_uint_gt(n, 0);
        ck_assert_uint_le(n, CHAN_MAX);
        while (store_commit_next(&p, &left, NULL, &c) == 1)
            ;
        ck_assert_uint_eq(left, 0);
        buf_consume(&b, n);
        datagrams++;
    }
    ck_assert_uint_ge(datagrams, 6);
}
END_TEST

static const struct store_bounds queue_bounds = {.deliveries = 3, .mailboxes = 5, .size = 1000, .queue = true};
static const struct store_commit_queue part = {.slot = 9, .head = 200, .size = 900, .id = "6b03d3bf000001"};

static int with_queue(uint32_t slot, uint64_t size, uint32_t count, const struct store_commit_queue *q,
                      const struct store_bounds *bo)
{
    static const uint32_t to[] = {0, 1, 2, 3, 4};
    struct buf b = {0};
    struct store_commit c;
    int r;

    store_commit_add_queued(&b, slot, size, to, count, q);
    ck_assert_uint_eq(b.len, store_commit_size_queued(count));
    r = next(&b, b.len, bo, &c);
    for (size_t n = 1; n < b.len; n++)
        ck_assert_int_eq(next(&b, n, bo, &c), -1);
    buf_clear(&b);
    return r;
}

START_TEST(the_queues_part_is_checked)
{
    struct store_commit_queue q = part;

    ck_assert_int_eq(with_queue(7, 999, 3, &q, &queue_bounds), 1);
    ck_assert_int_eq(with_queue(STORE_NO_SLOT, 0, 0, &q, &queue_bounds), 1);
    ck_assert_int_eq(with_queue(7, 999, 3, &q, &bounds), -1); /* there is no queue */
    ck_assert_int_eq(with_queue(7, 0, 0, &q, &queue_bounds), -1);
    ck_assert_int_eq(with_queue(STORE_NO_SLOT, 0, 1, &q, &queue_bounds), -1);
    ck_assert_int_eq(with_queue(STORE_NO_SLOT, 5, 0, &q, &queue_bounds), -1);
    ck_assert_int_eq(with_queue(9, 999, 3, &q, &queue_bounds), -1); /* one file twice */
    q.slot = STORE_SLOTS;
    ck_assert_int_eq(with_queue(7, 999, 3, &q, &queue_bounds), -1);
    q = part;
    q.head = 901;
    ck_assert_int_eq(with_queue(7, 999, 3, &q, &queue_bounds), -1);
    q.head = 42;
    ck_assert_int_eq(with_queue(7, 999, 3, &q, &queue_bounds), -1);
    q = part;
    q.size = 1001;
    ck_assert_int_eq(with_queue(7, 999, 3, &q, &queue_bounds), -1);
    q = part;
    strcpy(q.id, "../x");
    ck_assert_int_eq(with_queue(7, 999, 3, &q, &queue_bounds), -1);
    memset(q.id, 0, sizeof q.id);
    ck_assert_int_eq(with_queue(7, 999, 3, &q, &queue_bounds), -1);
    strcpy(q.id, "abc");
    q.id[10] = 'x'; /* behind the end */
    ck_assert_int_eq(with_queue(7, 999, 3, &q, &queue_bounds), -1);
}
END_TEST

START_TEST(wants_and_drops_are_checked)
{
    struct store_want w = {1, STORE_SLOTS}, out;
    uint32_t slots[] = {0, STORE_SLOTS - 1, STORE_SLOTS};

    ck_assert_int_eq(store_want_decode(&w, sizeof w, &bounds, &out), 0);
    ck_assert_int_eq(store_want_decode(&w, sizeof w - 1, &bounds, &out), -1);
    w.count = 0;
    ck_assert_int_eq(store_want_decode(&w, sizeof w, &bounds, &out), -1);
    w.count = STORE_SLOTS + 1;
    ck_assert_int_eq(store_want_decode(&w, sizeof w, &bounds, &out), -1);
    w = (struct store_want){2, 1};
    ck_assert_int_eq(store_want_decode(&w, sizeof w, &bounds, &out), -1);
    ck_assert_int_eq(store_drop_count(slots, 8), 2);
    ck_assert_int_eq(store_drop_count(slots, 12), -1);
    ck_assert_int_eq(store_drop_count(slots, 7), -1);
    ck_assert_int_eq(store_drop_count(slots, 0), -1);
}
END_TEST

START_TEST(what_the_store_says_is_checked)
{
    struct store_file f = {STORE_SLOTS - 1, 1}, fo;
    struct store_answer a = {0, SINK_FAILED, EIO, 1}, ao;
    struct store_no_files nf = {1, ENOSPC}, no;

    ck_assert_int_eq(store_files_count(sizeof f * 2, 2), 2);
    ck_assert_int_eq(store_files_count(sizeof f * 2, 1), -1);
    ck_assert_int_eq(store_files_count(sizeof f + 1, 1), -1);
    ck_assert_int_eq(store_file_decode(&f, 0, 2, &fo), 0);
    ck_assert_int_eq(store_file_decode(&f, 0, 1, &fo), -1);
    f.slot = STORE_SLOTS;
    ck_assert_int_eq(store_file_decode(&f, 0, 2, &fo), -1);
    ck_assert_int_eq(store_answers_count(sizeof a * STORE_SLOTS), STORE_SLOTS);
    ck_assert_int_eq(store_answers_count(sizeof a * (STORE_SLOTS + 1)), -1);
    ck_assert_int_eq(store_answer_decode(&a, 0, &ao), 0);
    a.result = SINK_FAILED + 1;
    ck_assert_int_eq(store_answer_decode(&a, 0, &ao), -1);
    ck_assert_int_eq(store_no_files_decode(&nf, sizeof nf, 2, &no), 0);
    ck_assert_int_eq(store_no_files_decode(&nf, sizeof nf, 1, &no), -1);
    ck_assert_int_eq(store_no_files_decode(&nf, sizeof nf + 1, 2, &no), -1);
}
END_TEST

START_TEST(errno_becomes_a_result)
{
    ck_assert_int_eq(store_result_of(0), SINK_OK);
    ck_assert_int_eq(store_result_of(ENOSPC), SINK_FULL);
    ck_assert_int_eq(store_result_of(EDQUOT), SINK_QUOTA);
    ck_assert_int_eq(store_result_of(EACCES), SINK_FAILED);
    ck_assert_int_eq(store_result_of(-1), SINK_FAILED);
}
END_TEST

SUITE_MAIN("store_msg", records_come_back, every_cut_record_is_refused, every_number_is_checked,
           a_count_that_lies_is_refused, a_datagram_holds_whole_records, the_queues_part_is_checked,
           wants_and_drops_are_checked, what_the_store_says_is_checked, errno_becomes_a_result)
