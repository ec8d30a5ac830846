/* Bytes in a sealed memfd: what one process hands to another so that nobody can change it afterwards. */
#ifndef PROC_MEMFD_H
#define PROC_MEMFD_H

#include <stddef.h>

#include "base/err.h"

int memfd_make(const char *name, const void *p, size_t n, struct err *e); /* -1 and e */
/* malloc'd, NUL-terminated; -1 and e. Works from any position of the descriptor. */
int memfd_read(int fd, char **text, size_t *len, struct err *e);

#endif
