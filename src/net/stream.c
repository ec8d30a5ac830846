#include "net/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE ((size_t)16 * 1024)

void stream_init(struct stream *s, struct loop *l, int fd, loop_io *io, void *arg)
{
    memset(s, 0, sizeof *s);
    s->fd = fd;
    s->watch = watch_new(l, fd, io, arg);
}

void stream_close(struct stream *s)
{
    if (s->tls && !s->handshaking)
        tls_conn_shutdown(s->tls);
    watch_free(&s->watch);
    tls_conn_free(&s->tls);
    buf_clear(&s->in);
    buf_clear(&s->out);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void stream_reset(struct stream *s)
{
    struct linger now = {1, 0};

    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    stream_close(s);
}

static enum stream_result read_clear(struct stream *s, size_t most)
{
    char room[READ_SIZE];
    ssize_t n;

    do
        n = recv(s->fd, room, most < sizeof room ? most : sizeof room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        buf_append(&s->in, room, (size_t)n);
        return STREAM_OK;
    }
    if (n == 0)
        return STREAM_EOF;
    return errno == EAGAIN || errno == EWOULDBLOCK ? STREAM_AGAIN : STREAM_FAILED;
}

static enum stream_result read_tls(struct stream *s, size_t most)
{
    char room[READ_SIZE];
    size_t n = 0;

    s->tls_wants_write = false;
    switch (tls_conn_read(s->tls, room, most < sizeof room ? most : sizeof room, &n)) {
    case TLS_IO_DONE:
        buf_append(&s->in, room, n);
        return STREAM_OK;
    case TLS_IO_WANT_READ:
        return STREAM_AGAIN;
    case TLS_IO_WANT_WRITE:
        s->tls_wants_write = true;
        return STREAM_AGAIN;
    case TLS_IO_EOF:
        return STREAM_EOF;
    default:
        return STREAM_FAILED;
    }
}

enum stream_result stream_read(struct stream *s, size_t most)
{
    enum stream_result r = s->tls ? read_tls(s, most) : read_clear(s, most);

    s->eof |= r == STREAM_EOF;
    return r;
}

static enum stream_result write_some(struct stream *s, size_t *n)
{
    ssize_t w;

    if (s->tls) {
        switch (tls_conn_write(s->tls, buf_data(&s->out), s->out.len, n)) {
        case TLS_IO_DONE:
            return STREAM_OK;
        case TLS_IO_WANT_READ:
        case TLS_IO_WANT_WRITE:
            return STREAM_AGAIN;
        default:
            return STREAM_FAILED;
        }
    }
    do
        w = send(s->fd, buf_data(&s->out), s->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (w < 0 && errno == EINTR);
    *n = w > 0 ? (size_t)w : 0;
    return w > 0 ? STREAM_OK : errno == EAGAIN || errno == EWOULDBLOCK ? STREAM_AGAIN : STREAM_FAILED;
}

enum stream_result stream_write(struct stream *s)
{
    while (s->out.len) {
        size_t n = 0;
        enum stream_result r = write_some(s, &n);

        if (r != STREAM_OK)
            return r;
        buf_consume(&s->out, n);
    }
    return STREAM_OK;
}

bool stream_has_unread(const struct stream *s)
{
    int n = 0;

    return s->in.len > 0 || (ioctl(s->fd, FIONREAD, &n) == 0 && n > 0);
}

bool stream_has_pending(const struct stream *s)
{
    return s->tls && !s->handshaking && tls_conn_has_pending(s->tls);
}

void stream_want(struct stream *s, bool reading)
{
    unsigned what = 0;

    if (reading && !s->eof)
        what |= s->tls_wants_write ? LOOP_WRITE : LOOP_READ;
    else if (!s->eof)
        what |= watch_wanted(s->watch) & LOOP_READ;
    if (s->out.len)
        what |= LOOP_WRITE;
    watch_want(s->watch, what);
}

void stream_hush(struct stream *s)
{
    watch_want(s->watch, watch_wanted(s->watch) & ~LOOP_READ);
}

void stream_start_tls(struct stream *s, struct tls_conn *conn)
{
    s->tls = conn;
    s->handshaking = true;
    tls_conn_attach(conn, s->fd);
}

enum tls_io stream_handshake(struct stream *s)
{
    enum tls_io r = tls_conn_handshake(s->tls);

    if (r == TLS_IO_DONE) {
        s->handshaking = false;
        s->eof = false;
    }
    /* when it is over, what is wanted next is the caller's to say */
    if (r == TLS_IO_WANT_READ || r == TLS_IO_WANT_WRITE)
        watch_want(s->watch, r == TLS_IO_WANT_READ ? LOOP_READ : LOOP_WRITE);
    return r;
}
