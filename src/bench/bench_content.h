/* The content of one message as it comes: where it ends, and what is in it that matters to a test. Pure. */
#ifndef BENCH_BENCH_CONTENT_H
#define BENCH_BENCH_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/scenario.h"

struct bench_body {
    uint64_t bytes;      /* as they came, the end included */
    uint64_t eight_bit;  /* octets above 127 */
    const char *eod;     /* what ended it: "crlf-dot-crlf", a name of bench_near_end[], "other"; NULL: nothing did */
    unsigned eod_octets; /* at the end, from the dot on: no content */
    unsigned max_line, bare_lf, bare_cr, nul;
    bool dots_stuffed; /* no line began with a single dot */
    unsigned near;     /* bits: bench_near_end[] that were there */
};

/* What some server somewhere takes for CR LF . CR LF (CVE-2023-51764 and its kind): in what a sender sends there must be
 * none of them, since nobody knows who reads it next. */
#define BENCH_NEAR_ENDS 10u
#define BENCH_NEAR_MOST 6u /* octets of the longest */
extern const struct bench_near {
    const char *name, *bytes;
    unsigned n;
} bench_near_end[BENCH_NEAR_ENDS];

struct bench_content {
    struct bench_body body;
    struct bench_bytes also_ends; /* of the scenario; .p NULL: none */
    unsigned line_len, dot;       /* dot: how much of CR LF . CR LF has been seen */
    uint64_t tail;                /* the last octets, the very last one lowest */
    unsigned tail_len;            /* of them, BENCH_NEAR_MOST at most */
};

void bench_content_begin(struct bench_content *c, struct bench_bytes also_ends);
/* DATA. Takes octets up to the end of the content, or until body.bytes is stop (0: no stop). Returns how many; *ended. */
size_t bench_content_data(struct bench_content *c, const char *p, size_t n, uint64_t stop, bool *ended);
/* BDAT: the same, where no octet ends anything. */
size_t bench_content_chunk(struct bench_content *c, const char *p, size_t n, uint64_t stop);

#endif
