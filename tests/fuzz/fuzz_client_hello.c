/* Whatever comes in a ClientHello's place, nothing is read beyond it, and lists stay within their bounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_hello h;
    uint8_t *exact = malloc(size + 1);

    memcpy(exact, data, size);
    if (client_hello_parse(&h, exact, size) == CLIENT_HELLO_OK &&
        (h.cipher_count > CLIENT_HELLO_LIST || h.version_count == 0 || strlen(h.sni) >= sizeof h.sni || h.size > size))
        abort();
    free(exact);
    return 0;
}
