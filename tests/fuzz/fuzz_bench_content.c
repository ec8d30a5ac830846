/* Whatever the content of a message is and however it is cut, the scanner of blocks finds what one that looks at each
 * octet finds, and reads nothing beyond it. The first octet chooses: bit 0 BDAT, bits 1 to 3 what else ends it; then
 * each piece has its length in front (bit 7: with a stop). */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/bench/content_oracle.h"

static struct bench_bytes also(unsigned k)
{
    static const struct bench_bytes ends[] = {
        {NULL, 0},        {(char *)"\n.\n", 3}, {(char *)"\r.\n", 3}, {(char *)"z\r\n", 3}, {(char *)"\r\n.\0\r\n", 6},
        {(char *)"te", 2}};

    return ends[k < sizeof ends / sizeof *ends ? k : 0];
}

/* False: it was the end. */
static bool feed(struct oracle *o, struct bench_content *c, bool chunk, const uint8_t *p, size_t n, uint64_t stop)
{
    bool a = false, b = false;
    size_t took, other;
    char *exact = malloc(n + 1);

    memcpy(exact, p, n);
    took = chunk ? oracle_chunk(o, exact, n, stop) : oracle_data(o, exact, n, stop, &a);
    other = chunk ? bench_content_chunk(c, exact, n, stop) : bench_content_data(c, exact, n, stop, &b);
    if (took != other || a != b || !oracle_agrees(o, c))
        abort();
    free(exact);
    return !a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oracle o;
    struct bench_content c;
    size_t at = 1;

    if (!size)
        return 0;
    oracle_begin(&o, also(data[0] >> 1 & 7));
    bench_content_begin(&c, o.also_ends);
    while (at < size) {
        size_t n = data[at] & 0x7fu, left = size - at - 1;
        uint64_t stop = data[at] & 0x80u ? o.body.bytes + n / 2 : 0;

        at++;
        n = n < left ? n : left;
        if (!feed(&o, &c, data[0] & 1, data + at, n, stop))
            break;
        at += n;
    }
    return 0;
}
