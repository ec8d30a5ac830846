/* A connected socket, in clear or in TLS, with its two buffers. Buffers are given back when empty. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>

#include "base/buf.h"
#include "net/loop.h"
#include "tls/tls_conn.h"

enum stream_result {
    STREAM_OK,
    STREAM_AGAIN, /* nothing now */
    STREAM_EOF,   /* the peer will send no more (it may still read) */
    STREAM_FAILED /* reset, or TLS broke: nothing more can be said */
};

struct stream {
    int fd;
    struct watch *watch;
    struct tls_conn *tls; /* NULL: in clear */
    struct buf in, out;
    bool handshaking;
    bool tls_wants_write; /* what TLS waits for before a read can go on */
    bool eof;
};

/* Takes fd. io is called as loop_io with arg; nothing is wanted until stream_want(). */
void stream_init(struct stream *s, struct loop *l, int fd, loop_io *io, void *arg);
void stream_close(struct stream *s); /* frees everything; close_notify where TLS is up */
void stream_reset(struct stream *s); /* the same with RST: the peer does not get to wait */

/* Reads once, at most `most` bytes, into s->in. */
enum stream_result stream_read(struct stream *s, size_t most);
/* Writes what is in s->out as far as it goes. OK: all gone. AGAIN: the rest waits for LOOP_WRITE. */
enum stream_result stream_write(struct stream *s);
/* Are there bytes we have not read? Used behind STARTTLS (CVE-2011-0411) and before the banner. */
bool stream_has_unread(const struct stream *s);
/* TLS holds bytes that are decrypted and not read: the descriptor will not tell. */
bool stream_has_pending(const struct stream *s);
/* Sets what to wait for: reading only where the caller wants to, writing where something waits. A wish to read that ends
 * is left with the kernel until bytes really come (stream_hush), since most clients send nothing before our answer:
 * two system calls less for each message. */
void stream_want(struct stream *s, bool reading);
/* Call when LOOP_READ came and nobody wants to read: it would come again and again. */
void stream_hush(struct stream *s);

/* From here on the stream is TLS; stream_handshake() until it is DONE. Takes conn. */
void stream_start_tls(struct stream *s, struct tls_conn *conn);
enum tls_io stream_handshake(struct stream *s);

#endif
