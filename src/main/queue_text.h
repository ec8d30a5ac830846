/* What the queue says, for people. Words of peers and users are made harmless for a terminal. */
#ifndef MAIN_QUEUE_TEXT_H
#define MAIN_QUEUE_TEXT_H

#include <jansson.h>
#include <stdio.h>

void queue_text_line(FILE *f, const json_t *m);   /* an object of `list`: two lines */
void queue_text_whole(FILE *f, const json_t *m);  /* of `show` */
void queue_text_status(FILE *f, const json_t *s); /* of `status` */
void queue_text_put(FILE *f, const char *utf8);   /* a word of a peer */

#endif
