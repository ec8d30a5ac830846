/* What the files of the sending engine share. Nobody outside src/smtp includes this.
 *
 * client.c          the caller's side: new, feed, next, answers
 * client_reader.c   bytes to replies
 * client_reply.c    what a reply means: its enhanced code, its outcome
 * client_offers.c   the EHLO reply
 * client_hello.c    from the greeting to READY: EHLO, STARTTLS
 * client_sasl.c     AUTH
 * client_message.c  a message: what this server can never take, which recipients go in which
 * transaction client_group.c    a transaction: MAIL, RCPT..., DATA, and to whom their replies
 * belong client_content.c  content on the wire, DATA or BDAT, and the replies after it
 * client_fail.c     the end of a connection
 * client_emit.c     actions on their way out
 *
 * Actions wait in c->out and leave before the bytes in c->send. feed() takes nothing while one
 * waits. Results are given when a transaction is over; until then replies are held at their
 * recipients.
 */
#ifndef SMTP_CLIENT_PRIVATE_H
#define SMTP_CLIENT_PRIVATE_H

#include "base/buf.h"
#include "smtp/client.h"

#define CLIENT_TEXT_MAX 1000 /* bytes of a reply's text that are kept */

enum client_state {
    CLIENT_GREETING,
    CLIENT_EHLO, /* or LHLO */
    CLIENT_HELO,
    CLIENT_STARTTLS,
    CLIENT_HANDSHAKE,      /* the caller's turn */
    CLIENT_AUTH_CHOICE,    /* the caller's turn */
    CLIENT_AUTH,           /* a reply is awaited */
    CLIENT_AUTH_STEP,      /* the caller's turn */
    CLIENT_AUTH_CANCELLED, /* the reply to "*" is awaited */
    CLIENT_READY,          /* the caller's turn, and the server should be silent */
    CLIENT_GROUP,          /* replies to MAIL, RCPT, DATA or a probe's RSET are awaited */
    CLIENT_CONTENT,        /* content is flowing: the caller's turn, or a BDAT's reply is awaited */
    CLIENT_END,            /* the replies after the content */
    CLIENT_EMPTY_END,      /* the reply to the lone dot that ends a DATA without recipients */
    CLIENT_RSET,
    CLIENT_QUIT,
    CLIENT_CLOSED,
};

/* A reply that is kept. text may hold any bytes. */
struct client_reply {
    char *text; /* owned */
    size_t text_len;
    uint16_t code;
    char enhanced[12];
    bool local;
};

/* The reply that is coming in. */
struct client_reader {
    struct buf line; /* as far as it came */
    struct buf text; /* lines without codes, each ended by \n */
    unsigned lines;
    uint16_t code; /* of the lines so far, 0: none yet */
};

enum client_rcpt_state {
    CLIENT_RCPT_PENDING,  /* to be in a transaction yet */
    CLIENT_RCPT_CHOSEN,   /* in this one, no reply counts yet */
    CLIENT_RCPT_ACCEPTED, /* RCPT was */
    CLIENT_RCPT_REFUSED,  /* by what is in held */
    CLIENT_RCPT_DONE,     /* its result was given */
};

struct client_rcpt {
    struct client_reply held;
    uint8_t state; /* enum client_rcpt_state */
    uint8_t stage; /* enum smtp_client_stage: what held answers */
    bool too_many; /* held says the transaction is full */
    bool non_ascii;
};

struct smtp_client {
    const struct smtp_client_profile *profile;
    const struct smtp_client_message *msg; /* NULL: none in hand */
    struct client_rcpt *rcpts;             /* one for each of msg's */
    uint32_t *chosen;                      /* indices of those in this transaction */
    uint32_t chosen_count, accepted;
    uint32_t commands, answered; /* of the group: 0 is MAIL, then the chosen, then perhaps DATA, or a probe's RSET */
    uint32_t sent;               /* commands sent so far */
    uint32_t pending;            /* recipients still to be chosen */
    uint32_t round_max;          /* learned from "too many" for this message, 0: nothing */
    uint32_t transactions, progress;
    struct client_reply refusal; /* of MAIL, DATA or a BDAT: for all of the transaction */
    uint64_t offset;             /* of the content still to be given */
    uint32_t bdats, bdats_answered;
    uint32_t end_answered; /* LMTP: accepted recipients that have their reply */

    struct client_reader in;
    struct buf out;  /* actions */
    struct buf send; /* bytes for the server */
    uint32_t given;  /* bytes of out that the last action points into */
    struct smtp_client_offers offers;
    char *offers_text[3]; /* name, mechanisms, lines */
    char *greeting;
    char *sasl_initial; /* base64 of an initial response that waits for the first challenge */
    uint8_t state;      /* enum client_state */
    uint8_t sasl_steps;
    uint8_t refusal_stage;
    bool send_given, send_secret;
    bool in_tls, tls_verified, upgraded;
    bool sasl_finished;
    bool by_data;      /* this transaction: DATA, not BDAT */
    bool data_open;    /* DATA was answered by 354 */
    bool mail_refused; /* refusal is MAIL's */
    bool line_start;   /* DATA: the next byte of content begins a line */
};

/* client.c: QUIT or CLOSE was said. Answers may still be under way then, when the caller lost the
 * connection while it made them: they are dropped. */
bool client_is_over(const struct smtp_client *c);

/* client_reader.c: takes bytes up to the end of a reply. *whole: one is there, in c->in. */
size_t client_reader_feed(struct smtp_client *c, const char *p, size_t n, bool *whole);
void client_reader_clear(struct client_reader *r);

/* client_reply.c */
void client_reply_take(const struct client_reader *r, struct client_reply *out); /* makes out from what came */
void client_reply_local(struct client_reply *out, uint16_t code, const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void client_reply_quote(struct client_reply *out, const struct client_reply *quoted); /* appends ": 454 4.7.0 text" */
void client_reply_copy(struct client_reply *out, const struct client_reply *from);
void client_reply_free(struct client_reply *r);
enum smtp_client_outcome client_reply_outcome(const struct client_reply *r, enum smtp_client_stage stage);

/* client_offers.c: the EHLO reply in c->in */
void client_offers_read(struct smtp_client *c);
void client_offers_clear(struct smtp_client *c);

/* client_hello.c */
void client_hello_reply(struct smtp_client *c); /* a reply came: GREETING, EHLO, HELO, STARTTLS */
void client_hello_again(struct smtp_client *c); /* inside TLS */
void client_hello_ready(struct smtp_client *c);

/* client_sasl.c */
void client_sasl_begin(struct smtp_client *c);
void client_sasl_reply(struct smtp_client *c);

/* client_message.c */
void client_message_begin(struct smtp_client *c, const struct smtp_client_message *m);
/* ... on a connection that is over: all are UNTRIED. */
void client_message_too_late(struct smtp_client *c, const struct smtp_client_message *m);
/* A transaction is over: gives the results that are certain, and MESSAGE_DONE if they were the last
 * ones. */
void client_message_settle(struct smtp_client *c);
/* ... then the next transaction, or READY, */
void client_message_next(struct smtp_client *c);
/* ... but first this command ("RSET", "."), whose state and stage follow from `state`. */
void client_message_next_after(struct smtp_client *c, const char *command, enum client_state state);
void client_message_after_reply(struct smtp_client *c); /* RSET, EMPTY_END */
void client_message_free(struct smtp_client *c);
/* The result of one recipient that has none yet. */
void client_message_result(struct smtp_client *c, uint32_t index, const struct client_reply *r,
                           enum smtp_client_outcome outcome, enum smtp_client_stage stage, bool in_doubt);

/* client_group.c */
void client_group_begin(struct smtp_client *c);
void client_group_reply(struct smtp_client *c);
/* DATA, BDAT or the content was refused by c->refusal: all that were accepted so far share it. */
void client_group_refuse_accepted(struct smtp_client *c, enum smtp_client_stage stage);

/* client_content.c */
void client_content_begin(struct smtp_client *c);
bool client_content_wanted(const struct smtp_client *c);
void client_content_put(struct smtp_client *c, const char *p, size_t n);
void client_content_reply(struct smtp_client *c); /* CONTENT */
void client_content_end_reply(struct smtp_client *c);

/* client_fail.c */
enum client_goodbye { CLIENT_JUST_CLOSE, CLIENT_SAY_QUIT };
/* Results, MESSAGE_DONE, FAILED; then QUIT or CLOSE. r becomes the engine's and is emptied. */
void client_fail(struct smtp_client *c, enum smtp_client_failure why, enum smtp_client_outcome outcome,
                 struct client_reply *r, struct span said, enum client_goodbye bye);
void client_fail_closing(struct smtp_client *c);     /* the reply in c->in is a 421 */
void client_fail_out_of_step(struct smtp_client *c); /* ... cannot be the answer to what was asked */
void client_quit(struct smtp_client *c);

/* client_emit.c */
void client_emit(struct smtp_client *c, const struct smtp_client_action *a);
void client_emit_take(struct smtp_client *c, struct smtp_client_action *out);
void client_emit_event(struct smtp_client *c, enum smtp_client_event e, const struct client_reply *r);
struct smtp_client_reply client_emit_view(const struct client_reply *r);
void client_emit_drop_given(struct smtp_client *c);
void client_send(struct smtp_client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
