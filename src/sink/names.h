/* Unique Maildir names without looking: <time>.M<us>P<pid>Q<n>.<host>,S=<size> (cr.yp.to/proto/maildir.html). */
#ifndef SINK_NAMES_H
#define SINK_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define NAME_MOST 256

/* host with '/' as \057 and ':' as \072, so that it is one component and no flag of a Maildir reader. */
void names_host(char *dst, size_t cap, const char *host);
void names_make(char dst[NAME_MOST], int64_t real_us, int pid, uint64_t n, const char *host, uint64_t size);

#endif
