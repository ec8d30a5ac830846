/* Whose mail is this? A recipient address and the loaded domains in; mailboxes, a delivery elsewhere or a refusal out. Pure.
 * A mailbox whose delivery is no Maildir is a recipient for the queue, under its own name.
 * RFC 5321 2.4 (case), 4.5.1 (postmaster), 5.1.1 and 7.1 of RFC 3463; DESIGN: relaying is refused. */
#ifndef POLICY_RCPT_RULE_H
#define POLICY_RCPT_RULE_H

#include "base/text.h"
#include "conf/conf.h"

enum rcpt_reason {
    RCPT_OK,
    RCPT_CATCH_ALL,
    RCPT_SUBADDRESS,  /* taken, after cutting "+tag" */
    RCPT_POSTMASTER,  /* taken: postmaster of a domain that has no such address, or bare */
    RCPT_ANY,         /* away: accept-any */
    RCPT_VERIFY,      /* away, once the next hop has been asked */
    RCPT_RELAY,       /* away: a domain that is not ours, from somebody who may send there */
    RCPT_NO_MAILBOX,  /* 550 5.1.1 */
    RCPT_NOT_OURS,    /* 550 5.7.1: relaying */
    RCPT_BAD_DOMAIN,  /* 550 5.1.2: cannot be an A-label; 501 is the engine's for syntax */
    RCPT_UNAVAILABLE, /* 451 4.3.0: the domain's mailbox list cannot be read */
};

struct rcpt_verdict {
    enum rcpt_reason reason;
    const unsigned *mailboxes; /* indices, the snapshot's memory */
    unsigned mailbox_count;
    bool away;         /* no mailbox: the address as it stands goes to .delivery */
    unsigned delivery; /* index in conf.deliveries */
    uint16_t code;
    const char *enhanced;
    const char *text;
};

const char *rcpt_reason_name(enum rcpt_reason r);
/* may_relay: the session has logged in, or comes from a network that need not. */
void rcpt_rule(struct rcpt_verdict *out, const struct conf *c, struct peer_text local, struct peer_text domain,
               bool may_relay);

#endif
