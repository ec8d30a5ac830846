/* Worker <-> relay, over base/chan.h: does a next hop take this recipient?
 *
 *     worker -> relay   VERIFY_ASK: a number of the worker's choice, the title of a delivery, an address
 *     relay -> worker   VERIFY_ANSWER: one for each question, in any order, within VERIFY_SECONDS
 *
 * Nothing is taken back: whoever does not want the answer any more lets it pass. What is not well-formed ends the channel,
 * either way: a relay is not trusted by workers, nor they by it. Decoding copies nothing; what a peer of ours said is a
 * peer_text in the datagram. Numbers are in the machine's own order: both ends are one program. */
#ifndef RELAY_VERIFY_MSG_H
#define RELAY_VERIFY_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

enum verify_msg { VERIFY_ASK = 1, VERIFY_ANSWER = 100 };

#define VERIFY_SECONDS 30u     /* after that the answer is "unknown" */
#define VERIFY_TEXT_MOST 512u  /* bytes of an answer's text */
#define VERIFY_TITLE_MOST 255u /* bytes of a title */
/* Bytes of an address: RFC 5321 4.5.3.1 has 64 before the @ and 255 behind it, quotes and UTF-8 need some more. */
#define VERIFY_ADDRESS_MOST 512u

enum verify_verdict {
    VERIFY_YES,     /* the next hop answered RCPT by 2xx; .code, .enhanced and .text are its */
    VERIFY_NO,      /* ... by 5xx */
    VERIFY_UNKNOWN, /* 4xx, or it could not be asked: .code 0, .text says why, for logs */
};
const char *verify_verdict_name(enum verify_verdict v); /* "yes", "no", "unknown" */

struct verify_answer {
    enum verify_verdict verdict;
    uint16_t code;         /* 200-299 with YES, 500-599 with NO, 0 with UNKNOWN */
    char enhanced[12];     /* "5.1.1", its class that of the verdict; "" with UNKNOWN */
    struct peer_text text; /* at most VERIFY_TEXT_MOST bytes; escape it */
};

struct verify_ask {
    uint32_t number;
    const char *route, *address; /* not empty */
};

/* Append the payload of a message. verify_ask_fits: else it cannot be asked. Texts of answers are cut. */
bool verify_ask_fits(const char *route, const char *address);
void verify_ask_encode(struct buf *out, const struct verify_ask *a);
void verify_answer_encode(struct buf *out, uint32_t number, const struct verify_answer *a);

/* 0, or -1: malformed. */
int verify_ask_decode(struct verify_ask *out, const void *data, size_t len);
int verify_answer_decode(uint32_t *number, struct verify_answer *out, const void *data, size_t len);

#endif
