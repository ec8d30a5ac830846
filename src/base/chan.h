/* Messages with descriptors between our processes: one SOCK_SEQPACKET datagram is one message, a
 * 32-bit type and a payload of at most CHAN_MAX bytes, with at most CHAN_FDS descriptors.
 * What a message means, and whether its payload is well-formed, is the reader's business: a worker is
 * not trusted by those it talks to. */
#ifndef BASE_CHAN_H
#define BASE_CHAN_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define CHAN_MAX ((size_t)128 * 1024)
#define CHAN_FDS 64

struct chan_msg {
    uint32_t type;
    size_t len;
    const void *data;  /* inside the buffer given to chan_recv */
    int fds[CHAN_FDS]; /* close-on-exec; the receiver owns them, chan_msg_close() closes what is left */
    unsigned nfds;
};

/* Two connected ends, non-blocking, close-on-exec, buffers large enough for CHAN_MAX. */
int chan_pair(int fd[2], struct err *e);

/* 1: sent whole. 0: would block, nothing sent, try again when writable. -1: the peer is gone (EPIPE,
 * ECONNRESET) or a bug (e says). Descriptors are duplicated to the peer, the caller keeps its own. */
int chan_send(int fd, uint32_t type, const void *data, size_t len, const int *fds, unsigned nfds, struct err *e);
/* The same, waiting at most timeout_ms for room. 0 means the time is over. */
int chan_send_wait(int fd, int timeout_ms, uint32_t type, const void *data, size_t len, const int *fds, unsigned nfds,
                   struct err *e);

/* 1: a message. 0: none now. -1: end of file (e->text empty) or failure. buf: at least CHAN_MAX + 4. */
int chan_recv(int fd, void *buf, size_t cap, struct chan_msg *m, struct err *e);
int chan_recv_wait(int fd, int timeout_ms, void *buf, size_t cap, struct chan_msg *m, struct err *e);

/* Takes descriptor i out of the message (-1 when there is none): now the caller's. */
int chan_msg_take(struct chan_msg *m, unsigned i);
void chan_msg_close(struct chan_msg *m);

#endif
