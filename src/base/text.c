#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct span span_str(const char *s)
{
    return (struct span){s, s ? strlen(s) : 0};
}

bool span_is(struct span s, const char *literal)
{
    return s.n == strlen(literal) && memcmp(s.p, literal, s.n) == 0;
}

bool span_is_nocase(struct span s, const char *literal)
{
    return s.n == strlen(literal) && strncasecmp(s.p, literal, s.n) == 0;
}

bool span_starts_nocase(struct span s, const char *literal)
{
    size_t n = strlen(literal);

    return s.n >= n && strncasecmp(s.p, literal, n) == 0;
}

bool text_u64(struct span s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

        if (d > 9 || v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *out = v;
    return true;
}

size_t text_escape(char *dst, size_t cap, struct peer_text s)
{
    size_t o = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        size_t need = c == '\\' ? 2 : (c >= 0x20 && c < 0x7f) ? 1 : 4;

        if (o + need + 4 > cap) { /* room for "..." and the NUL stays */
            memcpy(dst + o, "...", 3);
            o += 3;
            break;
        }
        if (need == 1) {
            dst[o++] = (char)c;
        } else if (need == 2) {
            dst[o++] = '\\';
            dst[o++] = '\\';
        } else {
            static const char hex[] = "0123456789abcdef";

            dst[o++] = '\\';
            dst[o++] = 'x';
            dst[o++] = hex[c >> 4];
            dst[o++] = hex[c & 15];
        }
    }
    dst[o] = '\0';
    return o;
}

void text_lower(char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] >= 'A' && s[i] <= 'Z')
            s[i] = (char)(s[i] + ('a' - 'A'));
}

unsigned text_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned row[65];

    if (la > 64 || lb > 64)
        return 64;
    for (size_t j = 0; j <= lb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned diag = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = diag + (a[i - 1] != b[j - 1]);

            diag = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[lb];
}

static void *mem_or_die(void *p)
{
    static const char say[] = "postern: out of memory\n";

    if (!p) {
        (void)!write(2, say, sizeof say - 1);
        abort();
    }
    return p;
}

void *mem_alloc(size_t n)
{
    return mem_or_die(calloc(1, n ? n : 1));
}

void *mem_grow(void *p, size_t n)
{
    return mem_or_die(realloc(p, n ? n : 1));
}

char *mem_str(const char *s)
{
    return s ? mem_or_die(strdup(s)) : NULL;
}

char *mem_strn(const char *s, size_t n)
{
    char *d = mem_alloc(n + 1);

    memcpy(d, s, n);
    return d;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    return mem_or_die(s);
}
