/* Whether next hops take recipients: asked once, remembered (verify_cache.h), told to everybody who waits.
 *
 * Questions for the same address are one. For each route a few are under way at a time, the rest wait in order; what is
 * not known after VERIFY_SECONDS is "unknown". So is everything for a route where a next hop could just not be spoken to,
 * for some seconds: it is not asked by each client that comes along whether it is still down. */
#ifndef RELAY_VERIFY_DESK_H
#define RELAY_VERIFY_DESK_H

#include "relay/relay_task.h"
#include "relay/verify_msg.h"

struct verify_desk;
struct verify_desk_setup {
    struct loop *loop;
    struct relay_desk *relay;
    const struct relay_route *routes;
    unsigned route_count;
    unsigned cache_most;          /* answers kept, of each kind */
    unsigned at_once;             /* questions under way for a route */
    int64_t deadline_us, rest_us; /* rest: after a failed connection nothing is asked */
};
extern const struct verify_desk_setup verify_desk_default; /* without what is the caller's */

struct verify_desk *verify_desk_new(const struct verify_desk_setup *s);
void verify_desk_free(struct verify_desk **d); /* before the relay desk; nobody is called */

struct verify_wait;
typedef void verify_desk_told(void *arg, const struct verify_answer *a); /* may not ask */
/* NULL: told() was called from inside, since the answer is known. Else it will be, later, unless it is forgotten. */
struct verify_wait *verify_desk_ask(struct verify_desk *d, const char *route, const char *address,
                                    verify_desk_told *told, void *arg);
void verify_desk_forget(struct verify_wait **w); /* what was asked for its sake goes on, and is remembered */
void verify_desk_turn(struct verify_desk *d);    /* at the end of each turn of the loop, before relay_desk_turn() */
void verify_desk_tick(struct verify_desk *d);    /* once a second, not from inside */

#endif
