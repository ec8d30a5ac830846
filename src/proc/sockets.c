#include "proc/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "proc/control.h"
#include "proc/notify.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

struct sock {
    char listener[128];
    struct addr wanted, local;
    int fd;
    unsigned generation; /* the newest that asked for it */
};

struct sockets {
    struct sock *list;
    unsigned count;
    int control_fd, lock_fd;
    char dir[512];
};

struct sockets *sockets_new(void)
{
    struct sockets *s = mem_alloc(sizeof *s);

    s->control_fd = s->lock_fd = -1;
    return s;
}

void sockets_free(struct sockets **sp)
{
    struct sockets *s = *sp;

    if (!s)
        return;
    for (unsigned i = 0; i < s->count; i++)
        close(s->list[i].fd);
    if (s->control_fd >= 0)
        close(s->control_fd);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->list);
    free(s);
    *sp = NULL;
}

static int listen_on(const struct addr *a, struct err *e)
{
    char text[ADDR_TEXT];
    int one = 1, fd = notify_take_socket(a);

    if (fd >= 0)
        return fd;
    fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(e, "%s: socket: %s", addr_text(a, text), strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (a->ss.ss_family == AF_INET6) /* 0.0.0.0 and [::] are two listeners, never one by surprise */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&a->ss, a->len) < 0 || listen(fd, BACKLOG) < 0) {
        int was = errno;

        close(fd);
        err_set(e, "%s: %s%s", addr_text(a, text), strerror(was),
                was == EADDRINUSE      ? "; another program listens there (ss -ltnp shows which)"
                : was == EACCES        ? "; ports below 1024 need root or CAP_NET_BIND_SERVICE"
                : was == EADDRNOTAVAIL ? "; no interface of this machine has that address"
                                       : "");
        errno = was;
        return -1;
    }
    return fd;
}

static struct sock *find(struct sockets *s, const struct proc_bind *b)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct sock *k = &s->list[i];

        if (addr_equal(&k->wanted, &b->addr) && (addr_port(&b->addr) || strcmp(k->listener, b->listener) == 0))
            return k;
    }
    return NULL;
}

int sockets_get(struct sockets *s, const struct proc_bind *b, unsigned generation, struct addr *local, int *error,
                struct err *e)
{
    struct sock *k = find(s, b);

    *error = 0;
    if (!k) {
        struct sock fresh = {.wanted = b->addr, .fd = -1};

        fresh.fd = listen_on(&b->addr, e);
        if (fresh.fd < 0) {
            *error = errno ? errno : EIO;
            return -1;
        }
        fresh.local.len = sizeof fresh.local.ss;
        getsockname(fresh.fd, (struct sockaddr *)&fresh.local.ss, &fresh.local.len);
        s->list = mem_grow(s->list, sizeof *s->list * (s->count + 1));
        k = &s->list[s->count++];
        *k = fresh;
    }
    memcpy(k->listener, b->listener, sizeof k->listener);
    k->generation = generation;
    *local = k->local;
    return k->fd;
}

/* One daemon per state directory: two would answer on one control socket. The lock ends with the process. */
static int lock_dir(const char *dir, struct err *e)
{
    int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;

    if (dirfd >= 0)
        fd = openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        err_set(e, "state-dir %s: %s", dir, strerror(errno));
    if (dirfd >= 0)
        close(dirfd);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        err_set(e, "state-dir %s: %s", dir,
                errno == EWOULDBLOCK ? "another postern is running with this directory" : strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

static int make_dir(const struct proc_bind *b, struct err *e)
{
    if (mkdir(b->dir, 0750) < 0) {
        if (errno == EEXIST)
            return 0;
        return err_set(e, "state-dir %s: %s; its parent directory must exist", b->dir, strerror(errno));
    }
    /* It stays root's: without CAP_DAC_OVERRIDE, as the unit runs us, root may not write into a directory of another
     * owner. The group is what lets its members reach the control socket. */
    if (geteuid() == 0 && chown(b->dir, (uid_t)-1, b->gid) < 0)
        return err_set(e, "state-dir %s: %s", b->dir, strerror(errno));
    return 0;
}

int sockets_control(struct sockets *s, const struct proc_bind *b, int *error, struct err *e)
{
    int lock, fd;

    *error = 0;
    if (s->control_fd >= 0 && strcmp(s->dir, b->dir) == 0)
        return s->control_fd;
    errno = 0;
    if (make_dir(b, e) < 0 || (lock = lock_dir(b->dir, e)) < 0) {
        *error = errno ? errno : EIO;
        return -1;
    }
    fd = control_listen(b->dir, b->uid, b->gid, e);
    if (fd < 0) {
        *error = EIO;
        close(lock);
        return -1;
    }
    if (s->control_fd >= 0) { /* state-dir changed; the old one is let go of */
        close(s->control_fd);
        close(s->lock_fd);
    }
    s->control_fd = fd;
    s->lock_fd = lock;
    memcpy(s->dir, b->dir, sizeof s->dir);
    return fd;
}

void sockets_retire(struct sockets *s, unsigned generation)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < s->count; i++) {
        if (s->list[i].generation == generation)
            s->list[kept++] = s->list[i];
        else
            close(s->list[i].fd);
    }
    s->count = kept;
}

int sockets_write_ports(const struct sockets *s, unsigned generation, const char *file, struct err *e)
{
    char tmp[4096], text[ADDR_TEXT];
    FILE *f;

    snprintf(tmp, sizeof tmp, "%s.new", file);
    f = fopen(tmp, "we");
    if (!f)
        return err_set(e, "%s: %s", tmp, strerror(errno));
    for (unsigned i = 0; i < s->count; i++)
        if (s->list[i].generation == generation)
            fprintf(f, "%s %s\n", s->list[i].listener, addr_text(&s->list[i].local, text));
    if (fclose(f) != 0 || rename(tmp, file) < 0)
        return err_set(e, "%s: %s", file, strerror(errno));
    return 0;
}
