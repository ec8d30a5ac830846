/* Well-formed UTF-8, RFC 3629 4: no overlong forms, no surrogates. */
#ifndef CONF_CONF_UTF8_H
#define CONF_CONF_UTF8_H

#include <stddef.h>

/* Bytes of the character that begins at s (at most n are there); 0 when it is not one. */
size_t conf_utf8_char(const char *s, size_t n);
/* Behind the U+FEFF that editors on other systems begin a file with. */
const char *conf_utf8_begin(const char *text, size_t n);

#endif
