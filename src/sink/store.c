#include "sink/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "sink/commit.h"
#include "sink/fsops.h"
#include "sink/maildir.h"
#include "sink/store_msg.h"

#define WORKERS_MOST 64
#define AHEAD_FIRST 8     /* files a new worker gets before it asks */
#define AHEAD_MOST 256    /* ... of one delivery, at most */
#define SLOTS_MOST 512    /* files of one worker altogether: a flood of wants ends here */
#define END_US (2 * INT64_C(1000000))

struct file {
    int fd; /* -1: the slot is free */
    uint32_t delivery;
    char tmp_name[32];
    bool committing; /* its job has the descriptor */
};

struct worker {
    int fd; /* -1: gone */
    uint32_t number;
    struct file *files; /* SLOTS_MOST */
    unsigned used;
    unsigned *ahead; /* per delivery: given and not used yet */
    unsigned *target; /* per delivery: how many should be ahead */
    struct store_answer *answers; /* not sent yet */
    unsigned answer_count;
    bool blocked;
};

struct store {
    const struct conf *conf;
    struct maildirs *dirs;
    struct committer *committer;
    struct worker workers[WORKERS_MOST];
    unsigned worker_count;
    uint32_t next_worker;
    uint64_t next_tmp;
    bool no_tmpfile;
    char room[CHAN_MAX + 4];
};

int store_open(struct store **out, const struct conf *c, struct err *e)
{
    struct store *s = mem_alloc(sizeof *s);

    s->conf = c;
    if (maildirs_open(&s->dirs, c, e) < 0) {
        free(s);
        return -1;
    }
    *out = s;
    return 0;
}

unsigned store_directories(const struct store *s, const int **fds)
{
    return maildirs_directories(s->dirs, fds);
}

bool store_needs_fsuid(const struct store *s)
{
    return maildirs_other_owner(s->dirs);
}

/* ---- files ahead of need */

static int make_file(struct store *s, uint32_t delivery, char tmp_name[32])
{
    mode_t mode = s->conf->deliveries[delivery].file_mode;
    int dir, fd = -1;

    tmp_name[0] = '\0';
    maildirs_act_as(s->dirs, delivery);
    dir = maildirs_base(s->dirs, delivery);
    if (dir >= 0 && !s->no_tmpfile) {
        fd = fsops->create(dir, mode);
        if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
            s->no_tmpfile = true; /* an old or a network file system: named files in a hidden directory */
    }
    if (dir >= 0 && fd < 0 && s->no_tmpfile) {
        dir = maildirs_tmp(s->dirs, delivery);
        snprintf(tmp_name, 32, "%d.%llu", (int)getpid(), (unsigned long long)++s->next_tmp);
        fd = dir < 0 ? -1 : fsops->create_named(dir, tmp_name, mode);
    }
    maildirs_act_as(s->dirs, UINT_MAX);
    if (fd >= 0 && mode & 077)
        (void)fchmod(fd, mode); /* the umask may have taken bits that the configuration gives */
    return fd;
}

static void forget_file(struct store *s, struct file *f)
{
    if (f->tmp_name[0])
        (void)fsops->unlink(maildirs_tmp(s->dirs, f->delivery), f->tmp_name);
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    f->committing = false;
}

static void say_no_files(struct worker *w, uint32_t delivery, int error)
{
    struct store_no_files nf = {.delivery = delivery, .error = error};

    (void)chan_send(w->fd, STORE_NO_FILES, &nf, sizeof nf, NULL, 0, NULL);
}

static int free_slot(const struct worker *w)
{
    for (int i = 0; i < SLOTS_MOST; i++)
        if (w->files[i].fd < 0 && !w->files[i].committing)
            return i;
    return -1;
}

/* Makes and sends files until the delivery's target is met. */
static void top_up(struct store *s, struct worker *w, uint32_t delivery)
{
    while (w->fd >= 0 && w->ahead[delivery] < w->target[delivery] && w->used < SLOTS_MOST) {
        struct store_file list[CHAN_FDS];
        int fds[CHAN_FDS];
        unsigned n = 0;
        int error = 0;

        while (n < CHAN_FDS && w->ahead[delivery] + n < w->target[delivery] && w->used < SLOTS_MOST) {
            int slot = free_slot(w);
            struct file *f = &w->files[slot < 0 ? 0 : slot];

            if (slot < 0)
                break;
            f->fd = make_file(s, delivery, f->tmp_name);
            if (f->fd < 0) {
                error = errno;
                break;
            }
            f->delivery = delivery;
            w->used++;
            list[n] = (struct store_file){(uint32_t)slot, delivery};
            fds[n++] = f->fd;
        }
        if (n && chan_send(w->fd, STORE_FILES, list, sizeof *list * n, fds, n, NULL) != 1) {
            for (unsigned i = 0; i < n; i++) {
                forget_file(s, &w->files[list[i].slot]);
                w->used--;
            }
            return;
        }
        w->ahead[delivery] += n;
        if (error) {
            if (w->ahead[delivery] == 0) {
                log_event(LOG_LEVEL_ERROR, "delivery.failed", "no file can be made in %s: %s",
                          s->conf->deliveries[delivery].path, strerror(error));
                say_no_files(w, delivery, error);
            }
            return;
        }
        if (!n)
            return;
    }
}

/* ---- workers */

static void worker_free(struct store *s, struct worker *w)
{
    for (unsigned i = 0; i < SLOTS_MOST; i++)
        if (w->files[i].fd >= 0)
            forget_file(s, &w->files[i]);
    close(w->fd);
    free(w->files);
    free(w->ahead);
    free(w->target);
    free(w->answers);
    *w = s->workers[--s->worker_count];
}

static void worker_add(struct store *s, int fd)
{
    struct worker *w;

    if (fd < 0 || s->worker_count == WORKERS_MOST) {
        if (fd >= 0)
            close(fd);
        return;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    w = &s->workers[s->worker_count++];
    *w = (struct worker){.fd = fd, .number = ++s->next_worker};
    w->files = mem_alloc(sizeof *w->files * SLOTS_MOST);
    for (unsigned i = 0; i < SLOTS_MOST; i++)
        w->files[i].fd = -1;
    w->ahead = mem_alloc(sizeof *w->ahead * (s->conf->delivery_count + 1));
    w->target = mem_alloc(sizeof *w->target * (s->conf->delivery_count + 1));
    for (uint32_t d = 0; d < s->conf->delivery_count; d++) {
        w->target[d] = AHEAD_FIRST;
        top_up(s, w, d);
    }
}

static void take_want(struct store *s, struct worker *w, const struct chan_msg *m)
{
    struct store_want want;

    if (m->len != sizeof want)
        return;
    memcpy(&want, m->data, sizeof want);
    if (want.delivery >= s->conf->delivery_count)
        return;
    /* it ran dry: what is ahead from now on is what it used at once, and some more */
    w->ahead[want.delivery] = 0;
    if (w->target[want.delivery] < want.count * 2)
        w->target[want.delivery] = want.count * 2;
    if (w->target[want.delivery] > AHEAD_MOST)
        w->target[want.delivery] = AHEAD_MOST;
    top_up(s, w, want.delivery);
    if (w->ahead[want.delivery] == 0)
        say_no_files(w, want.delivery, w->used >= SLOTS_MOST ? EAGAIN : EIO);
}

static struct job *make_job(struct store *s, struct worker *w, const struct store_commit *c)
{
    struct file *f = c->slot < SLOTS_MOST ? &w->files[c->slot] : NULL;
    struct job *j;

    if (!f || f->fd < 0 || f->committing)
        return NULL;
    for (uint32_t i = 0; i < c->count; i++)
        if (store_commit_mailbox(c, i) >= s->conf->mailbox_count)
            return NULL;
    j = mem_alloc(sizeof *j);
    j->mailboxes = mem_alloc(sizeof *j->mailboxes * c->count);
    for (uint32_t i = 0; i < c->count; i++)
        j->mailboxes[i] = store_commit_mailbox(c, i);
    j->count = c->count;
    j->size = c->size;
    j->fd = f->fd;
    j->delivery = f->delivery;
    memcpy(j->tmp_name, f->tmp_name, sizeof j->tmp_name);
    j->worker = w->number;
    j->slot = c->slot;
    j->answer = (struct sink_answer){SINK_OK, 0, UINT32_MAX};
    f->fd = -1; /* the job's now */
    f->committing = true;
    if (w->ahead[f->delivery])
        w->ahead[f->delivery]--;
    return j;
}

/* false: the worker said something no worker of ours says; it is dropped. */
static bool take_commits(struct store *s, struct worker *w, const struct chan_msg *m, struct job ***last)
{
    const uint8_t *p = m->data;
    size_t left = m->len;
    struct store_commit c;
    int r;

    while ((r = store_commit_next(&p, &left, &c)) == 1) {
        struct job *j = make_job(s, w, &c);

        if (!j)
            return false;
        **last = j;
        *last = &j->next;
    }
    return r == 0;
}

static void take_drops(struct store *s, struct worker *w, const struct chan_msg *m)
{
    for (size_t at = 0; at + 4 <= m->len; at += 4) {
        uint32_t slot;
        struct file *f;

        memcpy(&slot, (const char *)m->data + at, 4);
        f = slot < SLOTS_MOST ? &w->files[slot] : NULL;
        if (!f || f->fd < 0)
            continue;
        forget_file(s, f);
        w->used--;
        if (w->ahead[f->delivery])
            w->ahead[f->delivery]--;
        top_up(s, w, f->delivery);
    }
}

static bool from_worker(struct store *s, struct worker *w, struct job ***last)
{
    for (;;) {
        struct chan_msg m;
        bool ok = true;
        int r = chan_recv(w->fd, s->room, sizeof s->room, &m, NULL);

        if (r <= 0)
            return r == 0;
        if (m.type == STORE_COMMIT)
            ok = take_commits(s, w, &m, last);
        else if (m.type == STORE_WANT)
            take_want(s, w, &m);
        else if (m.type == STORE_DROP)
            take_drops(s, w, &m);
        chan_msg_close(&m);
        if (!ok) {
            log_event(LOG_LEVEL_ERROR, "store.worker-dropped", "worker %u sent a malformed message", w->number);
            return false;
        }
    }
}

/* ---- answers */

static void send_answers(struct worker *w)
{
    while (w->answer_count && w->fd >= 0) {
        unsigned n = w->answer_count < 2048 ? w->answer_count : 2048;
        int r = chan_send(w->fd, STORE_ANSWERS, w->answers, sizeof *w->answers * n, NULL, 0, NULL);

        w->blocked = r == 0;
        if (r != 1)
            return;
        w->answer_count -= n;
        memmove(w->answers, w->answers + n, sizeof *w->answers * w->answer_count);
    }
}

static void take_done(struct store *s)
{
    struct job *j, *next;

    for (j = committer_done(s->committer); j; j = next) {
        next = j->next;
        for (unsigned i = 0; i < s->worker_count; i++) {
            struct worker *w = &s->workers[i];

            if (w->number != j->worker)
                continue;
            w->answers = mem_grow(w->answers, sizeof *w->answers * (w->answer_count + 1));
            w->answers[w->answer_count++] = (struct store_answer){
                j->slot, (uint32_t)j->answer.result, j->answer.error, j->answer.mailbox};
            w->files[j->slot].committing = false;
            w->used--;
        }
        job_free(j);
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];

        if (!w->answer_count)
            continue;
        send_answers(w); /* the answers first: somebody waits for them */
        for (uint32_t d = 0; d < s->conf->delivery_count; d++)
            top_up(s, w, d);
    }
}

/* ---- the loop */

static bool from_leader(struct store *s, int leader_fd)
{
    for (;;) {
        struct chan_msg m;
        int r = chan_recv(leader_fd, s->room, sizeof s->room, &m, NULL);

        if (r <= 0)
            return r == 0;
        if (m.type == STORE_ADD_WORKER)
            worker_add(s, chan_msg_take(&m, 0));
        chan_msg_close(&m);
    }
}

static void turn(struct store *s, struct pollfd *p, int done_fd)
{
    struct job *group = NULL, **last = &group;
    uint64_t count;

    for (unsigned i = s->worker_count; i-- > 0;) {
        struct worker *w = &s->workers[i];

        if (p[i].revents & POLLOUT)
            send_answers(w);
        if (p[i].revents & (POLLIN | POLLHUP | POLLERR) && !from_worker(s, w, &last))
            worker_free(s, w);
    }
    if (group)
        committer_add(s->committer, group);
    if (read(done_fd, &count, sizeof count) == (ssize_t)sizeof count)
        take_done(s);
}

static void serve(struct store *s, int leader_fd, int done_fd)
{
    int64_t end_us = 0;

    for (;;) {
        struct pollfd p[WORKERS_MOST + 2];
        unsigned n = s->worker_count;

        for (unsigned i = 0; i < n; i++)
            p[i] = (struct pollfd){.fd = s->workers[i].fd,
                                   .events = (short)(POLLIN | (s->workers[i].blocked ? POLLOUT : 0))};
        p[n] = (struct pollfd){.fd = done_fd, .events = POLLIN};
        p[n + 1] = (struct pollfd){.fd = end_us ? -1 : leader_fd, .events = POLLIN};
        if (poll(p, n + 2, end_us ? 20 : -1) < 0 && errno != EINTR)
            return;
        turn(s, p, done_fd);
        /* The leader is gone: its workers finish what they have begun, or the two seconds end. */
        if (!end_us && p[n + 1].revents && !from_leader(s, leader_fd))
            end_us = clock_now().mono_us + END_US;
        if (end_us && (clock_now().mono_us > end_us || (!s->worker_count && committer_is_idle(s->committer))))
            return;
    }
}

/* Named temporary files that a killed store left: nobody was told 250 for any of them. A day old, so that they cannot
 * be those of a generation that is being drained. */
static void remove_leftovers(struct store *s)
{
    time_t old = (time_t)(clock_now().real_us / 1000000 - 86400);

    for (uint32_t i = 0; i < s->conf->delivery_count; i++) {
        int fd = maildirs_leftovers(s->dirs, i);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        const struct dirent *de;

        while (d && (de = readdir(d))) {
            struct stat st;

            if (de->d_name[0] != '.' && fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < old)
                (void)fsops->unlink(fd, de->d_name);
        }
        if (d)
            closedir(d);
    }
}

int store_run(struct store *s, int leader_fd)
{
    int done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct err e;

    remove_leftovers(s);
    if (done_fd < 0 || committer_new(&s->committer, s->dirs, s->conf->hostname, done_fd, &e) < 0) {
        log_event(LOG_LEVEL_ERROR, "process.start-failed", "the store's commit thread cannot be started");
        return 70;
    }
    if (chan_send_wait(leader_fd, 5000, STORE_READY, NULL, 0, NULL, 0, &e) == 1)
        serve(s, leader_fd, done_fd);
    committer_free(&s->committer);
    while (s->worker_count)
        worker_free(s, &s->workers[0]);
    maildirs_free(&s->dirs);
    close(done_fd);
    free(s);
    return 0;
}
