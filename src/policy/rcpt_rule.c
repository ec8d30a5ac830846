#include "policy/rcpt_rule.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_idn.h"

/* The engine has checked the limits of RFC 5321 4.5.3.1; this only sizes the copy. */
#define LOCAL_MOST 256

static const char not_ours[] = "relaying is not permitted: this domain is not one of ours";
static const char no_way[] = "no way out is configured: mail to other domains is not sent from here";
static const char unread[] = "the list of mailboxes cannot be read at the moment";

const char *rcpt_reason_name(enum rcpt_reason r)
{
    static const char *const name[] = {"ok",    "catch-all",  "subaddress", "postmaster", "any",        "verify",
                                       "relay", "no-mailbox", "not-ours",   "bad-domain", "unavailable"};

    return name[r];
}

static void say(struct rcpt_verdict *out, enum rcpt_reason r, uint16_t code, const char *enhanced, const char *text)
{
    out->reason = r;
    out->code = code;
    out->enhanced = enhanced;
    out->text = text;
}

static void take(struct rcpt_verdict *out, enum rcpt_reason r, const unsigned *mailboxes, unsigned count)
{
    out->reason = r;
    out->mailboxes = mailboxes;
    out->mailbox_count = count;
    out->code = 250;
    out->enhanced = "2.1.5";
    out->text = "Ok";
}

static void take_address(struct rcpt_verdict *out, enum rcpt_reason r, const struct conf_address *a)
{
    take(out, r, a->mailboxes, a->mailbox_count);
}

static void send_away(struct rcpt_verdict *out, enum rcpt_reason r, unsigned delivery)
{
    out->reason = r;
    out->away = true;
    out->delivery = delivery;
    out->code = 250;
    out->enhanced = "2.1.5";
    out->text = "Ok";
}

/* What the peer wrote, in the form that the configuration's names have. */
static bool a_label(struct peer_text domain, char dst[CONF_IDN_LEN])
{
    struct err e;

    return conf_idn_ascii(dst, (struct span){domain.p, domain.n}, &e) == 0;
}

/* RFC 5321 4.1.3: "[192.0.2.1]" is good syntax; such a destination is none of ours. */
static bool is_literal(struct peer_text domain)
{
    return domain.n && domain.p[0] == '[';
}

static int by_name(const void *key, const void *d)
{
    return strcmp(key, ((const struct conf_domain *)d)->name);
}

static int by_local(const void *key, const void *a)
{
    return strcmp(key, ((const struct conf_address *)a)->local);
}

static const struct conf_address *find(const struct conf_domain *d, const char *local)
{
    return d->address_count ? bsearch(local, d->addresses, d->address_count, sizeof *d->addresses, by_local) : NULL;
}

/* The configuration has chosen one (conf.h); it may be another domain's. */
static bool take_postmaster(struct rcpt_verdict *out, const struct conf *c)
{
    for (unsigned i = 0; i < c->domain_count && c->postmaster == UINT_MAX; i++) {
        if (!c->domains[i].accept_any && !c->domains[i].verify_recipients)
            continue;
        send_away(out, RCPT_POSTMASTER, c->domains[i].delivery); /* of a gateway: the other server's */
        return true;
    }
    if (c->postmaster == UINT_MAX)
        return false;
    take(out, RCPT_POSTMASTER, &c->postmaster, 1);
    return true;
}

static void in_domain(struct rcpt_verdict *out, const struct conf *c, const struct conf_domain *d, char *local)
{
    const struct conf_address *a = find(d, local);
    char *sep;

    if (a) {
        take_address(out, RCPT_OK, a);
        return;
    }
    sep = d->subaddress_separator ? strchr(local, d->subaddress_separator) : NULL;
    if (sep && sep != local) {
        *sep = '\0';
        a = find(d, local);
        *sep = d->subaddress_separator;
        if (a) {
            take_address(out, RCPT_SUBADDRESS, a);
            return;
        }
    }
    if (d->accept_any || d->verify_recipients) { /* its postmaster, too */
        if (d->unavailable)
            say(out, RCPT_UNAVAILABLE, 451, "4.3.0", unread);
        else
            send_away(out, d->accept_any ? RCPT_ANY : RCPT_VERIFY, d->delivery);
        return;
    }
    /* RFC 5321 4.5.1: "Any system that includes an SMTP server supporting mail relaying or delivery
     * MUST support the reserved mailbox "postmaster"". */
    if (strcmp(local, "postmaster") == 0 && take_postmaster(out, c))
        return;
    /* Before the catch-all: who stands in the unread list must not have their mail in another's
     * mailbox. */
    if (d->unavailable)
        say(out, RCPT_UNAVAILABLE, 451, "4.3.0", unread);
    else if (d->catch_all)
        take_address(out, RCPT_CATCH_ALL, d->catch_all);
    else
        say(out, RCPT_NO_MAILBOX, 550, "5.1.1", "no such mailbox here");
}

/* A domain that is not configured. */
static void elsewhere(struct rcpt_verdict *out, const struct conf *c, bool may_relay)
{
    if (!may_relay)
        say(out, RCPT_NOT_OURS, 550, "5.7.1", not_ours);
    else if (c->relay == UINT_MAX)
        say(out, RCPT_NOT_OURS, 550, "5.7.1", no_way);
    else
        send_away(out, RCPT_RELAY, c->relay);
}

static void bare(struct rcpt_verdict *out, const struct conf *c, const char *who)
{
    if (strcmp(who, "postmaster") != 0 || !take_postmaster(out, c))
        say(out, RCPT_NO_MAILBOX, 550, "5.1.1", "no such mailbox here");
}

void rcpt_rule(struct rcpt_verdict *out, const struct conf *c, struct peer_text local, struct peer_text domain,
               bool may_relay)
{
    char name[CONF_IDN_LEN], who[LOCAL_MOST];
    const struct conf_domain *d;

    memset(out, 0, sizeof *out);
    if (local.n >= sizeof who || memchr(local.p, '\0', local.n)) {
        say(out, RCPT_NO_MAILBOX, 550, "5.1.1", "no such mailbox here");
        return;
    }
    memcpy(who, local.p, local.n);
    who[local.n] = '\0';
    text_lower(who, local.n); /* our own mailboxes: case does not matter (RFC 5321 2.4 leaves it to us) */
    if (domain.n == 0) {
        bare(out, c, who);
        return;
    }
    if (is_literal(domain)) {
        if (may_relay)
            say(out, RCPT_BAD_DOMAIN, 550, "5.1.2", "mail to an address literal is not sent from here");
        else
            say(out, RCPT_NOT_OURS, 550, "5.7.1", not_ours);
        return;
    }
    if (!a_label(domain, name)) {
        say(out, RCPT_BAD_DOMAIN, 550, "5.1.2", "this cannot be a domain");
        return;
    }
    d = c->domain_count ? bsearch(name, c->domains, c->domain_count, sizeof *c->domains, by_name) : NULL;
    if (d)
        in_domain(out, c, d, who);
    else
        elsewhere(out, c, may_relay);
}
