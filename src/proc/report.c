#include "proc/report.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static const char *const tls_names[] = {"off", "starttls", "implicit"};
static const char *const role_names[] = {"mx", "submission"};
static const char *const without_names[] = {"omit", "tempfail", "close", "refuse-start"};

static void set(json_t *o, const char *key, const char *s)
{
    json_object_set_new(o, key, json_string(s ? s : ""));
}

static void set_days(json_t *o, const struct tls_cert_facts *f, int64_t now)
{
    int days = f ? tls_days_left(f, now) : INT_MIN;

    json_object_set_new(o, "daysLeft", days == INT_MIN ? json_null() : json_integer(days));
}

static void set_date(json_t *o, const char *key, int64_t seconds)
{
    char iso[CLOCK_ISO_LEN];

    if (!seconds) {
        json_object_set_new(o, key, json_null());
        return;
    }
    clock_iso(iso, seconds * 1000000);
    memcpy(iso + strlen("2026-01-31T12:34:56"), "Z", 2); /* whole seconds */
    set(o, key, iso);
}

static json_t *warnings(unsigned bits)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < TLS_WARNING_COUNT; i++)
        if (bits & 1u << i)
            json_array_append_new(
                list, json_pack("{s:s,s:s}", "warning", tls_warning_name(1u << i), "hint", tls_warning_hint(1u << i)));
    return list;
}

static unsigned warning_bits(const struct tls_cert_facts *f, int64_t now)
{
    int days = tls_days_left(f, now);

    return f->warnings | (tls_cert_reason(f, now) == TLS_OK && days != INT_MIN && days < TLS_EXPIRING_DAYS
                              ? (unsigned)TLS_WARN_EXPIRING
                              : 0u);
}

/* Which of the two files the fault is about. */
static const char *faulty_file(const struct conf_certificate *c, const struct tls_cert_facts *f)
{
    bool names_chain = strstr(f->details, c->chain_file) != NULL, names_key = strstr(f->details, c->key_file) != NULL;

    if (names_chain != names_key)
        return names_chain ? c->chain_file : c->key_file;
    if (f->fault == TLS_UNPARSABLE)
        return strstr(f->details, "the key file") ? c->key_file : c->chain_file;
    return f->fault == TLS_KEY_ENCRYPTED || f->fault == TLS_KEY_MISMATCH ? c->key_file : c->chain_file;
}

static json_t *certificate(const struct cert_slot *s, int64_t now)
{
    const struct tls_cert_facts *f = cert_facts(s->serving);
    enum tls_reason r = tls_cert_reason(f, now);
    json_t *o = json_object();

    set(o, "title", s->conf->title);
    set(o, "chain", s->conf->chain_file);
    set(o, "key", s->conf->key_file);
    set(o, "file", f->fault == TLS_OK ? "" : faulty_file(s->conf, f));
    set(o, "subject", cert_subject(s->serving));
    set(o, "names", cert_names(s->serving));
    set(o, "keyType", cert_key_type(s->serving));
    set(o, "fingerprint", cert_fingerprint(s->serving));
    set_date(o, "notBefore", f->not_before);
    set_date(o, "notAfter", f->not_after);
    set_days(o, f, now);
    json_object_set_new(o, "usable", json_boolean(f->fault == TLS_OK));
    set(o, "reason", tls_reason_name(r));
    set(o, "details", f->details);
    set(o, "hint", r == TLS_OK ? "" : tls_reason_hint(r));
    json_object_set_new(o, "warnings", warnings(warning_bits(f, now)));
    json_object_set_new(o, "fromSnapshot", json_boolean(s->from_snapshot));
    return o;
}

static json_t *rejected(const struct cert_slot *s, int64_t now)
{
    const struct tls_cert_facts *f = cert_facts(s->rejected);
    enum tls_reason r = tls_cert_reason(f, now);
    json_t *o = json_object();

    set(o, "certificate", s->conf->title);
    set(o, "file", faulty_file(s->conf, f));
    set(o, "reason", tls_reason_name(r));
    set(o, "details", f->details);
    set(o, "hint", tls_reason_hint(r));
    set_date(o, "since", s->rejected_since);
    return o;
}

/* The one decision, for the listener as such. */
static void offer_of(const struct generation *g, unsigned i, struct tls_offer *o, int64_t now)
{
    struct tls_listener_facts off = {.mode = TLS_MODE_OFF};

    tls_offer(o, g->tls[i] ? tls_listener_facts(g->tls[i]) : &off, NULL, now);
}

static const struct cert_slot *shown(const struct generation *g, unsigned i, const struct tls_offer *o)
{
    const struct conf_listener *c = &g->conf->listeners[i];

    return o->cert >= 0 && (unsigned)o->cert < c->certificate_count ? &g->slots[c->certificates[o->cert]] : NULL;
}

static void set_verdict(json_t *o, const struct tls_offer *offer)
{
    json_object_set_new(o, "offered", json_boolean(offer->offered));
    json_object_set_new(o, "advertised", json_boolean(offer->advertised));
    json_object_set_new(o, "wanted", json_boolean(offer->wanted));
    json_object_set_new(o, "serves", json_boolean(offer->serves));
    set(o, "reason", tls_reason_name(offer->reason));
    set(o, "details", offer->details);
    set(o, "hint", offer->hint);
}

static void set_certificates(json_t *o, const struct generation *g, unsigned i, int64_t now)
{
    const struct conf_listener *c = &g->conf->listeners[i];
    json_t *certs = json_array(), *bad = json_array();

    for (unsigned k = 0; c->tls != CONF_TLS_OFF && k < c->certificate_count; k++) {
        const struct cert_slot *s = &g->slots[c->certificates[k]];

        json_array_append_new(certs, certificate(s, now));
        if (s->rejected)
            json_array_append_new(bad, rejected(s, now));
    }
    json_object_set_new(o, "certificates", certs);
    json_object_set_new(o, "rejected", bad);
}

static json_t *listener(const struct generation *g, unsigned i, int64_t now)
{
    const struct conf_listener *c = &g->conf->listeners[i];
    const struct conf_where *where = c->tls_where.line ? &c->tls_where : &c->where;
    json_t *o = json_object(), *addresses = json_array();
    const struct cert_slot *s;
    struct tls_offer offer;
    char a[ADDR_TEXT];

    offer_of(g, i, &offer, now);
    s = shown(g, i, &offer);
    for (unsigned k = 0; k < c->address_count; k++)
        json_array_append_new(addresses, json_string(addr_text(&c->addresses[k], a)));
    set(o, "listener", c->title);
    set(o, "role", role_names[c->role]);
    set(o, "tls", tls_names[c->tls]);
    json_object_set_new(o, "addresses", addresses);
    set_verdict(o, &offer);
    set(o, "withoutCertificate", without_names[c->without_certificate]);
    json_object_set_new(o, "where",
                        json_pack("{s:s,s:i}", "file", where->file ? where->file : "", "line", (int)where->line));
    set(o, "certificate", s ? s->conf->title : "");
    set_days(o, s ? cert_facts(s->serving) : NULL, now);
    json_object_set_new(o, "warnings", warnings(offer.warnings));
    set_certificates(o, g, i, now);
    return o;
}

json_t *report_listeners(const struct generation *g, int64_t now)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < g->conf->listener_count; i++)
        json_array_append_new(list, listener(g, i, now));
    return json_pack("{s:o}", "listeners", list);
}

/* ---- the log */

static void log_dates(const struct cert_slot *s, int64_t now)
{
    const struct tls_cert_facts *f = cert_facts(s->serving);
    enum tls_reason r = tls_cert_reason(f, now);
    int days = tls_days_left(f, now);
    struct log_line l;

    if (r == TLS_EXPIRED)
        log_begin(&l, LOG_LEVEL_ERROR, "tls.certificate-expired");
    else if (r == TLS_NOT_YET_VALID)
        log_begin(&l, LOG_LEVEL_ERROR, "tls.certificate-not-yet-valid");
    else if (r == TLS_OK && days != INT_MIN && days < TLS_EXPIRING_DAYS)
        log_begin(&l, LOG_LEVEL_WARN, "tls.certificate-expiring");
    else
        return;
    log_str(&l, "certificate", s->conf->title);
    log_str(&l, "file", s->conf->chain_file);
    log_str(&l, "reason", r == TLS_OK ? tls_warning_name(TLS_WARN_EXPIRING) : tls_reason_name(r));
    log_int(&l, "daysLeft", days);
    log_str(&l, "hint", r == TLS_OK ? tls_warning_hint(TLS_WARN_EXPIRING) : tls_reason_hint(r));
    log_end(&l);
}

static void log_loaded(const struct cert_slot *s, int64_t now)
{
    const struct tls_cert_facts *f = cert_facts(s->serving);
    struct log_line l;

    log_begin(&l, LOG_LEVEL_INFO, "tls.certificate-loaded");
    log_str(&l, "certificate", s->conf->title);
    log_str(&l, "file", s->conf->chain_file);
    log_str(&l, "hostname", cert_names(s->serving));
    log_str(&l, "keyType", cert_key_type(s->serving));
    log_str(&l, "fingerprint", cert_fingerprint(s->serving));
    log_int(&l, "daysLeft", tls_days_left(f, now));
    log_bool(&l, "fromSnapshot", s->from_snapshot);
    log_end(&l);
    for (unsigned i = 0; i < TLS_WARNING_COUNT; i++) {
        if (!(f->warnings & 1u << i))
            continue;
        log_begin(&l, LOG_LEVEL_WARN, "tls.certificate-warning");
        log_str(&l, "certificate", s->conf->title);
        log_str(&l, "file", s->conf->chain_file);
        log_str(&l, "reason", tls_warning_name(1u << i));
        log_str(&l, "hint", tls_warning_hint(1u << i));
        log_end(&l);
    }
}

static void log_rejected(const struct cert_slot *s, const struct cert *bad, int64_t now)
{
    const struct tls_cert_facts *f = cert_facts(bad);
    enum tls_reason r = tls_cert_reason(f, now);
    struct log_line l;

    log_begin(&l, LOG_LEVEL_ERROR, "tls.certificate-rejected");
    log_str(&l, "certificate", s->conf->title);
    log_str(&l, "file", faulty_file(s->conf, f));
    log_str(&l, "reason", tls_reason_name(r));
    log_str(&l, "details", f->details);
    log_bool(&l, "lastGoodServes", s->rejected != NULL);
    log_str(&l, "hint", tls_reason_hint(r));
    log_end(&l);
}

static void log_certificate(const struct cert_slot *s, int64_t now)
{
    if (cert_facts(s->serving)->fault == TLS_OK) {
        log_loaded(s, now);
        log_dates(s, now);
    } else {
        log_rejected(s, s->serving, now);
    }
    if (s->rejected)
        log_rejected(s, s->rejected, now);
}

static bool is_missing(const struct tls_offer *o)
{
    return o->wanted && !o->serves;
}

static void log_missing(const struct conf_listener *c, const struct cert_slot *s, const struct tls_offer *o)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_ERROR, "tls.not-configured");
    log_str(&l, "listenerId", c->title);
    log_str(&l, "reason", tls_reason_name(o->reason));
    log_str(&l, "certificate", s ? s->conf->title : NULL);
    if (s && cert_facts(s->serving)->fault != TLS_OK)
        log_str(&l, "file", faulty_file(s->conf, cert_facts(s->serving)));
    log_str(&l, "details", o->details);
    log_bool(&l, "advertised", o->advertised);
    log_str(&l, "hint", o->hint);
    log_end(&l);
}

static void log_off(const struct conf_listener *c, const struct tls_offer *o)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_INFO, "tls.disabled");
    log_str(&l, "listenerId", c->title);
    log_str(&l, "reason", tls_reason_name(o->reason));
    log_str(&l, "file", c->tls_where.file ? c->tls_where.file : c->where.file);
    log_int(&l, "line", c->tls_where.line ? c->tls_where.line : c->where.line);
    log_str(&l, "hint", o->hint);
    log_end(&l);
}

static void log_listener(const struct generation *g, unsigned i, const struct tls_offer *o, int64_t now)
{
    const struct conf_listener *c = &g->conf->listeners[i];
    const struct cert_slot *s = shown(g, i, o);
    struct log_line l;
    char addresses[1024] = "", a[ADDR_TEXT];
    size_t n = 0;

    for (unsigned k = 0; k < c->address_count && n + ADDR_TEXT < sizeof addresses; k++)
        n +=
            (size_t)snprintf(addresses + n, sizeof addresses - n, "%s%s", k ? " " : "", addr_text(&c->addresses[k], a));
    /* an implicit listener that cannot serve TLS is not opened, and nothing must claim that it is */
    if (c->tls == CONF_TLS_IMPLICIT && !o->serves)
        log_begin(&l, LOG_LEVEL_ERROR, "network.listen-withheld");
    else
        log_begin(&l, LOG_LEVEL_INFO, "network.listen-start");
    log_str(&l, "listenerId", c->title);
    log_str(&l, "role", role_names[c->role]);
    log_str(&l, "tls", tls_names[c->tls]);
    log_str(&l, "addresses", addresses);
    log_bool(&l, "offered", o->offered);
    log_str(&l, "reason", tls_reason_name(o->reason));
    log_str(&l, "certificate", s ? s->conf->title : NULL);
    if (s && tls_days_left(cert_facts(s->serving), now) != INT_MIN)
        log_int(&l, "daysLeft", tls_days_left(cert_facts(s->serving), now));
    log_end(&l);
    if (c->tls == CONF_TLS_OFF)
        log_off(c, o);
    else if (is_missing(o))
        log_missing(c, s, o);
}

void report_log(const struct generation *g, int64_t now)
{
    bool wanted = false;

    for (unsigned i = 0; i < g->conf->certificate_count; i++)
        if (g->mode == GENERATION_FULL || !g->known[i])
            log_certificate(&g->slots[i], now);
    for (unsigned i = 0; i < g->conf->listener_count; i++) {
        struct tls_offer o;

        offer_of(g, i, &o, now);
        wanted = wanted || o.wanted;
        log_listener(g, i, &o, now);
    }
    if (wanted && !g->conf->certificate_count) {
        struct log_line l;

        log_begin(&l, LOG_LEVEL_WARN, "tls.no-certificates-available");
        log_str(&l, "file", g->conf->file);
        log_str(&l, "hint", tls_reason_hint(TLS_NO_CERTIFICATE));
        log_end(&l);
    }
}

void report_log_changes(const struct generation *g, int64_t before, int64_t now)
{
    for (unsigned i = 0; i < g->conf->certificate_count; i++) {
        const struct tls_cert_facts *f = cert_facts(g->slots[i].serving);

        if (f->fault == TLS_OK && (tls_cert_reason(f, before) != tls_cert_reason(f, now) ||
                                   tls_days_left(f, before) != tls_days_left(f, now)))
            log_dates(&g->slots[i], now);
    }
    for (unsigned i = 0; i < g->conf->listener_count; i++) {
        struct tls_offer o, was;

        offer_of(g, i, &was, before);
        offer_of(g, i, &o, now);
        if (was.serves != o.serves)
            log_listener(g, i, &o, now);
    }
}
