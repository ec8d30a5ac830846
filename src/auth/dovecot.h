/* Dovecot knows the users: a client of its auth-client socket, protocol version 1. Dovecot runs the mechanisms itself; its
 * MECH lines are what is offered (anonymous and private ones left out). The connection is made again when it ends: at
 * once, then after growing whiles up to half a minute; meanwhile exchanges are AUTH_UNAVAILABLE. Names that Dovecot gives
 * must be full addresses. Dovecot is trusted as far as passwords go, not to be free of faults: lines are bounded. */
#ifndef AUTH_DOVECOT_H
#define AUTH_DOVECOT_H

#include "auth/auth_backend.h"

int dovecot_new(struct auth_backend **out, struct loop *l, const char *path, const struct auth_backend_events *events,
                void *arg, struct err *e);

/* ---- its lines, apart from the connection; pure */

#define DOVECOT_LINE_MOST 16384u

enum dovecot_kind {
    DOVECOT_OTHER,
    DOVECOT_VERSION,
    DOVECOT_MECH,
    DOVECOT_DONE,
    DOVECOT_OK,
    DOVECOT_FAIL,
    DOVECOT_CONT
};
struct dovecot_line {
    enum dovecot_kind kind;
    uint32_t number;  /* VERSION: the major one; OK, FAIL, CONT: of the request */
    const char *text; /* MECH: its name; CONT: base64; "" else */
    const char *user; /* OK, FAIL: user=, "" when not said */
    const char *resp; /* OK: last words, base64, or NULL */
    bool hidden;      /* MECH: not for everybody's EHLO */
    bool temporary;   /* FAIL */
};
/* line: without its newline, NUL-terminated, cut up in place; results point into it. -1: not of the protocol. */
int dovecot_parse(struct dovecot_line *out, char *line);

#endif
