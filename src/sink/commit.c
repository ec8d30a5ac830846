#include "sink/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "sink/fsops.h"
#include "sink/names.h"

#define SYNCFS_FROM 6 /* messages in a group: docs/storage.md has the measurements */
#define SYNCFS_SLOW_US 200000 /* a syncfs this long waits for somebody else's dirty data */
#define SYNCFS_AGAIN_US (30 * INT64_C(1000000))

struct committer {
    struct maildirs *dirs;
    char host[160];
    int notify_fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job *ready, **ready_last; /* gathered for the next group */
    struct job *done;
    bool busy, stop;
    uint64_t number;       /* of messages, for names */
    int64_t no_syncfs_us;  /* monotonic: until then every file is flushed by itself */
    int64_t said_us;       /* throttles delivery.failed */
    int said_error;
    uint32_t said_mailbox;
};

static void step(const char *name)
{
    if (fsops->step)
        fsops->step(name);
}

void job_free(struct job *j)
{
    if (j->fd >= 0)
        close(j->fd);
    free(j->mailboxes);
    free(j);
}

static void fail(struct job *j, int error, uint32_t mailbox)
{
    if (j->answer.result != SINK_OK)
        return; /* the first reason counts */
    j->answer = (struct sink_answer){
        error == ENOSPC ? SINK_FULL : error == EDQUOT ? SINK_QUOTA : SINK_FAILED, error, mailbox,
    };
}

/* ---- data */

static bool flush_each(struct job *group)
{
    for (struct job *j = group; j; j = j->next)
        if (j->answer.result == SINK_OK && !j->flushed && fsops->flush_data(j->fd) < 0)
            fail(j, errno, UINT32_MAX);
        else
            j->flushed = true;
    return true;
}

/* One call for all dirty data of a file system instead of one for each file; but it also waits for whatever else is
 * dirty there, so after a slow one it is left alone for a while. */
static void flush_together(struct committer *c, struct job *group)
{
    int64_t before = clock_now().mono_us;
    uint32_t seen[16];
    unsigned fs = 0;

    for (struct job *j = group; j; j = j->next) {
        bool have = false;

        for (unsigned i = 0; i < fs; i++)
            have |= seen[i] == j->delivery;
        if (have || j->answer.result != SINK_OK)
            continue;
        if (fs == sizeof seen / sizeof *seen || fsops->flush_fs(j->fd) < 0) {
            /* which file failed is not known: each is asked for itself, and says so once */
            flush_each(group);
            return;
        }
        seen[fs++] = j->delivery;
    }
    for (struct job *j = group; j; j = j->next)
        j->flushed = true;
    if (clock_now().mono_us - before > SYNCFS_SLOW_US)
        c->no_syncfs_us = clock_now().mono_us + SYNCFS_AGAIN_US;
}

static void flush_data(struct committer *c, struct job *group)
{
    unsigned n = 0;

    for (struct job *j = group; j; j = j->next) {
        struct stat st;

        /* a worker is not trusted: what is in the file counts, and it must be what was said */
        if (fstat(j->fd, &st) < 0)
            fail(j, errno, UINT32_MAX);
        else if ((uint64_t)st.st_size != j->size)
            fail(j, EIO, UINT32_MAX);
        n++;
    }
    if (n >= SYNCFS_FROM && clock_now().mono_us >= c->no_syncfs_us)
        flush_together(c, group);
    else
        flush_each(group);
}

/* ---- names */

static int link_tmp(struct committer *c, const struct job *j, int todir)
{
    char number[16];

    if (j->tmp_name[0])
        return fsops->link(maildirs_tmp(c->dirs, j->delivery), j->tmp_name, todir, j->name, 0);
    snprintf(number, sizeof number, "%d", j->fd);
    return fsops->link(maildirs_proc_fd(c->dirs), number, todir, j->name, AT_SYMLINK_FOLLOW);
}

static int copy_bytes(int from, int to)
{
    static char room[65536]; /* the committer is one thread */
    ssize_t n;

    while ((n = read(from, room, sizeof room)) > 0)
        for (ssize_t done = 0; done < n;) {
            ssize_t w = fsops->write(to, room + done, (size_t)(n - done));

            if (w <= 0)
                return -1;
            done += w;
        }
    return n < 0 ? -1 : 0;
}

/* Another file system, or another owner: a file of its own, flushed before it gets its name. */
static int copy_into(struct committer *c, const struct job *j, int todir, mode_t mode)
{
    char number[16];
    int from, to, rc = -1;

    snprintf(number, sizeof number, "%d", j->fd);
    from = j->tmp_name[0] ? openat(maildirs_tmp(c->dirs, j->delivery), j->tmp_name, O_RDONLY | O_CLOEXEC)
                          : openat(maildirs_proc_fd(c->dirs), number, O_RDONLY | O_CLOEXEC);
    to = from >= 0 ? fsops->create(todir, mode) : -1;
    if (to >= 0 && copy_bytes(from, to) == 0 && fsops->flush_data(to) == 0) {
        snprintf(number, sizeof number, "%d", to);
        rc = fsops->link(maildirs_proc_fd(c->dirs), number, todir, j->name, AT_SYMLINK_FOLLOW);
    }
    if (to >= 0)
        close(to);
    if (from >= 0)
        close(from);
    return rc;
}

static int publish_one(struct committer *c, struct job *j, uint32_t mailbox, const struct conf *conf)
{
    unsigned delivery = conf->mailboxes[mailbox].delivery;
    int dir = maildirs_new(c->dirs, mailbox), rc;

    if (dir < 0)
        return -1;
    maildirs_act_as(c->dirs, delivery);
    if (delivery != j->delivery && maildirs_other_owner(c->dirs)) {
        rc = copy_into(c, j, dir, conf->deliveries[delivery].file_mode);
    } else {
        rc = link_tmp(c, j, dir);
        if (rc < 0 && errno == EXDEV)
            rc = copy_into(c, j, dir, conf->deliveries[delivery].file_mode);
    }
    maildirs_act_as(c->dirs, UINT_MAX);
    return rc;
}

static void take_back(struct committer *c, struct job *j)
{
    for (uint32_t i = 0; i < j->linked; i++) {
        int dir = maildirs_new(c->dirs, j->mailboxes[i]);

        if (dir >= 0)
            (void)fsops->unlink(dir, j->name);
    }
}

static void publish(struct committer *c, struct job *j, const struct conf *conf)
{
    names_make(j->name, clock_now().real_us, (int)getpid(), ++c->number, c->host, j->size);
    for (j->linked = 0; j->linked < j->count; j->linked++) {
        uint32_t mailbox = j->mailboxes[j->linked];
        int rc = publish_one(c, j, mailbox, conf);

        if (rc < 0 && (errno == ENOENT || errno == ENOTDIR)) { /* somebody removed the mailbox: it is made again */
            maildirs_forget(c->dirs, mailbox);
            rc = publish_one(c, j, mailbox, conf);
        }
        if (rc < 0) {
            fail(j, errno, mailbox);
            take_back(c, j);
            return;
        }
        step("linked");
    }
}

struct touched {
    uint32_t mailbox;
    int error;
};

static int by_mailbox(const void *a, const void *b)
{
    const struct touched *x = a, *y = b;

    return x->mailbox < y->mailbox ? -1 : x->mailbox > y->mailbox;
}

/* Each directory once, however many messages went into it. */
static void flush_names(struct committer *c, struct job *group)
{
    struct touched *t;
    size_t n = 0, kept = 0;

    for (struct job *j = group; j; j = j->next)
        n += j->linked;
    t = mem_alloc(sizeof *t * (n + 1));
    n = 0;
    for (struct job *j = group; j; j = j->next)
        for (uint32_t i = 0; i < j->linked; i++)
            t[n++].mailbox = j->mailboxes[i];
    qsort(t, n, sizeof *t, by_mailbox);
    for (size_t i = 0; i < n; i++)
        if (!kept || t[kept - 1].mailbox != t[i].mailbox)
            t[kept++] = t[i];
    for (size_t i = 0; i < kept; i++) {
        int dir = maildirs_new(c->dirs, t[i].mailbox);

        if (dir < 0 || fsops->flush_dir(dir) < 0)
            t[i].error = errno ? errno : EIO;
    }
    for (struct job *j = group; j; j = j->next)
        for (uint32_t i = 0; i < j->linked && j->answer.result == SINK_OK; i++) {
            struct touched key = {.mailbox = j->mailboxes[i]};
            const struct touched *found = bsearch(&key, t, kept, sizeof *t, by_mailbox);

            if (found && found->error) {
                fail(j, found->error, found->mailbox);
                take_back(c, j);
            }
        }
    free(t);
}

/* ---- what went wrong, in the log, once a minute for the same cause */

static const char *hint_of(int error)
{
    switch (error) {
    case ENOSPC:
        return "the file system is full: df shows it; mail waits at the senders";
    case EDQUOT:
        return "the owner's quota is used up";
    case EROFS:
        return "the file system is read-only; under systemd the directory must be in ReadWritePaths= of the unit";
    case EACCES:
    case EPERM:
        return "the store's user may not write there; look at owner and mode of every directory on the path";
    case EIO:
        return "the disk failed: look at the kernel's log";
    case ENOTDIR:
    case ELOOP:
        return "a file or a symbolic link stands where the mailbox's directory should be";
    default:
        return "mail waits at the senders until this is mended";
    }
}

static void say(struct committer *c, const struct job *j, const struct conf *conf)
{
    int64_t now = clock_now().mono_us;
    struct log_line l;

    if (j->answer.error == c->said_error && j->answer.mailbox == c->said_mailbox && now - c->said_us < 60 * INT64_C(1000000))
        return;
    c->said_error = j->answer.error;
    c->said_mailbox = j->answer.mailbox;
    c->said_us = now;
    log_begin(&l, LOG_LEVEL_ERROR, "delivery.failed");
    if (j->answer.mailbox != UINT32_MAX) {
        log_str(&l, "path", conf->mailboxes[j->answer.mailbox].path);
        log_str(&l, "mailbox", conf->mailboxes[j->answer.mailbox].local);
        log_str(&l, "domain", conf->mailboxes[j->answer.mailbox].domain);
    }
    log_str(&l, "reason", strerror(j->answer.error));
    log_str(&l, "hint", hint_of(j->answer.error));
    log_end(&l);
}

/* ---- the thread */

static void commit_group(struct committer *c, struct job *group)
{
    const struct conf *conf = maildirs_conf(c->dirs);

    step("begin");
    flush_data(c, group);
    step("data-flushed");
    for (struct job *j = group; j; j = j->next)
        if (j->answer.result == SINK_OK)
            publish(c, j, conf);
    step("published");
    flush_names(c, group);
    step("names-flushed");
    for (struct job *j = group; j; j = j->next) {
        if (j->answer.result != SINK_OK)
            say(c, j, conf);
        if (j->tmp_name[0])
            (void)fsops->unlink(maildirs_tmp(c->dirs, j->delivery), j->tmp_name);
    }
    maildirs_trim(c->dirs);
}

static void *commit_thread(void *arg)
{
    struct committer *c = arg;

    pthread_mutex_lock(&c->lock);
    for (;;) {
        struct job *group, *last;
        uint64_t one = 1;

        while (!c->ready && !c->stop)
            pthread_cond_wait(&c->wake, &c->lock);
        if (!c->ready)
            break;
        group = c->ready;
        c->ready = NULL;
        c->ready_last = &c->ready;
        c->busy = true;
        pthread_mutex_unlock(&c->lock);
        commit_group(c, group);
        for (last = group; last->next; last = last->next)
            ;
        pthread_mutex_lock(&c->lock);
        last->next = c->done;
        c->done = group;
        c->busy = false;
        (void)!write(c->notify_fd, &one, sizeof one);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int committer_new(struct committer **out, struct maildirs *m, const char *host, int notify_fd, struct err *e)
{
    struct committer *c = mem_alloc(sizeof *c);
    int r;

    c->dirs = m;
    c->notify_fd = notify_fd;
    c->ready_last = &c->ready;
    names_host(c->host, sizeof c->host, host);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    r = pthread_create(&c->thread, NULL, commit_thread, c);
    if (r) {
        free(c);
        return err_set(e, "the commit thread: %s", strerror(r));
    }
    *out = c;
    return 0;
}

void committer_free(struct committer **cp)
{
    struct committer *c = *cp;
    struct job *j;

    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    while ((j = c->done)) {
        c->done = j->next;
        job_free(j);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->wake);
    free(c);
    *cp = NULL;
}

void committer_add(struct committer *c, struct job *list)
{
    struct job *last = list;

    while (last->next)
        last = last->next;
    pthread_mutex_lock(&c->lock);
    *c->ready_last = list;
    c->ready_last = &last->next;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

struct job *committer_done(struct committer *c)
{
    struct job *list;

    pthread_mutex_lock(&c->lock);
    list = c->done;
    c->done = NULL;
    pthread_mutex_unlock(&c->lock);
    return list;
}

bool committer_is_idle(struct committer *c)
{
    bool idle;

    pthread_mutex_lock(&c->lock);
    idle = !c->busy && !c->ready && !c->done;
    pthread_mutex_unlock(&c->lock);
    return idle;
}
