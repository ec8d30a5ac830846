#include "smtp/mail_path.h"

#include <arpa/inet.h>
#include <string.h>

/* RFC 5321 4.5.3.1: local part 64, domain 255, path 256 with its brackets. These are sizes that
 * must be accepted at least. Recipients are ours, so for them they are the limit. Senders are not:
 * bounce addresses of large senders (VERP, SRS) have longer local parts, and refusing them would
 * bounce good mail. */
#define LOCAL_MAX 64
#define DOMAIN_MAX 255
#define MAILBOX_MAX 254
#define SENDER_LOCAL_MAX 255

struct cursor {
    const unsigned char *p, *end;
};

const char *mail_path_fault_name(enum mail_path_fault f)
{
    static const char *const names[] = {"ok", "syntax", "too-long", "not-utf8"};

    return names[f];
}

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* RFC 5322 3.2.3 atext, and RFC 6531 3.3: "atext =/ UTF8-non-ascii" */
static bool is_atext(unsigned char c)
{
    return is_alnum(c) || c >= 0x80 || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool at(const struct cursor *c, unsigned char want)
{
    return c->p < c->end && *c->p == want;
}

/* Dot-string = Atom *("."  Atom) */
static bool skip_dot_string(struct cursor *c)
{
    for (;;) {
        const unsigned char *atom = c->p;

        while (c->p < c->end && is_atext(*c->p))
            c->p++;
        if (c->p == atom)
            return false;
        if (!at(c, '.'))
            return true;
        c->p++;
    }
}

/* Quoted-string = DQUOTE *( qtextSMTP / quoted-pairSMTP ) DQUOTE */
static bool skip_quoted(struct cursor *c)
{
    for (c->p++; c->p < c->end; c->p++) {
        if (*c->p == '"') {
            c->p++;
            return true;
        }
        if (*c->p == '\\') {
            c->p++;
            if (c->p == c->end || *c->p >= 0x80)
                return false;
        }
        if (*c->p < 0x20 || *c->p == 0x7f)
            return false;
    }
    return false;
}

/* sub-domain = Let-dig [Ldh-str]; underscores occur in host names that send good mail. */
static bool skip_domain(struct cursor *c)
{
    for (;;) {
        const unsigned char *label = c->p;

        while (c->p < c->end && (is_alnum(*c->p) || *c->p >= 0x80 || *c->p == '-' || *c->p == '_'))
            c->p++;
        if (c->p == label || c->p - label > 63 || label[0] == '-' || c->p[-1] == '-')
            return false;
        if (!at(c, '.'))
            return true;
        c->p++;
    }
}

static bool is_ip(int family, const unsigned char *p, size_t n)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char ip[16];

    if (n >= sizeof text)
        return false;
    memcpy(text, p, n);
    text[n] = '\0';
    return inet_pton(family, text, ip) == 1;
}

/* General-address-literal = Standardized-tag ":" 1*dcontent */
static bool is_general_literal(const unsigned char *p, size_t n)
{
    const unsigned char *colon = memchr(p, ':', n);

    if (!colon || colon == p || colon + 1 == p + n || !is_alnum(colon[-1]))
        return false;
    for (const unsigned char *t = p; t < colon; t++)
        if (!is_alnum(*t) && *t != '-')
            return false;
    for (const unsigned char *t = colon + 1; t < p + n; t++)
        if (*t < 33 || *t > 126 || *t == '[' || *t == '\\')
            return false;
    return true;
}

/* address-literal = "[" ( IPv4 / "IPv6:" IPv6 / General ) "]", RFC 5321 4.1.3 */
static bool skip_literal(struct cursor *c)
{
    const unsigned char *in = c->p + 1;
    const unsigned char *close = memchr(in, ']', (size_t)(c->end - in));
    size_t n;

    if (!close)
        return false;
    n = (size_t)(close - in);
    c->p = close + 1;
    if (span_starts_nocase((struct span){(const char *)in, n}, "IPv6:"))
        return is_ip(AF_INET6, in + 5, n - 5);
    return is_ip(AF_INET, in, n) || is_general_literal(in, n);
}

/* A-d-l = At-domain *( "," At-domain ), then ":". RFC 5321 4.1.2: "MUST BE accepted, SHOULD NOT be
 * generated, and SHOULD be ignored." */
static bool skip_route(struct cursor *c)
{
    while (at(c, '@')) {
        c->p++;
        if (!skip_domain(c))
            return false;
        if (at(c, ':')) {
            c->p++;
            return true;
        }
        if (!at(c, ','))
            return false;
        c->p++;
    }
    return false;
}

bool mail_path_is_utf8(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;

    while (p < end) {
        unsigned char c = *p++;
        unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        unsigned char low = 0x80, high = 0xbf;

        if (c < 0x80)
            continue;
        if (c < 0xc2 || c > 0xf4 || (size_t)(end - p) < more)
            return false;
        /* RFC 3629 4: no overlong forms, no surrogates, nothing above U+10FFFF */
        if (c == 0xe0)
            low = 0xa0;
        else if (c == 0xed)
            high = 0x9f;
        else if (c == 0xf0)
            low = 0x90;
        else if (c == 0xf4)
            high = 0x8f;
        for (; more; more--, low = 0x80, high = 0xbf)
            if (*p < low || *p++ > high)
                return false;
    }
    return true;
}

static struct span between(const unsigned char *from, const unsigned char *to)
{
    return (struct span){(const char *)from, (size_t)(to - from)};
}

static bool skip_mailbox(struct cursor *c, struct mail_path *out, enum mail_path_kind kind)
{
    const unsigned char *from = c->p;

    if (!(at(c, '"') ? skip_quoted(c) : skip_dot_string(c)))
        return false;
    out->local = between(from, c->p);
    out->domain = between(c->p, c->p);
    if (at(c, '@')) {
        const unsigned char *domain = ++c->p;

        if (!(at(c, '[') ? skip_literal(c) : skip_domain(c)))
            return false;
        out->domain = between(domain, c->p);
    } else if (kind == MAIL_PATH_REVERSE || !span_is_nocase(out->local, "postmaster")) {
        /* RFC 5321 4.5.1: only the reserved mailbox postmaster goes without a domain. */
        return false;
    }
    out->mailbox = between(from, c->p);
    return true;
}

static bool is_too_long(const struct mail_path *m, enum mail_path_kind kind)
{
    if (kind == MAIL_PATH_REVERSE)
        return m->local.n > SENDER_LOCAL_MAX || m->domain.n > DOMAIN_MAX;
    return m->local.n > LOCAL_MAX || m->domain.n > DOMAIN_MAX || m->mailbox.n > MAILBOX_MAX;
}

enum mail_path_fault mail_path_parse(struct mail_path *out, struct span text, enum mail_path_kind kind)
{
    const unsigned char *start = (const unsigned char *)text.p;
    struct cursor c = {start, start + text.n};

    *out = (struct mail_path){0};
    if (!at(&c, '<'))
        return MAIL_PATH_BAD_SYNTAX;
    c.p++;
    out->mailbox = out->local = out->domain = between(c.p, c.p);
    if (!(kind == MAIL_PATH_REVERSE && at(&c, '>'))) {
        if (at(&c, '@') && !skip_route(&c))
            return MAIL_PATH_BAD_SYNTAX;
        if (!skip_mailbox(&c, out, kind))
            return MAIL_PATH_BAD_SYNTAX;
    }
    if (!at(&c, '>'))
        return MAIL_PATH_BAD_SYNTAX;
    out->used = (size_t)(c.p + 1 - start);
    for (size_t i = 0; i < out->used; i++)
        if (start[i] >= 0x80)
            out->non_ascii = true;
    if (out->non_ascii && !mail_path_is_utf8((struct span){text.p, out->used}))
        return MAIL_PATH_NOT_UTF8;
    return is_too_long(out, kind) ? MAIL_PATH_TOO_LONG : MAIL_PATH_OK;
}

size_t mail_path_unquote(char *dst, struct span local)
{
    size_t n = 0;

    if (local.n < 2 || local.p[0] != '"') {
        memcpy(dst, local.p, local.n);
        return local.n;
    }
    for (size_t i = 1; i + 1 < local.n; i++) {
        if (local.p[i] == '\\')
            i++;
        dst[n++] = local.p[i];
    }
    return n;
}

/* RFC 5321 4.1.2: Dot-string = Atom *("." Atom). */
static bool is_dot_string(struct span local)
{
    bool dot = true; /* one may not stand here */

    for (size_t i = 0; i < local.n; i++) {
        unsigned char c = (unsigned char)local.p[i];

        if (c == '.' ? dot : !is_atext(c))
            return false;
        dot = c == '.';
    }
    return !dot;
}

void mail_path_quote(struct buf *out, struct span local)
{
    if (is_dot_string(local)) {
        buf_append(out, local.p, local.n);
        return;
    }
    buf_append(out, "\"", 1);
    for (size_t i = 0; i < local.n; i++) {
        if (local.p[i] == '"' || local.p[i] == '\\')
            buf_append(out, "\\", 1);
        buf_append(out, local.p + i, 1);
    }
    buf_append(out, "\"", 1);
}
