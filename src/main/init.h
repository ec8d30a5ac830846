/* A complete working set to try postern with: configuration, local CA, certificate, Maildirs. */
#ifndef MAIN_INIT_H
#define MAIN_INIT_H

#include <stdbool.h>

#include "base/err.h"

struct init_set {
    const char *dir; /* made when missing; its parent must exist */
    const char *domain;
    unsigned port;    /* STARTTLS; implicit TLS is 60 below: 2525 and 2465 */
    const char *user; /* who the daemon becomes, and who gets the mail; NULL: whoever starts it */
    bool force;       /* a set is there: configuration and certificates are written anew, mail is kept */
};

bool init_is_domain(const char *name); /* letters, digits, hyphens; two labels at least */

/* 0, or -1 and e. s->user need not be able to pass the directories above: the store opens its own before rights are dropped. */
int init_write(const struct init_set *s, struct err *e);

/* The three commands worth trying, for the set that is in dir; the caller frees. NULL and e: there is none. */
char *init_show(const char *program, const char *dir, struct err *e);

#endif
