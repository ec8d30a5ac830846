/* Store <-> relay, over base/chan.h. One transfer is one message to recipients that share a route (and, for a delivery
 * of type mx, a domain). The store decides what is started when; the relay decides on connections and their reuse.
 *
 *     store -> relay   RELAY_TRANSFER with one read-only descriptor of the queue file: content begins at .offset
 *     relay -> store   RELAY_RESULT, exactly one for each recipient of the transfer, in any order, as soon as it is
 *                      certain; then RELAY_DONE: the transfer's number is free again
 *     store -> relay   RELAY_DRAIN: no transfer will follow; when the running ones are done the relay may end
 *
 * A relay whose channel ends has forgotten everything: recipients without a result are waiting again. What is not
 * well-formed, names a transfer that does not run or a recipient twice ends the channel, either way.
 * Decoding is strict: lengths, ranges and texts are checked, nothing is copied: pointers are into the datagram, and
 * every const char * is NUL-terminated there. Numbers are in the machine's own order: both ends are one program. */
#ifndef SINK_RELAY_MSG_H
#define SINK_RELAY_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

enum relay_msg {
    RELAY_TRANSFER = 1,
    RELAY_DRAIN,
    RELAY_RESULT = 100,
    RELAY_DONE,
};

#define RELAY_RCPTS 100u      /* of one transfer */
#define RELAY_TEXT_MOST 1024u /* bytes of any text below */
#define RELAY_ENHANCED 12

struct relay_rcpt {
    uint32_t index;              /* in the queue file; results speak of it */
    uint32_t notify;             /* enum queue_notify, enum smtp_client_notify */
    const char *address, *orcpt; /* orcpt NULL: none */
};

struct relay_transfer {
    uint32_t number; /* the store's; unique among those that run */
    uint32_t rcpt_count;
    uint64_t size, offset; /* of the content, in LF form, in the file that comes along */
    bool body_8bit, smtputf8, requiretls;
    uint8_t ret;        /* enum queue_ret */
    const char *id;     /* for events */
    const char *route;  /* title of the delivery */
    const char *domain; /* of the recipients, A-label or as given, lower case; "" when the route does not ask for it */
    const char *sender; /* "": null */
    const char *envid;  /* xtext, NULL: none */
    const char *auth;   /* who submitted it, NULL: nobody logged in */
    struct relay_rcpt rcpts[RELAY_RCPTS];
};

enum relay_outcome {
    RELAY_DELIVERED, /* and whoever took it sends the success report, or LMTP: it is in the mailbox */
    RELAY_RELAYED,   /* taken by a server without DSN */
    RELAY_DEFERRED,
    RELAY_FAILED,
};

struct relay_result {
    uint32_t number, index;
    enum relay_outcome outcome;
    uint16_t code;                 /* 200-299 with DELIVERED and RELAYED, 400-499 with DEFERRED, 500-599 with FAILED */
    char enhanced[RELAY_ENHANCED]; /* "4.7.6"; its class is that of the outcome: 2, 4 or 5 */
    bool local;                    /* our own judgement, not the server's words */
    struct peer_text remote;       /* "name[ip]", "": no server had a part in it */
    struct peer_text text;
    struct peer_text tls; /* in words: "TLSv1.3 TLS_AES_256_GCM_SHA384, verified"; "": not in TLS, or no connection */
};

/* What the transfer has shown of the destination, for limits and back-off. */
enum relay_health {
    RELAY_HEALTH_GOOD,        /* a server spoke and took mail (or judged it by itself) */
    RELAY_HEALTH_BUSY,        /* it wants less of us: 421, too many connections */
    RELAY_HEALTH_UNREACHABLE, /* no server could be spoken to, or none on the terms asked for (TLS, login) */
};

struct relay_done {
    uint32_t number;
    enum relay_health health;
};

/* Appends the payload of a message. The sum of a transfer's texts may exceed a datagram: relay_transfer_fits() is asked
 * while recipients are put together; bytes is what the ones so far take, 0 at first, and is moved on. */
bool relay_transfer_fits(size_t *bytes, const struct relay_transfer *head, const struct relay_rcpt *more);
void relay_transfer_encode(struct buf *out, const struct relay_transfer *t);
void relay_result_encode(struct buf *out, const struct relay_result *r); /* texts are cut to RELAY_TEXT_MOST */
void relay_done_encode(struct buf *out, const struct relay_done *d);

/* 0, or -1: malformed. */
int relay_transfer_decode(struct relay_transfer *out, const void *data, size_t len);
int relay_result_decode(struct relay_result *out, const void *data, size_t len);
int relay_done_decode(struct relay_done *out, const void *data, size_t len);

#endif
