/* A growable run of bytes, written at the end and consumed at the front. Empty ones hold no memory:
 * ten thousand idle sessions cost nothing here. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

struct buf {
    char *p;    /* the allocation, NULL when empty and given back */
    size_t off; /* first unconsumed byte */
    size_t len; /* unconsumed bytes */
    size_t cap;
};

char *buf_data(const struct buf *b);
void buf_append(struct buf *b, const void *p, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *buf_space(struct buf *b, size_t n); /* room for n bytes at the end; then buf_added() */
void buf_added(struct buf *b, size_t n);
void buf_consume(struct buf *b, size_t n); /* gives the memory back when nothing is left */
void buf_clear(struct buf *b);             /* forget the bytes and give the memory back */
const char *buf_str(struct buf *b);        /* NUL-terminated view, valid until the next call */

#endif
