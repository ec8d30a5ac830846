#include "proc/notify.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

void notify_send(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    int fd;

    if (n < 2 || n >= sizeof un.sun_path)
        return;
    memcpy(un.sun_path, path, n);
    if (un.sun_path[0] == '@')
        un.sun_path[0] = '\0'; /* an abstract socket */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&un,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}

void notify_reloading(void)
{
    char text[80];

    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_now().mono_us);
    notify_send(text);
}

int64_t notify_watchdog_us(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t v, p;

    if (!usec || !text_u64(span_str(usec), &v))
        return 0;
    if (pid && (!text_u64(span_str(pid), &p) || p != (uint64_t)getpid()))
        return 0;
    return (int64_t)(v / 2);
}

int notify_take_socket(const struct addr *a)
{
    static uint64_t taken;
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    uint64_t p, n;

    if (!pid || !count || !text_u64(span_str(pid), &p) || p != (uint64_t)getpid() || !text_u64(span_str(count), &n) ||
        n > 63)
        return -1;
    for (int i = 0; i < (int)n; i++) {
        struct addr local = {.len = sizeof local.ss};
        int fd = 3 + i, listens = 0;
        socklen_t size = sizeof listens;

        if (taken & (uint64_t)1 << i || getsockname(fd, (struct sockaddr *)&local.ss, &local.len) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens || !addr_equal(a, &local))
            continue;
        taken |= (uint64_t)1 << i;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return fd;
    }
    return -1;
}
