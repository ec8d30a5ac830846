/* Worker <-> auth, over base/chan.h. A talk is one AUTH exchange; the worker numbers them. Decoding is strict, texts are
 * NUL-terminated inside the datagram and nothing is copied. Numbers are in the machine's own order.
 *
 *     worker -> auth   AUTH_BEGIN, AUTH_STEP, AUTH_CANCEL
 *     auth -> worker   AUTH_MECHANISMS (at once, and when they change; empty: none), AUTH_ANSWER: one for each BEGIN and
 *                      STEP that was not cancelled
 *     leader -> auth   AUTH_ADD_WORKER with one descriptor
 *     auth -> leader   AUTH_READY, once */
#ifndef AUTH_AUTH_MSG_H
#define AUTH_AUTH_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/buf.h"

enum auth_order { AUTH_ADD_WORKER = 1 };
enum auth_report { AUTH_READY = 100 };
enum auth_msg { AUTH_BEGIN = 1, AUTH_STEP, AUTH_CANCEL, AUTH_MECHANISMS = 100, AUTH_ANSWER };

enum auth_verdict {
    AUTH_CONTINUE, /* text: the challenge, base64 */
    AUTH_OK,       /* text: the identity, a full address */
    AUTH_FAILED,
    AUTH_MALFORMED,
    AUTH_UNKNOWN, /* no such mechanism */
    AUTH_UNAVAILABLE,
    AUTH_TOO_MANY,
};

#define AUTH_TEXT_MOST 12288u /* RFC 4954 4 */
#define AUTH_NAME_MOST 24     /* of a mechanism, of a session, with NUL */

struct auth_begin_msg {
    uint32_t number;
    uint32_t has_text;
    struct addr client, local;
    char mechanism[AUTH_NAME_MOST], session[AUTH_NAME_MOST];
};

void auth_begin_encode(struct buf *out, const struct auth_begin_msg *m, const char *text, size_t n);
void auth_step_encode(struct buf *out, uint32_t number, const char *text, size_t n);
void auth_answer_encode(struct buf *out, uint32_t number, enum auth_verdict v, const char *text);

/* 0, or -1: malformed. text points into data. */
int auth_begin_decode(struct auth_begin_msg *out, const char **text, const void *data, size_t len);
int auth_step_decode(uint32_t *number, const char **text, const void *data, size_t len);
int auth_cancel_decode(uint32_t *number, const void *data, size_t len);
int auth_answer_decode(uint32_t *number, enum auth_verdict *v, const char **text, const void *data, size_t len);
int auth_mechanisms_decode(const char **text, const void *data, size_t len);

#endif
