/* Of the facts' own files: bench_facts.c (the table, sessions, TLS), bench_facts_mail.c (transactions and recipients).
 * Nobody else includes this. */
#ifndef BENCH_BENCH_FACTS_OWN_H
#define BENCH_BENCH_FACTS_OWN_H

#include "bench/bench_facts.h"

struct bench_facts_line {
    const json_t *line;
    struct bench_facts_session *s;
    int64_t now_us;
    char verb[12], arg[1024]; /* of a command */
};

void bench_facts_see(struct bench_facts *f, enum bench_fact fact, const json_t *line);

/* bench_facts_mail.c */
void bench_facts_mail_command(struct bench_facts *f, const struct bench_facts_line *l);
void bench_facts_mail_reply(struct bench_facts *f, const struct bench_facts_line *l, int code);
void bench_facts_mail_message(struct bench_facts *f, const struct bench_facts_line *l);
/* A transaction that nobody finishes any more. */
void bench_facts_mail_drop(struct bench_facts *f, struct bench_facts_session *s);

#endif
