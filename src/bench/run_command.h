/* The command under test: started for one scenario, in a process group of its own, with what it prints in a file. */
#ifndef BENCH_RUN_COMMAND_H
#define BENCH_RUN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct run_command;

/* words: "NAME=value" for its environment, over our own; NULL-terminated. log: a file, made anew, for both of its outputs.
 * -1 and e: it could not be started. */
int run_command_start(struct run_command **out, char *const *argv, char *const *words, const char *log, struct err *e);
/* True: it has ended, and what was left of its group with it. Does not wait. */
bool run_command_ended(struct run_command *c);
/* Asks its group to end (SIGTERM); now: ends it (SIGKILL). */
void run_command_stop(struct run_command *c, bool now);
/* -1: it was ended by the signal. */
int run_command_status(const struct run_command *c, int *signal);
void run_command_free(struct run_command **c); /* ends it */

/* The last line of such a file that is not empty, printable ASCII; "" for none. */
void run_log_tail(const char *log, char *dst, size_t cap);

#endif
