/* Names for files in Maildirs, unique without looking: <time>.M<us>P<pid>Q<n>.<host>,S=<size>
 * (cr.yp.to/proto/maildir.html; S= is what quota-aware readers take instead of a stat). */
#ifndef SINK_NAMES_H
#define SINK_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define NAMES_MOST 256
#define NAMES_HOST_MOST 128

/* host with '/' as \057 and ':' as \072, so that it is one component and no flag of a reader. */
void names_host(char dst[NAMES_HOST_MOST], const char *host);
void names_make(char dst[NAMES_MOST], int64_t real_us, int pid, uint64_t n, const char *host, uint64_t size);

#endif
