/* A file system that misbehaves on demand, in place of the real operations: the nth call of one kind (or of any kind)
 * fails with an errno, or does something worse. Calls are counted over all threads. */
#ifndef TESTS_UNIT_SINK_MEDDLE_H
#define TESTS_UNIT_SINK_MEDDLE_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "sink/fsops.h"

enum meddle_op {
    MEDDLE_CREATE,
    MEDDLE_CREATE_NAMED,
    MEDDLE_WRITE,
    MEDDLE_LINK,
    MEDDLE_UNLINK,
    MEDDLE_MKDIR,
    MEDDLE_OPEN_DIR,
    MEDDLE_START,
    MEDDLE_CHECK,
    MEDDLE_DATA,
    MEDDLE_DIR,
    MEDDLE_FS,
    MEDDLE_STEP,
    MEDDLE_OPS
};

static const char *const meddle_names[MEDDLE_OPS] = {
    "create",      "create_named", "write",      "link",      "unlink",   "mkdir", "open_dir",
    "flush_start", "flush_check",  "flush_data", "flush_dir", "flush_fs", "step"};

static struct {
    int op;             /* -1: any */
    unsigned nth;       /* the first is 1; 0: nothing happens */
    bool and_after;     /* and every later one */
    int error;          /* fails with it ... */
    void (*act)(void);  /* ... or this is done before the operation */
    bool nameless_lack; /* a file system without O_TMPFILE */
    const char *step;   /* MEDDLE_STEP: only this one */
    atomic_uint seen;
    atomic_uint count[MEDDLE_OPS];
} meddle;

/* True: the call fails, errno is set. */
static inline bool meddle_hit(enum meddle_op op)
{
    unsigned n;

    meddle.count[op]++;
    if (meddle.nth == 0 || (meddle.op != -1 && meddle.op != (int)op))
        return false;
    n = ++meddle.seen;
    if (n != meddle.nth && !(meddle.and_after && n > meddle.nth))
        return false;
    if (meddle.act)
        meddle.act();
    errno = meddle.error;
    return meddle.error != 0;
}

static int meddle_create(int d, mode_t mode)
{
    if (meddle_hit(MEDDLE_CREATE))
        return -1;
    if (meddle.nameless_lack) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return fsops_real.create(d, mode);
}

static int meddle_create_named(int d, const char *name, mode_t mode)
{
    return meddle_hit(MEDDLE_CREATE_NAMED) ? -1 : fsops_real.create_named(d, name, mode);
}

static ssize_t meddle_write(int fd, const void *p, size_t n)
{
    return meddle_hit(MEDDLE_WRITE) ? -1 : fsops_real.write(fd, p, n);
}

static int meddle_link(int procfd, int fd, int todir, const char *to)
{
    return meddle_hit(MEDDLE_LINK) ? -1 : fsops_real.link(procfd, fd, todir, to);
}

static int meddle_unlink(int d, const char *name)
{
    return meddle_hit(MEDDLE_UNLINK) ? -1 : fsops_real.unlink(d, name);
}

static int meddle_mkdir(int d, const char *name, mode_t mode)
{
    return meddle_hit(MEDDLE_MKDIR) ? -1 : fsops_real.mkdir(d, name, mode);
}

static int meddle_open_dir(int d, const char *path)
{
    return meddle_hit(MEDDLE_OPEN_DIR) ? -1 : fsops_real.open_dir(d, path);
}

static int meddle_start(int fd)
{
    return meddle_hit(MEDDLE_START) ? -1 : fsops_real.flush_start(fd);
}

static int meddle_check(int fd)
{
    return meddle_hit(MEDDLE_CHECK) ? -1 : fsops_real.flush_check(fd);
}

static int meddle_data(int fd)
{
    return meddle_hit(MEDDLE_DATA) ? -1 : fsops_real.flush_data(fd);
}

static int meddle_dir(int fd)
{
    return meddle_hit(MEDDLE_DIR) ? -1 : fsops_real.flush_dir(fd);
}

static int meddle_fs(int fd)
{
    return meddle_hit(MEDDLE_FS) ? -1 : fsops_real.flush_fs(fd);
}

static void meddle_step(const char *name)
{
    if (!meddle.step || strcmp(meddle.step, name) == 0)
        (void)meddle_hit(MEDDLE_STEP);
}

static const struct fsops meddle_ops = {
    .create = meddle_create,
    .create_named = meddle_create_named,
    .write = meddle_write,
    .link = meddle_link,
    .unlink = meddle_unlink,
    .mkdir = meddle_mkdir,
    .open_dir = meddle_open_dir,
    .flush_start = meddle_start,
    .flush_check = meddle_check,
    .flush_data = meddle_data,
    .flush_dir = meddle_dir,
    .flush_fs = meddle_fs,
    .step = meddle_step,
};

#endif
