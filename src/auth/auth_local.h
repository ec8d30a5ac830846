/* Users of our own file: PLAIN, LOGIN and SCRAM-SHA-256 by libgsasl, in threads, since a hash is made to be slow. A user
 * who does not exist takes the same way as one who does: a hash of somebody else's cost, a salt made up. */
#ifndef AUTH_AUTH_LOCAL_H
#define AUTH_AUTH_LOCAL_H

#include "auth/auth_backend.h"
#include "conf/conf_users.h"

#define AUTH_LOCAL_THREADS 2

/* users stay the caller's. Starts its threads: behind the sandbox. */
int auth_local_new(struct auth_backend **out, struct loop *l, const struct conf_users *users,
                   const struct auth_backend_events *events, void *arg, struct err *e);

#endif
