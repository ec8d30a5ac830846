/* The listener table that check, why, the start lines and reload print: one builder, three readers.
 * JSON shape (also `check --json`, `why --json`):
 * {"listeners":[{"listener","role","tls","addresses":[],"offered","advertised","wanted","serves","reason","details","hint",
 *   "withoutCertificate","where":{"file","line"},"certificate","daysLeft","warnings":[{"warning","hint"}],
 *   "certificates":[{"title","chain","key","file","subject","names","keyType","fingerprint","notBefore","notAfter","daysLeft",
 *      "usable","reason","details","hint","warnings":[...],"fromSnapshot"}],
 *   "rejected":[{"certificate","file","reason","details","hint","since"}]}]}
 * "file" of a certificate: which of the two its fault is about, "" when it has none.
 * `check` with fewer rights than run adds "unknown":true to what it could not see. */
#ifndef PROC_REPORT_H
#define PROC_REPORT_H

#include <jansson.h>
#include <stdint.h>

#include "proc/generation.h"

json_t *report_listeners(const struct generation *g, int64_t now); /* new reference */

/* 2: an offer that is wanted and missing. 1: a rejected file, a date that is wrong or near, a warning, something
 * unknown. 0: fine, correct absences included. A certificate that only a private CA vouches for is a choice one can make:
 * it is shown, and counts as fine. */
int report_exit_code(const json_t *report);

/* Text for people: the table, then what there is to say about each, with remedy; only the named listener unless
 * NULL. Caller frees. */
char *report_text(const json_t *report, const char *listener);

/* Start and reload: one log line per listener, and the events of the table (tls.disabled, tls.not-configured,
 * tls.certificate-*), each with hint=. After a look at changed files, certificates that are as before stay silent. */
void report_log(const struct generation *g, int64_t now);

/* What the clock alone has changed since `before`: a certificate that expires while the daemon runs, and a reminder each
 * day from two weeks before. */
void report_log_changes(const struct generation *g, int64_t before, int64_t now);

#endif
