/* The receiving SMTP engine: bytes in, actions out. No I/O, no clock, no loop, no callback, no log.
 *
 *     n = smtp_engine_feed(g, bytes, len);      // how many it took; the rest must be offered again
 *     while (smtp_engine_next(g, &act), act.kind != SMTP_NEED_INPUT) ...
 *
 * The session repeats: next() until NEED_INPUT, then feed(). feed() takes at least one byte then, at most as
 * many as lead to the next action; after CLOSE it takes and forgets everything. Actions marked ANSWER owe an
 * answer: until smtp_engine_answer() (START_TLS: smtp_engine_tls_done()) the engine consumes nothing and
 * next() gives SMTP_WAIT. Pipelining, back-pressure and slow stores need no further code.
 *
 * Law, and fuzz oracle: however the bytes are cut, the actions are equal after joining CHUNKs, up to
 * START_TLS. Pointers inside an action are valid until the next feed/next/answer.
 *
 * RFC 5321, 3207, 2920 (PIPELINING), 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 3030 (CHUNKING),
 * 2034/3463 (ENHANCEDSTATUSCODES), 9422 (LIMITS), 4954 (AUTH), 3461 (DSN), 8689 (REQUIRETLS).
 */
#ifndef SMTP_ENGINE_H
#define SMTP_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct smtp_engine; /* opaque; idle ones are small (a few hundred bytes): 10,000 of them are held */

/* What does not change during a session. The caller owns it and keeps it alive (it is per listener and
 * generation, so nothing here is copied per connection). */
struct smtp_profile {
    const char *hostname;      /* in the greeting, EHLO and 221/421 */
    const char *banner;        /* text after the hostname in the 220 greeting, e.g. "ESMTP postern" */
    uint64_t max_message_size; /* bytes on the wire after un-stuffing; 0: no limit; announced by SIZE */
    uint32_t max_recipients;   /* per transaction, floor 100 (RFC 5321 4.5.3.1.8); more: 452 4.5.3 */
    uint32_t max_messages;     /* MAIL commands accepted per session; the next one gets 421 4.7.0; 0: no limit */
    uint32_t max_errors;       /* this many 5xx replies, and 421 4.7.0 follows; 0: no limit */
    uint32_t max_line;         /* command line with CRLF, floor 512; extensions' additions come on top */
    uint32_t max_hops;         /* Received: fields; more: 554 5.4.6 */
    uint32_t max_body_line;    /* bytes of a body line without CRLF; 0: unlimited; more: 550 5.6.0 after the true end */
    bool smtputf8;             /* offered; without it non-ASCII addresses are 553 5.6.7 */
    bool normalize_newlines;   /* bare-newline = normalize: repair bare CR and LF in bodies */
    bool auth;                 /* role submission: AUTH inside TLS (RFC 4954), and MAIL needs it */
    bool dsn;                  /* RFC 3461 is offered */
    bool requiretls;           /* RFC 8689 is offered, inside TLS */
    bool help_shows_reason;    /* HELP STARTTLS may state the reason (diagnostic networks) */
};

/* The TLS decision as the protocol sees it; made by policy/tls_offer, given by the session with
 * SMTP_ASK_TLS. What is advertised by EHLO and what STARTTLS answers come from the same value: it is kept
 * until the next EHLO or HELO. The strings are not copied: they are constant or outlive the engine. */
struct smtp_tls_view {
    bool advertise;       /* EHLO lists STARTTLS */
    bool accept;          /* STARTTLS gets 220 and START_TLS */
    uint16_t code;        /* else: the reply to STARTTLS (502, 503, 454) */
    const char *enhanced; /* "5.5.1" */
    const char *text;     /* without newline */
    bool require;         /* require-tls, and the session is in clear: see below */
    bool require_broken;  /* required but not to be had: MAIL and AUTH get 454 4.7.0, not 530 5.7.0 */
    const char *auth;     /* mechanisms, "PLAIN LOGIN", copied, for profiles with auth; NULL: none at the moment */
    const char *reason;   /* closed vocabulary of policy/tls_offer, for HELP STARTTLS and reports */
};

enum smtp_action_kind {
    SMTP_NEED_INPUT,   /* everything given was consumed or waits for the rest of a line */
    SMTP_WAIT,         /* an answer is owed */
    SMTP_REPLY,        /* .bytes: one or more whole reply lines; send them (batch until NEED_INPUT/WAIT) */
    SMTP_ASK_TLS,      /* ANSWER tls: at EHLO and HELO; before the first EHLO also at STARTTLS, HELP and whatever
                        * require-tls may refuse (MAIL, AUTH, ...) */
    SMTP_START_TLS,    /* ANSWER by tls_done: .bytes is the 220, not sent yet: look for bytes behind STARTTLS
                        * first (smtp_engine_tls_injected), hold the context, then write it */
    SMTP_ASK_SENDER,   /* ANSWER verdict: .sender, .params */
    SMTP_ASK_RCPT,     /* ANSWER verdict + rcpt_id: .rcpt */
    SMTP_ASK_AUTH,     /* ANSWER auth: .mechanism, and .text as it came if .flag; with an empty .mechanism the answer to
                        * the challenge in hand */
    SMTP_CANCEL_AUTH,  /* the exchange in hand will not go on: its client gave up, or broke the protocol */
    SMTP_OPEN_MESSAGE, /* ANSWER verdict (ok: no text is used): before 354, or at the first BDAT */
    SMTP_CHUNK,        /* .bytes: message content, lines end in LF, dots unstuffed */
    SMTP_COMMIT,       /* ANSWER verdict: final dot or BDAT LAST; the message is whole and acceptable */
    SMTP_ABORT,        /* the open message will not be committed (RSET, refused content, QUIT, ...). Not said after
                        * a refused OPEN_MESSAGE or COMMIT. Refused content: said at the offending byte, the rest
                        * is swallowed, the reply comes after the true end */
    SMTP_EVENT,        /* something worth a log line happened: .event; nothing to do for the protocol */
    SMTP_CLOSE,        /* after what was replied: close; .close says why */
};

enum smtp_close {
    SMTP_CLOSE_QUIT,
    SMTP_CLOSE_TOO_MANY_ERRORS,
    SMTP_CLOSE_TOO_MANY_MESSAGES,
    SMTP_CLOSE_SHUTDOWN, /* smtp_engine_shutdown() took effect */
    SMTP_CLOSE_TLS_FAILED,
    SMTP_CLOSE_WRONG_PROTOCOL, /* ClientHello or HTTP on a plain port */
    SMTP_CLOSE_INJECTION,      /* bytes behind STARTTLS */
    SMTP_CLOSE_BY_VERDICT,     /* the session's verdict was a 421 */
};

enum smtp_event {
    SMTP_EVENT_EHLO,                  /* .text: the name; .flag: true for EHLO, false for HELO */
    SMTP_EVENT_INVALID_EHLO,          /* .text */
    SMTP_EVENT_MAIL_ACCEPTED,         /* .text: the reverse-path */
    SMTP_EVENT_RCPT_REFUSED,          /* .text: the path; .code */
    SMTP_EVENT_REFUSED,               /* a command was answered 4xx/5xx by the engine: .text verb, .code */
    SMTP_EVENT_START_TLS_ALREADY,     /* these three: .text is the tls view's reason */
    SMTP_EVENT_START_TLS_UNAVAILABLE, /* .code */
    SMTP_EVENT_EHLO_WITHOUT_STARTTLS, /* EHLO in clear was answered without STARTTLS */
    SMTP_EVENT_MANGLED_STARTTLS,      /* "XXXXXXXX" in place of STARTTLS: a middlebox */
    SMTP_EVENT_LINE_TOO_LONG,
    SMTP_EVENT_BARE_NEWLINE,    /* in a command or a body; .text says which */
    SMTP_EVENT_MESSAGE_REFUSED, /* content refused by the engine: .code, .text (size hops newline nul line) */
    SMTP_EVENT_HTTP,            /* an HTTP request line, .text its method: the session is closed */
    SMTP_EVENT_CLIENT_HELLO,    /* a TLS record on a plain port: the session is closed */
    SMTP_EVENT_TALKED_EARLY,    /* smtp_engine_talked_early() was called */
};

/* RFC 3461 4.1, 4.3 */
enum smtp_notify {
    SMTP_NOTIFY_DEFAULT = 0,
    SMTP_NOTIFY_NEVER = 1 << 0, /* alone */
    SMTP_NOTIFY_SUCCESS = 1 << 1,
    SMTP_NOTIFY_FAILURE = 1 << 2,
    SMTP_NOTIFY_DELAY = 1 << 3,
};
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };

struct smtp_mail_params {
    bool size_given;
    uint64_t size;
    bool body_8bit; /* BODY=8BITMIME */
    bool smtputf8;
    bool requiretls;
    enum smtp_ret ret;
    struct peer_text envid; /* xtext; .p NULL: not given */
};

struct smtp_rcpt_params {
    unsigned notify;        /* enum smtp_notify */
    struct peer_text orcpt; /* "rfc822;xtext"; .p NULL: not given */
};

struct smtp_action {
    enum smtp_action_kind kind;
    struct span bytes;       /* REPLY, CHUNK */
    struct peer_text sender; /* ASK_SENDER: mailbox between < >, "" for the null reverse-path */
    struct smtp_mail_params params;
    struct peer_text rcpt_local;  /* ASK_RCPT: local part, quotes removed (RFC 5321 4.1.2) */
    struct peer_text rcpt_domain; /* as sent; "" for bare <postmaster> */
    struct smtp_rcpt_params rcpt_params;
    struct peer_text mechanism; /* ASK_AUTH: as sent */
    enum smtp_event event;
    struct peer_text text; /* EVENT; ASK_AUTH: base64, well-formed */
    uint16_t code;         /* EVENT */
    bool flag;             /* EVENT; ASK_AUTH: there is a text, though it may be empty */
    enum smtp_close close;
};

/* The session's answer to ASK_SENDER, ASK_RCPT, OPEN_MESSAGE, COMMIT. code 0 means yes with the engine's
 * own text ("250 2.1.5 Ok"). For COMMIT with 250 the text may carry the id under which it was taken. */
struct smtp_verdict {
    uint16_t code;        /* 0, 250, 4xx, 5xx; 421 also closes */
    const char *enhanced; /* "4.3.1"; NULL with code 0 */
    const char *text;     /* our words only; peer bytes never come back in a reply */
    /* ASK_RCPT accepted: the mailboxes it stands for (an alias may be several), copied by the engine; a
     * mailbox named twice in one transaction is delivered to once (RFC 5321 3.9, 4.5.5). */
    const uint32_t *rcpt_ids;
    uint32_t rcpt_id_count;
};

/* The session's answer to ASK_AUTH. */
enum smtp_auth_kind {
    SMTP_AUTH_CONTINUE, /* .challenge */
    SMTP_AUTH_OK,       /* .identity */
    SMTP_AUTH_FAILED,   /* 535 5.7.8, for all that is wrong with names and passwords */
    SMTP_AUTH_MALFORMED,
    SMTP_AUTH_UNKNOWN,     /* no such mechanism */
    SMTP_AUTH_UNAVAILABLE, /* 454 4.7.0 */
    SMTP_AUTH_TOO_MANY,    /* 421 4.7.0, and the session is closed */
};
struct smtp_auth_answer {
    enum smtp_auth_kind kind;
    const char *challenge; /* base64, "" allowed */
    const char *identity;  /* copied */
};

/* Facts known once the session is in TLS; the text of Received: is made from them. */
struct smtp_tls_facts {
    bool ok; /* false: the handshake failed; the engine says CLOSE */
};

/* The first next() gives the 220. in_tls: an implicit-TLS session starts inside TLS. */
struct smtp_engine *smtp_engine_new(const struct smtp_profile *profile, bool in_tls);
void smtp_engine_free(struct smtp_engine **g);

size_t smtp_engine_feed(struct smtp_engine *g, const void *bytes, size_t len);
void smtp_engine_next(struct smtp_engine *g, struct smtp_action *out);
void smtp_engine_answer(struct smtp_engine *g, const struct smtp_verdict *v);
void smtp_engine_answer_tls(struct smtp_engine *g, const struct smtp_tls_view *v);
void smtp_engine_answer_auth(struct smtp_engine *g, const struct smtp_auth_answer *a);
void smtp_engine_tls_done(struct smtp_engine *g, const struct smtp_tls_facts *f);

/* Facts only the transport knows. */
void smtp_engine_trust(struct smtp_engine *g);        /* MAIL needs no AUTH from this client */
void smtp_engine_talked_early(struct smtp_engine *g); /* bytes came before the banner */
/* Called by the session at START_TLS, before writing the 220, when bytes wait behind STARTTLS: feed() took
 * less than it was given, or the transport holds more. The 220 is not to be written then; the engine says
 * CLOSE(INJECTION) (CVE-2011-0411). */
void smtp_engine_tls_injected(struct smtp_engine *g);
/* Drain or shutdown: 421 4.3.2 and CLOSE(SHUTDOWN) at the next boundary outside a transaction, at once when
 * there is none; even_in_transaction: at once unless a message is open, then after its answer. */
void smtp_engine_shutdown(struct smtp_engine *g, bool even_in_transaction);

/* State, for timers, logs and Received:. */
enum smtp_phase {
    SMTP_PHASE_GREETING, /* nothing accepted yet */
    SMTP_PHASE_COMMAND,  /* no transaction */
    SMTP_PHASE_ENVELOPE, /* MAIL accepted */
    SMTP_PHASE_DATA,     /* message open */
};
enum smtp_phase smtp_engine_phase(const struct smtp_engine *g);
bool smtp_engine_is_esmtp(const struct smtp_engine *g);
struct peer_text smtp_engine_hello(const struct smtp_engine *g);    /* EHLO name, "" when none */
struct peer_text smtp_engine_identity(const struct smtp_engine *g); /* who has logged in, "" when nobody has */
struct peer_text smtp_engine_sender(const struct smtp_engine *g);
const struct smtp_mail_params *smtp_engine_params(const struct smtp_engine *g);
uint32_t smtp_engine_rcpt_count(const struct smtp_engine *g);      /* accepted in this transaction */
const uint32_t *smtp_engine_rcpt_ids(const struct smtp_engine *g); /* distinct, in order of acceptance */
uint32_t smtp_engine_rcpt_id_count(const struct smtp_engine *g);
/* The path of the only recipient as sent; "" when there is more than one (for Received: ... for). */
struct peer_text smtp_engine_only_rcpt(const struct smtp_engine *g);
uint64_t smtp_engine_message_size(const struct smtp_engine *g); /* so far; on the wire, dots unstuffed */
size_t smtp_engine_memory(const struct smtp_engine *g);         /* bytes held, for the session's memory limit */

#endif
