/* Texts in JSON and out of it. */
#ifndef BENCH_BENCH_JSON_H
#define BENCH_BENCH_JSON_H

#include <jansson.h>

/* Text of a sender's or of a file's; JSON is UTF-8, and what is none is given as Latin-1. NULL: "". */
json_t *bench_json_text(const char *s);
/* What stands there; "": nothing, or no text. Borrowed. */
const char *bench_json_str(const json_t *o, const char *key);

#endif
