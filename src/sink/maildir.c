#include "sink/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "sink/fsops.h"

#define LOOK_AGAIN_US 1000000

struct maildirs {
    const struct conf *conf;
    struct delivery *deliveries;
    pthread_mutex_t lock;
    struct maildir **by_mailbox;
    struct maildir *newest, *oldest; /* listed ones, by use */
    unsigned open, most;
    atomic_uchar *settled;
};

struct maildirs *maildirs_new(const struct conf *c, struct delivery *deliveries, unsigned most)
{
    struct maildirs *m = mem_alloc(sizeof *m);

    m->conf = c;
    m->deliveries = deliveries;
    m->most = most;
    m->by_mailbox = mem_alloc(sizeof(struct maildir *) * (c->mailbox_count + 1));
    m->settled = mem_alloc(sizeof *m->settled * (c->mailbox_count + 1));
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

struct delivery *maildir_delivery(const struct maildirs *m, uint32_t mailbox)
{
    return &m->deliveries[m->conf->mailboxes[mailbox].delivery];
}

/* ---- the list; the lock is held */

static void unlink_list(struct maildirs *m, struct maildir *d)
{
    *(d->newer ? &d->newer->older : &m->newest) = d->older;
    *(d->older ? &d->older->newer : &m->oldest) = d->newer;
    d->newer = d->older = NULL;
}

static void link_newest(struct maildirs *m, struct maildir *d)
{
    d->older = m->newest;
    *(m->newest ? &m->newest->newer : &m->oldest) = d;
    m->newest = d;
}

static void drop_ref(struct maildirs *m, struct maildir *d)
{
    if (--d->refs)
        return;
    close(d->fd);
    free(d);
    m->open--;
}

static void unlist(struct maildirs *m, struct maildir *d)
{
    if (!d->listed)
        return;
    d->listed = false;
    m->by_mailbox[d->mailbox] = NULL;
    unlink_list(m, d);
    drop_ref(m, d);
}

static void trim(struct maildirs *m)
{
    struct maildir *d = m->oldest;

    while (d && m->open > m->most) {
        struct maildir *newer = d->newer;

        if (d->refs == 1)
            unlist(m, d);
        d = newer;
    }
}

/* ---- the disk */

static int make_dir(int at, const char *name, mode_t mode)
{
    if (fsops->mkdir(at, name, mode) == 0) {
        /* mkdir(2) takes the umask off and knows no setgid bit, which a shared mail group wants */
        if (mode & ~(mode_t)0700 && fchmodat(at, name, mode, 0) < 0)
            return -1;
        fsops_step("directory-made");
        return 0;
    }
    return errno == EEXIST ? 0 : -1;
}

/* Makes what is missing of `below`, component by component, and returns the last directory. */
static int make_way(int base, const char *below, mode_t mode)
{
    int at = fsops->open_dir(base, ".");

    while (at >= 0 && *below) {
        char name[NAME_MAX + 1];
        size_t n = strcspn(below, "/");
        int next = -1, error = ENAMETOOLONG;

        if (n <= NAME_MAX) {
            memcpy(name, below, n);
            name[n] = '\0';
            next = make_dir(at, name, mode) == 0 ? fsops->open_dir(at, name) : -1;
            error = errno;
        }
        close(at);
        errno = error;
        at = next;
        below += n + strspn(below + n, "/");
    }
    return at;
}

static int make_mailbox(const struct delivery *d, int base, const char *below, const char *part)
{
    static const char *const parts[] = {"cur", "tmp", "new"};
    int box = make_way(base, below, d->conf->dir_mode), fd = -1, error;
    bool made = box >= 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts && made; i++)
        made = make_dir(box, parts[i], d->conf->dir_mode) == 0;
    if (made)
        fd = fsops->open_dir(box, part);
    error = errno;
    if (box >= 0)
        close(box);
    errno = error;
    return fd;
}

static int part_path(char dst[PATH_MAX], const struct maildirs *m, uint32_t mailbox, const char *part)
{
    const char *below = delivery_below(maildir_delivery(m, mailbox), m->conf->mailboxes[mailbox].path);
    int n;

    if (!below) {
        errno = EINVAL;
        return -1;
    }
    n = snprintf(dst, PATH_MAX, "%s%s%s", below, *below ? "/" : "", part);
    if (n < PATH_MAX)
        return (int)strlen(below);
    errno = ENAMETOOLONG;
    return -1;
}

int maildir_open_part(struct maildirs *m, uint32_t mailbox, const char *part)
{
    struct delivery *d = maildir_delivery(m, mailbox);
    char path[PATH_MAX];
    int below = part_path(path, m, mailbox, part), base = delivery_base(d), fd;

    if (below < 0 || base < 0)
        return -1;
    delivery_act_as(d);
    fd = fsops->open_dir(base, path);
    if (fd < 0 && errno == ENOENT) {
        m->settled[mailbox] = 0;
        path[below] = '\0';
        fd = make_mailbox(d, base, path, part);
        if (fd < 0 && errno == ENOENT)
            delivery_doubt(d); /* the base itself is gone */
    }
    delivery_act_as(NULL);
    return fd;
}

/* A descriptor outlives the name of its directory: is it still what the path leads to? */
static bool is_current(const struct maildirs *m, const struct maildir *d)
{
    char path[PATH_MAX];
    struct stat st;
    int base = delivery_base(maildir_delivery(m, d->mailbox));
    bool same;

    if (base < 0 || part_path(path, m, d->mailbox, "new") < 0)
        return false;
    delivery_act_as(maildir_delivery(m, d->mailbox));
    same = fstatat(base, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == d->dev && st.st_ino == d->ino;
    delivery_act_as(NULL);
    return same;
}

static struct maildir *open_new(struct maildirs *m, uint32_t mailbox)
{
    int fd = maildir_open_part(m, mailbox, "new"), error;
    struct maildir *d;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0) {
        error = errno;
        close(fd);
        errno = error;
        return NULL;
    }
    d = mem_alloc(sizeof *d);
    *d = (struct maildir){.fd = fd, .dev = st.st_dev, .ino = st.st_ino, .mailbox = mailbox, .refs = 1};
    d->checked_us = clock_now().mono_us;
    return d;
}

/* ---- */

static struct maildir *find(struct maildirs *m, uint32_t mailbox)
{
    struct maildir *d;

    pthread_mutex_lock(&m->lock);
    d = m->by_mailbox[mailbox];
    if (d) {
        d->refs++;
        unlink_list(m, d);
        link_newest(m, d);
    }
    pthread_mutex_unlock(&m->lock);
    return d;
}

/* Another thread may have been faster: the last one is listed, each user keeps its own. */
static void list(struct maildirs *m, struct maildir *d)
{
    pthread_mutex_lock(&m->lock);
    m->open++;
    if (m->by_mailbox[d->mailbox])
        unlist(m, m->by_mailbox[d->mailbox]);
    m->by_mailbox[d->mailbox] = d;
    d->listed = true;
    d->refs++;
    link_newest(m, d);
    trim(m);
    pthread_mutex_unlock(&m->lock);
}

struct maildir *maildir_get(struct maildirs *m, uint32_t mailbox)
{
    struct maildir *d = find(m, mailbox);
    int64_t now = clock_now().mono_us;

    if (d && now - d->checked_us >= LOOK_AGAIN_US) {
        if (is_current(m, d)) {
            d->checked_us = now;
        } else {
            maildir_forget(m, d);
            maildir_put(m, d);
            d = NULL;
        }
    }
    if (!d) {
        d = open_new(m, mailbox);
        if (d)
            list(m, d);
    }
    return d;
}

void maildir_put(struct maildirs *m, struct maildir *d)
{
    pthread_mutex_lock(&m->lock);
    drop_ref(m, d);
    if (m->open > m->most)
        trim(m);
    pthread_mutex_unlock(&m->lock);
}

void maildir_forget(struct maildirs *m, struct maildir *d)
{
    pthread_mutex_lock(&m->lock);
    unlist(m, d);
    m->settled[d->mailbox] = 0;
    pthread_mutex_unlock(&m->lock);
}

void maildirs_free(struct maildirs **mp)
{
    struct maildirs *m = *mp;

    if (!m)
        return;
    while (m->oldest)
        unlist(m, m->oldest);
    pthread_mutex_destroy(&m->lock);
    free(m->by_mailbox);
    free(m->settled);
    free(m);
    *mp = NULL;
}

/* ---- the names on the way */

bool maildir_is_settled(const struct maildirs *m, uint32_t mailbox)
{
    return m->settled[mailbox] != 0;
}

void maildir_settle(struct maildirs *m, uint32_t mailbox)
{
    m->settled[mailbox] = 1;
}

int maildir_open_way(struct maildirs *m, uint32_t mailbox, unsigned depth)
{
    struct delivery *d = maildir_delivery(m, mailbox);
    char path[PATH_MAX];
    int base = delivery_base(d), below = part_path(path, m, mailbox, ""), fd;
    size_t end = 0;

    if (base < 0 || below < 0)
        return -1;
    path[below] = '\0';
    for (; depth; depth--) {
        if (!path[end]) {
            errno = 0;
            return -1;
        }
        end += strspn(path + end, "/");
        end += strcspn(path + end, "/");
    }
    path[end] = '\0';
    delivery_act_as(d);
    fd = fsops->open_dir(base, path);
    delivery_act_as(NULL);
    return fd;
}
