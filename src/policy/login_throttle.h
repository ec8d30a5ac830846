/* Guessing passwords is slowed down: the more logins of one client network, or for one name, have failed lately, the
 * later the next answer comes. Nobody is locked out for ever, and a name never is: its owner would be. Pure: times are
 * the caller's, microseconds, monotonic. A table of fixed size: when it is full the entry that failed longest ago goes. */
#ifndef POLICY_LOGIN_THROTTLE_H
#define POLICY_LOGIN_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct login_throttle;

#define LOGIN_FREE 3u                  /* failures that cost nothing: people mistype */
#define LOGIN_DELAY_US INT64_C(500000) /* then this, doubling */
#define LOGIN_DELAY_MOST_US INT64_C(15000000)
#define LOGIN_TOO_MANY 20u                /* of one client: turned away */
#define LOGIN_FORGET_US INT64_C(60000000) /* one failure is forgotten each minute */

enum login_kind { LOGIN_CLIENT, LOGIN_NAME };

/* entries: how many are remembered. */
struct login_throttle *login_throttle_new(size_t entries);
void login_throttle_free(struct login_throttle **t);

/* How long the next answer waits. too_many (of a CLIENT only; NULL: not asked): nothing is checked any more. */
int64_t login_throttle_delay(const struct login_throttle *t, enum login_kind kind, const void *key, size_t n,
                             int64_t now_us, bool *too_many);
/* Counts a failure. True: with this one it became too many, once per stretch. */
bool login_throttle_failed(struct login_throttle *t, enum login_kind kind, const void *key, size_t n, int64_t now_us);
/* A login that worked clears what its name, and one failure of its client, had. */
void login_throttle_worked(struct login_throttle *t, enum login_kind kind, const void *key, size_t n, int64_t now_us);

#endif
