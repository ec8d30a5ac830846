#include "sink/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "sink/fsops.h"

#define TOUCHED 256u /* directories held open at once: a message for thousands is published in parts */
#define WAY_MOST 16u /* directories between base and new/ */
#define COPIES 8u    /* file systems and owners of one message besides its own */

struct copy { /* of the message in hand, for another file system or another owner */
    int fd;
    int tmp; /* where it has the message's name for a while, -1: nameless */
    dev_t dev;
    const struct delivery *delivery;
};

struct publish {
    struct maildirs *dirs;
    struct flusher *flusher;
    const char *host;
    int procfd, pid;
    struct touched {
        struct maildir *dir;
        struct message *message;
        uint32_t mailbox;
    } touched[TOUCHED];
    unsigned count;
    struct copy copies[COPIES];
    unsigned copy_count;
    struct delivery *queue;
    struct message *queued; /* those with a name in the queue that is not flushed */
};

struct publish *publish_new(struct maildirs *m, struct flusher *f, const char *host, int procfd, struct delivery *queue)
{
    struct publish *p = mem_alloc(sizeof *p);

    p->dirs = m;
    p->flusher = f;
    p->host = host;
    p->procfd = procfd;
    p->queue = queue;
    p->pid = (int)getpid();
    return p;
}

void publish_free(struct publish **p)
{
    free(*p);
    *p = NULL;
}

void message_fail(struct message *m, int error, uint32_t mailbox)
{
    if (m->error)
        return;
    m->error = error ? error : EIO;
    m->mailbox = mailbox;
}

/* ---- copies */

static int copy_bytes(int from, int to)
{
    static _Thread_local char room[65536];
    ssize_t n;

    while ((n = read(from, room, sizeof room)) != 0) {
        if (n < 0 && errno != EINTR)
            return -1;
        for (ssize_t done = 0; done < n;) {
            ssize_t w = fsops->write(to, room + done, (size_t)(n - done));

            if (w < 0 && errno != EINTR)
                return -1;
            done += w > 0 ? w : 0;
        }
    }
    return 0;
}

/* The file is write-only: /proc/self/fd opens it again for reading, with the rights of its owner. */
static int open_again(const struct publish *p, const struct message *m)
{
    char number[16];
    int fd;

    snprintf(number, sizeof number, "%d", m->fd);
    delivery_act_as(m->delivery);
    fd = openat(p->procfd, number, O_RDONLY | O_CLOEXEC);
    delivery_act_as(NULL);
    return fd;
}

/* A file in the directory it will be linked into: always the right file system, and no link between directories,
 * which the first Landlock has no right for. Without O_TMPFILE it is named in tmp/ for a while. */
static int make_copy(struct publish *p, const struct message *m, const struct maildir *d, const struct delivery *to,
                     struct copy *out)
{
    *out = (struct copy){.tmp = -1, .dev = d->dev, .delivery = to};
    delivery_act_as(to);
    out->fd = fsops->create(d->fd, to->conf->file_mode);
    delivery_act_as(NULL);
    if (out->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return out->fd;
    out->tmp = maildir_open_part(p->dirs, d->mailbox, "tmp");
    if (out->tmp < 0)
        return -1;
    delivery_act_as(to);
    out->fd = fsops->create_named(out->tmp, m->name, to->conf->file_mode);
    delivery_act_as(NULL);
    return out->fd;
}

static void drop_copy(const struct message *m, struct copy *c)
{
    if (c->tmp >= 0) {
        delivery_act_as(c->delivery);
        (void)fsops->unlink(c->tmp, m->name);
        delivery_act_as(NULL);
        close(c->tmp);
    }
    if (c->fd >= 0)
        close(c->fd);
}

static void drop_copies(struct publish *p, const struct message *m)
{
    while (p->copy_count)
        drop_copy(m, &p->copies[--p->copy_count]);
}

static int fill_copy(struct publish *p, const struct message *m, const struct copy *c)
{
    int from = open_again(p, m), error, rc = -1;

    if (from < 0)
        return -1;
    if (copy_bytes(from, c->fd) == 0)
        rc = fsops->flush_data(c->fd);
    error = errno;
    close(from);
    errno = error;
    return rc;
}

static int copy_for(struct publish *p, const struct message *m, const struct maildir *d, const struct delivery *to)
{
    struct copy c;

    for (unsigned i = 0; i < p->copy_count; i++)
        if (p->copies[i].dev == d->dev && delivery_is_alike(p->copies[i].delivery, to))
            return p->copies[i].fd;
    if (p->copy_count == COPIES)
        drop_copies(p, m);
    if (make_copy(p, m, d, to, &c) < 0 || fill_copy(p, m, &c) < 0) {
        int error = errno;

        drop_copy(m, &c);
        errno = error;
        return -1;
    }
    p->copies[p->copy_count++] = c;
    return c.fd;
}

/* ---- names */

/* Two mailboxes may share a directory: then the name is there already, and it is this file's. */
static bool is_there_already(int fd, int dir, const char *name)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int link_as(struct publish *p, int fd, const struct maildir *d, const struct delivery *to, const char *name)
{
    int rc, error;

    delivery_act_as(to);
    rc = fsops->link(p->procfd, fd, d->fd, name);
    error = errno;
    delivery_act_as(NULL);
    if (rc < 0 && error == EEXIST && is_there_already(fd, d->fd, name))
        return 0;
    errno = error;
    return rc;
}

static int link_into(struct publish *p, struct message *m, const struct maildir *d, uint32_t mailbox)
{
    const struct delivery *to = maildir_delivery(p->dirs, mailbox);
    int fd;

    if (d->dev == m->dev && delivery_is_alike(m->delivery, to)) {
        if (link_as(p, m->fd, d, to, m->name) == 0)
            return 0;
        if (errno != EXDEV) /* project quotas and some network file systems say it within one device */
            return -1;
    }
    fd = copy_for(p, m, d, to);
    return fd < 0 ? -1 : link_as(p, fd, d, to, m->name);
}

static int link_mailbox(struct publish *p, struct message *m, uint32_t mailbox)
{
    for (int attempt = 0;; attempt++) {
        struct maildir *d = maildir_get(p->dirs, mailbox);
        int error;

        if (!d)
            return -1;
        if (link_into(p, m, d, mailbox) == 0) {
            p->touched[p->count++] = (struct touched){d, m, mailbox};
            fsops_step("linked");
            return 0;
        }
        error = errno;
        if (error == ENOENT || error == ESTALE) /* removed since it was opened; ESTALE: on another machine */
            maildir_forget(p->dirs, d);
        maildir_put(p->dirs, d);
        errno = error;
        if ((error != ENOENT && error != ESTALE) || attempt == 2)
            return -1;
    }
}

/* Nobody was told 250: none of its names may stay. What cannot be removed (a disk that went read-only) is a duplicate
 * at worst, since the sender tries again. */
static void take_back(struct publish *p, struct message *m, bool flush)
{
    if (m->queued.linked) {
        int dir = delivery_base(p->queue);

        if (dir >= 0) {
            (void)fsops->unlink(dir, m->queued.id);
            if (flush)
                (void)fsops->flush_dir(dir);
        }
        m->queued.linked = false;
    }
    for (uint32_t i = 0; i < m->linked; i++) {
        struct maildir *d = maildir_get(p->dirs, m->mailboxes[i]);

        if (!d)
            continue;
        delivery_act_as(maildir_delivery(p->dirs, m->mailboxes[i]));
        (void)fsops->unlink(d->fd, m->name);
        delivery_act_as(NULL);
        if (flush)
            (void)fsops->flush_dir(d->fd);
        maildir_put(p->dirs, d);
    }
    m->linked = 0;
}

/* The name is the id, made by the worker's session: two of them may be equal by chance, and then this one comes again. */
static void link_queue(struct publish *p, struct message *m)
{
    int dir = delivery_base(p->queue);

    if (dir < 0 || fsops->link(p->procfd, m->queued.fd, dir, m->queued.id) < 0) {
        message_fail(m, errno, UINT32_MAX);
        return;
    }
    m->queued.linked = true;
    m->next_queued = p->queued;
    p->queued = m;
    fsops_step("linked");
}

void publish_message(struct publish *p, struct message *m)
{
    static _Atomic uint64_t number;

    names_make(m->name, clock_now().real_us, p->pid, ++number, p->host, m->size);
    m->linked = 0;
    while (m->linked < m->count && !m->error) {
        if (p->count == TOUCHED)
            publish_end(p); /* may fail this very message */
        if (m->error)
            break;
        if (link_mailbox(p, m, m->mailboxes[m->linked]) < 0)
            message_fail(m, errno, m->mailboxes[m->linked]);
        else
            m->linked++;
    }
    drop_copies(p, m);
    if (!m->error && m->queued.fd >= 0)
        link_queue(p, m);
    if (m->error) /* its directories are flushed with the group's, unless they were before */
        take_back(p, m, m->count > TOUCHED);
}

/* ---- the end */

static int by_directory(const void *a, const void *b)
{
    const struct touched *x = a, *y = b;

    return x->dir < y->dir ? -1 : x->dir > y->dir;
}

static void fail_touched(struct publish *p, unsigned from, unsigned end, int error)
{
    for (unsigned i = from; i < end && error; i++)
        message_fail(p->touched[i].message, error, p->touched[i].mailbox);
}

/* Names on the way to new/ that this process has not seen flushed: all of them together. */
static void settle_some(struct publish *p, unsigned from, unsigned end)
{
    struct flush_item items[TOUCHED];
    unsigned n = 0;

    for (unsigned i = from; i < end; i++) {
        struct touched *t = &p->touched[i];

        if (t->message->error || maildir_is_settled(p->dirs, t->mailbox))
            continue;
        for (unsigned depth = 0; depth < WAY_MOST; depth++) {
            int fd = maildir_open_way(p->dirs, t->mailbox, depth);

            if (fd < 0 && errno != 0)
                message_fail(t->message, errno, t->mailbox);
            if (fd < 0)
                break;
            items[n++] = (struct flush_item){.fd = fd, .dev = t->dir->dev, .user = t};
        }
    }
    flusher_run(p->flusher, items, n, FLUSH_NAMES);
    for (unsigned i = 0; i < n; i++) {
        const struct touched *t = items[i].user;

        if (items[i].error)
            message_fail(t->message, items[i].error, t->mailbox);
        close(items[i].fd);
    }
    for (unsigned i = from; i < end; i++)
        if (!p->touched[i].message->error)
            maildir_settle(p->dirs, p->touched[i].mailbox);
}

static void settle(struct publish *p)
{
    unsigned step = TOUCHED / WAY_MOST;

    for (unsigned i = 0; i < p->count; i += step)
        settle_some(p, i, i + step < p->count ? i + step : p->count);
}

static void flush_queue(struct publish *p)
{
    int dir = p->queued ? delivery_base(p->queue) : -1, error;

    if (!p->queued)
        return;
    error = dir < 0 || fsops->flush_dir(dir) < 0 ? errno : 0;
    for (struct message *m = p->queued; m && error; m = m->next_queued)
        message_fail(m, error, UINT32_MAX);
}

static void take_back_queued(struct publish *p)
{
    for (struct message *m = p->queued; m; m = m->next_queued)
        if (m->error && (m->linked || m->queued.linked))
            take_back(p, m, true);
    p->queued = NULL;
}

void publish_end(struct publish *p)
{
    struct flush_item items[TOUCHED];
    unsigned n = 0;

    qsort(p->touched, p->count, sizeof *p->touched, by_directory);
    for (unsigned i = 0; i < p->count; i++)
        if (!i || p->touched[i].dir != p->touched[i - 1].dir)
            items[n++] =
                (struct flush_item){.fd = p->touched[i].dir->fd, .dev = p->touched[i].dir->dev, .user = &p->touched[i]};
    flusher_run(p->flusher, items, n, FLUSH_NAMES);
    for (unsigned i = 0; i < n; i++) {
        const struct touched *first = items[i].user;
        unsigned from = (unsigned)(first - p->touched), end = from;

        while (end < p->count && p->touched[end].dir == first->dir)
            end++;
        fail_touched(p, from, end, items[i].error);
    }
    settle(p);
    flush_queue(p);
    take_back_queued(p);
    for (unsigned i = 0; i < p->count; i++)
        if (p->touched[i].message->error && p->touched[i].message->linked)
            take_back(p, p->touched[i].message, true);
    for (unsigned i = 0; i < p->count; i++)
        maildir_put(p->dirs, p->touched[i].dir);
    p->count = 0;
}
