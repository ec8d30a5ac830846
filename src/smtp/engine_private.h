/* What the files of the engine share. Nobody outside src/smtp includes this.
 *
 * One command at a time: dispatch_line() finds the verb and calls its run(). A verb that needs an
 * answer emits an ASK and sets g->wait; its answer() goes on when the session has answered. Either
 * way the verb ends with engine_command_done(). The command's line stays in g->line until then.
 *
 * Actions wait in g->out as records and leave it in order; feed() takes nothing while one waits, so
 * there are never more than those of one step. An idle engine owns this struct and the EHLO name,
 * nothing else.
 */
#ifndef SMTP_ENGINE_PRIVATE_H
#define SMTP_ENGINE_PRIVATE_H

#include "base/buf.h"
#include "smtp/engine.h"
#include "smtp/transaction.h"

enum engine_state {
    ENGINE_COMMAND, /* the next bytes are a command */
    ENGINE_AUTH,    /* the next line answers a challenge */
    ENGINE_DATA,    /* message content up to CRLF.CRLF */
    ENGINE_BDAT,    /* message content, tx->chunk_left bytes */
    ENGINE_SWALLOW, /* g->swallow bytes of a refused BDAT, then g->late */
    ENGINE_CLOSED,  /* CLOSE was said: whatever comes is swallowed */
};

enum engine_wait {
    WAIT_NONE,
    WAIT_TLS_VIEW,  /* smtp_engine_answer_tls() */
    WAIT_HANDSHAKE, /* smtp_engine_tls_done() */
    WAIT_AUTH,      /* smtp_engine_answer_auth() */
    WAIT_SENDER,    /* the rest: smtp_engine_answer() */
    WAIT_RCPT,
    WAIT_OPEN,
    WAIT_COMMIT,
};

struct engine_reply {
    uint16_t code;
    const char *enhanced; /* NULL: none (RFC 2034 4: not in the greeting, nor to HELO and EHLO) */
    const char *text;
};

enum verb_flag {
    VERB_IN_CLEAR = 1 << 0,    /* allowed in clear under require-tls */
    VERB_NEEDS_MAIL = 1 << 1,  /* MAIL, AUTH: 454 under require_broken */
    VERB_NO_ARGUMENT = 1 << 2, /* RFC 5321 4.1.1: 501 with one */
    VERB_OWN_CHECKS = 1 << 3,  /* BDAT: even a refused one has bytes behind it */
};

struct verb {
    const char *name;
    void (*run)(struct smtp_engine *g, struct span arg);
    void (*answer)(struct smtp_engine *g, const struct smtp_verdict *v); /* NULL: asks nothing */
    unsigned flags;
};

struct smtp_engine {
    const struct smtp_profile *profile;
    struct transaction *tx;  /* from MAIL to the end of the message; NULL outside */
    char *identity;          /* who has logged in, NULL: nobody */
    char *mechanisms;        /* what tls.auth points to */
    char *hello;             /* EHLO name, NULL: none yet */
    char *late;              /* whole reply owed after swallow */
    const struct verb *verb; /* the command in hand */
    struct buf line;         /* the command line as far as it came */
    struct buf out;          /* actions to be taken by next(), emit.c */
    struct buf chunk;        /* message content to be taken by next() before those in out */
    struct smtp_tls_view tls;
    uint64_t swallow;
    uint32_t path_at, path_len; /* RCPT in hand: the path inside line */
    uint32_t given;             /* bytes of out that the last action points into */
    uint32_t errors, transactions;
    uint16_t late_code;
    uint8_t state, wait; /* enum engine_state, engine_wait */
    bool greeted, in_tls, esmtp;
    bool trusted;   /* smtp_engine_trust() */
    bool accepted;  /* an EHLO or HELO was, once */
    bool first;     /* nothing but the beginning of the first line came */
    bool too_long;  /* the line is: it is read to its end and forgotten */
    bool last_cr;   /* the line's last byte so far is CR */
    bool tls_known; /* tls is valid */
    bool tls_fresh; /* ... and was asked for by the command in hand */
    bool chunk_given;
    bool shutdown, shutdown_now;
};

/* engine.c */
uint32_t engine_max_recipients(const struct smtp_profile *p); /* 0: no limit */
void engine_command_done(struct smtp_engine *g);              /* the command in hand is answered */
void engine_ask(struct smtp_engine *g, enum smtp_action_kind kind, enum engine_wait wait);
/* The answer that was waited for is here. */
void engine_answered(struct smtp_engine *g, enum engine_wait wait);
/* Drops the transaction; an open message is aborted. */
void engine_reset(struct smtp_engine *g);
/* 421, ABORT where due, CLOSE. */
void engine_close(struct smtp_engine *g, const char *enhanced, const char *text, enum smtp_close why);

/* emit.c */
void emit_action(struct smtp_engine *g, enum smtp_action_kind kind);
void emit_bytes(struct smtp_engine *g, enum smtp_action_kind kind, const char *p, size_t n);
void emit_rcpt(struct smtp_engine *g, struct span local, struct span domain, const struct smtp_rcpt_params *params);
void emit_auth(struct smtp_engine *g, struct span mechanism, struct span text, bool has_text);
void emit_event(struct smtp_engine *g, enum smtp_event event, struct span text, uint16_t code);
void emit_event_flag(struct smtp_engine *g, enum smtp_event event, struct span text, bool flag);
void emit_close(struct smtp_engine *g, enum smtp_close why);
/* One reply line; a 5xx counts as the peer's error. */
void emit_reply(struct smtp_engine *g, struct engine_reply r);
/* Several lines made by the caller, complete with CRLF. */
void emit_reply_lines(struct smtp_engine *g, const struct buf *lines);
void emit_take(struct smtp_engine *g, struct smtp_action *out);
char *emit_format(const struct engine_reply *r); /* as emit_reply sends it; caller frees */

/* frame.c */
size_t frame_feed(struct smtp_engine *g, const char *p, size_t n);

/* dispatch.c */
void dispatch_line(struct smtp_engine *g);  /* a whole line is in g->line */
void dispatch_again(struct smtp_engine *g); /* the TLS view it asked for is known */
/* Answers the command in hand with a refusal of the engine's own, and ends it. */
void dispatch_refuse(struct smtp_engine *g, uint16_t code, const char *enhanced, const char *text);
/* Under require-tls: may the command in hand run? Else *r is what it gets. */
bool dispatch_tls_refuses(const struct smtp_engine *g, struct engine_reply *r);
bool verdict_is_yes(const struct smtp_verdict *v);
/* Sends the verdict, or `yes` where it has no words; after a 421 the session is closed. */
void verdict_reply(struct smtp_engine *g, const struct smtp_verdict *v, struct engine_reply yes);

/* body.c */
void body_open(struct smtp_engine *g); /* the store said yes: content may flow */
size_t body_feed(struct smtp_engine *g, const char *p, size_t n);
/* tx->ended, and all content was handed out: until then the transaction must be there to be asked.
 */
void body_end(struct smtp_engine *g);
/* BDAT LAST: nothing follows, so a CR that waits for its LF is a bare one. */
void body_last(struct smtp_engine *g);
void body_refuse(struct smtp_engine *g, struct engine_reply r, struct span what);

/* cmd_*.c */
void cmd_ehlo_run(struct smtp_engine *g, struct span arg);
void cmd_helo_run(struct smtp_engine *g, struct span arg);
void cmd_mail_run(struct smtp_engine *g, struct span arg);
void cmd_mail_answer(struct smtp_engine *g, const struct smtp_verdict *v);
void cmd_rcpt_run(struct smtp_engine *g, struct span arg);
void cmd_rcpt_answer(struct smtp_engine *g, const struct smtp_verdict *v);
void cmd_data_run(struct smtp_engine *g, struct span arg);
void cmd_data_answer(struct smtp_engine *g, const struct smtp_verdict *v);
void cmd_data_end(struct smtp_engine *g); /* CRLF.CRLF was read */
void cmd_bdat_run(struct smtp_engine *g, struct span arg);
void cmd_bdat_answer(struct smtp_engine *g, const struct smtp_verdict *v);
void cmd_bdat_end(struct smtp_engine *g);       /* the chunk's bytes were read */
void cmd_bdat_swallowed(struct smtp_engine *g); /* ... of a refused one */
void cmd_starttls_run(struct smtp_engine *g, struct span arg);
void cmd_help_run(struct smtp_engine *g, struct span arg);
void cmd_noop_run(struct smtp_engine *g, struct span arg);
void cmd_rset_run(struct smtp_engine *g, struct span arg);
void cmd_quit_run(struct smtp_engine *g, struct span arg);
void cmd_vrfy_run(struct smtp_engine *g, struct span arg);
void cmd_expn_run(struct smtp_engine *g, struct span arg);
void cmd_auth_run(struct smtp_engine *g, struct span arg);
void cmd_auth_line(struct smtp_engine *g, struct span line); /* the client's answer to a challenge */
void cmd_auth_cancel(struct smtp_engine *g);                 /* no more of it: the session is told */

#endif
