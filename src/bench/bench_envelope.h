/* Whom a message is from and for, as the sender wrote it: kept for whoever listens to the session. Pure; bounded: what comes
 * beyond the bounds is counted and forgotten. */
#ifndef BENCH_BENCH_ENVELOPE_H
#define BENCH_BENCH_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define BENCH_ENVELOPE_MOST 1000u /* RFC 5321 4.5.3.1.8 asks for 100 */
#define BENCH_PATH_MOST 512u      /* octets of an address, and of its parameters */

struct bench_rcpt {
    char *addr, *params;
    unsigned code; /* of the answer; 0: none was given */
};

struct bench_envelope {
    char *from, *params; /* NULL: no MAIL */
    struct bench_rcpt *rcpts;
    unsigned rcpt_count, rcpts_more; /* more: came when the list was full */
    uint64_t size_declared;
    bool size_given; /* SIZE= was there, and a number */
};

/* "FROM:<a@b> SIZE=1" in its parts; what it says is taken as it is, with or without brackets. */
struct bench_path {
    struct span addr, params;
    bool bracketed, spaced; /* spaced: blanks around the colon */
};
struct bench_path bench_path_split(struct span arg);
/* The value of NAME= in params. .p NULL: not there. */
struct span bench_path_param(struct span params, const char *name);

void bench_envelope_mail(struct bench_envelope *e, struct span arg); /* begins a new one */
void bench_envelope_rcpt(struct bench_envelope *e, struct span arg, unsigned code);
void bench_envelope_clear(struct bench_envelope *e);

#endif
