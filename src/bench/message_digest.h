/* Which message it is that came: SHA-256 and size of its content as the sender meant it (stuffed dots undone, without the
 * end of the data), and its Message-ID. In pieces; keeps no content. */
#ifndef BENCH_MESSAGE_DIGEST_H
#define BENCH_MESSAGE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_DIGEST_HEX 65
#define MESSAGE_DIGEST_ID 1000 /* longer ones are cut off */

struct message_digest;

struct message_digest_result {
    uint64_t size;
    char sha256[MESSAGE_DIGEST_HEX];
    char id[MESSAGE_DIGEST_ID]; /* of the header field, without blanks around it and without folds; "": none */
};

/* chunked: BDAT, where no dot is stuffed. NULL: OpenSSL has no SHA-256. */
struct message_digest *message_digest_new(bool chunked);
void message_digest_free(struct message_digest **d);
void message_digest_take(struct message_digest *d, const char *p, size_t n);
/* The last not_content octets of what was taken are none. */
void message_digest_end(struct message_digest *d, unsigned not_content, struct message_digest_result *out);

#endif
