/* One way to be a server: what is done, and at which point of a session. Data, and the choice of the step that acts; no
 * I/O, no clock. Catalogue and users' own scenarios are the same thing, from files (scenario_file.h).
 *
 * A step stands at one point. When a session comes there, the steps of its scenario are looked through in the order of the
 * file, and the first one whose conditions hold acts; one with `also` acts and lets the next ones act, too. Where none
 * acts the server does what is right. */
#ifndef BENCH_SCENARIO_H
#define BENCH_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

#define BENCH_HOST "mx.bench.test" /* what the bench is called, in certificates and greetings, unless it is told */

enum bench_at {
    BENCH_ACCEPT,  /* accepted, nothing said */
    BENCH_CONNECT, /* in place of the greeting */
    BENCH_EHLO,    /* EHLO or LHLO in clear */
    BENCH_HELO,
    BENCH_STARTTLS,     /* in place of the 220 */
    BENCH_CLIENT_HELLO, /* its record is there, and not answered */
    BENCH_TLS_DONE,     /* the handshake is over */
    BENCH_EHLO_TLS,     /* EHLO inside TLS */
    BENCH_AUTH,
    BENCH_MAIL,
    BENCH_RCPT,
    BENCH_DATA,
    BENCH_BODY,     /* when .bytes of content have come */
    BENCH_DATA_END, /* in place of the answer to the final dot, or to BDAT LAST */
    BENCH_BDAT,     /* in place of the answer to a chunk; the last one, too, before DATA_END */
    BENCH_RSET,
    BENCH_NOOP,
    BENCH_QUIT,
    BENCH_IDLE, /* nothing has come for .ms */
    BENCH_POINTS
};

enum bench_then {
    BENCH_CONTINUE,
    BENCH_CLOSE, /* FIN, in TLS after close_notify */
    BENCH_CUT,   /* FIN without close_notify */
    BENCH_RST,
    BENCH_HALF_CLOSE,  /* our side ends, theirs is read on */
    BENCH_HANG,        /* nothing is said or read any more */
    BENCH_PLAIN,       /* at STARTTLS: 220, and clear text goes on where TLS should begin */
    BENCH_SWALLOW,     /* nothing is said, and nothing becomes of the command */
    BENCH_EXTRA_REPLY, /* the answer once more, in a write of its own */
    BENCH_KEYUPDATE,   /* in TLS 1.3: new keys, and new ones wanted */
    BENCH_RENEGOTIATE  /* in TLS 1.2: a HelloRequest */
};

/* Whose times are counted. */
enum bench_per { BENCH_GLOBAL, BENCH_CLIENT, BENCH_TRIPLE, BENCH_RCPTS, BENCH_LEASE, BENCH_SESSION };

enum bench_tls_state { BENCH_ANY, BENCH_CLEAR, BENCH_IN_TLS };

/* What becomes of a connection before anybody speaks. */
enum bench_listen {
    BENCH_LISTEN_ACCEPT,
    BENCH_LISTEN_REFUSE,    /* RST to the SYN, as if nobody were there */
    BENCH_LISTEN_BLACKHOLE, /* the SYN gets no answer */
};

#define BENCH_OCTETS_MOST (64u << 20)
#define BENCH_FLOOD_MOST (16u << 20)

struct bench_bytes {
    char *p;
    size_t n;
};

struct bench_step {
    enum bench_at at;
    /* conditions */
    unsigned after;              /* not the first so many times */
    unsigned times;              /* then so often; 0: always */
    unsigned every;              /* each such time only; 0: each */
    unsigned chance;             /* of 1,000, seeded; 1,000: always */
    unsigned until_s;            /* only so long since the first time; 0: always */
    unsigned rate_count, rate_s; /* only beyond so many in so many seconds, as from a bucket of tokens; 0: always */
    unsigned over;               /* only where the client has more sessions than so many at once; 0: always */
    unsigned bytes;              /* at BODY; at CLIENT_HELLO: a message of more than so many; 0: any */
    uint16_t offers;             /* at CLIENT_HELLO: this version of TLS is in it; 0: any */
    unsigned ms;                 /* at IDLE */
    char *rcpt;                  /* at RCPT: fnmatch(3) of the address; NULL: any */
    enum bench_per per;
    enum bench_tls_state tls;
    bool also;
    /* effects, in this order */
    unsigned unread_ms; /* for so long nothing is read or said */
    unsigned delay_ms;
    struct bench_bytes reply;   /* whole, with its line ends; .p NULL: what is right. An empty one: nothing is said */
    struct bench_bytes inject;  /* right behind the reply, in the same write */
    bool hold;                  /* not now: in the write of the next answer, if that command is here already */
    unsigned drip_ms;           /* one octet, or .split, each */
    unsigned split;             /* octets of a write; 0: all in one */
    struct bench_bytes *pieces; /* the reply in so many writes instead */
    unsigned piece_count;
    struct bench_bytes flood; /* behind it, again and again */
    unsigned flood_times;     /* 0: until BENCH_FLOOD_MOST octets, or the server's patience */
    bool stored;              /* at DATA_END, BDAT: the message counts as taken, whatever is said */
    enum bench_then then;
    unsigned line; /* in the file */
};

/* What is to be sent, by those whom the bench tells what to send (run). */
#define BENCH_RCPTS_MOST 100u
#define BENCH_MESSAGES_MOST 20u

enum bench_policy { BENCH_OPPORTUNISTIC, BENCH_REQUIRED, BENCH_VERIFIED, BENCH_POLICIES };

/* What a sender of one policy must have done, in words of bench_facts.h. */
struct bench_expect {
    bool given;
    char **forbid, **demand; /* NULL-terminated lists */
    char *wait;              /* what must have happened before silence means something, for the reader; NULL: nothing */
    char *undecided;         /* why a server cannot see whether it was right; NULL: it can */
};

struct bench_ehlo {
    char **add, **drop;          /* NULL-terminated; NULL: none */
    char **add_clear, **add_tls; /* the same, only there */
    char *starttls;              /* "first", "middle", "last" (default), "lower", "param", "none" */
    bool split;                  /* a write for each line */
    bool own_name;               /* greeting and answer name the sender itself */
};

struct bench_tls {
    char *cert;            /* of the PKI; NULL: good-ecdsa */
    char *sni_cert;        /* for whoever asks for a name that is in it; NULL: cert, too */
    char **rotate;         /* in place of cert, one after the other; NULL: none */
    unsigned rotate_every; /* so many connections each; 0: 1 */
    char *ocsp;            /* stapled: "good", "expired", "revoked"; NULL: nothing */
    char *min, *max;       /* "1.0" ... "1.3"; NULL: 1.2 to 1.3 */
    char *ciphers;         /* OpenSSL's words for up to 1.2; NULL: its defaults */
    char *groups, *sigalgs;
    unsigned dh_bits;  /* 0: as the certificate's */
    char *client_cert; /* "optional", "required"; NULL: not asked for */
    char *tickets;     /* "garbage": tickets are given, and never known again; NULL: they are */
    bool need_sni;
    bool implicit; /* from the first byte */
    char *told;    /* what a sender is told the port is: "implicit", "starttls"; NULL: the truth */
    bool no_resume;
    unsigned record, record_ms; /* octets of a record at most, and between records; 0: as OpenSSL likes */
};

/* Which sessions it is played to, where the port leaves that open (bench_select.h). */
struct bench_choice {
    char **sni, **helo, **mail, **rcpt; /* NULL-terminated lists of patterns, fnmatch(3); NULL: not asked for */
    struct net *client;
    unsigned client_count;
};

struct bench_scenario {
    char *name, *section, *doc, *correct, *source; /* section: "A" ... "L"; "" in users' files */
    char *why_not;                                 /* it cannot be played, for this reason; NULL: it can */
    enum bench_listen listen;
    struct bench_choice select;
    unsigned receive_buffer; /* octets of the socket's; 0: the system's */
    struct bench_ehlo ehlo;
    struct bench_tls tls;
    struct bench_bytes
        also_ends;     /* taken for the end of the content, too: a server that can be smuggled into; .p NULL: none */
    char **recipients; /* local parts, of every message; NULL-terminated, at least one */
    unsigned octets;   /* each message has at least so many; 0: a short one */
    bool eight_bit;    /* and some that are no ASCII */
    unsigned messages; /* one after the other, in one session where the sender can */
    struct bench_step *steps;
    unsigned step_count;
    struct bench_expect expect[BENCH_POLICIES];
    char *file;
    unsigned line;
};

const char *bench_at_name(enum bench_at at); /* "connect", "data-end" */
const char *const *bench_at_names(void);     /* NULL behind the last */
int bench_at_find(const char *name);         /* "DATA_END" and "dataend" are taken, too; -1 */
/* The same word: case, - and _ do not matter. */
bool bench_word_is(const char *a, const char *b);
const char *const *bench_then_names(void); /* by enum bench_then; NULL behind the last */
const char *bench_policy_name(enum bench_policy p);
int bench_policy_find(const char *name);

/* It makes no sense where TLS begins with the first octet. */
bool bench_is_about_starttls(const struct bench_scenario *s);
/* What a sender is told its port is; implicit: TLS is from the first octet, whatever the scenario says. */
bool bench_told_implicit(const struct bench_scenario *s, bool implicit);

/* Text of a configuration to bytes: %XX is one octet, %% a percent sign, %r %n CR and LF. "${" and backslashes belong to
 * the file's own language. -1 and e: what is wrong. */
int bench_bytes_parse(struct bench_bytes *out, const char *text, struct err *e);

/* Letters, digits, dot, minus, underscore; 64 at most: it stands in addresses, paths and URLs. */
bool bench_scenario_is_name(const char *name);

void bench_scenario_free(struct bench_scenario *s); /* what it holds */

#endif
