/* Slices of bytes, and the few things one does with them. A span owns nothing. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *p;
    size_t n;
};

/* Bytes a peer sent. A type of its own, so that they reach a log, a reply or a file name only
 * through a function that escapes them: never hand .p to printf. */
struct peer_text {
    const char *p;
    size_t n;
};

#define SPAN(lit) ((struct span){(lit), sizeof(lit) - 1})

struct span span_str(const char *s);
bool span_is(struct span s, const char *literal);        /* bytewise */
bool span_is_nocase(struct span s, const char *literal); /* ASCII case ignored, RFC 5321 2.4 */
bool span_starts_nocase(struct span s, const char *literal);

/* Decimal, no sign, no space; false on anything else, overflow included. */
bool text_u64(struct span s, uint64_t *out);

/* Writes s to dst, printable ASCII as it is, backslash doubled, every other byte as \xNN; cuts with
 * "..." where cap (> 4) would be exceeded. Always NUL-terminated. Returns the length written. */
size_t text_escape(char *dst, size_t cap, struct peer_text s);

/* ASCII lower case, in place. */
void text_lower(char *s, size_t n);

/* Levenshtein distance, for "did you mean". */
unsigned text_distance(const char *a, const char *b);

/* strdup and friends that cannot fail: out of memory ends the process, and says so. */
void *mem_alloc(size_t n);         /* zeroed */
void *mem_grow(void *p, size_t n); /* realloc */
char *mem_str(const char *s);      /* NULL gives NULL */
char *mem_strn(const char *s, size_t n);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
