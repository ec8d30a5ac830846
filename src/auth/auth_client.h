/* The worker's side of logging in: talks with the auth process. Nothing here ever waits; answers come from the loop, at
 * the end of a turn at the latest, never from inside the calls. While there is no auth process every talk is answered
 * AUTH_UNAVAILABLE: the client is told to come again (454), and nobody is let in. */
#ifndef AUTH_AUTH_CLIENT_H
#define AUTH_AUTH_CLIENT_H

#include "auth/auth_msg.h"
#include "net/loop.h"

struct auth_client; /* per worker */
struct auth_talk;   /* one exchange; gone with any answer but AUTH_CONTINUE */

/* Called once for each begin and step. text: a challenge (CONTINUE) or an identity (OK), else "". */
typedef void auth_answer_fn(void *arg, enum auth_verdict v, const char *text);

struct auth_client *auth_client_new(struct loop *l);
void auth_client_free(struct auth_client **c); /* nobody is called */
/* A channel to a new auth process, the client's from now on. What ran with the one before is answered UNAVAILABLE. */
void auth_client_channel(struct auth_client *c, int fd);
/* "SCRAM-SHA-256 PLAIN LOGIN", as the last auth process said it; NULL: none so far. It stays while a process is away, so
 * that clients hear 454 and not that there is no AUTH. */
const char *auth_client_mechanisms(const struct auth_client *c);

/* facts.number is filled in here. text: base64; n 0 and facts.has_text false: no initial response. */
struct auth_talk *auth_begin(struct auth_client *c, const struct auth_begin_msg *facts, const char *text, size_t n,
                             auth_answer_fn *answer, void *arg);
void auth_step(struct auth_talk *t, const char *text, size_t n);
void auth_cancel(struct auth_talk **t);

void auth_client_turn(struct auth_client *c);                 /* at the end of each turn of the loop */
void auth_client_tick(struct auth_client *c, int64_t now_us); /* once a second: an auth process that says nothing */

#endif
