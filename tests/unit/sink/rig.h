/* For tests of the store: a configuration in memory, a directory of its own, a real store process, and a worker's
 * client in the test. Every wait has a deadline. */
#ifndef TESTS_UNIT_SINK_RIG_H
#define TESTS_UNIT_SINK_RIG_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "sink/store.h"
#include "sink/store_client.h"
#include "sink/store_msg.h"

#define RIG_DEADLINE_MS 20000

#define RIG_DIE(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), abort())

/* ---- configuration: n mailboxes u0, u1, ... of example.org below dir/mail */

struct rig_conf {
    struct conf conf;
    struct conf_delivery deliveries[4];
    char dir[PATH_MAX];
    char template[PATH_MAX + 32];
};

static inline void rig_mailboxes(struct rig_conf *c, unsigned count, unsigned delivery, const char *base)
{
    c->conf.mailboxes = mem_grow(c->conf.mailboxes, sizeof *c->conf.mailboxes * (c->conf.mailbox_count + count));
    for (unsigned i = 0; i < count; i++)
        c->conf.mailboxes[c->conf.mailbox_count + i] = (struct conf_mailbox){
            .local = mem_printf("u%u", i),
            .domain = "example.org",
            .delivery = delivery,
            .path = mem_printf("%s/example.org/u%u", base, i),
        };
    c->conf.mailbox_count += count;
}

/* where: a directory for this test's own directory, NULL: $TMPDIR or /tmp */
static inline void rig_conf_new(struct rig_conf *c, const char *where, unsigned mailboxes)
{
    char base[PATH_MAX + 8];

    memset(c, 0, sizeof *c);
    if (!where)
        where = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    snprintf(c->dir, sizeof c->dir, "%s/postern-store.XXXXXX", where);
    if (!mkdtemp(c->dir))
        RIG_DIE("mkdtemp %s: %s", c->dir, strerror(errno));
    chmod(c->dir, 0755);
    snprintf(base, sizeof base, "%s/mail", c->dir);
    snprintf(c->template, sizeof c->template, "%s/%%d/%%u", base);
    c->deliveries[0] =
        (struct conf_delivery){.title = "local", .path = c->template, .file_mode = 0600, .dir_mode = 0700};
    c->conf.deliveries = c->deliveries;
    c->conf.delivery_count = 1;
    c->conf.hostname = "mx.example.org";
    c->conf.workers = 2;
    c->conf.user = geteuid() == 0 ? "root" : NULL; /* who the store is here, too */
    c->conf.limits.max_message_size = 64 << 20;
    c->conf.relay = UINT_MAX;
    c->conf.queue = (struct conf_queue){.first_retry = 60,
                                        .longest_retry = 10800,
                                        .delay_notice = 14400,
                                        .max_age = 432000,
                                        .transfers = 100,
                                        .per_destination = 20};
    rig_mailboxes(c, mailboxes, 0, base);
}

static inline int rig_remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

static inline void rig_conf_free(struct rig_conf *c)
{
    nftw(c->dir, rig_remove_one, 64, FTW_DEPTH | FTW_PHYS);
    for (unsigned i = 0; i < c->conf.mailbox_count; i++) {
        free((void *)(uintptr_t)c->conf.mailboxes[i].local);
        free(c->conf.mailboxes[i].path);
    }
    free(c->conf.mailboxes);
}

/* ---- the store as a process */

struct rig_store {
    pid_t pid;
    int leader_fd;
};

/* before: called in the store's process, before anything else; NULL: nothing. */
static inline void rig_store_start_with(struct rig_store *s, const struct rig_conf *c, void (*before)(void))
{
    static char room[CHAN_MAX + 4];
    struct chan_msg m;
    struct err e;
    int fd[2];

    if (chan_pair(fd, &e) < 0)
        RIG_DIE("%s", e.text);
    s->pid = fork();
    if (s->pid == 0) {
        struct store *store;

        close(fd[0]);
        log_identity("store", 1);
        if (before)
            before();
        if (store_open(&store, &c->conf, &e) < 0)
            RIG_DIE("%s", e.text);
        exit(store_run(store, fd[1]));
    }
    close(fd[1]);
    s->leader_fd = fd[0];
    if (chan_recv_wait(s->leader_fd, RIG_DEADLINE_MS, room, sizeof room, &m, &e) != 1 || m.type != STORE_READY)
        RIG_DIE("the store did not say READY");
}

static inline void rig_store_start(struct rig_store *s, const struct rig_conf *c)
{
    rig_store_start_with(s, c, NULL);
}

static inline int rig_store_add(const struct rig_store *s)
{
    struct err e;
    int fd[2];

    if (chan_pair(fd, &e) < 0 ||
        chan_send_wait(s->leader_fd, RIG_DEADLINE_MS, STORE_ADD_WORKER, NULL, 0, &fd[1], 1, &e) != 1)
        RIG_DIE("%s", e.text);
    close(fd[1]);
    return fd[0];
}

/* Exit status as waitpid(2) gives it; -1: it did not end in time, and was killed. */
static inline int rig_store_wait(struct rig_store *s, int timeout_ms)
{
    int64_t until = clock_now().mono_us + timeout_ms * INT64_C(1000);
    int status;

    for (;;) {
        pid_t r = waitpid(s->pid, &status, WNOHANG);

        if (r == s->pid)
            return status;
        if (clock_now().mono_us > until) {
            kill(s->pid, SIGKILL);
            waitpid(s->pid, &status, 0);
            return -1;
        }
        poll(NULL, 0, 2);
    }
}

static inline int rig_store_end(struct rig_store *s)
{
    close(s->leader_fd);
    return rig_store_wait(s, RIG_DEADLINE_MS);
}

/* ---- a worker */

struct rig_letter { /* what a session would be */
    struct sink_message *m;
    bool opened, answered;
    struct sink_answer answer;
};

static inline void rig_opened(void *session, struct sink_message *m, const struct sink_answer *a)
{
    struct rig_letter *l = session;

    l->opened = true;
    l->m = m;
    if (!m) {
        l->answered = true;
        l->answer = *a;
    }
}

static inline void rig_committed(void *session, const struct sink_answer *a)
{
    struct rig_letter *l = session;

    l->answered = true;
    l->answer = *a;
}

static const struct sink_events rig_events = {rig_opened, rig_committed};

struct rig_worker {
    int fd;
    struct sink *sink;
};

static inline void rig_worker_new(struct rig_worker *w, const struct rig_store *s, const struct rig_conf *c)
{
    w->fd = rig_store_add(s);
    w->sink = store_client_new(w->fd, &c->conf, &rig_events);
}

static inline void rig_worker_free(struct rig_worker *w)
{
    store_client_free(&w->sink);
    close(w->fd);
}

/* One turn of a worker's loop. -1: the store is gone. */
static inline int rig_turn(struct rig_worker *w, int timeout_ms)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    int r = 0;

    store_client_flush(w->sink);
    if (store_client_wants_write(w->sink))
        p.events = POLLIN | POLLOUT;
    poll(&p, 1, timeout_ms);
    if (p.revents & (POLLIN | POLLHUP))
        r = store_client_readable(w->sink);
    store_client_flush(w->sink);
    return r;
}

static inline void rig_wait(struct rig_worker *w, const bool *flag, const char *what)
{
    int64_t until = clock_now().mono_us + RIG_DEADLINE_MS * INT64_C(1000);

    while (!*flag) {
        rig_turn(w, 20);
        if (clock_now().mono_us > until)
            RIG_DIE("no %s in time", what);
    }
}

/* Opens; waits when the file has to come first. False: refused, and l->answer says why. */
static inline bool rig_open(struct rig_worker *w, struct rig_letter *l, const uint32_t *mailboxes, uint32_t count)
{
    int pending;

    memset(l, 0, sizeof *l);
    l->m = sink_open(w->sink, l, mailboxes, count, &pending, &l->answer);
    if (pending)
        rig_wait(w, &l->opened, "file");
    else if (!l->m)
        l->answered = true;
    return l->m != NULL;
}

static inline void rig_commit(struct rig_letter *l)
{
    sink_commit(l->m);
    l->m = NULL;
}

static inline enum sink_result rig_send(struct rig_worker *w, const uint32_t *mailboxes, uint32_t count,
                                        const char *text, struct sink_answer *a)
{
    struct rig_letter l;

    if (rig_open(w, &l, mailboxes, count)) {
        sink_write(l.m, text, strlen(text));
        rig_commit(&l);
        rig_wait(w, &l.answered, "answer");
    }
    if (a)
        *a = l.answer;
    return l.answer.result;
}

/* ---- what is on the disk */

/* Names of that type (DT_REG, DT_DIR) in a directory and in those below it. */
static inline unsigned rig_names_below(const char *dir, unsigned char type)
{
    DIR *d = opendir(dir);
    const struct dirent *de;
    unsigned n = 0;

    while (d && (de = readdir(d))) {
        char *path;

        if (de->d_name[0] == '.')
            continue;
        n += de->d_type == type;
        path = mem_printf("%s/%s", dir, de->d_name);
        if (de->d_type == DT_DIR)
            n += rig_names_below(path, type);
        free(path);
    }
    if (d)
        closedir(d);
    return n;
}

static inline bool rig_a_name_in(const char *dir, char name[NAME_MAX + 1])
{
    DIR *d = opendir(dir);
    const struct dirent *de;

    *name = '\0';
    while (d && (de = readdir(d)))
        if (de->d_name[0] != '.')
            snprintf(name, NAME_MAX + 1, "%s", de->d_name);
    if (d)
        closedir(d);
    return *name != '\0';
}

/* Calls fn with path and content of every file in mailbox i's new/; returns how many there are. */
static inline unsigned rig_mail(const struct rig_conf *c, uint32_t mailbox,
                                void (*fn)(void *arg, const char *path, const char *text, size_t n), void *arg)
{
    char dir[PATH_MAX];
    const struct dirent *de;
    unsigned n = 0;
    DIR *d;

    snprintf(dir, sizeof dir, "%s/new", c->conf.mailboxes[mailbox].path);
    d = opendir(dir);
    while (d && (de = readdir(d))) {
        char path[PATH_MAX + 300];
        struct stat st;
        char *text;
        int fd;

        if (de->d_name[0] == '.')
            continue;
        n++;
        if (!fn)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, de->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
            RIG_DIE("%s: %s", path, strerror(errno));
        text = mem_alloc((size_t)st.st_size + 1);
        if (read(fd, text, (size_t)st.st_size) != st.st_size)
            RIG_DIE("%s: short", path);
        close(fd);
        fn(arg, path, text, (size_t)st.st_size);
        free(text);
    }
    if (d)
        closedir(d);
    return n;
}

#endif
