/* Base64, RFC 4648 4: the alphabet of SASL exchanges (RFC 4954 4) and MIME, without line breaks. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define BASE64_LENGTH(n) (((n) + 2) / 3 * 4)

/* dst has room for BASE64_LENGTH(n) bytes; no NUL is added. Returns how many were written. */
size_t base64_encode(char *dst, const void *bytes, size_t n);

/* Strict: whole groups of four, padding only at the end, no other byte anywhere, no stray bits. dst
 * has room for text.n / 4 * 3 bytes and may be text.p. False: not base64. */
bool base64_decode(void *dst, size_t *n, struct span text);

#endif
