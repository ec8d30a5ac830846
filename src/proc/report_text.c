#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "proc/report.h"

/* The two readers of the report that know nothing but its JSON: so `why` prints what the daemon said, and no more. */

static bool yes(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static bool is(const json_t *o, const char *key, const char *value)
{
    return strcmp(str(o, key), value) == 0;
}

static bool reason_is(const json_t *o, enum tls_reason r)
{
    return is(o, "reason", tls_reason_name(r));
}

/* ---- exit code */

static bool has_warning_that_counts(const json_t *certificate)
{
    const json_t *w;
    size_t i;

    json_array_foreach(json_object_get(certificate, "warnings"), i,
                       w) if (!is(w, "warning", tls_warning_name(TLS_WARN_SELF_SIGNED)) &&
                              !is(w, "warning", tls_warning_name(TLS_WARN_UNTRUSTED))) return true;
    return false;
}

static int listener_code(const json_t *l)
{
    const json_t *c;
    size_t i;

    if (yes(l, "wanted") && !yes(l, "serves"))
        return yes(l, "unknown") ? 1 : 2;
    if (yes(l, "unknown") || json_array_size(json_object_get(l, "rejected")))
        return 1;
    json_array_foreach(json_object_get(l, "certificates"), i,
                       c) if (!is(c, "reason", tls_reason_name(TLS_OK)) || has_warning_that_counts(c)) return 1;
    return 0;
}

int report_exit_code(const json_t *report)
{
    const json_t *l;
    size_t i;
    int code = 0;

    json_array_foreach(json_object_get(report, "listeners"), i, l) if (listener_code(l) > code) code = listener_code(l);
    return code;
}

/* ---- the table */

enum { COLUMNS = 7, CELL = 96 };
static const char *const titles[COLUMNS] = {"LISTENER", "ADDRESS", "TLS", "STARTTLS", "REASON", "CERTIFICATE", "DAYS"};

/* One word on what EHLO shows. */
static const char *offer_word(const json_t *l)
{
    if (yes(l, "unknown"))
        return "unknown";
    if (yes(l, "offered"))
        return "offered";
    if (is(l, "tls", "implicit"))
        return yes(l, "serves") ? "none, right" : "CLOSED";
    if (reason_is(l, TLS_OFF_BY_CONFIG))
        return "off";
    return yes(l, "advertised") ? "ONLY 454" : "MISSING";
}

static void fill(const json_t *l, char cell[COLUMNS][CELL])
{
    const json_t *addresses = json_object_get(l, "addresses"), *days = json_object_get(l, "daysLeft");
    size_t n = json_array_size(addresses);
    const char *first = json_string_value(json_array_get(addresses, 0));

    snprintf(cell[0], CELL, "%s", str(l, "listener"));
    if (n > 1)
        snprintf(cell[1], CELL, "%s +%zu", first ? first : "", n - 1);
    else
        snprintf(cell[1], CELL, "%s", first ? first : "");
    snprintf(cell[2], CELL, "%s", str(l, "tls"));
    snprintf(cell[3], CELL, "%s", offer_word(l));
    snprintf(cell[4], CELL, "%s", str(l, "reason"));
    snprintf(cell[5], CELL, "%s", *str(l, "certificate") ? str(l, "certificate") : "-");
    if (json_is_integer(days))
        snprintf(cell[6], CELL, "%lld", (long long)json_integer_value(days));
    else
        snprintf(cell[6], CELL, "-");
}

static void print_row(struct buf *b, char cell[COLUMNS][CELL], const size_t *width)
{
    for (int c = 0; c + 1 < COLUMNS; c++)
        buf_printf(b, "%-*s  ", (int)width[c], cell[c]);
    buf_printf(b, "%*s\n", (int)width[COLUMNS - 1], cell[COLUMNS - 1]);
}

static bool is_meant(const json_t *l, const char *only)
{
    return !only || is(l, "listener", only);
}

static void print_table(struct buf *b, const json_t *list, const char *only)
{
    size_t width[COLUMNS] = {0}, i;
    char cell[COLUMNS][CELL];
    const json_t *l;

    for (int c = 0; c < COLUMNS; c++)
        width[c] = strlen(titles[c]);
    json_array_foreach(list, i, l)
    {
        if (!is_meant(l, only))
            continue;
        fill(l, cell);
        for (int c = 0; c < COLUMNS; c++)
            if (strlen(cell[c]) > width[c])
                width[c] = strlen(cell[c]);
    }
    for (int c = 0; c < COLUMNS; c++)
        snprintf(cell[c], CELL, "%s", titles[c]);
    print_row(b, cell, width);
    json_array_foreach(list, i, l)
    {
        if (!is_meant(l, only))
            continue;
        fill(l, cell);
        print_row(b, cell, width);
    }
}

/* ---- what there is to say */

/* The fault, with its file in front where it does not name it itself. */
static void print_cause(struct buf *b, const char *file, const char *details)
{
    if (*details && strstr(details, file))
        buf_printf(b, "    cause:   %s\n", details);
    else if (*details)
        buf_printf(b, "    cause:   %s%s%s\n", file, *file ? ": " : "", details);
}

static void print_certificate(struct buf *b, const json_t *c)
{
    const json_t *w;
    size_t i;

    buf_printf(b, "  certificate \"%s\": ", str(c, "title"));
    if (!*str(c, "keyType"))
        buf_printf(b, "%s", str(c, "file"));
    else if (reason_is(c, TLS_NOT_YET_VALID))
        buf_printf(b, "%s for %s, valid from %s on", str(c, "keyType"), str(c, "names"), str(c, "notBefore"));
    else
        buf_printf(b, "%s for %s, valid until %s", str(c, "keyType"), str(c, "names"), str(c, "notAfter"));
    if (!is(c, "reason", tls_reason_name(TLS_OK)))
        buf_printf(b, ", %s", str(c, "reason"));
    buf_printf(b, "%s\n", yes(c, "fromSnapshot") ? "; the last good pair, not what is on disk" : "");
    if (yes(c, "unknown"))
        buf_printf(b, "    unknown: this user may not read it, the user that starts postern may\n");
    print_cause(b, str(c, "file"), str(c, "details"));
    if (*str(c, "hint"))
        buf_printf(b, "    remedy:  %s\n", str(c, "hint"));
    json_array_foreach(json_object_get(c, "warnings"), i, w)
        buf_printf(b, "    warning: %s: %s\n", str(w, "warning"), str(w, "hint"));
}

static void print_rejected(struct buf *b, const json_t *r)
{
    buf_printf(b, "  on disk since %s, and rejected: %s: %s\n", str(r, "since"), str(r, "file"), str(r, "reason"));
    print_cause(b, str(r, "file"), str(r, "details"));
    buf_printf(b, "    remedy:  %s\n", str(r, "hint"));
}

/* What a listener without a usable certificate looks like to a client. */
static const char *from_outside(const json_t *l)
{
    if (is(l, "withoutCertificate", "tempfail"))
        return "EHLO shows it and STARTTLS is answered 454 (without-certificate = tempfail)";
    if (is(l, "withoutCertificate", "close"))
        return "clients get 421 at the greeting (without-certificate = close)";
    if (is(l, "withoutCertificate", "refuse-start"))
        return "postern does not start like this (without-certificate = refuse-start)";
    return "EHLO leaves it out and STARTTLS is answered 454";
}

static void print_verdict(struct buf *b, const json_t *l)
{
    const json_t *where = json_object_get(l, "where");
    long long line = json_integer_value(json_object_get(where, "line"));

    buf_printf(b, "%s: ", str(l, "listener"));
    if (yes(l, "unknown"))
        buf_printf(b, "unknown, see below");
    else if (is(l, "tls", "implicit") && yes(l, "serves"))
        buf_printf(b, "no STARTTLS, and that is correct: TLS begins with the first byte here%s%s",
                   reason_is(l, TLS_IMPLICIT) ? "" : "; but: ", reason_is(l, TLS_IMPLICIT) ? "" : str(l, "reason"));
    else if (reason_is(l, TLS_OFF_BY_CONFIG))
        buf_printf(b, "no STARTTLS: TLS is switched off in line %lld of %s", line, str(where, "file"));
    else if (yes(l, "offered"))
        buf_printf(b, "STARTTLS is offered%s%s",
                   reason_is(l, TLS_OK) ? "" : ", but: ", reason_is(l, TLS_OK) ? "" : str(l, "reason"));
    else if (is(l, "tls", "implicit"))
        buf_printf(b, "NOT OPEN, TLS cannot be served here: %s", str(l, "reason"));
    else
        buf_printf(b, "NO STARTTLS although it is wanted: %s; %s", str(l, "reason"), from_outside(l));
    buf_printf(b, "\n");
    /* what one certificate suffers from is said there */
    if ((reason_is(l, TLS_OFF_BY_CONFIG) || !json_array_size(json_object_get(l, "certificates"))) && *str(l, "hint"))
        buf_printf(b, "  remedy:  %s\n", str(l, "hint"));
}

char *report_text(const json_t *report, const char *only)
{
    const json_t *list = json_object_get(report, "listeners"), *l, *x;
    struct buf b = {0};
    size_t i, k;
    char *out;

    print_table(&b, list, only);
    json_array_foreach(list, i, l)
    {
        if (!is_meant(l, only))
            continue;
        buf_printf(&b, "\n");
        print_verdict(&b, l);
        json_array_foreach(json_object_get(l, "certificates"), k, x) print_certificate(&b, x);
        json_array_foreach(json_object_get(l, "rejected"), k, x) print_rejected(&b, x);
    }
    out = mem_str(buf_str(&b));
    buf_clear(&b);
    return out;
}
