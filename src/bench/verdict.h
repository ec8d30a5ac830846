/* What a sender did, and whether that was right. Facts are taken from the lines of transcripts, as they are made; a
 * scenario's `expect` says of each policy which facts must be there (demand) and which must not (forbid).
 *
 * fail: a fact that is forbidden is there; the verdict cites the line that shows it. pass: nothing forbidden, everything
 * demanded. undecided, which is common and honest: nobody came, or the policy demands what has not been seen yet, or silence
 * means nothing before something has happened (`wait`). */
#ifndef BENCH_VERDICT_H
#define BENCH_VERDICT_H

#include <jansson.h>

#include "bench/scenario.h"

enum bench_fact {
    BENCH_F_SESSION, /* somebody came */
    BENCH_F_EARLY,   /* "early-talker": spoke before the greeting */
    BENCH_F_MAIL,
    BENCH_F_MAIL_CLEAR, /* "mail-in-clear" */
    BENCH_F_AUTH,
    BENCH_F_AUTH_CLEAR,   /* "auth-in-clear" */
    BENCH_F_TLS,          /* a handshake that was finished */
    BENCH_F_STARTTLS_TLS, /* "starttls-in-tls" */
    BENCH_F_NO_EHLO,      /* "no-ehlo-after-tls": MAIL or AUTH inside TLS without EHLO */
    BENCH_F_PIPELINED,
    BENCH_F_CONTENT,   /* octets of a message were sent */
    BENCH_F_DELIVERED, /* a message was taken */
    BENCH_F_DUPLICATE, /* ... and another one */
    BENCH_F_RETRIED,   /* MAIL in another session, after a refusal for good */
    BENCH_F_BARE_LF,   /* "bare-lf" in a command or in content */
    BENCH_F_BARE_CR,   /* "bare-cr" */
    BENCH_F_NEAR_END,  /* "near-end": what some server takes for the end of the content was in it */
    BENCH_F_UNSTUFFED, /* a line of content began with a single dot (RFC 5321 4.5.2) */
    BENCH_F_SMUGGLED,  /* MAIL FROM:<smuggled@...>: it stood in the content that the sender was given */
    BENCH_FACTS
};
const char *bench_fact_name(enum bench_fact f);

struct bench_facts {
    struct {
        bool seen;
        char sid[24]; /* the first line that shows it */
        unsigned seq;
    } fact[BENCH_FACTS];
    unsigned accepted;
    bool refused;         /* for good, so far */
    char refused_sid[24]; /* in that session */
    char ehlo_sid[24];    /* the session of which the last EHLO inside TLS was */
};

void bench_facts_take(struct bench_facts *f, const json_t *line);

enum bench_result { BENCH_PASS, BENCH_FAIL, BENCH_UNDECIDED };
struct bench_verdict {
    enum bench_result result;
    char why[300]; /* one line, with the session and number of the line that shows it */
    char sid[24];  /* that session; "": it is about none in particular */
};
/* over: the sender has done all that it will do; there is nothing left to wait for. */
void bench_judge(struct bench_verdict *out, const struct bench_scenario *s, enum bench_policy p,
                 const struct bench_facts *f, bool over);
/* A word of expect that is none of a fact. NULL: all are. */
const char *bench_expect_unknown(const struct bench_scenario *s);

#endif
