/* Between dsn.c (the form and the lines for programs) and dsn_text.c (the words for a person, and how texts are put
 * down so that no peer makes a line). */
#ifndef SMTP_DSN_PRIVATE_H
#define SMTP_DSN_PRIVATE_H

#include "smtp/dsn.h"

#define DSN_LINE 76

/* Peer text without control bytes; bytes over 127 stay in UTF-8 forms, when they are UTF-8. At most 900 bytes. */
void dsn_put_peer(struct buf *out, struct peer_text t, bool utf8);
/* The text in lines: each begins with `next` (the first where the caller is, with used bytes in its line). */
void dsn_put_folded(struct buf *out, size_t used, const char *next, const struct buf *text);
void dsn_put_words(struct buf *out, const struct dsn_facts *f);

#endif
