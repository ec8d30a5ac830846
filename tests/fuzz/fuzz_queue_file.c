/* A queue file that a taken-over worker or a rotten disk made: head and log are read within bounds, and what is
 * understood is what would be written. */
#include <stdlib.h>
#include <string.h>

#include "sink/queue_file.h"
#include "sink/queue_log.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void log_of(const char *p, size_t n, uint32_t rcpts)
{
    struct queue_state *s = queue_state_new(rcpts), *again = queue_state_new(rcpts);
    struct buf b = {0};
    struct err e;
    int r = queue_state_read(s, p, n, &e);

    check(s->whole <= n);
    if (r == 0) {
        const char *at = p, *end = p + s->whole;
        char room[QUEUE_LOG_LINE_MOST];

        while (at < end) {
            const char *newline = memchr(at, '\n', (size_t)(end - at));
            struct queue_entry en;

            check(queue_log_parse(&en, at, (size_t)(newline - at), room));
            queue_log_write(&b, &en);
            at = newline + 1;
        }
        check(b.len == s->whole && (b.len == 0 || memcmp(buf_data(&b), p, b.len) == 0));
        check(queue_state_read(again, p, s->whole, &e) == 0 && again->whole == s->whole);
        check(queue_state_is_finished(s) == queue_state_is_finished(again));
    }
    buf_clear(&b);
    queue_state_free(&s);
    queue_state_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct queue_head *h;
    struct buf again = {0};
    struct err e;
    size_t used;
    uint64_t at;
    char *p = malloc(size ? size : 1); /* exactly as long as it is */

    if (!p)
        return 0;
    memcpy(p, data, size);
    if (size && queue_file_parse(&h, p, size, &used, &e) == 1) {
        check(used <= size);
        check(queue_file_write(&again, h, &e) == 0);
        check(again.len == used && memcmp(buf_data(&again), p, used) == 0);
        if (queue_file_log_at(h, used, size, &at, &e) == 0) {
            check(at <= size);
            log_of(p + at, size - at, h->rcpt_count);
        }
        queue_file_free(&h);
    }
    if (size)
        log_of(p, size, 1 + data[0] % 4);
    buf_clear(&again);
    free(p);
    return 0;
}
