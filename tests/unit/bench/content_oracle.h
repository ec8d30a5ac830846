/* What bench_content.h promises, in its simplest form: each octet is looked at, one after the other. The real one must
 * find the same, however the octets come. */
#ifndef TESTS_UNIT_BENCH_CONTENT_ORACLE_H
#define TESTS_UNIT_BENCH_CONTENT_ORACLE_H

#include <string.h>

#include "bench/bench_content.h"

struct oracle {
    struct bench_body body;
    struct bench_bytes also_ends;
    bool cr;
    unsigned line_len, dot;
    char tail[BENCH_NEAR_MOST];
    unsigned tail_len;
};

static inline void oracle_begin(struct oracle *o, struct bench_bytes also_ends)
{
    *o = (struct oracle){.also_ends = also_ends, .dot = 2, .body = {.dots_stuffed = true}};
}

static inline bool oracle_tail_is(const struct oracle *o, const char *p, size_t n)
{
    return n && n <= o->tail_len && memcmp(o->tail + o->tail_len - n, p, n) == 0;
}

static inline void oracle_near(struct oracle *o, char next)
{
    for (unsigned i = 0; i < BENCH_NEAR_ENDS; i++) {
        const struct bench_near *near = &bench_near_end[i];
        bool part = near->bytes[near->n - 1] == '\r' && next == '\n';
        bool whole_end = near->bytes[0] == '\n' && o->tail_len > near->n && o->tail[o->tail_len - near->n - 1] == '\r';

        if (!part && !whole_end && oracle_tail_is(o, near->bytes, near->n))
            o->body.near |= 1u << i;
    }
}

static inline void oracle_octet(struct oracle *o, char x)
{
    struct bench_body *b = &o->body;

    oracle_near(o, x);
    if (o->tail_len == BENCH_NEAR_MOST)
        memmove(o->tail, o->tail + 1, --o->tail_len);
    o->tail[o->tail_len++] = x;
    b->bytes++;
    b->nul += x == '\0';
    b->eight_bit += (unsigned char)x > 127;
    b->bare_cr += o->cr && x != '\n';
    b->bare_lf += x == '\n' && !o->cr;
    if (x == '\n')
        o->line_len = 0;
    else if (x != '\r' && ++o->line_len > b->max_line)
        b->max_line = o->line_len;
    o->cr = x == '\r';
}

static inline size_t oracle_data(struct oracle *o, const char *p, size_t n, uint64_t stop, bool *ended)
{
    static const char end_of_data[] = "\r\n.\r\n";
    size_t i = 0;

    *ended = false;
    while (i < n && !*ended && (!stop || o->body.bytes < stop)) {
        char x = p[i++];

        if (x == end_of_data[o->dot]) {
            o->dot++;
        } else {
            if (o->dot == 3 && x != '.')
                o->body.dots_stuffed = false;
            o->dot = x == '\r' ? 1 : 0;
        }
        oracle_octet(o, x);
        *ended = o->dot == 5 || oracle_tail_is(o, o->also_ends.p, o->also_ends.n);
    }
    return i;
}

static inline size_t oracle_chunk(struct oracle *o, const char *p, size_t n, uint64_t stop)
{
    size_t i = 0;

    while (i < n && (!stop || o->body.bytes < stop))
        oracle_octet(o, p[i++]);
    return i;
}

static inline bool oracle_agrees(const struct oracle *o, const struct bench_content *c)
{
    const struct bench_body *a = &o->body, *b = &c->body;

    return a->bytes == b->bytes && a->max_line == b->max_line && a->bare_lf == b->bare_lf && a->bare_cr == b->bare_cr &&
           a->nul == b->nul && a->eight_bit == b->eight_bit && a->dots_stuffed == b->dots_stuffed && a->near == b->near;
}

#endif
