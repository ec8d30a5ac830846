/* Time is a value that callers pass in; only the edges of the program read a clock. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct now {
    int64_t mono_us; /* CLOCK_MONOTONIC, microseconds: for gaps and deadlines */
    int64_t real_us; /* CLOCK_REALTIME, microseconds since the epoch: for dates */
};

struct now clock_now(void);

/* Call once before any chroot, so that local time keeps working inside it. */
void clock_prepare(void);

#define CLOCK_ISO_LEN 48 /* "2026-01-31T12:34:56.789Z" and room */
#define CLOCK_RFC5322_LEN 64
void clock_iso(char dst[CLOCK_ISO_LEN], int64_t real_us);         /* UTC, milliseconds */
void clock_rfc5322(char dst[CLOCK_RFC5322_LEN], int64_t real_us); /* local time, RFC 5322 3.3 */

#endif
