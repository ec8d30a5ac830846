/* Memory that every worker of every generation shares: who is connected, and the counters that
 * `postern status` adds up. The supervisor makes it before the first fork. A worker owns one slot and
 * is its only writer; all read all. A dead worker's slot is cleared by whoever reaps it, so nothing
 * it counted outlives it. Readers tolerate values a moment old: limits are limits, not ledgers. */
#ifndef BASE_SHARE_H
#define BASE_SHARE_H

#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

#define SHARE_SLOTS 64 /* workers alive at once, over all generations: 8 in each of at most 6, with room */

/* Each is a total since the slot's worker started, or a level where the name says "now". */
enum share_counter {
    SHARE_CONNECTIONS_NOW,
    SHARE_CONNECTIONS,
    SHARE_REFUSED, /* 421 at the greeting: a limit was reached */
    SHARE_TLS_HANDSHAKES,
    SHARE_TLS_FAILURES,
    SHARE_EHLO_WITHOUT_STARTTLS, /* although the listener wants it */
    SHARE_LEFT_WITHOUT_TLS,
    SHARE_MESSAGES, /* answered 250 */
    SHARE_MESSAGE_BYTES,
    SHARE_MESSAGES_TEMPFAIL,
    SHARE_MESSAGES_REJECTED,
    SHARE_RECIPIENTS,
    SHARE_TRANSACTIONS_NOW, /* sessions with MAIL open */
    SHARE_COUNTERS
};
const char *share_counter_name(enum share_counter c); /* "connectionsNow", for status --json */

struct share; /* opaque, mapped MAP_SHARED */

/* keys: how many distinct address keys one worker can count (rounded up to a power of two). */
int share_new(struct share **out, unsigned keys, struct err *e);
/* Takes a free slot for a worker of this generation (not 0); -1 when all are taken. Called by the parent before fork. */
int share_take(struct share *s, unsigned generation);
void share_release(struct share *s, int slot);
/* Releases whatever a generation still holds: its leader died, and its workers have ended without one. */
void share_release_all(struct share *s, unsigned generation);

void share_add(struct share *s, int slot, enum share_counter c, int64_t delta);
int64_t share_total(const struct share *s, enum share_counter c); /* over all slots */
/* Totals of released slots are kept, levels ("Now") are not. */

/* Counts a client in this worker's slot under one key. 0, or -1 when the slot's table is full. */
int share_key_add(struct share *s, int slot, const struct addr_key *k);
void share_key_drop(struct share *s, int slot, const struct addr_key *k);
unsigned share_key_count(const struct share *s, const struct addr_key *k); /* over all slots */

#endif
