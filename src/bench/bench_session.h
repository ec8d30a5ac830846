/* The server's half of one bench session. Pure: a sender's bytes in, things to do out, in their order; no I/O, no clock.
 * Without a scenario's steps it is a correct server that takes everything.
 *
 *     bench_session_feed()   what came, in clear or decrypted
 *     bench_session_next()   what is to be done next, until BENCH_DO_WAIT
 *
 * Whatever a scenario makes the server do is done to the letter: bytes are never reformatted on their way. */
#ifndef BENCH_BENCH_SESSION_H
#define BENCH_BENCH_SESSION_H

#include "base/buf.h"
#include "base/text.h"
#include "bench/bench_content.h"
#include "bench/bench_count.h"
#include "bench/bench_envelope.h"
#include "bench/bench_totals.h"
#include "bench/bench_select.h"
#include "bench/bench_names.h"
#include "bench/client_hello.h"
#include "bench/scenario.h"

enum bench_do_kind {
    BENCH_DO_WAIT,      /* for bytes of the sender's */
    BENCH_DO_SEND,      /* .bytes in one write, and nothing else in it */
    BENCH_DO_PAUSE,     /* for .ms; with .unread nothing is read meanwhile */
    BENCH_DO_TLS,       /* .then: KEYUPDATE, RENEGOTIATE */
    BENCH_DO_START_TLS, /* what came behind STARTTLS in clear is told by .bytes */
    BENCH_DO_END,       /* .then; after HALF_CLOSE and HANG what comes is read and forgotten */
};

struct bench_do {
    enum bench_do_kind kind;
    struct span bytes; /* until the next call */
    unsigned ms;
    bool unread;
    bool flood; /* .bytes are part of a flood, which ends for want of patience, too */
    enum bench_then then;
};

/* What happened, for transcript, lint and verdict. A command is looked at when everything before it has been answered and
 * the answer is out, so events stand in the order in which they happened. */
enum bench_event_kind {
    BENCH_EV_RECV,    /* a line: .text without its end, .eol, .pipelined, .early, .secret, .dropped */
    BENCH_EV_SEND,    /* an answer is out: .text, whole, of .writes writes; .delay_ms; .injected. Told sooner,
                       * when it is said: what is .held goes out with the next one, and .times of a flood, up to so often */
    BENCH_EV_HELLO,   /* a ClientHello where nobody had agreed to TLS; it is passed over */
    BENCH_EV_FAULT,   /* .step of .scenario acted; .number; .count: for which time */
    BENCH_EV_TLS,     /* up */
    BENCH_EV_CONTENT, /* .text: octets of content as they came, with stuffed dots and the end; .chunked */
    BENCH_EV_BODY,    /* the content is over, or will never be: .body, .pipelined, .chunked */
    BENCH_EV_MESSAGE, /* the answer to it is known: .accepted, .body, .envelope, .chunked */
    BENCH_EV_SELECT,  /* another .scenario from here on; .stage: at which it was chosen */
};

enum bench_eol { BENCH_EOL_CRLF, BENCH_EOL_LF, BENCH_EOL_CR, BENCH_EOL_NONE }; /* the last two: and then nothing came */

struct bench_event {
    enum bench_event_kind kind;
    struct span text;
    enum bench_eol eol;
    bool in_tls;
    bool pipelined; /* it began to come before the answer to what was before it was out */
    bool early;     /* ... before the greeting was */
    bool secret;    /* it answers AUTH */
    bool dropped;   /* it came where nobody obeys: behind STARTTLS, after the end */
    bool chunked;   /* BDAT */
    bool accepted, held;
    unsigned times;                      /* 1, or of a flood */
    unsigned writes, delay_ms, injected; /* injected: so many octets at the end of .text are a step's */
    const struct bench_scenario *scenario;
    const char *stage;
    const struct bench_step *step;
    unsigned number, count; /* number: of the step in .scenario, 1 the first; 0: an address asked for it */
    const struct bench_body *body;
    const struct bench_envelope *envelope;
};
typedef void bench_event_fn(void *arg, const struct bench_event *ev);

struct bench_session_setup {
    const struct bench_scenario *scenario;
    struct bench_count *count;
    struct bench_names *names;             /* what clients called themselves; NULL: nobody remembers */
    const char *hostname, *client, *lease; /* lease: "" for none */
    const struct addr *peer;               /* NULL: not known */
    const struct bench_choices *choices;   /* NULL: the scenario stays, and addresses ask for nothing */
    unsigned at_once;                      /* sessions of that client there, this one among them */
    bool implicit;                         /* nothing is said before bench_session_tls_done() */
    bool tls_possible;
    uint64_t size_most;
    struct bench_totals *totals; /* messages are counted there; NULL: nowhere */
    bench_event_fn *event;       /* NULL: nobody listens */
    void *arg;
};

struct bench_session;
/* The setup is copied, what it points to must outlive the session. now_s: of the clock that until_s is measured by. */
struct bench_session *bench_session_new(const struct bench_session_setup *s, int64_t now_s);
void bench_session_free(struct bench_session **s);
void bench_session_feed(struct bench_session *s, const void *p, size_t n, int64_t now_s);
void bench_session_next(struct bench_session *s, struct bench_do *out);
/* What is played now. */
const struct bench_scenario *bench_session_scenario(const struct bench_session *s);
/* It was asked for STARTTLS and has said yes, or will when what is to be done is done. */
bool bench_session_tls_is_next(const struct bench_session *s);
/* So much waits to be done that nothing more should be fed. */
bool bench_session_is_full(const struct bench_session *s);
/* A ClientHello is there, h NULL: or something that is none. The name it asks for may choose another scenario. ANSWERED: the
 * handshake does not take place. HELD: something is to be done first, and then BENCH_DO_START_TLS comes again. */
enum bench_hello { BENCH_HELLO_GO_ON, BENCH_HELLO_HELD, BENCH_HELLO_ANSWERED };
enum bench_hello bench_session_client_hello(struct bench_session *s, const struct client_hello *h, int64_t now_s);
void bench_session_tls_done(struct bench_session *s);
/* Nothing came for what an IDLE step waits. True: one acted. */
bool bench_session_idle(struct bench_session *s, int64_t now_s);
/* The connection is no more: tells what was under way. */
void bench_session_gone(struct bench_session *s);

#endif
