#include "sink/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "sink/fsops.h"

#define CACHE_MOST 1024 /* new/ directories kept open */
#define TMP_NAME ".postern-tmp"

struct base {
    char *path; /* the template up to its first % component */
    int fd, tmp_fd;
    bool other; /* owner differs from the store's user */
    uid_t uid;
    gid_t gid;
    mode_t dir_mode;
};

struct maildirs {
    const struct conf *conf;
    struct base *bases; /* one per delivery */
    int *dirs;          /* fds for Landlock: bases, then /proc/self/fd */
    unsigned dir_count;
    int proc_fd;
    int *cache;         /* one per mailbox: fd of new/, -1 */
    unsigned *order;    /* mailboxes in the order they were cached */
    unsigned cached;
    bool other_owner;
};

/* "/var/mail/%d/%u" -> "/var/mail" */
static char *base_of(const char *template)
{
    const char *percent = strchr(template, '%');
    size_t n = percent ? (size_t)(percent - template) : strlen(template);

    while (n > 1 && template[n - 1] != '/')
        n--;
    while (n > 1 && template[n - 1] == '/')
        n--;
    return mem_strn(template, n);
}

static int resolve_owner(struct maildirs *m, struct base *b, const struct conf_delivery *d, struct err *e)
{
    const char *name = d->owner ? d->owner : m->conf->user;
    const struct passwd *p = name ? getpwnam(name) : NULL;

    b->uid = geteuid();
    b->gid = getegid();
    if (geteuid() != 0) {
        if (d->owner && (!p || p->pw_uid != geteuid()))
            return err_set(e, "delivery \"%s\": owner = \"%s\" needs a start as root", d->title, d->owner);
        return 0;
    }
    if (!name)
        p = getpwnam("postern");
    if (!p)
        return err_set(e, "delivery \"%s\": there is no user \"%s\"", d->title, name ? name : "postern");
    b->uid = p->pw_uid;
    b->gid = p->pw_gid;
    if (d->group) {
        const struct group *g = getgrnam(d->group);

        if (!g)
            return err_set(e, "delivery \"%s\": there is no group \"%s\"", d->title, d->group);
        b->gid = g->gr_gid;
    }
    b->other = d->owner || d->group;
    m->other_owner |= b->other;
    return 0;
}

/* Makes the base with all parents, as mkdir -p; only with the rights from before the drop. */
static int make_base(const struct base *b)
{
    char *path = mem_str(b->path);

    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(path, slash ? 0755 : b->dir_mode) == 0) {
            if (geteuid() == 0 && !slash && chown(path, b->uid, b->gid) < 0)
                break;
        } else if (errno != EEXIST) {
            break;
        }
        if (!slash) {
            free(path);
            return 0;
        }
        *slash = '/';
    }
    free(path);
    return -1;
}

static int open_base(struct base *b)
{
    if (b->fd < 0)
        b->fd = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->fd < 0 && errno == ENOENT && make_base(b) == 0)
        b->fd = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return b->fd;
}

int maildirs_open(struct maildirs **out, const struct conf *c, struct err *e)
{
    struct maildirs *m = mem_alloc(sizeof *m);

    m->conf = c;
    m->bases = mem_alloc(sizeof *m->bases * (c->delivery_count + 1));
    m->dirs = mem_alloc(sizeof *m->dirs * (c->delivery_count + 2));
    m->cache = mem_alloc(sizeof *m->cache * (c->mailbox_count + 1));
    m->order = mem_alloc(sizeof *m->order * (c->mailbox_count + 1));
    for (unsigned i = 0; i < c->mailbox_count; i++)
        m->cache[i] = -1;
    for (unsigned i = 0; i < c->delivery_count; i++) {
        struct base *b = &m->bases[i];

        b->path = base_of(c->deliveries[i].path);
        b->fd = b->tmp_fd = -1;
        b->dir_mode = c->deliveries[i].dir_mode;
        if (resolve_owner(m, b, &c->deliveries[i], e) < 0) {
            maildirs_free(&m);
            return -1;
        }
        if (open_base(b) < 0)
            log_event(LOG_LEVEL_ERROR, "delivery.failed", "delivery \"%s\": %s: %s; its mail gets 451 until that is mended",
                      c->deliveries[i].title, b->path, strerror(errno));
        else
            m->dirs[m->dir_count++] = b->fd;
    }
    /* the name of an unnamed file, to link it by (open(2), O_TMPFILE) */
    m->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (m->proc_fd >= 0)
        m->dirs[m->dir_count++] = m->proc_fd;
    *out = m;
    return 0;
}

void maildirs_free(struct maildirs **mp)
{
    struct maildirs *m = *mp;

    if (!m)
        return;
    for (unsigned i = 0; i < m->conf->delivery_count; i++) {
        if (m->bases[i].path && m->bases[i].fd >= 0)
            close(m->bases[i].fd);
        if (m->bases[i].path && m->bases[i].tmp_fd >= 0)
            close(m->bases[i].tmp_fd);
        free(m->bases[i].path);
    }
    for (unsigned i = 0; i < m->conf->mailbox_count; i++)
        if (m->cache[i] >= 0)
            close(m->cache[i]);
    if (m->proc_fd > 0)
        close(m->proc_fd);
    free(m->bases);
    free(m->dirs);
    free(m->cache);
    free(m->order);
    free(m);
    *mp = NULL;
}

bool maildirs_other_owner(const struct maildirs *m)
{
    return m->other_owner;
}

/* setfsuid(2) changes one thread's rights for files and nothing else. */
void maildirs_act_as(struct maildirs *m, unsigned delivery)
{
    if (!m->other_owner)
        return;
    if (delivery == UINT_MAX) {
        setfsuid(geteuid());
        setfsgid(getegid());
    } else {
        setfsgid(m->bases[delivery].gid);
        setfsuid(m->bases[delivery].uid);
    }
}

unsigned maildirs_directories(const struct maildirs *m, const int **fds)
{
    *fds = m->dirs;
    return m->dir_count;
}

const struct conf *maildirs_conf(const struct maildirs *m)
{
    return m->conf;
}

int maildirs_proc_fd(const struct maildirs *m)
{
    return m->proc_fd;
}

int maildirs_base(struct maildirs *m, unsigned delivery)
{
    return open_base(&m->bases[delivery]);
}

int maildirs_tmp(struct maildirs *m, unsigned delivery)
{
    struct base *b = &m->bases[delivery];

    if (b->tmp_fd >= 0)
        return b->tmp_fd;
    if (open_base(b) < 0)
        return -1;
    if (fsops->mkdir(b->fd, TMP_NAME, 0700) < 0 && errno != EEXIST)
        return -1;
    b->tmp_fd = openat(b->fd, TMP_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return b->tmp_fd;
}

int maildirs_leftovers(struct maildirs *m, unsigned delivery)
{
    int fd = m->bases[delivery].fd;

    return fd < 0 ? -1 : openat(fd, TMP_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* One component, no link followed, nothing above the directory reachable. */
static int step_into(int dirfd, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof how);

    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd;
}

/* Opens name below dirfd, made when missing; a name that was made is flushed at once, or the message in it would hang
 * from a directory that a power cut takes back. */
static int enter(int dirfd, const char *name, mode_t mode)
{
    int fd = step_into(dirfd, name);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (fsops->mkdir(dirfd, name, mode) < 0 && errno != EEXIST)
        return -1;
    if (fsops->flush_dir(dirfd) < 0)
        return -1;
    return step_into(dirfd, name);
}

/* Walks (and makes) rel below the base, component by component. */
static int walk(const struct base *b, const char *rel)
{
    char name[NAME_MAX + 1];
    int fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 3);

    while (fd >= 0 && *rel) {
        size_t n = strcspn(rel, "/");
        int next;

        if (n > NAME_MAX) {
            close(fd);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, rel, n);
        name[n] = '\0';
        rel += n;
        rel += strspn(rel, "/");
        if (n == 0)
            continue;
        next = enter(fd, name, b->dir_mode);
        close(fd);
        fd = next;
    }
    return fd;
}

static int make_mailbox(const struct base *b, int box)
{
    static const char *const parts[] = {"tmp", "cur"}; /* new/ comes by opening it */

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (fsops->mkdir(box, parts[i], b->dir_mode) < 0 && errno != EEXIST)
            return -1;
    return 0;
}

static int open_new(struct maildirs *m, unsigned mailbox)
{
    const struct conf_mailbox *mb = &m->conf->mailboxes[mailbox];
    struct base *b = &m->bases[mb->delivery];
    const char *rel = mb->path + strlen(b->path);
    int box, fd = -1;

    if (open_base(b) < 0)
        return -1;
    box = walk(b, rel + strspn(rel, "/"));
    if (box < 0)
        return -1;
    fd = step_into(box, "new");
    if (fd < 0 && errno == ENOENT && make_mailbox(b, box) == 0)
        fd = enter(box, "new", b->dir_mode);
    close(box);
    return fd;
}

int maildirs_new(struct maildirs *m, unsigned mailbox)
{
    if (m->cache[mailbox] >= 0)
        return m->cache[mailbox];
    maildirs_act_as(m, m->conf->mailboxes[mailbox].delivery);
    m->cache[mailbox] = open_new(m, mailbox);
    maildirs_act_as(m, UINT_MAX);
    if (m->cache[mailbox] >= 0)
        m->order[m->cached++] = mailbox;
    return m->cache[mailbox];
}

void maildirs_forget(struct maildirs *m, unsigned mailbox)
{
    unsigned kept = 0;

    if (m->cache[mailbox] >= 0)
        close(m->cache[mailbox]);
    m->cache[mailbox] = -1;
    for (unsigned i = 0; i < m->cached; i++)
        if (m->order[i] != mailbox)
            m->order[kept++] = m->order[i];
    m->cached = kept;
    /* a base that was moved away is looked up by its name again, where that is still permitted */
    if (m->bases[m->conf->mailboxes[mailbox].delivery].fd >= 0) {
        struct base *b = &m->bases[m->conf->mailboxes[mailbox].delivery];
        struct stat st;

        if (fstat(b->fd, &st) == 0 && st.st_nlink == 0) {
            int fresh = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

            if (fresh >= 0) {
                close(b->fd);
                b->fd = fresh;
            }
        }
    }
}

void maildirs_trim(struct maildirs *m)
{
    unsigned drop = m->cached > CACHE_MOST ? m->cached - CACHE_MOST : 0;

    for (unsigned i = 0; i < drop; i++) {
        close(m->cache[m->order[i]]);
        m->cache[m->order[i]] = -1;
    }
    memmove(m->order, m->order + drop, sizeof *m->order * (m->cached - drop));
    m->cached -= drop;
}
