/* Certificates and keys in a directory: DIR/NAME.pem and DIR/NAME.key. A file is there whole or not at all. */
#ifndef BENCH_PKI_FILE_H
#define BENCH_PKI_FILE_H

#include <stdio.h>
#include <sys/stat.h>

#include "bench/pki_set.h"

FILE *pki_file_open(const char *dir, const char *name, const char *suffix); /* to be read; NULL: it cannot be */
/* The first certificate of the chain, and the key. False: one of the two is not there, or is not what its name says. */
bool pki_file_read(const char *dir, const char *name, struct pki_pair *out);
X509 *pki_file_cert(const char *dir, const char *name); /* NULL: as above */
/* Key first: whoever finds a certificate finds its key. chain NULL: none; first_line NULL: none. -1 and e. */
int pki_file_write(const char *dir, const char *name, const struct pki_pair *p, const STACK_OF(X509) * chain,
                   const char *first_line, struct err *e);
/* Any file: written to what begin() opens (NULL: said by finish()), and there under its name after finish(), which frees tmp;
 * ok false: something went wrong meanwhile. */
FILE *pki_file_begin(const char *dir, const char *name, const char *suffix, mode_t mode, char **tmp);
int pki_file_finish(FILE *f, char *tmp, bool ok, struct err *e);

#endif
