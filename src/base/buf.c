#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

char *buf_data(const struct buf *b)
{
    return b->p ? b->p + b->off : NULL;
}

char *buf_space(struct buf *b, size_t n)
{
    if (b->off + b->len + n > b->cap && b->off) {
        memmove(b->p, b->p + b->off, b->len);
        b->off = 0;
    }
    if (b->len + n > b->cap) {
        size_t cap = b->cap ? b->cap : 256;

        while (cap < b->len + n)
            cap *= 2;
        b->p = mem_grow(b->p, cap);
        b->cap = cap;
    }
    return b->p + b->off + b->len;
}

void buf_added(struct buf *b, size_t n)
{
    assert(b->off + b->len + n <= b->cap);
    b->len += n;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    memcpy(buf_space(b, n), p, n);
    b->len += n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    va_start(ap, fmt);
    vsnprintf(buf_space(b, (size_t)n + 1), (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void buf_clear(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->len);
    b->off += n;
    b->len -= n;
    if (b->len == 0)
        buf_clear(b);
}

const char *buf_str(struct buf *b)
{
    *buf_space(b, 1) = '\0';
    return b->p + b->off;
}
