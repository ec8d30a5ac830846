/* Text of a sender's or of a file's for JSON, which is UTF-8: what is none is given as Latin-1. */
#ifndef BENCH_BENCH_JSON_H
#define BENCH_BENCH_JSON_H

#include <jansson.h>

json_t *bench_json_text(const char *s); /* NULL: "" */

#endif
