#include "bench/transcript_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define HEX "0123456789abcdef"
#define SUFFIX ".jsonl"

struct transcript_file {
    struct transcript_file *next, **link;
    char *sid;
    uint64_t bytes;
    bool open, cut; /* cut: it took more than its share, and no more is written to it */
};

struct transcript_files {
    char *dir;
    int dir_fd, all_fd;
    unsigned max_sessions, sessions;
    uint64_t max_bytes, bytes, all_bytes, run;
    struct transcript_file *first, **last; /* the oldest first */
    bool said;
};

static struct transcript_file *add(struct transcript_files *f, const char *sid, uint64_t bytes)
{
    struct transcript_file *x = mem_alloc(sizeof *x);

    x->sid = mem_str(sid);
    x->bytes = bytes;
    x->link = f->last;
    *f->last = x;
    f->last = &x->next;
    f->sessions++;
    f->bytes += bytes;
    return x;
}

static void forget(struct transcript_files *f, struct transcript_file *x)
{
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    else
        f->last = x->link;
    f->sessions--;
    f->bytes -= x->bytes;
    free(x->sid);
    free(x);
}

static bool too_much(const struct transcript_files *f)
{
    return (f->max_sessions && f->sessions > f->max_sessions) || (f->max_bytes && f->bytes > f->max_bytes / 2);
}

/* The oldest ones go, of those that are over. */
static void shrink(struct transcript_files *f)
{
    struct transcript_file *x = f->first, *next;

    for (; x && too_much(f); x = next) {
        char *name = mem_printf("%s" SUFFIX, x->sid);

        next = x->next;
        if (!x->open && (unlinkat(f->dir_fd, name, 0) == 0 || errno == ENOENT))
            forget(f, x);
        free(name);
    }
}

/* ---- open and close */

/* A file of a session, and of nobody else: nothing else in the directory is ever removed. */
static int is_session(const struct dirent *d)
{
    size_t run = strspn(d->d_name, HEX), number = d->d_name[run] == '-' ? strspn(d->d_name + run + 1, HEX) : 0;

    return run && number && strcmp(d->d_name + run + 1 + number, SUFFIX) == 0;
}

static int by_age(const struct dirent **a, const struct dirent **b)
{
    size_t x = strcspn((*a)->d_name, "."), y = strcspn((*b)->d_name, ".");

    return x != y ? (x < y ? -1 : 1) : strcmp((*a)->d_name, (*b)->d_name);
}

/* What earlier runs left. */
static void look_around(struct transcript_files *f)
{
    struct dirent **found = NULL;
    int n = scandir(f->dir, &found, is_session, by_age);

    for (int i = 0; i < n; i++) {
        char *sid = mem_strn(found[i]->d_name, strlen(found[i]->d_name) - sizeof SUFFIX + 1);
        struct stat st;
        uint64_t run = strtoull(sid, NULL, 16);

        if (fstatat(f->dir_fd, found[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            add(f, sid, (uint64_t)st.st_size);
        if (run >= f->run)
            f->run = run + 1;
        free(sid);
        free(found[i]);
    }
    free(found);
}

static int open_all(struct transcript_files *f)
{
    struct stat st;

    f->all_fd = openat(f->dir_fd, "all" SUFFIX, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->all_fd < 0)
        return -1;
    f->all_bytes = fstat(f->all_fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    return 0;
}

int transcript_files_open(struct transcript_files **out, const struct transcript_files_setup *s, struct err *e)
{
    struct transcript_files *f = mem_alloc(sizeof *f);

    *out = NULL;
    f->dir = mem_str(s->dir);
    f->max_sessions = s->max_sessions;
    f->max_bytes = s->max_bytes;
    f->last = &f->first;
    f->run = (uint64_t)(clock_now().real_us / 1000000);
    f->dir_fd = f->all_fd = -1;
    if (mkdir(s->dir, 0700) == 0 || errno == EEXIST)
        f->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir_fd < 0 || open_all(f) < 0) {
        err_set(e, "%s: %s", s->dir, strerror(errno));
        transcript_files_close(&f);
        return -1;
    }
    look_around(f);
    shrink(f);
    *out = f;
    return 0;
}

void transcript_files_close(struct transcript_files **fp)
{
    struct transcript_files *f = *fp;

    if (!f)
        return;
    while (f->first)
        forget(f, f->first);
    if (f->all_fd >= 0)
        close(f->all_fd);
    if (f->dir_fd >= 0)
        close(f->dir_fd);
    free(f->dir);
    free(f);
    *fp = NULL;
}

uint64_t transcript_files_run(const struct transcript_files *f)
{
    return f->run;
}

/* ---- writing */

struct transcript_file *transcript_files_begin(struct transcript_files *f, const char *sid)
{
    struct transcript_file *x = add(f, sid, 0);

    x->open = true;
    shrink(f);
    return x;
}

void transcript_files_end(struct transcript_files *f, struct transcript_file *x)
{
    x->open = false;
    shrink(f);
}

static void complain(struct transcript_files *f)
{
    if (!f->said)
        fprintf(stderr, "postern-bench: %s: %s: transcripts are incomplete from here on\n", f->dir, strerror(errno));
    f->said = true;
}

/* All of it, or none: half a line would spoil the next one. */
static int append(int fd, const char *p, size_t n)
{
    off_t before = lseek(fd, 0, SEEK_END);
    size_t done = 0;

    while (done < n) {
        ssize_t r = write(fd, p + done, n - done);
        int error = errno;

        if (r < 0 && error == EINTR)
            continue;
        if (r <= 0) {
            if (before >= 0)
                (void)!ftruncate(fd, before);
            errno = r == 0 ? ENOSPC : error;
            return -1;
        }
        done += (size_t)r;
    }
    return 0;
}

static void write_session(struct transcript_files *f, struct transcript_file *x, const char *p, size_t n)
{
    char *name = mem_printf("%s" SUFFIX, x->sid);
    int fd = openat(f->dir_fd, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    free(name);
    if (fd < 0 || append(fd, p, n) < 0) {
        complain(f);
    } else {
        x->bytes += n;
        f->bytes += n;
    }
    if (fd >= 0)
        close(fd);
}

static void write_all(struct transcript_files *f, const char *p, size_t n)
{
    if (f->max_bytes && f->all_bytes && f->all_bytes + n > f->max_bytes / 4) {
        (void)renameat(f->dir_fd, "all" SUFFIX, f->dir_fd, "all.1" SUFFIX);
        close(f->all_fd);
        if (open_all(f) < 0)
            complain(f);
    }
    if (f->all_fd < 0)
        return;
    if (append(f->all_fd, p, n) < 0)
        complain(f);
    else
        f->all_bytes += n;
}

void transcript_files_write(struct transcript_files *f, struct transcript_file *x, const char *p, size_t n)
{
    if (!n || (x && x->cut))
        return;
    write_all(f, p, n);
    if (!x)
        return;
    write_session(f, x, p, n);
    x->cut = f->max_bytes && x->bytes > f->max_bytes / 8; /* a session without an end */
    shrink(f);
}
