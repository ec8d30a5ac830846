/* A message that waits: one file, named by its id in state-dir/queue, made of an envelope head, the content and a log.
 * A person reads it with ordinary tools:
 *
 *     postern-queue 1
 *     size: 00000000000000004321
 *     id: 6b03d3bf000001
 *     arrived: 2026-11-23T07:00:00Z 1795417200123456
 *     from: <alice@example.org>
 *     params: body=8bitmime smtputf8 requiretls ret=hdrs envid=QQ314159
 *     auth: alice@example.org
 *     client: [192.0.2.1] laptop.example.org
 *     rcpt: <bob@example.net> route=smarthost notify=failure,delay orcpt=rfc822;Bob@example.net
 *     (an empty line, then `size` bytes of content in LF form, then the log: queue_log.h)
 *
 * Lines stand in this order; params, auth and client are left out when there is nothing to say, everything else is
 * there. The size has a fixed width at a fixed place, QUEUE_FILE_SIZE_AT, since it is known last: whoever writes the
 * head ahead of the content leaves zeroes, and the store puts the digits in before the file gets its name.
 *
 * Escaping, the same everywhere in head and log: control bytes, blank, backslash, < and > are written \xNN (two lower
 * case digits); bytes over 127 are written as they are when the whole text is UTF-8, else \xNN as well. There is one
 * way to write a text, and no other is read. Inside "..." (log texts) a blank, < and > stand for themselves and " is
 * escaped. So no peer can make a line, and what is read back is what was written, byte by byte.
 *
 * Pure: no file is touched here. Times are microseconds since the epoch. Errors name the line. What is read was
 * written by our own processes, but a worker may be taken over and a disk may rot: reading is strict and bounded.
 * RFC 3461 (envid, orcpt, notify, ret), RFC 8689 (requiretls), RFC 6531, RFC 6152. */
#ifndef SINK_QUEUE_FILE_H
#define SINK_QUEUE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"

#define QUEUE_FILE_MAGIC "postern-queue 1\n"
#define QUEUE_FILE_SIZE_AT 22     /* offset of the digits of size: behind "postern-queue 1\nsize: " */
#define QUEUE_FILE_SIZE_DIGITS 20 /* enough for 64 bits; what does not fit INT64_MAX is refused */
#define QUEUE_FILE_ID_MOST 40     /* [0-9a-zA-Z-]: a name without surprises */
#define QUEUE_FILE_TEXT_MOST 1024 /* bytes of one address, xtext, name or title, unescaped */
#define QUEUE_FILE_RCPTS 10000
#define QUEUE_FILE_HEAD_MOST ((size_t)16 << 20)

enum queue_notify { /* RFC 3461 4.1; the same bits as enum smtp_client_notify */
                    QUEUE_NOTIFY_DEFAULT = 0,
                    QUEUE_NOTIFY_NEVER = 1 << 0,
                    QUEUE_NOTIFY_SUCCESS = 1 << 1,
                    QUEUE_NOTIFY_FAILURE = 1 << 2,
                    QUEUE_NOTIFY_DELAY = 1 << 3,
};

enum queue_ret { QUEUE_RET_NONE, QUEUE_RET_FULL, QUEUE_RET_HDRS };

/* Texts of peers are peer_text. In what queue_file_parse() made, a NUL stands behind every one of them, and none inside:
 * .p is a C string there. p == NULL: not given (only where "or none" says so). */
struct queue_rcpt {
    struct peer_text address; /* between < >, not empty */
    struct peer_text route;   /* title of the delivery that takes it, not empty */
    struct peer_text orcpt;   /* "rfc822;xtext" as it was given, or none */
    unsigned notify;          /* enum queue_notify; NEVER stands alone */
};

struct queue_head {
    uint64_t size; /* of the content; 0 while it is not known */
    char id[QUEUE_FILE_ID_MOST + 1];
    int64_t arrived_us;
    struct peer_text sender; /* between < >; "": the null reverse-path */
    bool body_8bit, smtputf8, requiretls;
    enum queue_ret ret;
    struct peer_text envid;       /* xtext, or none */
    struct peer_text auth;        /* who logged in, or none */
    struct peer_text client_ip;   /* without brackets, or none: made here, or kept back (hide-client) */
    struct peer_text client_name; /* EHLO, "" when there was none; only with client_ip */
    struct queue_rcpt *rcpts;
    uint32_t rcpt_count; /* 1 to QUEUE_FILE_RCPTS */
    void *memory;        /* queue_file_parse()'s */
};

/* Letters, digits and "-", 1 to QUEUE_FILE_ID_MOST of them: may be a file's name, and nothing else is. */
bool queue_file_is_id(struct span s);

/* Appends the head, empty line included. What does not fit the limits above is refused, out is then as before. */
int queue_file_write(struct buf *out, const struct queue_head *h, struct err *e);
/* The digits for QUEUE_FILE_SIZE_AT. */
void queue_file_size_text(char dst[QUEUE_FILE_SIZE_DIGITS + 1], uint64_t size);

/* Reads a head from the beginning of a file. 1: *out, free it with queue_file_free(); *used: its bytes, the content
 * follows there. 0: so far so good, more bytes are needed (never with n >= QUEUE_FILE_HEAD_MOST). -1: e. */
int queue_file_parse(struct queue_head **out, const char *p, size_t n, size_t *used, struct err *e);
void queue_file_free(struct queue_head **h);

/* Where the log of a file of so many bytes begins. -1: it is shorter than head and content are: not whole. */
int queue_file_log_at(const struct queue_head *h, size_t head, uint64_t bytes, uint64_t *at, struct err *e);

/* The escaping, for head and log. quoted: as inside "...". unescape: false when it is not the one way to write it; dst
 * needs room for n bytes. */
void queue_file_escape(struct buf *out, struct peer_text t, bool quoted);
bool queue_file_unescape(char *dst, size_t *len, struct span s, bool quoted);

/* "2026-11-23T07:00:00Z"; parsing is strict: no leap second, no year before 1970 or after 9999. Whole seconds. */
#define QUEUE_FILE_TIME 32
void queue_file_time(char dst[QUEUE_FILE_TIME], int64_t us);
bool queue_file_time_parse(struct span s, int64_t *us);

#endif
