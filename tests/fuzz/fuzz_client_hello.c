/* Whatever comes in a ClientHello's place, nothing is read beyond it, lists stay within their bounds, and what is told of it
 * is JSON with a fingerprint of the right shape. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client_hello.h"

static void check(const struct client_hello *h, size_t size)
{
    char print[CLIENT_HELLO_PRINT];
    json_t *o = client_hello_json(h, 1);

    if (!h->version_count || h->version_count > CLIENT_HELLO_LIST || h->cipher_count > CLIENT_HELLO_LIST ||
        h->extension_count > CLIENT_HELLO_LIST || h->alpn_count > CLIENT_HELLO_PROTOCOLS || h->size > size)
        abort();
    if (strlen(h->sni) >= sizeof h->sni)
        abort();
    for (unsigned i = 0; i < h->alpn_count; i++)
        if (strlen(h->alpn[i]) >= sizeof h->alpn[i])
            abort();
    client_hello_print(h, print);
    if (!o || strlen(print) != CLIENT_HELLO_PRINT - 1 || print[10] != '_' || print[23] != '_')
        abort();
    json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_hello h;
    uint8_t *exact = malloc(size + 1);

    memcpy(exact, data, size);
    if (client_hello_parse(&h, exact, size) == CLIENT_HELLO_OK)
        check(&h, size);
    free(exact);
    return 0;
}
