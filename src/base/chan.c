#include "base/chan.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int chan_pair(int fd[2], struct err *e)
{
    int size = 4 * (int)CHAN_MAX;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) < 0)
        return err_set(e, "socketpair: %s", strerror(errno));
    for (int i = 0; i < 2; i++)
        setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return 0;
}

int chan_send(int fd, uint32_t type, const void *data, size_t len, const int *fds, unsigned nfds, struct err *e)
{
    union {
        struct cmsghdr h;
        char b[CMSG_SPACE(sizeof(int) * CHAN_FDS)];
    } ctl;
    struct iovec iov[2] = {{&type, sizeof type}, {(void *)(uintptr_t)data, len}};
    struct msghdr mh = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
    ssize_t n;

    if (len > CHAN_MAX || nfds > CHAN_FDS)
        return err_set(e, "message of %zu bytes and %u descriptors is too large", len, nfds);
    if (nfds) {
        struct cmsghdr *c;

        memset(&ctl, 0, sizeof ctl);
        mh.msg_control = &ctl;
        mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    do
        n = sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 1;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS)
        return 0;
    return err_set(e, "sendmsg: %s", strerror(errno));
}

static int wait_for(int fd, short what, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = what};
    int r;

    do
        r = poll(&p, 1, timeout_ms);
    while (r < 0 && errno == EINTR);
    return r;
}

int chan_send_wait(int fd, int timeout_ms, uint32_t type, const void *data, size_t len, const int *fds, unsigned nfds,
                   struct err *e)
{
    for (;;) {
        int r = chan_send(fd, type, data, len, fds, nfds, e);

        if (r != 0)
            return r;
        if (wait_for(fd, POLLOUT, timeout_ms) <= 0)
            return 0;
    }
}

static int take_fds(struct msghdr *mh, struct chan_msg *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
        size_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int got;

            memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof got);
            if (m->nfds < CHAN_FDS)
                m->fds[m->nfds++] = got;
            else
                close(got);
        }
    }
    return mh->msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -1 : 0;
}

int chan_recv(int fd, void *buf, size_t cap, struct chan_msg *m, struct err *e)
{
    union {
        struct cmsghdr h;
        char b[CMSG_SPACE(sizeof(int) * CHAN_FDS)];
    } ctl;
    struct iovec iov[2] = {{&m->type, sizeof m->type}, {buf, cap}};
    struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = &ctl, .msg_controllen = sizeof ctl};
    ssize_t n;

    memset(m, 0, sizeof *m);
    do
        n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= 0) {
        if (e)
            e->text[0] = '\0';
        return n == 0 || errno == ECONNRESET ? -1 : err_set(e, "recvmsg: %s", strerror(errno));
    }
    if (take_fds(&mh, m) < 0 || (size_t)n < sizeof m->type) {
        chan_msg_close(m);
        return err_set(e, "a message from another process was cut short");
    }
    m->data = buf;
    m->len = (size_t)n - sizeof m->type;
    return 1;
}

int chan_recv_wait(int fd, int timeout_ms, void *buf, size_t cap, struct chan_msg *m, struct err *e)
{
    for (;;) {
        int r = chan_recv(fd, buf, cap, m, e);

        if (r != 0)
            return r;
        if (wait_for(fd, POLLIN, timeout_ms) <= 0)
            return 0;
    }
}

int chan_msg_take(struct chan_msg *m, unsigned i)
{
    int fd = -1;

    if (i < m->nfds) {
        fd = m->fds[i];
        m->fds[i] = -1;
    }
    return fd;
}

void chan_msg_close(struct chan_msg *m)
{
    for (unsigned i = 0; i < m->nfds; i++)
        if (m->fds[i] >= 0)
            close(m->fds[i]);
    m->nfds = 0;
}
