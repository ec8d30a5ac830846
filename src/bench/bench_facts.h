/* What a sender did, as words. They are taken from the lines of transcripts, as these are made, of all sessions of one
 * lease (a lease is one test). Pure, and bounded: what does not fit any more is not looked at, and so can show nothing.
 *
 * Each fact keeps the first line that shows it, so that a verdict can be looked up. */
#ifndef BENCH_BENCH_FACTS_H
#define BENCH_BENCH_FACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define BENCH_FACTS_SESSIONS 32u   /* open at once, followed */
#define BENCH_FACTS_RCPTS 256u     /* of a lease */
#define BENCH_FACTS_TAKEN 512u     /* pairs of recipient and message that are remembered */
#define BENCH_FACTS_REPLY 1024u    /* octets of an answer to EHLO */
#define BENCH_FACTS_SOON_S 1       /* "retried-at-once" */
#define BENCH_FACTS_STORM 30u      /* "reconnect-storm": so many connections within ... */
#define BENCH_FACTS_STORM_S 10     /* ... so many seconds */
#define BENCH_FACTS_AT_ONCE 20u    /* "many-at-once": more than these */
#define BENCH_FACTS_LOGINS_EACH 6u /* "login-loop": more in a session, or ... */
#define BENCH_FACTS_LOGINS_ALL 20u /* ... in the lease */

enum bench_fact {
    BENCH_F_SESSION,
    BENCH_F_EARLY,
    BENCH_F_HELO,
    BENCH_F_TLS,
    BENCH_F_NO_SNI,
    BENCH_F_HELLO_CLEAR,
    BENCH_F_CLEAR_AFTER_220,
    BENCH_F_FELL_BACK,
    BENCH_F_AFTER_STARTTLS,
    BENCH_F_STARTTLS_TLS,
    BENCH_F_NO_EHLO,
    BENCH_F_FORGED,
    BENCH_F_UNOFFERED,
    BENCH_F_PIPELINED,
    BENCH_F_AUTH,
    BENCH_F_AUTH_CLEAR,
    BENCH_F_LOGIN_LOOP,
    BENCH_F_MAIL,
    BENCH_F_MAIL_CLEAR,
    BENCH_F_UNPROVEN,
    BENCH_F_STATUS,
    BENCH_F_REPORT,
    BENCH_F_CONTENT,
    BENCH_F_FOR_NOBODY,
    BENCH_F_DELIVERED,
    BENCH_F_ALL_DELIVERED,
    BENCH_F_DUPLICATE,
    BENCH_F_RETRIED,
    BENCH_F_TRIED_AGAIN,
    BENCH_F_AT_ONCE,
    BENCH_F_LOST,
    BENCH_F_FALSE_SUCCESS,
    BENCH_F_STORM,
    BENCH_F_MANY,
    BENCH_F_QUIT,
    BENCH_F_NO_QUIT,
    BENCH_F_GAVE_UP,
    BENCH_F_BARE_LF,
    BENCH_F_BARE_CR,
    BENCH_F_NEAR_END,
    BENCH_F_UNSTUFFED,
    BENCH_F_SMUGGLED,
    BENCH_FACTS
};
const char *bench_fact_name(enum bench_fact f);
const char *bench_fact_doc(enum bench_fact f); /* one line */
int bench_fact_find(const char *name);         /* -1 */

struct bench_seen {
    bool seen;
    char sid[24]; /* the first line that shows it */
    unsigned seq;
};

/* A recipient in all sessions. */
struct bench_facts_rcpt {
    uint64_t id;      /* of the address */
    unsigned taken;   /* so many messages */
    bool refused;     /* for good */
    bool later;       /* it was refused for now, or the session ended before it was known */
    int64_t later_us; /* when it was refused; 0: by 421, or by nobody */
    char sid[24];     /* where it was tried last */
    unsigned seq;
};

struct bench_facts_set {
    uint64_t bits[BENCH_FACTS_RCPTS / 64u];
};

struct bench_facts_session {
    bool used;
    char sid[24];
    int64_t begun_us;
    bool tls, asked_tls;      /* asked_tls: STARTTLS got its 220 */
    bool tls_failed;          /* in the handshake */
    bool unproven, status;    /* its certificate is not to be trusted; a stapled response was asked for */
    bool ehlo;                /* since TLS */
    bool quit, ended, served; /* ended: the server's doing; served: a message was taken */
    unsigned offered, forged; /* bits of bench_offer.c; forged: and never offered in clear */
    unsigned logins;          /* AUTH, since it was taken last */
    char verb[12];            /* the last command; "." the end of content */
    char reply[BENCH_FACTS_REPLY];
    unsigned reply_len;
    bool answered, cut; /* cut: the answer was longer */
    /* the transaction */
    bool mail, report;
    char mail_class; /* of the answer to MAIL; '\0': none yet */
    uint64_t from;
    struct bench_facts_set rcpts; /* that were taken */
    int rcpt;                     /* the last one's number; -1: none */
};

struct bench_facts {
    struct bench_seen fact[BENCH_FACTS];
    struct bench_facts_session session[BENCH_FACTS_SESSIONS];
    unsigned sessions_open;
    int64_t begun_us[BENCH_FACTS_STORM]; /* of the last sessions, in a ring */
    unsigned begun;
    unsigned logins;
    bool tls_failed, ended_empty; /* a session has ended so */
    struct bench_facts_rcpt rcpt[BENCH_FACTS_RCPTS];
    unsigned rcpts, messages; /* messages: that each is to get; 0: one */
    uint64_t taken[BENCH_FACTS_TAKEN];
    unsigned taken_count;
    struct { /* MAIL that was refused, as long as no recipient was named */
        uint64_t from;
        char sid[24];
        bool good, now;
        int64_t us; /* as later_us */
    } mail_refused;
};

/* All zero: nothing has happened. */
void bench_facts_take(struct bench_facts *f, const json_t *line);
/* The sender is to send to that address, so not all is delivered as long as it has not been; so many messages
 * to each (one, when not said). */
void bench_facts_want(struct bench_facts *f, const char *address);
void bench_facts_want_messages(struct bench_facts *f, unsigned each);
/* The sender is done, and says whether all has been delivered. */
void bench_facts_claim(struct bench_facts *f, bool all_sent);
bool bench_facts_has(const struct bench_facts *f, enum bench_fact fact);

#endif
