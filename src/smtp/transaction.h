/* One mail transaction: made by MAIL, gone with the end of the message, RSET, EHLO or the session.
 * One owner (the engine), one free: there is no second place that could forget a field. */
#ifndef SMTP_TRANSACTION_H
#define SMTP_TRANSACTION_H

#include "smtp/engine.h"

/* Where the reading of the content stands. */
enum content_at {
    CONTENT_LINE_START, /* after CRLF, or at the beginning */
    CONTENT_DOT,        /* "." at a line's start, what follows decides */
    CONTENT_DOT_CR,     /* ".\r" at a line's start */
    CONTENT_IN_LINE,
    CONTENT_CR, /* a CR whose LF has not come yet */
};

struct transaction {
    char *sender;
    size_t sender_len;
    struct smtp_mail_params params;
    char *envid;   /* params.envid points to it */
    bool accepted; /* MAIL got its 250 */
    uint32_t rcpt_count;
    char *only_rcpt; /* the first accepted path */
    size_t only_rcpt_len;
    uint32_t *ids; /* distinct, in order of acceptance */
    uint32_t id_count, id_cap;
    uint32_t *seen; /* hash set of ids (id + 1, 0: empty), made when there are many; a power of two */
    uint32_t seen_cap;

    /* the message */
    bool open;  /* OPEN_MESSAGE was answered yes */
    bool bdat;  /* came by BDAT: DATA is refused (RFC 3030 2) */
    bool last;  /* the BDAT in hand is the last */
    bool ended; /* CRLF.CRLF, or the last byte of a chunk, was read */
    uint64_t chunk_left, chunk_size;
    uint64_t size; /* on the wire, dots unstuffed, CRLF counts two */
    uint64_t line; /* bytes of the content line so far */
    uint32_t hops; /* Received: fields */
    uint8_t at;    /* enum content_at */
    uint8_t field; /* bytes of "Received:" that the header line matched so far; FIELD_OTHER: none */
    bool in_header;
    bool repaired; /* a bare newline was, and said */
    bool refused;  /* content refused: nothing is passed on, the reply waits for the true end */
    uint16_t refusal_code;
    const char *refusal_enhanced, *refusal_text;
};

struct transaction *transaction_new(struct span sender, const struct smtp_mail_params *p);
void transaction_free(struct transaction **t);
/* Takes an accepted recipient: its path as sent, and the mailboxes it stands for. */
void transaction_add_rcpt(struct transaction *t, struct span path, const uint32_t *ids, uint32_t n);
size_t transaction_memory(const struct transaction *t);

#endif
