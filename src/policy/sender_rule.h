/* Whose sender address is it? A user who logged in and a reverse-path in, yes or a refusal out. Pure.
 * RFC 6409 6.1: an MSA may check that the reverse-path belongs to the one who submits; 3.2 and RFC 3463 X.7.1 for the
 * code. Strings are borrowed for the call; a verdict's strings are constant. */
#ifndef POLICY_SENDER_RULE_H
#define POLICY_SENDER_RULE_H

#include "base/text.h"
#include "conf/conf.h"

enum sender_reason {
    SENDER_NULL,        /* "": what RFC 8098 3 demands of a disposition notification */
    SENDER_OWN,         /* the login name itself */
    SENDER_ALIAS,       /* an address, or a subaddress, that leads to the user's mailbox */
    SENDER_LISTED,      /* by the user's list */
    SENDER_NOT_YOURS,   /* 553 5.7.1 */
    SENDER_UNAVAILABLE, /* 451 4.3.0: the list of mailboxes that would say it cannot be read */
};

struct sender_verdict {
    enum sender_reason reason;
    uint16_t code; /* 250, 451, 553 */
    const char *enhanced;
    const char *text;
};

const char *sender_reason_name(enum sender_reason r);

/* user: the login name, a full address. list: "local@domain" or "*@domain", from the configuration. mailbox: what
 * SMTP_ASK_SENDER gives, its syntax checked. Case does not matter, domains are compared as A-labels. */
void sender_rule(struct sender_verdict *out, const struct conf *c, const char *user, const char *const *list,
                 unsigned list_count, struct peer_text mailbox);

#endif
