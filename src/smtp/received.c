#include "smtp/received.h"

#include <string.h>

#include "smtp/mail_path.h"

/* What may stand where a host name does: RFC 5321 Domain or address-literal, generously. */
static bool is_name_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c && strchr(".-_:[]+=/*~!#$%&'?^`{|}", c));
}

static void put_name(struct buf *out, struct peer_text t)
{
    for (size_t i = 0; i < t.n; i++) {
        char c = is_name_byte((unsigned char)t.p[i]) ? t.p[i] : '?';

        buf_append(out, &c, 1);
    }
}

/* A mailbox between < and >. Inside a quoted string every printable byte may stand; outside of one
 * a bracket, blank or semicolon would end what it stands in. */
static void put_mailbox(struct buf *out, struct peer_text t, bool utf8)
{
    bool quoted = false, escaped = false;

    utf8 = utf8 && mail_path_is_utf8((struct span){t.p, t.n});
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        bool good = c >= 0x80 ? utf8 : c >= 0x20 && c < 0x7f;

        if (!quoted && c < 0x80 && (c == ' ' || strchr("<>()\\;,", c)))
            good = false;
        if (quoted && !escaped && c == '\\') {
            escaped = i + 2 < t.n; /* something to escape, and the closing quote */
            good &= escaped;
        } else {
            if (c == '"' && !escaped)
                quoted = !quoted;
            escaped = false;
        }
        buf_append(out, good ? t.p + i : "?", 1);
    }
    if (quoted) /* cannot come out of the path parser; here nothing is taken for granted */
        buf_append(out, "\"", 1);
}

/* RFC 3848; RFC 6531 4.3 for the UTF8 forms. Neither knows TLS without ESMTP. */
static const char *with(const struct received_facts *f)
{
    static const char *const esmtp[] = {"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"};
    static const char *const utf8[] = {"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"};
    unsigned i = (f->tls ? 2u : 0u) + (f->authenticated ? 1u : 0u);

    if (f->smtputf8)
        return utf8[i];
    return f->esmtp ? esmtp[i] : "SMTP";
}

void received_return_path(struct buf *out, const struct received_facts *f)
{
    buf_printf(out, "Return-Path: <");
    put_mailbox(out, f->sender, f->smtputf8);
    buf_printf(out, ">\n");
}

static void put_client(struct buf *out, const struct received_facts *f)
{
    buf_printf(out, "from ");
    if (f->hello.n)
        put_name(out, f->hello);
    else
        buf_printf(out, "unknown");
    buf_printf(out, " ([%s%s])\n\t", f->client_ipv6 ? "IPv6:" : "", f->client_ip);
}

void received_write(struct buf *out, const struct received_facts *f)
{
    buf_printf(out, "Received: ");
    if (f->client_ip)
        put_client(out, f);
    buf_printf(out, "by %s with %s", f->by, with(f));
    if (f->tls)
        buf_printf(out, "\n\t(%s %s)", f->tls_version, f->tls_cipher);
    buf_printf(out, "\n\tid %s", f->id);
    if (f->only_rcpt.n) {
        buf_printf(out, "\n\tfor <");
        put_mailbox(out, f->only_rcpt, f->smtputf8);
        buf_printf(out, ">");
    }
    buf_printf(out, ";\n\t%s\n", f->date);
}
