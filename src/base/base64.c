#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(char *dst, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    size_t o = 0;

    for (size_t i = 0; i < n; i += 3) {
        unsigned group = (unsigned)p[i] << 16;

        if (i + 1 < n)
            group |= (unsigned)p[i + 1] << 8;
        if (i + 2 < n)
            group |= p[i + 2];
        dst[o++] = alphabet[group >> 18];
        dst[o++] = alphabet[group >> 12 & 63];
        dst[o++] = i + 1 < n ? alphabet[group >> 6 & 63] : '=';
        dst[o++] = i + 2 < n ? alphabet[group & 63] : '=';
    }
    return o;
}

static int value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(void *dst, size_t *n, struct span text)
{
    unsigned char *d = dst;
    size_t pad = 0;

    *n = 0;
    if (text.n % 4)
        return false;
    while (pad < 2 && pad < text.n && text.p[text.n - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < text.n; i += 4) {
        size_t given = i + 4 == text.n ? 4 - pad : 4;
        unsigned group = 0;

        for (size_t k = 0; k < 4; k++) {
            int v = k < given ? value(text.p[i + k]) : 0;

            if (v < 0)
                return false;
            group = group << 6 | (unsigned)v;
        }
        /* RFC 4648 3.5: bits that stand for nothing must be zero, else two texts mean the same */
        if ((given == 2 && group & 0xffff) || (given == 3 && group & 0xff))
            return false;
        d[(*n)++] = (unsigned char)(group >> 16);
        if (given > 2)
            d[(*n)++] = (unsigned char)(group >> 8);
        if (given > 3)
            d[(*n)++] = (unsigned char)group;
    }
    return true;
}
