/* The reading end of everybody's log: whole lines from the pipe to stderr, syslog or a file. Never blocks: a stuck
 * reader of stderr costs lines, which are counted and said, and nothing else. */
#ifndef PROC_LOGPIPE_H
#define PROC_LOGPIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/conf.h"

struct logpipe;

int logpipe_new(struct logpipe **out, struct err *e);
void logpipe_free(struct logpipe **l);
int logpipe_write_end(const struct logpipe *l); /* O_NONBLOCK, given to log_open() by every process */
int logpipe_read_end(const struct logpipe *l);  /* poll for input, then logpipe_pump() */
/* >= 0: lines wait for this descriptor: poll for output, then logpipe_pump(). */
int logpipe_wants_write(const struct logpipe *l);
void logpipe_pump(struct logpipe *l);
/* Until the pipe is empty and everything is written, but not longer than timeout_ms. */
void logpipe_drain(struct logpipe *l, int timeout_ms);

/* file: for CONF_LOG_FILE. On failure the target stays what it was. */
int logpipe_target(struct logpipe *l, enum conf_log_target target, const char *file, struct err *e);
void logpipe_reopen(struct logpipe *l); /* SIGUSR1 */
uint64_t logpipe_lost(const struct logpipe *l);

#endif
