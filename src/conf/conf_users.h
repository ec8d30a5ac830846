/* The file of users: who may log in. One line each, # begins a comment:
 *
 *     alice@example.org:$y$j9T$...                                    a hash of crypt(5)
 *     alice@example.org:$y$j9T$...:SCRAM-SHA-256,ITER,SALT,STORED,SERVER   and what SCRAM needs (RFC 5802 3, base64)
 *
 * Names are full addresses, compared in lower case, domains as A-labels. `postern passwd` writes it. The text holds
 * secrets: whoever reads it wipes it. */
#ifndef CONF_CONF_USERS_H
#define CONF_CONF_USERS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/text.h"

#define CONF_USER_NAME 321 /* local@domain, with its NUL */

struct conf_user {
    char *name;
    char *hash;
    char *salt, *stored, *server; /* base64; NULL: no SCRAM */
    unsigned iterations;
    unsigned line;
};

struct conf_users {
    struct conf_user *list; /* sorted by name */
    unsigned count;
    bool scram; /* everybody has what it needs */
};

/* Says one problem, with its line. */
typedef void conf_users_say(void *arg, unsigned line, const char *text);

/* NULL when something was wrong, and said. */
struct conf_users *conf_users_parse(const char *text, size_t n, conf_users_say *say, void *arg);
void conf_users_free(struct conf_users **u);
/* The user of that name, written in any way; NULL: there is none. */
const struct conf_user *conf_users_find(const struct conf_users *u, struct span name);
/* A name as it is compared. -1 and e: it is no address. */
int conf_user_name(char dst[CONF_USER_NAME], struct span text, struct err *e);

#endif
