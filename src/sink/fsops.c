#include "sink/fsops.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int real_create(int dirfd, mode_t mode)
{
    return openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
}

static int real_create_named(int dirfd, const char *name, mode_t mode)
{
    return openat(dirfd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode);
}

static int real_unlink(int dirfd, const char *name)
{
    return unlinkat(dirfd, name, 0);
}

const struct fsops fsops_real = {
    .create = real_create,
    .create_named = real_create_named,
    .write = write,
    .link = linkat,
    .unlink = real_unlink,
    .mkdir = mkdirat,
    .flush_data = fdatasync,
    .flush_dir = fsync,
    .flush_fs = syncfs,
};

const struct fsops *fsops = &fsops_real;
