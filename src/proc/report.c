#include "proc/report.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

static const char *const tls_names[] = {"off", "starttls", "implicit"};
static const char *const role_names[] = {"mx", "submission"};

static json_t *text(const char *s)
{
    return json_string(s ? s : "");
}

static void set_days(json_t *o, const struct tls_cert_facts *f, int64_t now)
{
    int days = f ? tls_days_left(f, now) : INT_MIN;

    json_object_set_new(o, "daysLeft", days == INT_MIN ? json_null() : json_integer(days));
}

static json_t *warnings(unsigned bits)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < TLS_WARNING_COUNT; i++)
        if (bits & 1u << i)
            json_array_append_new(list, json_pack("{s:s,s:s}", "warning", tls_warning_name(1u << i), "hint",
                                                  tls_warning_hint(1u << i)));
    return list;
}

static json_t *date(int64_t s)
{
    char iso[CLOCK_ISO_LEN];

    if (!s)
        return json_null();
    clock_iso(iso, s * 1000000);
    snprintf(iso + 19, 2, "Z"); /* whole seconds */
    return json_string(iso);
}

static json_t *certificate(const struct cert_slot *s, int64_t now)
{
    const struct tls_cert_facts *f = cert_facts(s->serving);
    enum tls_reason r = tls_cert_reason(f, now);
    int days = tls_days_left(f, now);
    unsigned bits = f->warnings | (days != INT_MIN && days >= 0 && days < TLS_EXPIRING_DAYS ? TLS_WARN_EXPIRING : 0u);
    json_t *o = json_object();

    json_object_set_new(o, "title", text(s->conf->title));
    json_object_set_new(o, "chain", text(s->conf->chain_file));
    json_object_set_new(o, "key", text(s->conf->key_file));
    json_object_set_new(o, "subject", text(cert_subject(s->serving)));
    json_object_set_new(o, "names", text(cert_names(s->serving)));
    json_object_set_new(o, "keyType", text(cert_key_type(s->serving)));
    json_object_set_new(o, "fingerprint", text(cert_fingerprint(s->serving)));
    json_object_set_new(o, "notBefore", date(f->not_before));
    json_object_set_new(o, "notAfter", date(f->not_after));
    set_days(o, f, now);
    json_object_set_new(o, "usable", json_boolean(r == TLS_OK));
    json_object_set_new(o, "reason", text(tls_reason_name(r)));
    json_object_set_new(o, "details", text(f->details));
    json_object_set_new(o, "hint", text(r == TLS_OK ? "" : tls_reason_hint(r)));
    json_object_set_new(o, "warnings", warnings(bits));
    json_object_set_new(o, "fromSnapshot", json_boolean(s->from_snapshot));
    return o;
}

static json_t *rejected(const struct cert_slot *s, int64_t now)
{
    const struct tls_cert_facts *f = cert_facts(s->rejected);
    enum tls_reason r = tls_cert_reason(f, now);
    json_t *o = json_object();

    json_object_set_new(o, "certificate", text(s->conf->title));
    json_object_set_new(o, "file", text(s->conf->chain_file));
    json_object_set_new(o, "keyFile", text(s->conf->key_file));
    json_object_set_new(o, "reason", text(tls_reason_name(r)));
    json_object_set_new(o, "details", text(f->details));
    json_object_set_new(o, "hint", text(tls_reason_hint(r)));
    json_object_set_new(o, "since", date(s->rejected_since));
    return o;
}

/* The one decision, for the listener as such. */
static void offer_of(const struct generation *g, unsigned i, struct tls_offer *o, int64_t now)
{
    struct tls_listener_facts off = {.mode = TLS_MODE_OFF};

    tls_offer(o, g->tls[i] ? tls_listener_facts(g->tls[i]) : &off, NULL, now);
}

static json_t *listener(const struct generation *g, unsigned i, int64_t now)
{
    const struct conf_listener *c = &g->conf->listeners[i];
    json_t *o = json_object(), *addresses = json_array(), *certs = json_array(), *bad = json_array();
    const struct cert_slot *shown;
    struct tls_offer offer;
    char a[ADDR_TEXT];

    offer_of(g, i, &offer, now);
    shown = offer.cert >= 0 ? &g->slots[c->certificates[offer.cert]] : NULL;
    for (unsigned k = 0; k < c->address_count; k++)
        json_array_append_new(addresses, text(addr_text(&c->addresses[k], a)));
    for (unsigned k = 0; c->tls != CONF_TLS_OFF && k < c->certificate_count; k++) {
        const struct cert_slot *s = &g->slots[c->certificates[k]];

        json_array_append_new(certs, certificate(s, now));
        if (s->rejected)
            json_array_append_new(bad, rejected(s, now));
    }
    json_object_set_new(o, "listener", text(c->title));
    json_object_set_new(o, "role", text(role_names[c->role]));
    json_object_set_new(o, "tls", text(tls_names[c->tls]));
    json_object_set_new(o, "addresses", addresses);
    json_object_set_new(o, "offered", json_boolean(offer.offered));
    json_object_set_new(o, "advertised", json_boolean(offer.advertised));
    json_object_set_new(o, "wanted", json_boolean(offer.wanted));
    json_object_set_new(o, "serves", json_boolean(offer.serves));
    json_object_set_new(o, "reason", text(tls_reason_name(offer.reason)));
    json_object_set_new(o, "details", text(offer.details));
    json_object_set_new(o, "hint", text(offer.hint));
    json_object_set_new(o, "where", json_pack("{s:s,s:i}", "file", c->tls_where.file ? c->tls_where.file : c->where.file,
                                              "line", (int)(c->tls_where.line ? c->tls_where.line : c->where.line)));
    json_object_set_new(o, "certificate", text(shown ? shown->conf->title : ""));
    set_days(o, shown ? cert_facts(shown->serving) : NULL, now);
    json_object_set_new(o, "warnings", warnings(offer.warnings));
    json_object_set_new(o, "certificates", certs);
    json_object_set_new(o, "rejected", bad);
    return o;
}

json_t *report_listeners(const struct generation *g, int64_t now)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < g->conf->listener_count; i++)
        json_array_append_new(list, listener(g, i, now));
    return json_pack("{s:o}", "listeners", list);
}

static bool yes(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

int report_exit_code(const json_t *report)
{
    const json_t *l;
    size_t i;
    int code = 0;

    json_array_foreach (json_object_get(report, "listeners"), i, l) {
        bool implicit = strcmp(str(l, "tls"), "implicit") == 0;
        bool missing = yes(l, "wanted") && (implicit ? !yes(l, "serves") : !yes(l, "offered"));

        if (missing)
            return 2;
        if (json_array_size(json_object_get(l, "rejected")) || strcmp(str(l, "reason"), "expired") == 0 ||
            strcmp(str(l, "reason"), "not-yet-valid") == 0)
            code = 1;
    }
    return code;
}

static void text_warnings(struct buf *b, const json_t *l)
{
    const json_t *w;
    size_t i;

    json_array_foreach (json_object_get(l, "warnings"), i, w)
        buf_printf(b, "    warning      %s: %s\n", str(w, "warning"), str(w, "hint"));
}

static void text_certificates(struct buf *b, const json_t *l)
{
    const json_t *c;
    size_t i;

    json_array_foreach (json_object_get(l, "certificates"), i, c) {
        const json_t *days = json_object_get(c, "daysLeft");

        buf_printf(b, "    certificate  \"%s\" (%s): %s", str(c, "title"), str(c, "chain"), str(c, "reason"));
        if (*str(c, "names"))
            buf_printf(b, ", %s, for %s", str(c, "keyType"), str(c, "names"));
        if (json_is_integer(days))
            buf_printf(b, ", %lld days left", (long long)json_integer_value(days));
        buf_printf(b, "%s\n", yes(c, "fromSnapshot") ? " (the last good one; the file is not used)" : "");
        if (*str(c, "details"))
            buf_printf(b, "                 %s\n", str(c, "details"));
    }
    json_array_foreach (json_object_get(l, "rejected"), i, c)
        buf_printf(b, "    rejected     %s since %s: %s: %s\n    remedy       %s\n", str(c, "file"), str(c, "since"),
                   str(c, "reason"), str(c, "details"), str(c, "hint"));
}

static void text_verdict(struct buf *b, const json_t *l)
{
    const char *reason = str(l, "reason");
    const json_t *where = json_object_get(l, "where");

    if (strcmp(reason, "implicit-tls") == 0) {
        buf_printf(b, "    STARTTLS     not offered, and that is correct: TLS begins with the first byte here\n");
    } else if (strcmp(reason, "off-by-config") == 0) {
        buf_printf(b, "    STARTTLS     not offered: TLS is switched off in line %lld of %s\n",
                   (long long)json_integer_value(json_object_get(where, "line")), str(where, "file"));
    } else if (strcmp(str(l, "tls"), "implicit") == 0) {
        buf_printf(b, "    TLS          %s (%s)\n", yes(l, "serves") ? "served" : "NOT SERVED, the port is closed", reason);
    } else if (yes(l, "offered")) {
        buf_printf(b, "    STARTTLS     offered (%s)\n", reason);
    } else {
        buf_printf(b, "    STARTTLS     NOT OFFERED%s: %s\n",
                   yes(l, "advertised") ? " (advertised, and answered 454)" : "", reason);
    }
    if (!yes(l, "offered") && *str(l, "details"))
        buf_printf(b, "    because      %s\n", str(l, "details"));
    if (strcmp(reason, "ok") != 0 && strcmp(reason, "implicit-tls") != 0 && *str(l, "hint"))
        buf_printf(b, "    remedy       %s\n", str(l, "hint"));
}

char *report_text(const json_t *report, const char *only)
{
    struct buf b = {0};
    const json_t *l, *a;
    size_t i, k;
    char *out;

    json_array_foreach (json_object_get(report, "listeners"), i, l) {
        if (only && strcmp(only, str(l, "listener")) != 0)
            continue;
        buf_printf(&b, "%s  role %s, tls %s,", str(l, "listener"), str(l, "role"), str(l, "tls"));
        json_array_foreach (json_object_get(l, "addresses"), k, a)
            buf_printf(&b, " %s", json_string_value(a));
        buf_printf(&b, "\n");
        text_verdict(&b, l);
        text_certificates(&b, l);
        text_warnings(&b, l);
    }
    out = mem_str(buf_str(&b));
    buf_clear(&b);
    return out;
}

/* ---- the log */

static void log_certificate(const struct cert_slot *s, int64_t now)
{
    const struct tls_cert_facts *f = cert_facts(s->serving);
    enum tls_reason r = tls_cert_reason(f, now);
    int days = tls_days_left(f, now);
    unsigned bits = f->warnings;
    struct log_line l;

    if (f->fault == TLS_OK) {
        log_begin(&l, LOG_LEVEL_INFO, "tls.certificate-loaded");
        log_str(&l, "certificate", s->conf->title);
        log_str(&l, "hostname", cert_names(s->serving));
        log_str(&l, "keyType", cert_key_type(s->serving));
        log_int(&l, "daysLeft", days);
        log_bool(&l, "fromSnapshot", s->from_snapshot);
        log_end(&l);
    }
    if (r == TLS_EXPIRED || r == TLS_NOT_YET_VALID) {
        log_begin(&l, LOG_LEVEL_ERROR, r == TLS_EXPIRED ? "tls.certificate-expired" : "tls.certificate-not-yet-valid");
        log_str(&l, "certificate", s->conf->title);
        log_str(&l, "file", s->conf->chain_file);
        log_str(&l, "reason", tls_reason_name(r));
        log_str(&l, "hint", tls_reason_hint(r));
        log_end(&l);
    } else if (f->fault == TLS_OK && days < TLS_EXPIRING_DAYS) {
        log_begin(&l, LOG_LEVEL_WARN, "tls.certificate-expiring");
        log_str(&l, "certificate", s->conf->title);
        log_str(&l, "file", s->conf->chain_file);
        log_int(&l, "daysLeft", days);
        log_str(&l, "hint", tls_warning_hint(TLS_WARN_EXPIRING));
        log_end(&l);
    }
    for (unsigned i = 0; i < TLS_WARNING_COUNT; i++) {
        if (!(bits & 1u << i))
            continue;
        log_begin(&l, LOG_LEVEL_WARN, "tls.certificate-warning");
        log_str(&l, "certificate", s->conf->title);
        log_str(&l, "reason", tls_warning_name(1u << i));
        log_str(&l, "hint", tls_warning_hint(1u << i));
        log_end(&l);
    }
    if (s->rejected) {
        enum tls_reason why = tls_cert_reason(cert_facts(s->rejected), now);

        log_begin(&l, LOG_LEVEL_ERROR, "tls.certificate-rejected");
        log_str(&l, "certificate", s->conf->title);
        log_str(&l, "file", s->conf->chain_file);
        log_str(&l, "reason", tls_reason_name(why));
        log_str(&l, "details", cert_facts(s->rejected)->details);
        log_str(&l, "hint", tls_reason_hint(why));
        log_end(&l);
    }
}

static void log_listener(const struct generation *g, unsigned i, int64_t now)
{
    const struct conf_listener *c = &g->conf->listeners[i];
    struct tls_offer o;
    struct log_line l;
    char addresses[1024] = "", a[ADDR_TEXT];
    size_t n = 0;

    offer_of(g, i, &o, now);
    for (unsigned k = 0; k < c->address_count && n + ADDR_TEXT < sizeof addresses; k++)
        n += (size_t)snprintf(addresses + n, sizeof addresses - n, "%s%s", k ? " " : "", addr_text(&c->addresses[k], a));
    log_begin(&l, LOG_LEVEL_INFO, "network.listen-start");
    log_str(&l, "listenerId", c->title);
    log_str(&l, "tls", tls_names[c->tls]);
    log_str(&l, "addresses", addresses);
    log_bool(&l, "offered", o.offered);
    log_str(&l, "reason", tls_reason_name(o.reason));
    if (o.cert >= 0) {
        const struct cert_slot *s = &g->slots[c->certificates[o.cert]];

        log_str(&l, "certificate", s->conf->title);
        if (tls_days_left(cert_facts(s->serving), now) != INT_MIN)
            log_int(&l, "daysLeft", tls_days_left(cert_facts(s->serving), now));
    }
    log_end(&l);
    if (c->tls == CONF_TLS_OFF) {
        log_begin(&l, LOG_LEVEL_INFO, "tls.disabled");
        log_str(&l, "listenerId", c->title);
        log_str(&l, "reason", tls_reason_name(o.reason));
        log_str(&l, "file", c->tls_where.file);
        log_int(&l, "line", c->tls_where.line);
        log_str(&l, "hint", o.hint);
        log_end(&l);
    } else if (o.wanted && !(c->tls == CONF_TLS_IMPLICIT ? o.serves : o.offered)) {
        log_begin(&l, LOG_LEVEL_ERROR, "tls.not-configured");
        log_str(&l, "listenerId", c->title);
        log_str(&l, "reason", tls_reason_name(o.reason));
        log_str(&l, "details", o.details);
        log_str(&l, "hint", o.hint);
        log_end(&l);
    }
}

void report_log(const struct generation *g, int64_t now)
{
    for (unsigned i = 0; i < g->conf->certificate_count; i++)
        log_certificate(&g->slots[i], now);
    for (unsigned i = 0; i < g->conf->listener_count; i++)
        log_listener(g, i, now);
}
