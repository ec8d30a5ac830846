/* A line of a transcript for people: C: and S:, milliseconds on the left, where TLS begins. What a terminal or a browser
 * must not see is written out. */
#ifndef BENCH_TRANSCRIPT_TEXT_H
#define BENCH_TRANSCRIPT_TEXT_H

#include <jansson.h>
#include <stdio.h>

void transcript_text(FILE *out, const json_t *line);

#endif
