#include <string.h>

#include "smtp/dsn_private.h"
#include "smtp/mail_path.h"

#define PEER_MOST 900u

/* C1 controls are UTF-8 and steer a terminal all the same. */
static bool is_readable_utf8(struct peer_text t)
{
    for (size_t i = 0; i + 1 < t.n; i++)
        if ((unsigned char)t.p[i] == 0xc2 && (unsigned char)t.p[i + 1] < 0xa0)
            return false;
    return mail_path_is_utf8((struct span){t.p, t.n});
}

void dsn_put_peer(struct buf *out, struct peer_text t, bool utf8)
{
    size_t start = out->len;

    utf8 = utf8 && is_readable_utf8(t);
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];

        if (out->len - start > PEER_MOST) {
            buf_printf(out, "...");
            return;
        }
        if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
            buf_printf(out, "\\x%02x", c);
        else
            buf_append(out, t.p + i, 1);
    }
}

/* How much of p goes into a line of room bytes: up to the last blank, else all that fits, UTF-8 kept whole. */
static size_t line_of(const char *p, size_t n, size_t room)
{
    size_t cut = room;

    if (n <= room)
        return n;
    while (cut > 0 && p[cut] != ' ')
        cut--;
    if (cut)
        return cut;
    /* one long word, an address perhaps: its own line takes it whole if it is not absurd */
    for (cut = room; cut < n && cut < PEER_MOST && p[cut] != ' '; cut++)
        ;
    while (cut > 1 && cut < n && ((unsigned char)p[cut] & 0xc0) == 0x80)
        cut--;
    return cut;
}

void dsn_put_folded(struct buf *out, size_t used, const char *next, const struct buf *text)
{
    const char *p = buf_data(text);
    size_t n = text->len, indent = strlen(next);

    for (;;) {
        size_t take = line_of(p, n, used < DSN_LINE ? DSN_LINE - used : 1);

        buf_append(out, p, take);
        p += take;
        n -= take;
        while (n && *p == ' ') {
            p++;
            n--;
        }
        buf_append(out, "\n", 1);
        if (!n)
            return;
        buf_append(out, next, indent);
        used = indent;
    }
}

static void say(struct buf *out, const char *indent, const char *text)
{
    struct buf b = {0};

    buf_append(&b, text, strlen(text));
    buf_append(out, indent, strlen(indent));
    dsn_put_folded(out, strlen(indent), indent, &b);
    buf_clear(&b);
}

/* ---- what to do, by RFC 3463 and the registry of enhanced status codes */

static const struct {
    const char *status, *advice; /* the longest beginning counts */
} advice[] = {
    {"5.1.1", "There is no such mailbox there. Look whether the address is spelled as it should be."},
    {"5.1.2", "There is no such domain, or none that can be found. Look whether the part behind the @ is spelled as it "
              "should be."},
    {"5.1.10", "The recipient's domain says that it takes no mail at all."},
    {"5.1", "The address is not one that mail can be sent to. Look whether it is spelled as it should be."},
    {"5.2.1", "The mailbox is switched off. Try to reach the recipient in another way."},
    {"5.2.2", "The mailbox is full. Send the message again later, or reach the recipient in another way."},
    {"5.2.3", "The message is too large for that mailbox. Send it without its attachments, or smaller ones."},
    {"5.3.4", "The message is too large for that server. Send it without its attachments, or smaller ones."},
    {"5.4.6", "The message went in a circle. The postmaster of the recipient's domain has to mend that."},
    {"5.6.7", "The address has letters that the other server cannot take. Ask the recipient for one in plain letters."},
    {"5.7.30", "You asked for TLS all the way, and the way there has none that can be relied on. Without that wish the "
               "message could be sent."},
    {"5.7",
     "The other side does not take this message from you. Its words say why; the postmaster there can tell more."},
    {"", "If the server's words do not help, show this report to your postmaster."},
};

static const char *advice_for(const char *status)
{
    const char *best = "";
    size_t longest = 0;

    for (size_t i = 0; i < sizeof advice / sizeof *advice; i++) {
        size_t n = strlen(advice[i].status);

        if (strncmp(status, advice[i].status, n) != 0 || (n && status[n] != '\0' && status[n] != '.'))
            continue;
        if (n >= longest) {
            longest = n;
            best = advice[i].advice;
        }
    }
    return best;
}

/* ---- a recipient */

static void put_reply(struct buf *out, const struct dsn_facts *f, const struct dsn_rcpt *r)
{
    const char *indent = r->remote.n ? "        " : "      ";
    struct buf b = {0};

    if (!r->code && !r->text.n)
        return;
    if (r->remote.n && !r->local) {
        buf_printf(&b, "The server ");
        dsn_put_peer(&b, r->remote, f->smtputf8);
        buf_printf(&b, r->action == DSN_FAILED || r->action == DSN_DELAYED ? " said:" : " took it:");
    } else if (r->remote.n) {
        buf_printf(&b, "This is about the server ");
        dsn_put_peer(&b, r->remote, f->smtputf8);
        buf_printf(&b, ":");
    }
    if (b.len) {
        buf_printf(out, "      ");
        dsn_put_folded(out, 6, "      ", &b);
    }
    buf_clear(&b);
    if (r->code && !r->local)
        buf_printf(&b, "%u %s%s", r->code, r->enhanced ? r->enhanced : "", r->text.n ? " " : "");
    dsn_put_peer(&b, r->text, f->smtputf8);
    if (b.len) {
        buf_printf(out, "%s", indent);
        dsn_put_folded(out, strlen(indent), indent, &b);
    }
    buf_clear(&b);
}

static void put_rcpt(struct buf *out, const struct dsn_facts *f, const struct dsn_rcpt *r)
{
    buf_printf(out, "  <");
    dsn_put_peer(out, r->address, f->smtputf8);
    buf_printf(out, ">\n");
    if (r->expired)
        say(out, "      ", "It was tried again and again, and is given up now for its age.");
    put_reply(out, f, r);
    if (r->action == DSN_FAILED && !r->expired)
        say(out, "      ", advice_for(r->enhanced ? r->enhanced : ""));
    else if (r->action == DSN_FAILED)
        say(out, "      ", "If the message still matters, send it again, or reach the recipient in another way.");
    else if (r->action == DSN_RELAYED)
        say(out, "      ", "That server does not confirm deliveries: nothing more will be heard unless one fails.");
    else if (r->action == DSN_EXPANDED)
        say(out, "      ", "The address is a list: its members get the message, and no success of theirs is reported.");
}

/* ---- the whole */

static void put_opening(struct buf *out, const struct dsn_facts *f)
{
    const char *news = "was delivered as you asked to be told:";
    struct buf b = {0};

    if (f->rcpts[0].action == DSN_FAILED)
        news = f->rcpt_count == 1 ? "could not be delivered to this recipient:"
                                  : "could not be delivered to these recipients:";
    else if (f->rcpts[0].action == DSN_DELAYED)
        news = "has not been delivered yet. You need not send it again: it waits here, and is tried again by itself.";
    buf_printf(&b, "This is the mail server %s. Your message that came here on %s %s", f->hostname, f->arrived, news);
    dsn_put_folded(out, 0, "", &b);
    buf_clear(&b);
    if (f->rcpts[0].action == DSN_DELAYED && f->give_up) {
        buf_printf(&b, "If it cannot be delivered until %s, it comes back to you.", f->give_up);
        dsn_put_folded(out, 0, "", &b);
        buf_clear(&b);
    }
    buf_printf(out, "\n");
}

void dsn_put_words(struct buf *out, const struct dsn_facts *f)
{
    put_opening(out, f);
    for (uint32_t i = 0; i < f->rcpt_count && i < DSN_RCPTS; i++) {
        put_rcpt(out, f, &f->rcpts[i]);
        buf_printf(out, "\n");
    }
    if (f->rcpt_count > DSN_RCPTS)
        buf_printf(out, "and %u more.\n\n", f->rcpt_count - DSN_RCPTS);
    say(out, "", f->full ? "Your message is attached." : "The header of your message is attached.");
    if (f->cut)
        say(out, "", f->cut);
}
