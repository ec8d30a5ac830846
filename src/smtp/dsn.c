#include "smtp/dsn.h"

#include <string.h>

#include "smtp/dsn_private.h"

static const char *const action_name[] = {"failed", "delayed", "delivered", "relayed", "expanded"};
static const char action_class[] = {'5', '4', '2', '2', '2'};

bool dsn_is_wanted(enum dsn_action a, unsigned notify, struct peer_text sender)
{
    enum { NEVER = 1, SUCCESS = 2, FAILURE = 4, DELAY = 8 };

    /* RFC 3461 6.1: "MUST NOT be returned to the sender" when that is the null reverse-path: reports on reports */
    if (sender.n == 0 || notify & NEVER)
        return false;
    if (a == DSN_FAILED)
        return notify == 0 || notify & FAILURE;
    if (a == DSN_DELAYED)
        return notify == 0 || notify & DELAY;
    return notify & SUCCESS;
}

/* ---- header section */

static const char *subject(const struct dsn_facts *f)
{
    switch (f->rcpts[0].action) {
    case DSN_FAILED:
        return "Undelivered mail comes back to you";
    case DSN_DELAYED:
        return "Delivery of your mail is late (it is tried again)";
    default:
        return "Delivery report on your mail";
    }
}

static void put_header(struct buf *out, const struct dsn_facts *f)
{
    buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\nTo: <", f->hostname);
    dsn_put_peer(out, f->to, f->smtputf8);
    buf_printf(out, ">\nSubject: %s\nDate: %s\nMessage-ID: <%s@%s>\n", subject(f), f->date, f->id, f->hostname);
    /* RFC 3834 5: so that no vacation program and no other server answers it */
    buf_printf(out, "Auto-Submitted: auto-replied\nMIME-Version: 1.0\n");
    buf_printf(out, "Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"%s\"\n", f->boundary);
    if (f->original_8bit || f->smtputf8)
        buf_printf(out, "Content-Transfer-Encoding: 8bit\n");
    buf_printf(out, "\nThis is a report in MIME format.\n");
}

/* ---- lines for programs, RFC 3464 */

static void put_field(struct buf *out, const char *name, const struct buf *value)
{
    buf_printf(out, "%s: ", name);
    dsn_put_folded(out, strlen(name) + 2, "\t", value);
}

static void put_typed(struct buf *out, const char *name, const char *type, struct peer_text t, bool utf8)
{
    struct buf b = {0};

    buf_printf(&b, "%s; ", type);
    dsn_put_peer(&b, t, utf8);
    put_field(out, name, &b);
    buf_clear(&b);
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 3461 4: "+" and two upper case digits. What is no xtext stays as it is. */
static void put_xtext(struct buf *out, struct peer_text t)
{
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];

        if (c == '+' && t.n - i > 2 && hex(t.p[i + 1]) >= 0 && hex(t.p[i + 2]) >= 0) {
            c = (char)(hex(t.p[i + 1]) << 4 | hex(t.p[i + 2]));
            i += 2;
        }
        buf_append(out, &c, 1);
    }
}

static void put_envid(struct buf *out, const struct dsn_facts *f)
{
    struct buf plain = {0}, safe = {0};

    if (!f->envid.n)
        return;
    put_xtext(&plain, f->envid);
    dsn_put_peer(&safe, (struct peer_text){buf_data(&plain), plain.len}, f->smtputf8);
    put_field(out, "Original-Envelope-Id", &safe);
    buf_clear(&plain);
    buf_clear(&safe);
}

/* "rfc822;Bob+2Bx@example.net", RFC 3464 2.3.1 */
static void put_orcpt(struct buf *out, const struct dsn_facts *f, const struct dsn_rcpt *r)
{
    const char *semicolon = r->orcpt.n ? memchr(r->orcpt.p, ';', r->orcpt.n) : NULL;
    struct buf plain = {0};
    char type[32] = "";
    size_t n;

    if (!semicolon || (size_t)(semicolon - r->orcpt.p) >= sizeof type)
        return;
    n = (size_t)(semicolon - r->orcpt.p);
    for (size_t i = 0; i < n; i++) /* RFC 5322 atom, as addr-type has it */
        type[i] = r->orcpt.p[i] > ' ' && r->orcpt.p[i] < 127 && !strchr("()<>[]:;@\\,\"", r->orcpt.p[i]) ? r->orcpt.p[i]
                                                                                                         : '?';
    put_xtext(&plain, (struct peer_text){semicolon + 1, r->orcpt.n - n - 1});
    put_typed(out, "Original-Recipient", type, (struct peer_text){buf_data(&plain), plain.len}, f->smtputf8);
    buf_clear(&plain);
}

static void put_status(struct buf *out, const struct dsn_rcpt *r)
{
    char class = action_class[r->action];

    if (r->enhanced && r->enhanced[0] == class && !r->expired)
        buf_printf(out, "Status: %s\n", r->enhanced);
    else if (r->expired)
        buf_printf(out, "Status: 5.4.7\n"); /* RFC 3463 X.4.7: delivery time expired */
    else
        buf_printf(out, "Status: %c.0.0\n", class);
}

/* "mx.example.net[192.0.2.25]": the name, or the address in its brackets where there is none. */
static struct peer_text mta_name(struct peer_text remote)
{
    const char *bracket = memchr(remote.p, '[', remote.n);

    if (bracket && bracket != remote.p)
        remote.n = (size_t)(bracket - remote.p);
    return remote;
}

static void put_diagnostic(struct buf *out, const struct dsn_facts *f, const struct dsn_rcpt *r)
{
    struct buf b = {0};

    if (r->remote.n)
        put_typed(out, "Remote-MTA", "dns", mta_name(r->remote), f->smtputf8);
    if (!r->code && !r->text.n)
        return;
    /* RFC 3464 2.3.6: the diagnostic is what the remote server said; our own words are of our own type */
    if (r->local)
        buf_printf(&b, "X-Postern; ");
    else
        buf_printf(&b, "smtp; %u %s ", r->code, r->enhanced ? r->enhanced : "");
    dsn_put_peer(&b, r->text, f->smtputf8);
    put_field(out, "Diagnostic-Code", &b);
    buf_clear(&b);
}

static void put_status_of(struct buf *out, const struct dsn_facts *f, const struct dsn_rcpt *r)
{
    bool high = false;
    char when[64];

    for (size_t i = 0; i < r->address.n; i++)
        high |= (unsigned char)r->address.p[i] >= 0x80;
    buf_printf(out, "\n");
    put_orcpt(out, f, r);
    /* RFC 6533 3: address type "utf-8" only where the address has such letters */
    put_typed(out, "Final-Recipient", high && f->smtputf8 ? "utf-8" : "rfc822", r->address, f->smtputf8);
    buf_printf(out, "Action: %s\n", action_name[r->action]);
    put_status(out, r);
    put_diagnostic(out, f, r);
    if (r->last_try_us)
        buf_printf(out, "Last-Attempt-Date: %s\n", f->when(when, r->last_try_us));
    if (r->action == DSN_DELAYED && f->give_up)
        buf_printf(out, "Will-Retry-Until: %s\n", f->give_up);
}

static void put_delivery_status(struct buf *out, const struct dsn_facts *f)
{
    buf_printf(out, "Reporting-MTA: dns; %s\n", f->hostname);
    put_envid(out, f);
    if (f->received_from.n)
        put_typed(out, "Received-From-MTA", "dns", f->received_from, f->smtputf8);
    buf_printf(out, "Arrival-Date: %s\n", f->arrived);
    for (uint32_t i = 0; i < f->rcpt_count && i < DSN_RCPTS; i++)
        put_status_of(out, f, &f->rcpts[i]);
}

/* ---- the whole, RFC 6522 3 */

static void put_part(struct buf *out, const struct dsn_facts *f, const char *description, const char *type, bool eight)
{
    buf_printf(out, "\n--%s\nContent-Description: %s\nContent-Type: %s\n%s\n", f->boundary, description, type,
               eight ? "Content-Transfer-Encoding: 8bit\n" : "");
}

void dsn_begin(struct buf *out, const struct dsn_facts *f)
{
    static const char *const original[2][2] = {{"text/rfc822-headers", "message/global-headers"},
                                               {"message/rfc822", "message/global"}};

    put_header(out, f);
    put_part(out, f, "Notification", f->smtputf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii",
             f->smtputf8);
    dsn_put_words(out, f);
    put_part(out, f, "Delivery report", f->smtputf8 ? "message/global-delivery-status" : "message/delivery-status",
             f->smtputf8);
    put_delivery_status(out, f);
    put_part(out, f, f->full ? "Your message" : "The header of your message", original[f->full][f->smtputf8],
             f->original_8bit || f->smtputf8);
}

void dsn_original(struct dsn_original *d, struct buf *out, const char *p, size_t n)
{
    size_t i = 0;

    if (d->full) {
        buf_append(out, p, n);
        return;
    }
    for (; i < n && !d->done; i += !d->done) {
        d->done = (p[i] == '\n' && (d->line_end || d->n == 0)) || d->n == DSN_HEADER_MOST;
        d->line_end = p[i] == '\n';
        d->n++;
    }
    buf_append(out, p, i);
}

void dsn_end(struct buf *out, const struct dsn_facts *f)
{
    buf_printf(out, "\n--%s--\n",
               f->boundary); /* the line feed in front of it is the boundary's own (RFC 2046 5.1.1) */
}
