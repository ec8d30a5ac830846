/* Extensions: which of them an answer to EHLO offers, and which of them a command makes use of, as bits. Pure. */
#ifndef BENCH_BENCH_OFFER_H
#define BENCH_BENCH_OFFER_H

#include <stddef.h>

#define BENCH_OFFER_ALL (~0u)
#define BENCH_OFFER_PIPELINING 1u /* the first of the table */

/* Lines "250-WORD ..." of an answer; skip: so many first ones are not looked at. */
unsigned bench_offer_of(const char *text, size_t n, unsigned skip);
/* verb: upper case; arg: what follows it. */
unsigned bench_offer_used(const char *verb, const char *arg);

#endif
