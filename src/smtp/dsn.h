/* Reports on what became of a message: RFC 3464 (delivery status) in the form of RFC 6522 (multipart/report), in three
 * parts: words for a person, lines for a program, and the message or its header section. RFC 6533 for the UTF-8 forms.
 *
 *     dsn_begin(&out, &facts);         // header section, the first two parts, and the head of the third
 *     dsn_original(&d, &out, p, n);    // the original from its beginning, in pieces cut anywhere, LF line ends
 *     dsn_end(&out, &facts);           // the closing boundary
 *
 * Pure; LF line ends, for the queue or a Maildir. The caller puts it in an envelope with the null sender (RFC 3461
 * 6.1), to .to. It carries "Auto-Submitted: auto-replied" (RFC 3834), so nothing answers it. Texts of peers are escaped
 * or, in UTF-8 forms, checked; no line of ours is longer than 998 bytes, nearly all are below 79. What the caller gives
 * as plain const char * is its own: ASCII without line ends. */
#ifndef SMTP_DSN_H
#define SMTP_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

struct dsn_rcpt {
    struct peer_text address;
    struct peer_text orcpt; /* "rfc822;xtext" as given, .n 0: none */
    enum dsn_action action;
    bool expired;  /* FAILED: given up for its age; .reply is that of the last try */
    uint16_t code; /* 0: there was no reply at all */
    const char
        *enhanced; /* "5.1.1"; of another class than the action, or NULL: Status is 5.4.7 for expired, else X.0.0 */
    bool local;    /* our own judgement: no Diagnostic-Code of type smtp */
    struct peer_text text;
    struct peer_text remote; /* "name[ip]" or name, .n 0: no server */
    int64_t last_try_us;     /* 0: never */
};

struct dsn_facts {
    const char *hostname; /* Reporting-MTA */
    const char *id;       /* of the report */
    const char *boundary; /* letters and digits, at most 60, random: the original must not be able to hold it */
    const char *date, *arrived, *give_up;          /* RFC 5322 date-times; give_up NULL: no Will-Retry-Until */
    const char *(*when)(char dst[64], int64_t us); /* a try's date-time */
    struct peer_text to;                           /* the original's sender, not "" */
    struct peer_text envid;                        /* xtext, .n 0: none */
    struct peer_text received_from;                /* EHLO name or IP, .n 0: unknown or kept back */
    bool smtputf8;                                 /* the original needs it: message/global..., addresses as they are */
    bool original_8bit;
    bool full;                    /* RET=FULL and not too large; else its header section */
    const char *cut;              /* a sentence why the rest is not there although it was asked for, or NULL */
    const struct dsn_rcpt *rcpts; /* one kind of news: all FAILED, all DELAYED, or none of both */
    uint32_t rcpt_count;
};

/* 5-digit limits of what a report takes: recipients beyond it are counted in words. */
#define DSN_RCPTS 500u
#define DSN_FULL_MOST ((uint64_t)256 * 1024) /* bytes of an original that goes back whole */
#define DSN_HEADER_MOST ((size_t)64 * 1024)  /* bytes of a header section */

void dsn_begin(struct buf *out, const struct dsn_facts *f);

struct dsn_original { /* zeroed at the beginning; .full is the caller's */
    bool full;
    bool done; /* no more is wanted */
    bool line_end;
    size_t n;
};
void dsn_original(struct dsn_original *d, struct buf *out, const char *p, size_t n);
void dsn_end(struct buf *out, const struct dsn_facts *f);

/* May this be told? RFC 3461 4.1, 5.2: NOTIFY (enum smtp_client_notify bits; 0: failures and delays), null sender. */
bool dsn_is_wanted(enum dsn_action a, unsigned notify, struct peer_text sender);

#endif
