/* The listener table that check, why, the start lines and reload print: one builder, three readers.
 * JSON shape (also `check --json`, `why --json`):
 * {"listeners":[{"listener","role","tls","addresses":[],"offered","advertised","wanted","reason","details","hint",
 *   "where":{"file","line"},"certificate","daysLeft","warnings":[{"warning","hint"}],
 *   "certificates":[{"title","chain","key","subject","names","keyType","fingerprint","notBefore","notAfter","daysLeft",
 *      "usable","reason","details","warnings":[...],"fromSnapshot"}],
 *   "rejected":[{"certificate","file","reason","details","hint","since"}]}]} */
#ifndef PROC_REPORT_H
#define PROC_REPORT_H

#include <jansson.h>
#include <stdint.h>

#include "proc/generation.h"

json_t *report_listeners(const struct generation *g, int64_t now); /* new reference */

/* 0 fine (correct absences included), 1 warnings or a rejected file, 2 an offer that is wanted and missing. */
int report_exit_code(const json_t *report);

/* Text for people, with reason, details and remedy; only the named listener unless NULL. Caller frees. */
char *report_text(const json_t *report, const char *listener);

/* Start and reload: one log line per listener, and the events of the table (tls.disabled,
 * tls.not-configured, tls.certificate-*), each with hint=. */
void report_log(const struct generation *g, int64_t now);

#endif
