/* What has been seen before: a table that never grows beyond its rooms and forgets the oldest first. Pure. */
#ifndef BENCH_SEEN_H
#define BENCH_SEEN_H

#include <stddef.h>
#include <stdint.h>

struct seen;

struct seen *seen_new(unsigned rooms); /* a power of two */
void seen_free(struct seen **s);
#define SEEN_TEXT 64
struct seen_thing {
    char text[SEEN_TEXT];
    int64_t number;
};
/* Until the next seen_put(). NULL: never, or forgotten. */
struct seen_thing *seen_get(struct seen *s, const char *key, size_t n);
struct seen_thing *seen_put(struct seen *s, const char *key, size_t n); /* zeroed, or what was there */

#endif
