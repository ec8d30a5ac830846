/* What a taken-over relay may say to the store and to workers, and they to it. The first byte chooses the message. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/verify_msg.h"
#include "sink/relay_msg.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* What was understood is what would be said. */
static void again(struct buf *b, const uint8_t *p, size_t n)
{
    check(b->len == n && memcmp(buf_data(b), p, n) == 0);
    buf_clear(b);
}

static void transfer(const uint8_t *p, size_t n)
{
    struct relay_transfer t;
    struct buf b = {0};

    if (relay_transfer_decode(&t, p, n) == 0) {
        check(t.rcpt_count > 0 && t.rcpt_count <= RELAY_RCPTS && t.size + t.offset <= INT64_MAX);
        relay_transfer_encode(&b, &t);
        again(&b, p, n);
    }
}

static void result(const uint8_t *p, size_t n)
{
    struct relay_result r;
    struct buf b = {0};

    if (relay_result_decode(&r, p, n) == 0) {
        check(strlen(r.enhanced) >= 5 && r.text.n <= RELAY_TEXT_MOST);
        relay_result_encode(&b, &r);
        again(&b, p, n);
    }
}

static void done(const uint8_t *p, size_t n)
{
    struct relay_done d;
    struct buf b = {0};

    if (relay_done_decode(&d, p, n) == 0) {
        relay_done_encode(&b, &d);
        again(&b, p, n);
    }
}

static void question(const uint8_t *p, size_t n)
{
    struct verify_ask a;
    struct buf b = {0};

    if (verify_ask_decode(&a, p, n) == 0) {
        check(verify_ask_fits(a.route, a.address));
        verify_ask_encode(&b, &a);
        again(&b, p, n);
    }
}

static void answer(const uint8_t *p, size_t n)
{
    struct verify_answer a;
    struct buf b = {0};
    uint32_t number;

    if (verify_answer_decode(&number, &a, p, n) == 0) {
        check(a.code < 600 && strlen(a.enhanced) < sizeof a.enhanced && a.text.n <= VERIFY_TEXT_MOST);
        verify_answer_encode(&b, number, &a);
        again(&b, p, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const decode[])(const uint8_t *, size_t) = {transfer, result, done, question, answer};
    uint8_t *copy;

    if (size == 0)
        return 0;
    copy = malloc(size > 1 ? size - 1 : 1); /* exactly as long as it is */
    memcpy(copy, data + 1, size - 1);
    decode[data[0] % 5](copy, size - 1);
    free(copy);
    return 0;
}
