/* JA4's rules: github.com/FoxIO-LLC/ja4, technical_details/JA4.md. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client_hello.h"

#define SNI 0x0000
#define ALPN 0x0010
#define DIGITS 12

struct text {
    char s[2 * CLIENT_HELLO_LIST * 5 + 8];
    size_t n;
};

static void add_list(struct text *t, const uint16_t *v, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        t->n += (size_t)snprintf(t->s + t->n, sizeof t->s - t->n, "%s%04x", i ? "," : "", (unsigned)v[i]);
}

static int by_number(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* The hash of nothing is zeroes. */
static void hash(const struct text *t, char out[DIGITS + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};

    if (t->n)
        (void)EVP_Digest(t->s, t->n, digest, NULL, EVP_sha256(), NULL);
    for (size_t i = 0; i < DIGITS / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void ciphers(const struct client_hello *h, char out[DIGITS + 1])
{
    uint16_t sorted[CLIENT_HELLO_LIST];
    struct text t = {.n = 0};

    memcpy(sorted, h->ciphers, sizeof sorted);
    qsort(sorted, h->cipher_count, sizeof *sorted, by_number);
    add_list(&t, sorted, h->cipher_count);
    hash(&t, out);
}

static void extensions(const struct client_hello *h, char out[DIGITS + 1])
{
    uint16_t sorted[CLIENT_HELLO_LIST];
    struct text t = {.n = 0};
    unsigned n = 0;

    for (unsigned i = 0; i < h->extension_count; i++)
        if (h->extensions[i] != SNI && h->extensions[i] != ALPN)
            sorted[n++] = h->extensions[i];
    qsort(sorted, n, sizeof *sorted, by_number);
    add_list(&t, sorted, n);
    if (n && h->signature_count) {
        t.s[t.n++] = '_';
        add_list(&t, h->signatures, h->signature_count);
    }
    hash(&t, out);
}

static const char *version(const struct client_hello *h)
{
    static const char *const names[] = {"s3", "10", "11", "12", "13"};
    unsigned newest = 0;

    for (unsigned i = 0; i < h->version_count; i++)
        newest = h->versions[i] > newest ? h->versions[i] : newest;
    return newest >> 8 == 3 && (newest & 0xff) < 5 ? names[newest & 0xff] : "00";
}

static bool is_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The ends of the first protocol's name, or of its hexadecimal digits. */
static void protocol(const struct client_hello *h, char out[3])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t first = h->alpn_ends[0], last = h->alpn_ends[1];
    bool plain = is_word(first) && is_word(last);

    out[0] = !h->alpn_count ? '0' : plain ? (char)first : digits[first >> 4];
    out[1] = !h->alpn_count ? '0' : plain ? (char)last : digits[last & 0xf];
    out[2] = '\0';
}

void client_hello_print(const struct client_hello *h, char out[CLIENT_HELLO_PRINT])
{
    char ends[3], a[DIGITS + 1], b[DIGITS + 1];

    protocol(h, ends);
    ciphers(h, a);
    extensions(h, b);
    snprintf(out, CLIENT_HELLO_PRINT, "t%s%c%02u%02u%s_%s_%s", version(h), h->has_sni ? 'd' : 'i',
             h->cipher_count > 99 ? 99 : h->cipher_count, h->extension_count > 99 ? 99 : h->extension_count, ends, a,
             b);
}
