#include "policy/rcpt_rule.h"

#include <idn2.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_MOST 256 /* the engine has checked the limits of RFC 5321 4.5.3.1; these only size the copies */
#define DOMAIN_MOST 1024

const char *rcpt_reason_name(enum rcpt_reason r)
{
    static const char *const name[] = {"ok",         "catch-all", "subaddress", "postmaster",
                                       "no-mailbox", "not-ours",  "bad-domain", "unavailable"};

    return name[r];
}

static void say(struct rcpt_verdict *out, enum rcpt_reason r, uint16_t code, const char *enhanced, const char *text)
{
    out->reason = r;
    out->code = code;
    out->enhanced = enhanced;
    out->text = text;
}

static void take(struct rcpt_verdict *out, enum rcpt_reason r, const struct conf_address *a)
{
    out->reason = r;
    out->mailboxes = a->mailboxes;
    out->mailbox_count = a->mailbox_count;
    out->code = 250;
    out->enhanced = "2.1.5";
    out->text = "Ok";
}

/* Lower case A-label of what the peer wrote; false: it cannot be a domain. A trailing dot is the same domain. */
static bool a_label(struct peer_text domain, char *dst)
{
    char raw[DOMAIN_MOST];
    uint8_t *ascii = NULL;
    bool plain = true;

    if (domain.n && domain.p[domain.n - 1] == '.')
        domain.n--;
    if (domain.n == 0 || domain.n >= sizeof raw || memchr(domain.p, '\0', domain.n))
        return false;
    memcpy(raw, domain.p, domain.n);
    raw[domain.n] = '\0';
    for (size_t i = 0; i < domain.n; i++)
        plain &= (unsigned char)raw[i] < 0x80;
    if (plain) {
        text_lower(raw, domain.n);
        memcpy(dst, raw, domain.n + 1);
        return true;
    }
    if (idn2_lookup_u8((const uint8_t *)raw, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK ||
        strlen((const char *)ascii) >= DOMAIN_MOST) {
        idn2_free(ascii);
        return false;
    }
    memcpy(dst, ascii, strlen((const char *)ascii) + 1);
    text_lower(dst, strlen(dst));
    idn2_free(ascii);
    return true;
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

/* The mailbox numbered conf.postmaster as an address. It belongs to some domain; any address that leads to it serves. */
static bool take_postmaster(struct rcpt_verdict *out, const struct conf *c)
{
    static _Thread_local unsigned number;
    struct conf_address a = {"postmaster", &number, 1};

    if (c->postmaster == UINT_MAX)
        return false;
    number = c->postmaster;
    take(out, RCPT_POSTMASTER, &a);
    return true;
}

static void in_domain(struct rcpt_verdict *out, const struct conf *c, const struct conf_domain *d, char *local)
{
    const struct conf_address *a = find(d, local);
    char *sep;

    if (a) {
        take(out, RCPT_OK, a);
        return;
    }
    sep = d->subaddress_separator ? strchr(local, d->subaddress_separator) : NULL;
    if (sep && sep != local) {
        *sep = '\0';
        a = find(d, local);
        *sep = d->subaddress_separator;
        if (a) {
            take(out, RCPT_SUBADDRESS, a);
            return;
        }
    }
    /* RFC 5321 4.5.1: "Any system that includes an SMTP server supporting mail relaying or delivery MUST support the
     * reserved mailbox "postmaster"". */
    if (strcmp(local, "postmaster") == 0 && take_postmaster(out, c))
        return;
    if (d->catch_all)
        take(out, RCPT_CATCH_ALL, d->catch_all);
    else if (d->unavailable)
        say(out, RCPT_UNAVAILABLE, 451, "4.3.0", "the list of mailboxes cannot be read at the moment");
    else
        say(out, RCPT_NO_MAILBOX, 550, "5.1.1", "no such mailbox here");
}

void rcpt_rule(struct rcpt_verdict *out, const struct conf *c, struct peer_text local, struct peer_text domain)
{
    char name[DOMAIN_MOST], who[LOCAL_MOST];
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
        if (strcmp(who, "postmaster") != 0 || !take_postmaster(out, c))
            say(out, RCPT_NO_MAILBOX, 550, "5.1.1", "no such mailbox here");
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
        say(out, RCPT_NOT_OURS, 550, "5.7.1", "relaying is not permitted: this domain is not one of ours");
}
