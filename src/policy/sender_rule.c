#include "policy/sender_rule.h"

#include <string.h>

#include "conf/conf_idn.h"
#include "policy/rcpt_rule.h"

#define LOCAL_MOST 256 /* RFC 5321 4.5.3.1.1 allows 64; a longer one is nobody's */

/* An address in the form in which addresses are compared. */
struct plain {
    char local[LOCAL_MOST]; /* unquoted, lower case */
    size_t n;
    char domain[CONF_IDN_LEN];
};

const char *sender_reason_name(enum sender_reason r)
{
    static const char *const name[] = {"null", "own", "alias", "listed", "not-yours", "unavailable"};

    return name[r];
}

static void say(struct sender_verdict *out, enum sender_reason r)
{
    static const struct sender_verdict yes = {SENDER_NULL, 250, "2.1.0", "Ok"};
    static const struct sender_verdict no = {SENDER_NOT_YOURS, 553, "5.7.1",
                                             "this sender address does not belong to the user who logged in"};
    static const struct sender_verdict later = {SENDER_UNAVAILABLE, 451, "4.3.0",
                                                "the list of mailboxes cannot be read at the moment"};

    *out = r == SENDER_NOT_YOURS ? no : r == SENDER_UNAVAILABLE ? later : yes;
    out->reason = r;
}

/* Quotes and backslashes are no part of the name (RFC 5321 4.1.2). The engine's own function is of a room that this one
 * does not know. */
static size_t unquote(char *dst, struct span local)
{
    bool quoted = local.n >= 2 && local.p[0] == '"';
    size_t n = 0;

    for (size_t i = quoted; i + quoted < local.n; i++) {
        if (quoted && local.p[i] == '\\')
            i++;
        dst[n++] = local.p[i];
    }
    return n;
}

/* The last "@" ends the local part: a quoted one may hold others. */
static bool plain_of(struct plain *out, struct span address)
{
    const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;
    struct span local;
    struct err e;

    if (!at || at == address.p)
        return false;
    local = (struct span){address.p, (size_t)(at - address.p)};
    if (local.n >= sizeof out->local || memchr(local.p, '\0', local.n))
        return false;
    out->n = unquote(out->local, local);
    out->local[out->n] = '\0';
    text_lower(out->local, out->n);
    return conf_idn_ascii(out->domain, (struct span){at + 1, address.n - local.n - 1}, &e) == 0;
}

static bool equal(const struct plain *a, const struct plain *b)
{
    return strcmp(a->local, b->local) == 0 && strcmp(a->domain, b->domain) == 0;
}

static void leads_to(struct rcpt_verdict *out, const struct conf *c, const struct plain *a)
{
    rcpt_rule(out, c, (struct peer_text){a->local, a->n}, (struct peer_text){a->domain, strlen(a->domain)}, false);
}

static bool listed(const char *const *list, unsigned count, const struct plain *sender)
{
    for (unsigned i = 0; i < count; i++) {
        struct plain p;

        if (!plain_of(&p, span_str(list[i])))
            continue;
        /* The star is the list's own: a sender who writes it, "*@example.org", is compared as any other. */
        if (strncmp(list[i], "*@", 2) == 0 ? strcmp(p.domain, sender->domain) == 0 : equal(&p, sender))
            return true;
    }
    return false;
}

/* A catch-all is no alias: else its owner could be everybody who does not exist, and a login name without a mailbox
 * would own what the catch-all's owner has. A login name that stands for several mailboxes owns none of them. */
static enum sender_reason by_mailbox(const struct conf *c, const struct plain *user, const struct plain *sender)
{
    struct rcpt_verdict v;
    unsigned own;

    leads_to(&v, c, user);
    if (v.reason == RCPT_UNAVAILABLE)
        return SENDER_UNAVAILABLE;
    if (v.reason != RCPT_OK || v.mailbox_count != 1)
        return SENDER_NOT_YOURS;
    own = v.mailboxes[0];
    leads_to(&v, c, sender);
    if (v.reason == RCPT_UNAVAILABLE)
        return SENDER_UNAVAILABLE;
    if (v.reason != RCPT_OK && v.reason != RCPT_SUBADDRESS)
        return SENDER_NOT_YOURS;
    for (unsigned i = 0; i < v.mailbox_count; i++)
        if (v.mailboxes[i] == own)
            return SENDER_ALIAS;
    return SENDER_NOT_YOURS;
}

void sender_rule(struct sender_verdict *out, const struct conf *c, const char *user, const char *const *list,
                 unsigned list_count, struct peer_text mailbox)
{
    struct plain who, sender;

    if (mailbox.n == 0)
        say(out, SENDER_NULL);
    else if (!plain_of(&who, span_str(user)) || !plain_of(&sender, (struct span){mailbox.p, mailbox.n}))
        say(out, SENDER_NOT_YOURS);
    else if (equal(&who, &sender))
        say(out, SENDER_OWN);
    else if (listed(list, list_count, &sender))
        say(out, SENDER_LISTED);
    else
        say(out, by_mailbox(c, &who, &sender));
}
