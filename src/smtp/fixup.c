#include "smtp/fixup.h"

#include <string.h>

#include "base/text.h"

enum field { FIELD_NONE, FIELD_OTHER, FIELD_DATE, FIELD_MESSAGE_ID, FIELD_BCC };

static enum field field_of(struct span name)
{
    static const char *const names[] = {"date", "message-id", "bcc", "resent-bcc"};
    static const enum field fields[] = {FIELD_DATE, FIELD_MESSAGE_ID, FIELD_BCC, FIELD_BCC};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is_nocase(name, names[i]))
            return fields[i];
    return FIELD_OTHER;
}

void fixup_begin(struct fixup *x, const char *date, const char *message_id)
{
    *x = (struct fixup){.date = date, .message_id = message_id, .first = true};
}

/* Behind the last field: what is missing. */
static void add_missing(struct fixup *x, struct buf *out)
{
    x->body = true;
    x->changed |= !x->has_date || !x->has_message_id;
    if (!x->has_date)
        buf_printf(out, "Date: %s\n", x->date);
    if (!x->has_message_id)
        buf_printf(out, "Message-ID: %s\n", x->message_id);
}

/* The beginning of a line is in hold and what it is is known. */
static void decide(struct fixup *x, struct buf *out, enum field f)
{
    bool mbox = x->held > 5 && memcmp(x->hold, "From ", 5) == 0;

    if (x->first && f == FIELD_NONE && !mbox) { /* no header section at all */
        add_missing(x, out);
        buf_append(out, "\n", 1);
    }
    x->first = false;
    x->decided = true;
    x->has_date |= f == FIELD_DATE;
    x->has_message_id |= f == FIELD_MESSAGE_ID;
    x->dropping = f == FIELD_BCC;
    x->changed |= x->dropping;
    if (!x->dropping)
        buf_append(out, x->hold, x->held);
    x->held = x->name = 0;
}

/* A byte of a line's beginning, when what the line is is not known. Looks at each byte once: a line without a colon
 * costs no more than another (25 MB of them would be hours otherwise). */
static void hold(struct fixup *x, struct buf *out, char c)
{
    bool name_byte = c > ' ' && c < 127 && c != ':'; /* RFC 5322 3.6.8 ftext */

    x->hold[x->held++] = c;
    if (c == ':' && x->name)
        decide(x, out, field_of((struct span){x->hold, x->name}));
    else if (name_byte && x->name == x->held - 1 && x->held < FIXUP_HOLD)
        x->name++;
    else if ((c == ' ' || c == '\t') && x->name && x->held < FIXUP_HOLD)
        ; /* RFC 5322 4.5: blanks before the colon, once allowed; or an mbox "From " */
    else
        decide(x, out, FIELD_NONE);
}

static void consider(struct fixup *x, struct buf *out, char c)
{
    if (x->held == 0 && c == '\n') { /* the empty line */
        add_missing(x, out);
        buf_append(out, "\n", 1);
    } else if (x->held == 0 && (c == ' ' || c == '\t') && !x->first) { /* goes where its field goes */
        x->decided = true;
        if (!x->dropping)
            buf_append(out, &c, 1);
    } else {
        hold(x, out, c);
        x->decided &= c != '\n';
    }
}

void fixup_feed(struct fixup *x, struct buf *out, const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && !x->body) {
        if (!x->decided) {
            consider(x, out, p[i++]);
        } else { /* the rest of a line, whole */
            const char *newline = memchr(p + i, '\n', n - i);
            size_t rest = newline ? (size_t)(newline - (p + i)) + 1 : n - i;

            if (!x->dropping)
                buf_append(out, p + i, rest);
            x->decided = !newline;
            i += rest;
        }
    }
    buf_append(out, p + i, n - i);
}

void fixup_end(struct fixup *x, struct buf *out)
{
    if (x->body)
        return;
    if (x->held)
        decide(x, out, FIELD_NONE);
    if (x->body)
        return;
    if (x->decided && !x->dropping) /* the last line had no end */
        buf_append(out, "\n", 1);
    add_missing(x, out);
}
