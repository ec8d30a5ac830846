/* What next hops said of recipients, for a while. Pure: times are the caller's, microseconds of a monotonic clock that
 * never goes back.
 *
 * A yes counts for two hours, a no for ten minutes: a mailbox that was just made should not be refused for long, one that
 * was just deleted costs a bounce at worst. What is unknown is not kept. Each kind has its own room, the oldest leaves:
 * somebody who guesses addresses pushes out other guesses, never those of people who are there. */
#ifndef RELAY_VERIFY_CACHE_H
#define RELAY_VERIFY_CACHE_H

#include "relay/verify_msg.h"

#define VERIFY_YES_US (INT64_C(7200) * 1000000)
#define VERIFY_NO_US (INT64_C(600) * 1000000)

struct verify_cache;

struct verify_cache *verify_cache_new(unsigned most); /* entries of each kind */
void verify_cache_free(struct verify_cache **c);
/* NULL: nothing is known. Valid until the next call. Addresses compare byte by byte before the last @ (RFC 5321 2.4: "The
 * local-part of a mailbox MUST BE treated as case sensitive" by others than its host), without case behind it. */
const struct verify_answer *verify_cache_find(struct verify_cache *c, const char *route, const char *address,
                                              int64_t now_us);
/* Replaces what was known, whatever it was. An answer "unknown" changes nothing. */
void verify_cache_put(struct verify_cache *c, const char *route, const char *address, const struct verify_answer *a,
                      int64_t now_us);
unsigned verify_cache_count(const struct verify_cache *c);

/* The same comparison, for questions that are alike; <0, 0, >0. */
int verify_address_compare(const char *a, const char *b);

#endif
