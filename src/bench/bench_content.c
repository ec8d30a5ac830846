#include "bench/bench_content.h"

#include <limits.h>
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

/* ---- octet by octet: wherever something may matter */

static char back(const struct bench_content *c, unsigned i) /* 0: the last octet. '\0' before the first one */
{
    return (char)(c->tail >> 8 * i & 0xff);
}

static bool tail_is(const struct bench_content *c, const char *p, size_t n)
{
    if (!n || n > c->tail_len)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (back(c, i) != p[n - 1 - i])
            return false;
    return true;
}

/* What ends with CR may be the right end without its last octet, so it is known one octet later; behind the right end
 * there is none. */
static void note_near(struct bench_content *c, char next)
{
    if (back(c, 0) != '\r' && back(c, 0) != '\n') /* as all of them end, and their dot is not far */
        return;
    if (back(c, 1) != '.' && back(c, 2) != '.' && back(c, 3) != '.')
        return;
    for (unsigned i = 0; i < BENCH_NEAR_ENDS; i++) {
        const struct bench_near *near = &bench_near_end[i];
        bool part = near->bytes[near->n - 1] == '\r' && next == '\n';
        /* the LF of a CR LF: another row's, or, in BDAT, a line with a dot, which is nobody's end */
        bool whole_end = near->bytes[0] == '\n' && c->tail_len > near->n && back(c, near->n) == '\r';

        if (!part && !whole_end && tail_is(c, near->bytes, near->n))
            c->body.near |= 1u << i;
    }
}

static void longer(struct bench_content *c, size_t n)
{
    c->line_len = n < UINT_MAX - c->line_len ? c->line_len + (unsigned)n : UINT_MAX;
    if (c->line_len > c->body.max_line)
        c->body.max_line = c->line_len;
}

static void look_at(struct bench_content *c, char x)
{
    struct bench_body *b = &c->body;
    bool cr = c->tail_len && back(c, 0) == '\r';

    note_near(c, x);
    c->tail = c->tail << 8 | (unsigned char)x;
    c->tail_len += c->tail_len < BENCH_NEAR_MOST;
    b->bytes++;
    b->nul += x == '\0';
    b->bare_cr += cr && x != '\n';
    b->bare_lf += x == '\n' && !cr;
    if (x == '\n')
        c->line_len = 0;
    else if (x != '\r')
        longer(c, 1);
}

/* ---- in runs: text, and ends of lines that are right and near nothing */

/* Where CR, LF and NUL come next in p[0..n). Each is looked for again only once it has been passed. */
struct marks {
    const char *p;
    size_t n, cr, lf, nul;
};

static size_t seek(const struct marks *m, size_t from, char x)
{
    const char *at = memchr(m->p + from, x, m->n - from);

    return at ? (size_t)(at - m->p) : m->n;
}

static struct marks marks_of(const char *p, size_t n)
{
    struct marks m = {.p = p, .n = n};

    m.cr = seek(&m, 0, '\r');
    m.lf = seek(&m, 0, '\n');
    m.nul = seek(&m, 0, '\0');
    return m;
}

static size_t next_mark(struct marks *m, size_t i)
{
    size_t first;

    if (m->cr < i)
        m->cr = seek(m, i, '\r');
    if (m->lf < i)
        m->lf = seek(m, i, '\n');
    if (m->nul < i)
        m->nul = seek(m, i, '\0');
    first = m->cr < m->lf ? m->cr : m->lf;
    return first < m->nul ? first : m->nul;
}

/* Octets from at on are text, none of CR, LF and NUL, and the line's first dot is not among them: nothing begins or ends
 * there. Neither does anything at a CR LF behind two of them, unless a scenario wants it to, nor at text behind that.
 * Returns where it stopped; then the state is what it would be, had each octet been looked at. */
static size_t run(struct bench_content *c, struct marks *m, size_t at)
{
    size_t i = at, e = at;
    bool at_line = false;

    while (i < m->n && (!at_line || m->p[i] != '.') && (e = next_mark(m, i)) > i) {
        longer(c, e - i);
        at_line = e - i >= 2 && e == m->cr && e + 1 < m->n && m->p[e + 1] == '\n' && !c->also_ends.n;
        i = at_line ? e + 2 : e;
        if (!at_line)
            break;
        c->line_len = 0;
    }
    c->dot = at_line ? 2 : 0;
    c->body.bytes += i - at;
    for (size_t k = i - at > BENCH_NEAR_MOST ? i - BENCH_NEAR_MOST : at; k < i; k++) {
        c->tail = c->tail << 8 | (unsigned char)m->p[k];
        c->tail_len += c->tail_len < BENCH_NEAR_MOST;
    }
    return i;
}

/* A run may begin: what stands before does not matter any more to the next octet, if that is text. */
static bool is_in_text(const struct bench_content *c)
{
    char end = c->also_ends.n ? c->also_ends.p[c->also_ends.n - 1] : '\n';

    return c->tail_len && back(c, 0) != '\r' && back(c, 0) != '\n' && (end == '\n' || end == '\r');
}

/* How many of n octets there may be up to stop. */
static size_t up_to(const struct bench_content *c, size_t n, uint64_t stop)
{
    uint64_t left = stop > c->body.bytes ? stop - c->body.bytes : 0;

    return stop && left < n ? (size_t)left : n;
}

/* Octets above 127, eight at a time. */
static uint64_t eight_bits(const char *p, size_t n)
{
    uint64_t count = 0, eight;
    size_t i = 0;

    for (; i + sizeof eight <= n; i += sizeof eight) {
        memcpy(&eight, p + i, sizeof eight);
        eight &= UINT64_C(0x8080808080808080);
        if (eight)
            count += (unsigned)__builtin_popcountll(eight);
    }
    for (; i < n; i++)
        count += (unsigned char)p[i] > 127;
    return count;
}

/* ---- outside */

static void note_end(struct bench_content *c)
{
    struct bench_bytes also = c->also_ends;
    const char *dot;

    c->body.eod = "crlf-dot-crlf";
    c->body.eod_octets = 3;
    if (c->dot == 5)
        return;
    c->body.eod = "other";
    for (unsigned i = 0; i < BENCH_NEAR_ENDS; i++)
        if (bench_near_end[i].n == also.n && memcmp(bench_near_end[i].bytes, also.p, also.n) == 0)
            c->body.eod = bench_near_end[i].name;
    dot = memchr(also.p, '.', also.n);
    c->body.eod_octets = (unsigned)(dot ? also.n - (size_t)(dot - also.p) : 0);
}

void bench_content_begin(struct bench_content *c, struct bench_bytes also_ends)
{
    *c = (struct bench_content){.also_ends = also_ends, .dot = 2}; /* the CR LF of the command counts */
    c->body.dots_stuffed = true;
}

/* CR LF . CR LF, and nothing else, ends it. */
static void follow_dot(struct bench_content *c, char x)
{
    static const char end_of_data[] = "\r\n.\r\n";

    if (x == end_of_data[c->dot]) {
        c->dot++;
        return;
    }
    if (c->dot == 3 && x != '.')
        c->body.dots_stuffed = false;
    c->dot = x == '\r' ? 1 : 0;
}

size_t bench_content_data(struct bench_content *c, const char *p, size_t n, uint64_t stop, bool *ended)
{
    struct marks m = marks_of(p, up_to(c, n, stop));
    size_t i = 0;

    *ended = false;
    while (i < m.n && !*ended) {
        if (c->dot == 0 && is_in_text(c) && next_mark(&m, i) > i) {
            i = run(c, &m, i);
            continue;
        }
        follow_dot(c, p[i]);
        look_at(c, p[i++]);
        *ended = c->dot == 5 || tail_is(c, c->also_ends.p, c->also_ends.n);
        if (*ended)
            note_end(c);
    }
    c->body.eight_bit += eight_bits(p, i);
    return i;
}

size_t bench_content_chunk(struct bench_content *c, const char *p, size_t n, uint64_t stop)
{
    struct marks m = marks_of(p, up_to(c, n, stop));
    size_t i = 0;

    while (i < m.n) {
        if (is_in_text(c) && next_mark(&m, i) > i)
            i = run(c, &m, i);
        else
            look_at(c, p[i++]);
    }
    c->body.eight_bit += eight_bits(p, i);
    return i;
}
