/* Who knows the users: our own file (auth_local.h) or Dovecot (dovecot.h). Private to src/auth. */
#ifndef AUTH_AUTH_BACKEND_H
#define AUTH_AUTH_BACKEND_H

#include "auth/auth_msg.h"
#include "net/loop.h"

struct auth_backend;
struct auth_exchange; /* the backend's part of a talk; gone with any answer but AUTH_CONTINUE */

struct auth_backend_events {
    /* text: as AUTH_ANSWER's; name: who it was, "" when that was not said. Never from inside begin(). */
    void (*answer)(void *talk, enum auth_verdict v, const char *text, const char *name);
    void (*changed)(void *arg); /* the mechanisms did, or the backend went or came */
};

struct auth_backend_ops {
    const char *(*mechanisms)(const struct auth_backend *b); /* "": none at the moment */
    struct auth_exchange *(*begin)(struct auth_backend *b, const struct auth_begin_msg *m, const char *text,
                                   void *talk);
    void (*step)(struct auth_backend *b, struct auth_exchange *x, const char *text);
    void (*cancel)(struct auth_backend *b, struct auth_exchange *x); /* no answer follows */
    void (*tick)(struct auth_backend *b);                            /* once a second; NULL: not wanted */
    void (*free)(struct auth_backend **b);
};

struct auth_backend {
    const struct auth_backend_ops *ops;
    const struct auth_backend_events *events;
    void *arg; /* of changed() */
};

#endif
