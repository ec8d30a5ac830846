#include "bench/bench_content.h"

#include <string.h>

const struct bench_near bench_near_end[BENCH_NEAR_ENDS] = {
    {"lf-dot-lf", "\n.\n", 3},
    {"cr-dot-cr", "\r.\r", 3},
    {"cr-dot-lf", "\r.\n", 3},
    {"lf-dot-cr", "\n.\r", 3},
    {"lf-dot-crlf", "\n.\r\n", 4},
    {"crlf-dot-lf", "\r\n.\n", 4},
    {"cr-dot-crlf", "\r.\r\n", 4},
    {"crlf-dot-cr", "\r\n.\r", 4},
    {"crlf-nul-dot-crlf", "\r\n\0.\r\n", 6},
    {"crlf-dot-nul-crlf", "\r\n.\0\r\n", 6},
};

static bool tail_is(const struct bench_content *c, const char *p, size_t n)
{
    return n && n <= c->tail_len && memcmp(c->tail + c->tail_len - n, p, n) == 0;
}

/* What ends with CR may be the right end without its last octet, so it is known one octet later; behind the right end
 * there is none. */
static void note_near(struct bench_content *c, char next)
{
    for (unsigned i = 0; i < BENCH_NEAR_ENDS; i++) {
        const struct bench_near *near = &bench_near_end[i];
        bool part = near->bytes[near->n - 1] == '\r' && next == '\n';
        /* the LF of a CR LF: another row's, or, in BDAT, a line with a dot, which is nobody's end */
        bool whole_end = near->bytes[0] == '\n' && c->tail_len > near->n && c->tail[c->tail_len - near->n - 1] == '\r';

        if (!part && !whole_end && tail_is(c, near->bytes, near->n))
            c->body.near |= 1u << i;
    }
}

static void keep_tail(struct bench_content *c, char x)
{
    if (c->tail_len == BENCH_NEAR_MOST)
        memmove(c->tail, c->tail + 1, --c->tail_len);
    c->tail[c->tail_len++] = x;
}

static void look_at(struct bench_content *c, char x)
{
    struct bench_body *b = &c->body;

    note_near(c, x);
    keep_tail(c, x);
    b->bytes++;
    b->nul += x == '\0';
    b->bare_cr += c->cr && x != '\n';
    b->bare_lf += x == '\n' && !c->cr;
    if (x == '\n')
        c->line_len = 0;
    else if (x != '\r' && ++c->line_len > b->max_line)
        b->max_line = c->line_len;
    c->cr = x == '\r';
}

void bench_content_begin(struct bench_content *c, struct bench_bytes also_ends)
{
    *c = (struct bench_content){.also_ends = also_ends, .dot = 2}; /* the CR LF of the command counts */
    c->body.dots_stuffed = true;
}

/* CR LF . CR LF, and nothing else, ends it. */
size_t bench_content_data(struct bench_content *c, const char *p, size_t n, uint64_t stop, bool *ended)
{
    static const char end_of_data[] = "\r\n.\r\n";
    size_t i = 0;

    *ended = false;
    while (i < n && !*ended && (!stop || c->body.bytes < stop)) {
        char x = p[i++];

        if (x == end_of_data[c->dot]) {
            c->dot++;
        } else {
            if (c->dot == 3 && x != '.')
                c->body.dots_stuffed = false;
            c->dot = x == '\r' ? 1 : 0;
        }
        look_at(c, x);
        *ended = c->dot == 5 || tail_is(c, c->also_ends.p, c->also_ends.n);
    }
    return i;
}

size_t bench_content_chunk(struct bench_content *c, const char *p, size_t n, uint64_t stop)
{
    size_t i = 0;

    while (i < n && (!stop || c->body.bytes < stop))
        look_at(c, p[i++]);
    return i;
}
