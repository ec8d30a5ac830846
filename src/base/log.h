/* The log: one line per event, key=value or JSON, at most 4095 bytes, written in one write(2) to a
 * descriptor that never blocks. Every string is escaped here, at the sink, so peer bytes cannot forge
 * a line. Lines that could not be written are counted and the count is reported with the next one.
 *
 *     struct log_line l;
 *     log_begin(&l, LOG_LEVEL_INFO, "smtp.ehlo");
 *     log_str(&l, "listenerId", "mx");
 *     log_peer(&l, "hostname", name);
 *     log_end(&l);
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/text.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_TRACE };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

#define LOG_LINE_MAX 4096 /* PIPE_BUF: one write to the log pipe is one whole line */

struct log_line {
    char text[LOG_LINE_MAX];
    size_t len;
    bool on; /* false: this level is not logged, the calls that follow do nothing */
};

/* fd should be O_NONBLOCK (it is not set here). Lines above `level` are not written. */
void log_open(int fd, enum log_format format, enum log_level level);
/* role ("worker 2"), generation (0: none): stand in every line that follows. */
void log_identity(const char *role, unsigned generation);
bool log_wants(enum log_level level);
uint64_t log_lost(void); /* lines dropped since start */

void log_begin(struct log_line *l, enum log_level level, const char *event);
void log_str(struct log_line *l, const char *key, const char *value); /* NULL value: nothing */
void log_peer(struct log_line *l, const char *key, struct peer_text value);
void log_int(struct log_line *l, const char *key, int64_t value);
void log_bool(struct log_line *l, const char *key, bool value);
void log_ip(struct log_line *l, const char *ip_key, const char *port_key, const struct addr *a);
void log_end(struct log_line *l);

/* For the many lines with one or two words to say: details= is the formatted sentence. */
void log_event(enum log_level level, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

const char *log_level_name(enum log_level level);

#endif
