/* A submitted message: the output is the same however it is cut, nothing but Bcc fields goes, and nothing but the two
 * fields comes. The first byte chooses the cuts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/fixup.h"

#define DATE "Mon, 23 Nov 2026 07:00:00 +0000"
#define ID "<made@mail.example.org>"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void run(struct fixup *x, struct buf *out, const uint8_t *p, size_t n, unsigned cut)
{
    fixup_begin(x, DATE, ID);
    while (n) {
        size_t take = 1 + cut % 37;
        char *exact;

        take = take < n ? take : n;
        exact = malloc(take);
        memcpy(exact, p, take);
        fixup_feed(x, out, exact, take);
        check(x->held < FIXUP_HOLD);
        free(exact);
        p += take;
        n -= take;
        cut = cut * 13 + 7;
    }
    fixup_end(x, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf one = {0}, two = {0};
    struct fixup x;

    if (size < 2)
        return 0;
    run(&x, &one, data + 1, size - 1, 0);
    run(&x, &two, data + 1, size - 1, data[0]);
    check(one.len == two.len && memcmp(buf_data(&one), buf_data(&two), one.len) == 0);
    check(one.len <= size - 1 + sizeof "Date: " DATE "\nMessage-ID: " ID "\n\n\n");
    check(x.changed || memcmp(buf_data(&one), data + 1, size - 1) == 0);
    buf_clear(&one);
    buf_clear(&two);
    return 0;
}
