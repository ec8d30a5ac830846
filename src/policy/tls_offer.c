#include "policy/tls_offer.h"

#include <limits.h>
#include <string.h>

#define DAY 86400

enum tls_reason tls_cert_reason(const struct tls_cert_facts *c, int64_t now)
{
    if (c->fault != TLS_OK)
        return c->fault;
    if (c->not_before && now < c->not_before)
        return TLS_NOT_YET_VALID;
    if (c->not_after && now > c->not_after)
        return TLS_EXPIRED;
    return TLS_OK;
}

int tls_days_left(const struct tls_cert_facts *c, int64_t now)
{
    int64_t left = c->not_after - now;

    if (!c->not_after)
        return INT_MIN;
    return (int)((left < 0 ? left - DAY + 1 : left) / DAY); /* towards the past: 1 s over is day -1 */
}

/* How good is this certificate for us: 3 valid, 2 only its dates are wrong, 1 broken. */
static int rank(enum tls_reason r)
{
    return r == TLS_OK ? 3 : r == TLS_EXPIRED || r == TLS_NOT_YET_VALID ? 2 : 1;
}

/* The certificate the verdict speaks of: the first of the best. -1: there is none. */
static int best(const struct tls_listener_facts *l, int64_t now, enum tls_reason *reason)
{
    int found = -1;

    *reason = TLS_NO_CERTIFICATE;
    for (size_t i = 0; i < l->cert_count; i++) {
        enum tls_reason r = tls_cert_reason(&l->certs[i], now);

        if (found >= 0 && rank(r) <= rank(*reason))
            continue;
        found = (int)i;
        *reason = r;
    }
    return found;
}

static void reply(struct tls_offer *o, uint16_t code, const char *enhanced, const char *text)
{
    o->code = code;
    o->enhanced = enhanced;
    o->text = text;
}

static void no_offer(struct tls_offer *o, enum tls_reason reason, const char *event)
{
    o->reason = reason;
    o->hint = tls_reason_hint(reason);
    o->event = event;
    if (reason == TLS_ALREADY_TLS)
        reply(o, 503, "5.5.1", "TLS is active already");
    else
        reply(o, 502, "5.5.1", "STARTTLS is not offered here");
}

/* Rows 4 and 5, and 6 with expired = withhold: TLS is wanted and cannot be had. */
static void missing(struct tls_offer *o, const struct tls_listener_facts *l, enum tls_reason reason)
{
    o->reason = reason;
    o->hint = tls_reason_hint(reason);
    o->event = "tls.not-configured";
    reply(o, 454, "4.7.0", "TLS is not available at the moment");
    if (l->mode == TLS_MODE_STARTTLS && l->without == TLS_WITHOUT_TEMPFAIL)
        o->advertised = true;
    o->close_at_greeting = l->without == TLS_WITHOUT_CLOSE;
    o->refuse_start = l->without == TLS_WITHOUT_REFUSE_START;
    o->require_broken = o->require;
}

static void add_expiring(struct tls_offer *o, const struct tls_cert_facts *c, int64_t now)
{
    int days = tls_days_left(c, now);

    o->warnings = c->warnings & ~(unsigned)TLS_WARN_EXPIRING;
    if (o->reason == TLS_OK && days != INT_MIN && days < TLS_EXPIRING_DAYS)
        o->warnings |= TLS_WARN_EXPIRING;
}

static void have(struct tls_offer *o, const struct tls_listener_facts *l, enum tls_reason reason)
{
    o->reason = reason;
    o->hint = tls_reason_hint(reason);
    o->serves = true;
    if (reason != TLS_OK)
        o->event = reason == TLS_EXPIRED ? "tls.certificate-expired" : "tls.certificate-not-yet-valid";
    if (l->mode == TLS_MODE_IMPLICIT) { /* row 7: there is nothing to offer, and that is correct */
        if (reason == TLS_OK) {
            o->reason = TLS_IMPLICIT;
            o->hint = tls_reason_hint(TLS_IMPLICIT);
        }
        reply(o, 503, "5.5.1", "TLS is active already");
        return;
    }
    o->offered = o->advertised = true;
    reply(o, 220, "2.0.0", "Ready to start TLS");
}

void tls_offer(struct tls_offer *out, const struct tls_listener_facts *l, const struct tls_session_facts *session,
               int64_t now)
{
    enum tls_reason reason;

    memset(out, 0, sizeof *out);
    out->cert = -1;
    out->details = "";
    out->wanted = l->mode != TLS_MODE_OFF;
    out->require = l->require_tls && l->mode != TLS_MODE_OFF && !(session && session->in_tls);
    if (session && session->in_tls) {
        no_offer(out, TLS_ALREADY_TLS, "smtp.start-tls-already");
        out->serves = true;
        return;
    }
    if (l->mode == TLS_MODE_OFF) {
        no_offer(out, TLS_OFF_BY_CONFIG, "tls.disabled");
        return;
    }
    if (session && session->withheld) {
        no_offer(out, TLS_WITHHELD_FROM_CLIENT, "smtp.start-tls-withheld");
        out->wanted = false;
        return;
    }
    out->cert = best(l, now, &reason);
    if (rank(reason) == 1 || (rank(reason) == 2 && l->withhold_expired))
        missing(out, l, reason);
    else
        have(out, l, reason);
    if (out->cert >= 0) {
        out->details = l->certs[out->cert].details ? l->certs[out->cert].details : "";
        add_expiring(out, &l->certs[out->cert], now);
    } else {
        out->details = "no certificate is assigned to this listener";
    }
}
