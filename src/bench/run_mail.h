/* What a sender under test is told to send: files of messages in the run's directory, and the words of its environment
 * that name them (docs/bench.md). */
#ifndef BENCH_RUN_MAIL_H
#define BENCH_RUN_MAIL_H

#include "bench/scenario.h"

#define RUN_MAIL_DOMAIN "bench.test" /* of all recipients */

struct run_mail;

/* Writes the messages below dir, which is there. -1 and e. */
int run_mail_new(struct run_mail **out, const char *dir, struct err *e);
void run_mail_free(struct run_mail **m);

/* BENCH_RCPT, BENCH_RCPTS, BENCH_MESSAGE and BENCH_MESSAGES of this scenario: "NAME=value", the caller's to free. */
#define RUN_MAIL_WORDS 4u
void run_mail_words(const struct run_mail *m, const struct bench_scenario *s, char *words[RUN_MAIL_WORDS]);

#endif
