/* The sending SMTP and LMTP engine: the server's bytes in, actions out. No I/O, no clock, no loop, no
 * callback, no log. One engine drives one connection, for as many messages as it is good for.
 *
 *     for (;;) {
 *         smtp_client_next(c, &act);             // until it rests: see enum smtp_client_action_kind
 *         ...
 *         n = smtp_client_feed(c, bytes, len);   // how many it took; the rest must be offered again
 *     }
 *
 * The caller repeats: next() until an action marked RESTS comes, then feed(). feed() takes at least one byte
 * then, at most as many as lead to the next action; after CLOSE it takes and forgets everything. In WAIT it
 * takes nothing. Actions marked ANSWER come once; until they are answered next() gives WAIT.
 * At READY and NEED_CONTENT feed() may be called, and must be before the answer when bytes are there: a
 * server that hung up, or speaks out of turn, is noticed before anything is sent to it.
 *
 * Law, and fuzz oracle: however the bytes are cut, the actions are equal after joining SENDs, up to
 * START_TLS. Pointers inside an action are valid until the next call that is not a plain question.
 *
 * One message may need several transactions (LIMITS RCPTMAX, "too many recipients", CHUNKING that turns out
 * to be broken): the engine makes them, and asks for the content again from its beginning. What became of
 * the recipients is told when it is certain, not sooner: with pipelining the replies of a group are credited
 * only after all of them came and fit (a 354 in a recipient's place shows that one is missing), so nobody
 * gets a reply that was another's. For every message given each recipient gets exactly one RCPT_RESULT, then
 * MESSAGE_DONE comes, whatever happens to the connection.
 *
 * A probe asks whether recipients would be taken: MAIL, RCPT for each, RSET, and never content. Everything above holds
 * for it, OK being the reply to RCPT.
 *
 * lost and timed_out may be said at any time, so an answer may come after them: it is dropped, a message given then is
 * UNTRIED. What is answered where nothing was asked is a bug, and asserted.
 *
 * Actions come in this order when the connection becomes useless: RCPT_RESULT..., MESSAGE_DONE (if a message
 * was in hand), FAILED, perhaps SEND of a QUIT, CLOSE.
 *
 * RFC 5321, 2033 (LMTP), 2920 (PIPELINING), 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 3030 (CHUNKING),
 * 3207 (STARTTLS), 4954 (AUTH), 3461 (DSN), 8689 (REQUIRETLS), 9422 (LIMITS), 2034/3463 (enhanced codes).
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct smtp_client; /* opaque */

enum smtp_client_tls_policy {
    SMTP_CLIENT_TLS_NONE,     /* STARTTLS is not used, even when offered */
    SMTP_CLIENT_TLS_MAY,      /* used when offered; refused (4xx, 5xx): on in clear. After a 220 there is no way
                               * back on this connection: the caller makes a new one with NONE (opportunistic) */
    SMTP_CLIENT_TLS_REQUIRED, /* no MAIL, no AUTH outside TLS; else FAILED. What "verify" and "dane" ask of the
                               * certificate is judged in the handshake, by the caller */
};

/* What does not change during a connection. The caller owns it and keeps it alive. */
struct smtp_client_profile {
    const char *hostname; /* our name, in EHLO, LHLO, HELO */
    bool lmtp;            /* RFC 2033: LHLO, after the content a reply per recipient; always by DATA, since how many
                           * replies a failed BDAT gets is told nowhere */
    enum smtp_client_tls_policy tls;
    bool implicit_tls;  /* the connection is in TLS from its first byte; STARTTLS is then never looked at */
    bool tls_verified;  /* implicit_tls: as in smtp_client_tls_facts */
    bool sasl;          /* log in before READY, or FAILED */
    bool sasl_in_clear; /* allowed outside TLS: only where no network is between (unix socket) */
    bool detect_loop;   /* MX delivery: a server that calls itself by our hostname is us: FAILED loop */
    bool no_chunking;   /* content by DATA even where CHUNKING is offered */
};

enum smtp_client_action_kind {
    SMTP_CLIENT_NEED_INPUT,     /* RESTS: a reply is awaited; feed() */
    SMTP_CLIENT_WAIT,           /* RESTS: an answer is owed */
    SMTP_CLIENT_SEND,           /* .bytes to the server; .secret: they hold credentials, for no log and no trace.
                             * Write them before the next content is given */
    SMTP_CLIENT_START_TLS,      /* ANSWER by tls_done or tls_injected: the 220 to STARTTLS came. Bytes behind it (feed()
                             * took less than it was given, or more was read in clear) are an injection: say
                             * smtp_client_tls_injected() and drop them. Else make the handshake */
    SMTP_CLIENT_ASK_SASL,       /* ANSWER by sasl_start or sasl_none: .text: the mechanisms offered, blanks between */
    SMTP_CLIENT_SASL_CHALLENGE, /* ANSWER by sasl_respond or sasl_cancel: .bytes, base64 undone */
    SMTP_CLIENT_READY, /* RESTS: no message in hand: smtp_client_message() or smtp_client_quit(), or idle. .reusable
                               * false: another message would get UNTRIED (LIMITS MAILMAX): quit */
    SMTP_CLIENT_NEED_CONTENT, /* RESTS: ANSWER by content or content_failed: up to .want bytes of the content, in LF form,
                               * from .offset on. The offset goes back to 0 when the message is sent again */
    SMTP_CLIENT_RCPT_RESULT,  /* .index into the message's recipients, .outcome, .reply, .stage, .relayed, .in_doubt */
    SMTP_CLIENT_MESSAGE_DONE, /* every recipient got its result; the message's memory is no longer looked at */
    SMTP_CLIENT_EVENT,        /* something worth a log line: .event, .reply; nothing to do for the protocol */
    SMTP_CLIENT_FAILED,       /* the connection is of no use (any more): .failure, .outcome, .reply, .stage, .said */
    SMTP_CLIENT_CLOSE,        /* RESTS: close the connection, and free the engine */
};

/* RCPT_RESULT and FAILED. First digit of the reply decides (RFC 5321 4.2.1), with the exceptions named. */
enum smtp_client_outcome {
    SMTP_CLIENT_OK,
    SMTP_CLIENT_TEMPORARY, /* 4xx; 552 to RCPT (RFC 5321 4.5.3.1.10: as 452); 530 (wants TLS or a login: ours to mend, no
                            * fault of the message); lost, silent or senseless server. .reply is as the server said it */
    SMTP_CLIENT_PERMANENT, /* 5xx, or a judgement of our own (.reply.local) */
    SMTP_CLIENT_UNTRIED,   /* RCPT_RESULT: nothing was learned about the recipient, and nothing sent: the connection was
                            * used before, and had ended, or takes no further message. Try at once on another */
};

/* What was going on: for whose time-out it was, and "in reply to". */
enum smtp_client_stage {
    SMTP_CLIENT_AT_GREETING,
    SMTP_CLIENT_AT_HELLO, /* EHLO, LHLO, HELO */
    SMTP_CLIENT_AT_STARTTLS,
    SMTP_CLIENT_AT_HANDSHAKE,
    SMTP_CLIENT_AT_AUTH,
    SMTP_CLIENT_AT_IDLE,
    SMTP_CLIENT_AT_MAIL,
    SMTP_CLIENT_AT_RCPT,
    SMTP_CLIENT_AT_DATA,    /* DATA awaits its 354 */
    SMTP_CLIENT_AT_CONTENT, /* content is flowing */
    SMTP_CLIENT_AT_END,     /* after the final dot or BDAT LAST */
    SMTP_CLIENT_AT_RSET,
    SMTP_CLIENT_AT_QUIT,
};
const char *smtp_client_stage_name(enum smtp_client_stage s); /* "greeting", "EHLO", ..., "end of content" */

/* A reply, or a judgement in the form of one. */
struct smtp_client_reply {
    uint16_t code;         /* 0: none came */
    char enhanced[12];     /* always there with a code: the server's, or "X.0.0" of the code's class when it gave
                            * none, or one of another class (then it stays in the text) */
    struct peer_text text; /* lines joined by one blank, without codes, at most 1,000 bytes; "" is possible. Escape it
                            * even when local: a local text may quote the server */
    bool local;            /* made here: the server said nothing of the kind */
};

enum smtp_client_failure {
    SMTP_CLIENT_GREETING_REFUSED, /* 4xx, 5xx instead of 220 */
    SMTP_CLIENT_HELLO_REFUSED,    /* EHLO or LHLO, and HELO where it may be tried */
    SMTP_CLIENT_TLS_NOT_OFFERED,  /* required; .said: every line of the EHLO reply */
    SMTP_CLIENT_TLS_REFUSED,      /* STARTTLS was not answered by 220 */
    SMTP_CLIENT_TLS_FAILED,       /* the handshake (the caller said so and knows why) */
    SMTP_CLIENT_TLS_INJECTION,    /* bytes behind the 220 to STARTTLS */
    SMTP_CLIENT_AUTH_NOT_OFFERED,
    SMTP_CLIENT_AUTH_IN_CLEAR,     /* a login is wanted, TLS is not to be had */
    SMTP_CLIENT_AUTH_NO_MECHANISM, /* the caller can do none of those offered */
    SMTP_CLIENT_AUTH_REFUSED,      /* temporary even with 535: no message shall bounce for our password */
    SMTP_CLIENT_LOOP,              /* the server is ourselves */
    SMTP_CLIENT_NOT_SMTP,          /* a reply that is none: garbage greeting, contradicting lines, 1yz ... */
    SMTP_CLIENT_OUT_OF_STEP,       /* a reply nobody asked for, or one that cannot answer what was asked */
    SMTP_CLIENT_TOO_LONG,          /* a line or a reply without end */
    SMTP_CLIENT_SERVER_CLOSING,    /* 421 */
    SMTP_CLIENT_LOST,              /* smtp_client_lost() */
    SMTP_CLIENT_TIMED_OUT,         /* smtp_client_timed_out() */
    SMTP_CLIENT_CONTENT,           /* content_failed(), or content that cannot be sent: a bare CR */
    SMTP_CLIENT_FAILURES
};
const char *smtp_client_failure_name(enum smtp_client_failure f); /* closed vocabulary: "tls-not-offered", ... */

enum smtp_client_event {
    SMTP_CLIENT_EVENT_HELO,             /* EHLO was refused (.reply), HELO is tried */
    SMTP_CLIENT_EVENT_STARTTLS_MASKED,  /* "XXXXXXXA" in place of STARTTLS: a middlebox */
    SMTP_CLIENT_EVENT_STARTTLS_REFUSED, /* MAY: .reply, and on in clear */
    SMTP_CLIENT_EVENT_STARTTLS_AGAIN,   /* offered inside TLS: ignored (RFC 3207 4.2) */
    SMTP_CLIENT_EVENT_CHUNKING_BROKEN,  /* BDAT was not known (.reply): the message is sent again by DATA */
    SMTP_CLIENT_EVENT_TOO_MANY_RCPTS,   /* .reply: the rest goes in a further transaction */
};
const char *smtp_client_event_name(enum smtp_client_event e);

struct smtp_client_action {
    enum smtp_client_action_kind kind;
    struct span bytes;     /* SEND, SASL_CHALLENGE */
    bool secret;           /* SEND */
    struct peer_text text; /* ASK_SASL */
    uint64_t offset;       /* NEED_CONTENT */
    size_t want;           /* NEED_CONTENT: > 0, at most 65,536 */
    bool reusable;         /* READY */
    uint32_t index;        /* RCPT_RESULT */
    enum smtp_client_outcome outcome;
    enum smtp_client_stage stage; /* RCPT_RESULT, FAILED: the command the reply belongs to */
    struct smtp_client_reply reply;
    bool relayed;  /* RCPT_RESULT, OK: the server does not speak DSN: NOTIFY=SUCCESS is owed by the caller as
                             * "relayed" (RFC 3461 5.2.2) */
    bool in_doubt; /* RCPT_RESULT, TEMPORARY: all content was sent and no reply came: the server may have taken
                             * the message (RFC 1047) */
    enum smtp_client_event event;
    enum smtp_client_failure failure;
    struct peer_text said; /* FAILED: what was seen, where .reply is not all: the EHLO lines, the senseless bytes */
};

enum smtp_client_notify { /* RFC 3461 4.1 */
                          SMTP_CLIENT_NOTIFY_DEFAULT = 0,
                          SMTP_CLIENT_NOTIFY_NEVER = 1 << 0,
                          SMTP_CLIENT_NOTIFY_SUCCESS = 1 << 1,
                          SMTP_CLIENT_NOTIFY_FAILURE = 1 << 2,
                          SMTP_CLIENT_NOTIFY_DELAY = 1 << 3,
};

enum smtp_client_ret { SMTP_CLIENT_RET_NONE, SMTP_CLIENT_RET_FULL, SMTP_CLIENT_RET_HDRS };

struct smtp_client_rcpt {
    const char *address; /* between < >, as it goes over the wire */
    const char *orcpt;   /* "rfc822;xtext", NULL: none */
    unsigned notify;     /* enum smtp_client_notify */
};

/* Nothing is copied: all of it must stay until MESSAGE_DONE. */
struct smtp_client_message {
    const char *sender; /* between < >; "": the null reverse-path */
    const struct smtp_client_rcpt *rcpts;
    uint32_t rcpt_count; /* at least 1 */
    uint64_t size;       /* bytes of content in LF form, exact */
    uint64_t lines;      /* line feeds in it, 0: not counted. SIZE= is size + lines */
    bool content_8bit;   /* bytes over 127: wants 8BITMIME, else 554 5.6.3 of our own */
    bool smtputf8;       /* wants SMTPUTF8, else 553 5.6.7 of our own */
    bool requiretls; /* wants verified TLS and REQUIRETLS offered inside it, else 554 5.7.30 of our own; a report (null
                          * sender) is sent all the same, and says REQUIRETLS where it can */
    enum smtp_client_ret ret;
    const char *envid; /* xtext, NULL: none */
    bool probe;        /* no content: size, lines and content_8bit are 0 */
};

/* What the server offered, by its last EHLO or LHLO reply; all false after HELO. */
struct smtp_client_offers {
    bool esmtp;
    bool starttls, starttls_masked;
    bool pipelining, chunking, eight_bit, smtputf8, dsn, requiretls, enhanced;
    bool size; /* SIZE; size_max 0: no limit told (RFC 1870 4) */
    uint64_t size_max;
    bool auth;
    uint32_t mail_max, rcpt_max, rcpt_domain_max; /* LIMITS, 0: none (RFC 9422) */
    struct peer_text mechanisms;                  /* of AUTH */
    struct peer_text name;                        /* first word of the reply: what the server calls itself */
    struct peer_text lines;                       /* the whole reply, lines joined by " | ", cut at 1,000 bytes */
};

struct smtp_client_tls_facts {
    bool ok;       /* false: FAILED tls-failed */
    bool verified; /* the certificate was: by a CA and the name, or by DANE (RFC 8689 4.2.1 asks for it) */
};

/* The first next() gives NEED_INPUT: the greeting is awaited. With implicit_tls make it after the handshake. */
struct smtp_client *smtp_client_new(const struct smtp_client_profile *profile);
void smtp_client_free(struct smtp_client **c);

size_t smtp_client_feed(struct smtp_client *c, const void *bytes, size_t len);
void smtp_client_next(struct smtp_client *c, struct smtp_client_action *out);

/* At START_TLS. */
void smtp_client_tls_done(struct smtp_client *c, const struct smtp_client_tls_facts *facts);
void smtp_client_tls_injected(struct smtp_client *c);

/* At ASK_SASL: the mechanism chosen, and its initial response (NULL: the server speaks first; "" with n 0 is an
 * empty one). At SASL_CHALLENGE: the response. finished: the mechanism has seen, with this, all it needs from the
 * server; a 235 that comes sooner is not believed (a server that cannot prove itself skips the proof). The base64
 * and the "=" of RFC 4954 are the engine's. sasl_none: none of the mechanisms will do: FAILED. sasl_cancel: "*"
 * is sent, FAILED auth-refused follows. */
void smtp_client_sasl_start(struct smtp_client *c, const char *mechanism, const char *initial, size_t n, bool finished);
void smtp_client_sasl_none(struct smtp_client *c);
void smtp_client_sasl_respond(struct smtp_client *c, const char *response, size_t n, bool finished);
void smtp_client_sasl_cancel(struct smtp_client *c);

/* At READY. quit: SEND, then CLOSE after the reply, or when the caller loses patience (lost, timed_out). Anywhere
 * else a caller that wants no more just closes and frees: nothing is owed to the server. */
void smtp_client_message(struct smtp_client *c, const struct smtp_client_message *m);
void smtp_client_quit(struct smtp_client *c);

/* At NEED_CONTENT: 1 to .want bytes from .offset on, all are taken; the SEND that follows holds them in CRLF form
 * with dots stuffed, or in a BDAT frame. content_failed: they cannot be had (I/O error, file too short): the
 * connection is given up before the message is whole, the recipients are TEMPORARY 451 4.3.0 with this text, which
 * is constant. Content with a CR in it cannot be sent at all: PERMANENT 554 5.6.0, FAILED content. */
void smtp_client_content(struct smtp_client *c, const char *bytes, size_t n);
void smtp_client_content_failed(struct smtp_client *c, const char *text);

/* At any time. lost: end of file, reset, or a TLS end without close_notify: what came of a reply does not count. Feed
 * what can still be read before it is said, after a failed write, too: servers refuse, hang up, and the refusal counts.
 * timed_out: smtp_client_timeout() seconds passed. Both lead to CLOSE; after QUIT or at READY nothing fails by
 * them but the connection. why is NUL-terminated, constant, for the text ("connection reset"), NULL: none. */
void smtp_client_lost(struct smtp_client *c, const char *why);
void smtp_client_timed_out(struct smtp_client *c);

/* Seconds that may pass now (RFC 5321 4.5.3.2) since the last SEND was written, or smtp_client_progress() changed:
 * it does with every whole reply, so that a server that gives a byte a minute is still too slow. 0: no limit of the
 * protocol's (READY, CLOSE). The TLS handshake, which RFC 5321 does not know, has 120. */
uint32_t smtp_client_timeout(const struct smtp_client *c);
uint32_t smtp_client_progress(const struct smtp_client *c);

enum smtp_client_stage smtp_client_stage(const struct smtp_client *c);
const struct smtp_client_offers *smtp_client_offers(const struct smtp_client *c);
struct peer_text smtp_client_greeting(const struct smtp_client *c); /* its text, "" before */
bool smtp_client_in_tls(const struct smtp_client *c);
/* At READY: the connection may be kept for a further message (LIMITS MAILMAX). False anywhere else. */
bool smtp_client_reusable(const struct smtp_client *c);
uint32_t smtp_client_transactions(const struct smtp_client *c); /* MAIL commands sent so far */
size_t smtp_client_memory(const struct smtp_client *c);         /* bytes held */

#endif
