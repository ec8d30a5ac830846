/* What a submission server mends in a message (RFC 6409 8): a missing Date (8.2) and Message-ID (8.3) are added at the
 * end of the header section, Bcc and Resent-Bcc fields are taken out (RFC 5322 3.6.3). Everything else passes byte for
 * byte. A stream: the message comes in pieces cut anywhere, in LF form, and the output is the same however it is cut.
 *
 *     fixup_begin(&x, date, message_id);
 *     fixup_feed(&x, &out, p, n);  ... // appends what is certain
 *     fixup_end(&x, &out);
 *
 * The header section goes up to the first empty line. A message whose first line is no field (nor an mbox "From ") has
 * none: ours is put in front of it, with an empty line. At most FIXUP_HOLD bytes are held back: the beginning of a line
 * until it is clear which field it is. Once .body is true, feed() only copies: the caller may stop calling it. */
#ifndef SMTP_FIXUP_H
#define SMTP_FIXUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define FIXUP_HOLD 1000

struct fixup {
    const char *date, *message_id; /* complete field bodies, the caller's until fixup_end(): "Mon, 23 ...", "<x@y>" */
    bool body;                     /* the header section is over */
    bool has_date, has_message_id;
    bool changed;      /* something was added or taken out */
    bool first;        /* no line has ended yet */
    bool dropping;     /* inside a field that goes */
    bool decided;      /* inside a line whose fate is known */
    size_t held, name; /* bytes in hold, and how many of them can be a field's name */
    char hold[FIXUP_HOLD];
};

void fixup_begin(struct fixup *x, const char *date, const char *message_id);
void fixup_feed(struct fixup *x, struct buf *out, const char *p, size_t n);
void fixup_end(struct fixup *x, struct buf *out);

#endif
