/* Logging in at a next hop: libgsasl as client, SCRAM-SHA-256, PLAIN and LOGIN (RFC 4954, 7677, 4616). One per connection.
 * Private to src/relay. */
#ifndef RELAY_RELAY_SASL_H
#define RELAY_RELAY_SASL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct relay_sasl;

/* What to say next. Valid until the next call. */
struct relay_sasl_step {
    const char *response; /* NULL: nothing yet, the server speaks first */
    size_t len;
    bool finished; /* nothing more is needed from the server, so that its 235 may be believed */
};

/* offered: names with blanks between. The strongest one we know; *mechanism is its name. -1 and e: none of them, or the
 * mechanism cannot begin. */
int relay_sasl_new(struct relay_sasl **out, const char *offered, size_t offered_len, const char *user,
                   const char *password, const char **mechanism, struct relay_sasl_step *first, struct err *e);
/* -1 and e: the server's side does not fit, as when it does not know the password either. */
int relay_sasl_step(struct relay_sasl *s, const char *challenge, size_t n, struct relay_sasl_step *next, struct err *e);
void relay_sasl_free(struct relay_sasl **s);

#endif
