/* The address of a sender's that may ask for something. What is asked for stays within its bounds, and an answer is one
 * whole line; what begins with no point of a session asks for nothing. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_trigger.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    char *address = mem_strn((const char *)p, n);
    struct bench_trigger t;

    if (bench_trigger_parse(&t, address)) {
        const struct bench_bytes *r = &t.step.reply;

        assert(t.step.at < BENCH_POINTS && t.step.chance == 1000);
        assert(t.step.delay_ms <= BENCH_TRIGGER_DELAY * 1000 && t.step.times <= 9999);
        assert(r->p != NULL || t.step.delay_ms || t.step.then == BENCH_CLOSE);
        assert(!r->n || (r->p == t.reply && r->n == strlen(t.reply) && r->n > 5));
        assert(!r->n || (strstr(t.reply, "\r\n") == t.reply + r->n - 2 && *r->p >= '2' && *r->p <= '5'));
        assert(strchr("dmrbqDMRBQ", *address));
    }
    free(address);
    return 0;
}
