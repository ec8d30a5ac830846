/* Certificate and key files with anything in them: a verdict always, and one that its facts agree with. The bytes are cut
 * in two at the first NUL: chain and key. Run as FUZZ_MAKE in the Makefile builds it. */
#include <stdlib.h>
#include <string.h>

#include "tls/cert_store.h"

static char *copy(const uint8_t *p, size_t n)
{
    char *out = malloc(n + 1);

    if (!out)
        abort();
    memcpy(out, p, n);
    out[n] = '\0';
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
    size_t chain = cut ? (size_t)(cut - data) : size, rest = cut ? size - chain - 1 : 0;
    struct cert_source s = {0};
    struct cert *c;

    s.bytes.chain = copy(data, chain);
    s.bytes.chain_len = chain;
    s.bytes.key = copy(data + size - rest, rest);
    s.bytes.key_len = rest;
    c = cert_judge("fuzz", &s, "mx.example.test", 1795000000);
    if (cert_facts(c)->fault != TLS_OK && !*cert_facts(c)->details)
        abort(); /* a refusal that does not say why */
    (void)tls_cert_reason(cert_facts(c), 1795000000);
    (void)strlen(cert_names(c));
    (void)strlen(cert_subject(c));
    (void)strlen(cert_key_type(c));
    cert_free(&c);
    cert_source_free(&s);
    return 0;
}
