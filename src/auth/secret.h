/* Hashes of passwords: making them, checking them, and what is shown to those who ask for users that do not exist.
 * crypt(3) of libxcrypt, yescrypt by default; SCRAM-SHA-256 (RFC 5802, 7677) by libgsasl. */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include <stdbool.h>

#include "base/err.h"
#include "conf/conf_users.h"

#define SECRET_PASSWORD_MOST 512 /* bytes; crypt(3) takes no more (CRYPT_MAX_PASSPHRASE_SIZE) */

/* The part of a user's line behind its name: "$y$...:SCRAM-SHA-256,...". malloc'd, a secret. NULL and e. */
char *secret_make(const char *password, struct err *e);

/* Takes the time that the hash demands, whatever the result. */
bool secret_is_right(const char *hash, const char *password);

/* The salt and keys of a user who does not exist: always the same for one name and seed, like those of one who does.
 * base64, malloc'd, a secret's length. */
#define SECRET_SEED 32
struct secret_made_up {
    char salt[32], stored[64], server[64];
};
/* A seed that one hash always gives. */
int secret_seed(unsigned char seed[SECRET_SEED], const char *hash);
int secret_make_up(struct secret_made_up *out, const unsigned char seed[SECRET_SEED], const char *name);

#endif
