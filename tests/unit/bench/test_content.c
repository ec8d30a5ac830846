#include "bench/bench_content.h"
#include "content_oracle.h"
#include "unit/suite.h"

#define MOST 400u

static uint64_t state = 1;

static unsigned draw(unsigned below) /* xorshift64: the same octets in each run */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % below);
}

/* Pieces of which contents are made: ends that are right and wrong, dots, and text of several lengths. */
static size_t piece(char *out)
{
    static const char *const text[] = {"\r\n", "\r\n", ".",  "\r",     "\n",    "..", "x",
                                       "xy",   "xyz",  ".x", "x.\r\n", "\r\n.", "x.", "a longer text",
                                       "\xff"};
    unsigned k = draw(sizeof text / sizeof *text + 3);
    size_t n;

    if (k >= sizeof text / sizeof *text + 1) {
        const struct bench_near *near = &bench_near_end[draw(BENCH_NEAR_ENDS)];

        memcpy(out, near->bytes, near->n);
        return near->n;
    }
    if (k == sizeof text / sizeof *text) {
        *out = '\0';
        return 1;
    }
    n = strlen(text[k]);
    memcpy(out, text[k], n);
    return n;
}

static size_t content(char *out)
{
    size_t n = 0, most = 1 + draw(MOST - 20);

    while (n < most)
        n += piece(out + n);
    return n;
}

static const struct bench_bytes ends[] = {
    {NULL, 0},          {(char *)"\n.\n", 3}, {(char *)"\r.\r", 3}, {(char *)"z\r\n", 3}, {(char *)"\r\n\0.\r\n", 6},
    {(char *)"text", 4}};

struct both {
    struct oracle o;
    struct bench_content c;
    bool chunk, ended;
};

/* One call to each, with the same octets. How many both took. */
static size_t feed(struct both *b, const char *p, size_t n, uint64_t stop)
{
    bool ended = false;
    size_t took;

    b->ended = false;
    took = b->chunk ? oracle_chunk(&b->o, p, n, stop) : oracle_data(&b->o, p, n, stop, &b->ended);
    ck_assert_uint_eq(took, b->chunk ? bench_content_chunk(&b->c, p, n, stop)
                                     : bench_content_data(&b->c, p, n, stop, &ended));
    ck_assert_int_eq(b->ended, ended);
    ck_assert(oracle_agrees(&b->o, &b->c));
    return took;
}

/* Cut anywhere, stopped anywhere: after each call both have found the same. */
START_TEST(it_finds_what_the_simple_one_finds)
{
    char p[MOST + 20];

    for (unsigned round = 0; round < 60000; round++) {
        size_t n = content(p), at = 0;
        struct both b = {.chunk = draw(3) == 0};

        oracle_begin(&b.o, ends[round % 2 ? 0 : draw(6)]);
        bench_content_begin(&b.c, b.o.also_ends);
        while (at < n && !b.ended) {
            size_t left = n - at, cut = draw(4) ? 1 + draw((unsigned)left) : left;
            uint64_t stop = draw(4) ? 0 : b.o.body.bytes + 1 + draw(8);
            char *exact = malloc(cut); /* nothing is read beyond it */

            memcpy(exact, p + at, cut);
            at += feed(&b, exact, cut, stop);
            free(exact);
        }
    }
}
END_TEST

/* All there is of five octets that matter and one that does not, up to seven of them. */
START_TEST(every_short_content)
{
    static const char octets[] = {'\r', '\n', '.', '\0', 'x'};

    for (unsigned n = 1, all = 5; n <= 7; n++, all *= 5)
        for (unsigned which = 0; which < all; which++) {
            char p[8];
            struct both b = {.chunk = which % 2};
            size_t at = 0;

            for (unsigned i = 0, w = which; i < n; i++, w /= 5)
                p[i] = octets[w % 5];
            oracle_begin(&b.o, ends[0]);
            bench_content_begin(&b.c, ends[0]);
            while (at < n && !b.ended)
                at += feed(&b, p + at, n - at, 0);
        }
}
END_TEST

START_TEST(a_stop_behind_it_takes_nothing)
{
    struct bench_content c;
    bool ended;

    bench_content_begin(&c, ends[0]);
    ck_assert_uint_eq(bench_content_data(&c, "hello", 5, 3, &ended), 3);
    ck_assert_uint_eq(bench_content_data(&c, "lo", 2, 3, &ended), 0);
    ck_assert_uint_eq(bench_content_chunk(&c, "lo", 2, 3), 0);
    ck_assert_uint_eq(bench_content_data(&c, "lo", 2, 0, &ended), 2);
    ck_assert_uint_eq(c.body.bytes, 5);
}
END_TEST

/* A line of more octets than its counter holds is not a short one. */
START_TEST(a_line_without_an_end)
{
    struct bench_content c;
    bool ended;

    bench_content_begin(&c, ends[0]);
    bench_content_data(&c, "xx", 2, 0, &ended);
    c.line_len = c.body.max_line = 0xfffffffeu;
    bench_content_data(&c, "xxxx", 4, 0, &ended);
    ck_assert_uint_eq(c.body.max_line, 0xffffffffu);
}
END_TEST

SUITE_MAIN("bench_content", it_finds_what_the_simple_one_finds, every_short_content, a_stop_behind_it_takes_nothing,
           a_line_without_an_end)
