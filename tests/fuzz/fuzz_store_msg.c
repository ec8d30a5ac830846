/* What a taken-over worker may say to the store, and the store to a worker: no decoder reads or believes too much. The
 * first byte chooses the message. Run as FUZZ_MAKE in the Makefile builds it. */
#include <stdlib.h>
#include <string.h>

#include "sink/store_msg.h"

static const struct store_bounds bounds = {.deliveries = 3, .mailboxes = 100, .size = 1 << 20, .queue = true};

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void commits(const uint8_t *p, size_t n)
{
    const uint8_t *at = p;
    size_t left = n, records = 0;
    struct store_commit c;
    struct buf again = {0};
    int r;

    while ((r = store_commit_next(&at, &left, &bounds, &c)) == 1) {
        uint32_t to[100];

        check(c.count <= bounds.mailboxes && c.size <= bounds.size);
        check(c.count ? c.slot < STORE_SLOTS : c.queued && c.slot == STORE_NO_SLOT);
        check(!c.queued || (c.queue.slot < STORE_SLOTS && c.queue.slot != c.slot && c.queue.head <= c.queue.size &&
                            c.queue.size <= bounds.size && queue_file_is_id(span_str(c.queue.id))));
        check(c.mailboxes >= p && c.mailboxes + (size_t)c.count * 4 <= p + n);
        for (uint32_t i = 0; i < c.count; i++) {
            to[i] = store_commit_mailbox(&c, i);
            check(to[i] < bounds.mailboxes);
        }
        if (c.queued)
            store_commit_add_queued(&again, c.slot, c.size, to, c.count, &c.queue);
        else
            store_commit_add(&again, c.slot, c.size, to, c.count);
        records++;
    }
    check(r == 0 || r == -1);
    check(at + left == p + n);
    /* what was understood is what would be said */
    check(again.len == n - left && (again.len == 0 || memcmp(buf_data(&again), p, again.len) == 0));
    check(records * store_commit_size(1) <= n);
    buf_clear(&again);
}

static void batch(const uint8_t *p, size_t n)
{
    struct buf b = {0};

    buf_append(&b, p, n);
    check(store_commit_datagram(&b) <= n);
    buf_clear(&b);
}

static void answers(const uint8_t *p, size_t n)
{
    int count = store_answers_count(n);

    check(count == -1 || (size_t)count * sizeof(struct store_answer) == n);
    for (int i = 0; i < count; i++) {
        struct store_answer a;

        if (store_answer_decode(p, i, &a) == 0)
            check(a.slot < STORE_SLOTS && a.result <= SINK_FAILED);
    }
}

static void files(const uint8_t *p, size_t n)
{
    int count = store_files_count(n, (unsigned)(n / sizeof(struct store_file)));

    for (int i = 0; i < count; i++) {
        struct store_file f;

        if (store_file_decode(p, i, bounds.deliveries, &f) == 0)
            check(f.slot < STORE_SLOTS && f.delivery < bounds.deliveries);
    }
}

static void drops(const uint8_t *p, size_t n)
{
    int count = store_drop_count(p, n);

    for (int i = 0; i < count; i++)
        check(store_drop_slot(p, i) < STORE_SLOTS);
}

static void fixed(const uint8_t *p, size_t n)
{
    struct store_want w;
    struct store_no_files nf;

    if (store_want_decode(p, n, &bounds, &w) == 0)
        check(w.delivery < bounds.deliveries && w.count > 0 && w.count <= STORE_SLOTS);
    if (store_no_files_decode(p, n, bounds.deliveries, &nf) == 0)
        check(nf.delivery < bounds.deliveries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const decode[])(const uint8_t *, size_t) = {commits, batch, answers, files, drops, fixed};
    uint8_t *copy;
    size_t n;

    if (size == 0)
        return 0;
    /* exactly as long as it is, so that every byte too far is seen */
    n = size - 1;
    copy = malloc(n ? n : 1);
    if (!copy)
        return 0;
    memcpy(copy, data + 1, n);
    decode[data[0] % (sizeof decode / sizeof *decode)](copy, n);
    free(copy);
    return 0;
}
