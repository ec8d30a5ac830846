/* The auth process's whole life after its sandbox is in place: exchanges of all workers, one backend, and the slowing of
 * those who guess. Passwords are seen here and nowhere else. */
#ifndef AUTH_AUTH_PROCESS_H
#define AUTH_AUTH_PROCESS_H

#include "conf/conf_users.h"

struct auth_setup {
    const struct conf_users *users; /* NULL: Dovecot's */
    const char *dovecot;            /* path of its auth-client socket; NULL: users */
    int leader_fd;                  /* chan: workers come from there (auth_msg.h); its end: so do we */
};

/* Returns the process's exit code. */
int auth_run(const struct auth_setup *s);

#endif
