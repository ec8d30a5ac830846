#include "net/connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(int fd, struct err *e)
{
    err_set(e, "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int connect_start(const struct addr *to, const struct addr *from, struct err *e)
{
    int family = to->ss.ss_family, one = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return fail(fd, e);
    /* one write per batch of commands: waiting for more (Nagle) costs 40 ms for each reply that is awaited */
    if (family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (from && from->len && bind(fd, (const struct sockaddr *)&from->ss, from->len) < 0)
        return fail(fd, e);
    if (connect(fd, (const struct sockaddr *)&to->ss, to->len) == 0 || errno == EINPROGRESS)
        return fd;
    return fail(fd, e); /* a unix socket whose backlog is full says EAGAIN: busy, as good as refused */
}

int connect_result(int fd, struct err *e)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    return error ? err_set(e, "%s", strerror(error)) : 0;
}
