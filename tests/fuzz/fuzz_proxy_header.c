/* However a header comes, no more is read than belongs to it, and the verdict is one of a closed list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/proxy_header.h"

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header h;
    size_t have = 0;
    char text[ADDR_TEXT];

    for (;;) {
        uint8_t *exact = malloc(have + 1); /* so that a byte too many is seen */

        memcpy(exact, data, have);
        proxy_header_parse(&h, exact, have);
        free(exact);
        if (h.kind != PROXY_HEADER_MORE)
            break;
        MUST(h.wants > 0 && have + h.wants <= PROXY_HEADER_MOST);
        if (have + h.wants > size)
            return 0;
        have += h.wants;
    }
    if (h.kind == PROXY_HEADER_BAD)
        MUST(h.why && *h.why);
    if (h.kind == PROXY_HEADER_PROXY) {
        MUST(h.source.len && h.source.ss.ss_family == h.destination.ss.ss_family);
        MUST(*addr_text(&h.source, text));
    }
    return 0;
}
