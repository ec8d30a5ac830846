#include "sink/delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define LOOK_AGAIN_US 1000000
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* "/var/mail/%d/%u" -> "/var/mail": the last component without a variable before it. */
static char *base_of(const char *template)
{
    size_t n = strcspn(template, "%");

    if (template[n] == '%')
        while (n > 1 && template[n - 1] != '/')
            n--;
    while (n > 1 && template[n - 1] == '/')
        n--;
    return mem_strn(template, n);
}

static void find_owner(struct delivery *d, uid_t uid, gid_t gid)
{
    const struct passwd *p;
    const struct group *g;

    d->uid = uid;
    d->gid = gid;
    if (geteuid() != 0)
        return; /* all files are the current user's, which the leader has said */
    if (d->conf->owner) {
        p = getpwnam(d->conf->owner);
        if (!p) {
            d->fixed = EINVAL;
            return;
        }
        d->uid = p->pw_uid;
        d->gid = p->pw_gid;
    }
    if (d->conf->group) {
        g = getgrnam(d->conf->group);
        if (!g)
            d->fixed = EINVAL;
        else
            d->gid = g->gr_gid;
    }
}

/* The base with all parents, as mkdir -p; each new name flushed, or a power cut takes it back. */
static int make_base(const struct delivery *d)
{
    int at = open("/", DIR_FLAGS), next = -1;
    char *path = mem_str(d->base), *save = NULL;

    for (char *name = strtok_r(path, "/", &save); name && at >= 0; name = strtok_r(NULL, "/", &save)) {
        bool made = mkdirat(at, name, d->conf->dir_mode) == 0;

        next = made || errno == EEXIST ? openat(at, name, DIR_FLAGS) : -1;
        if (next >= 0 && made && ((geteuid() == 0 && fchown(next, d->uid, d->gid) < 0) || fsync(at) < 0)) {
            close(next);
            next = -1;
        }
        close(at);
        at = next;
    }
    free(path);
    return at;
}

void delivery_open(struct delivery *d, const struct conf_delivery *conf, unsigned number, uid_t uid, gid_t gid)
{
    *d = (struct delivery){.conf = conf, .number = number, .fd = -1, .pool_fd = -1};
    pthread_mutex_init(&d->lock, NULL);
    if (conf->type != CONF_DELIVERY_MAILDIR) {
        d->base = mem_str("");
        d->error = d->fixed = EINVAL;
        return;
    }
    d->base = base_of(d->conf->path);
    find_owner(d, uid, gid);
    d->other = d->uid != uid || d->gid != gid;
    if (d->fixed) {
        d->error = d->fixed;
        return;
    }
    d->fd = open(d->base, DIR_FLAGS);
    if (d->fd < 0 && errno == ENOENT)
        d->fd = make_base(d);
    d->error = d->fd < 0 ? errno : 0;
    d->checked_us = clock_now().mono_us;
}

void delivery_close(struct delivery *d)
{
    if (d->pool_owned)
        close(d->pool_fd);
    if (d->fd >= 0)
        close(d->fd);
    pthread_mutex_destroy(&d->lock);
    free(d->base);
}

/* The number of the descriptor stays: others use it without holding the lock. */
static int reopen(struct delivery *d)
{
    int fd = open(d->base, DIR_FLAGS);

    if (fd < 0) /* Landlock knows the directory that was there at the start, not this one */
        return errno == EACCES && d->fd >= 0 ? ESTALE : errno;
    if (d->fd < 0) {
        d->fd = fd;
        return 0;
    }
    if (dup3(fd, d->fd, O_CLOEXEC) < 0) {
        close(fd);
        return ESTALE;
    }
    close(fd);
    return 0;
}

/* Mail must not go into a directory that nobody sees any more: 451 until it is back, or until a reload. */
static int look(struct delivery *d)
{
    struct stat here, ours;

    if (d->fd < 0)
        return reopen(d);
    if (stat(d->base, &here) < 0)
        return errno == EACCES ? 0 : errno; /* EACCES: the path is not ours to walk, only the directory is */
    if (fstat(d->fd, &ours) < 0)
        return errno;
    return here.st_dev == ours.st_dev && here.st_ino == ours.st_ino ? 0 : reopen(d);
}

int delivery_base(struct delivery *d)
{
    int64_t now = clock_now().mono_us;
    int error;

    pthread_mutex_lock(&d->lock);
    if (!d->fixed && now - d->checked_us >= LOOK_AGAIN_US) {
        d->error = look(d);
        d->checked_us = now;
    }
    error = d->error;
    pthread_mutex_unlock(&d->lock);
    if (!error)
        return d->fd;
    errno = error;
    return -1;
}

void delivery_doubt(struct delivery *d)
{
    pthread_mutex_lock(&d->lock);
    d->checked_us = 0;
    pthread_mutex_unlock(&d->lock);
}

void delivery_act_as(const struct delivery *d)
{
    static _Thread_local const struct delivery *acting;
    int keep = errno;

    if (d && !d->other)
        d = NULL;
    if (d == acting)
        return;
    /* the user last when rights go, first when they come back: each needs the rights of before */
    if (acting) {
        setfsuid(geteuid());
        setfsgid(getegid());
    }
    if (d) {
        setfsgid(d->gid);
        setfsuid(d->uid);
    }
    acting = d;
    errno = keep;
}

bool delivery_is_alike(const struct delivery *a, const struct delivery *b)
{
    return a == b || (a->uid == b->uid && a->gid == b->gid && a->conf->file_mode == b->conf->file_mode);
}

const char *delivery_below(const struct delivery *d, const char *path)
{
    size_t n = strlen(d->base);

    if (strncmp(path, d->base, n) != 0 || (n > 1 && path[n] != '/' && path[n] != '\0'))
        return NULL;
    path += n;
    return path + strspn(path, "/");
}
