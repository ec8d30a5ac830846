#include "sink/fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int real_create(int dirfd, mode_t mode)
{
    return openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
}

static int real_create_named(int dirfd, const char *name, mode_t mode)
{
    return openat(dirfd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode);
}

/* open(2): a nameless file gets its name through /proc/self/fd, or by AT_EMPTY_PATH, which costs less but
 * needs CAP_DAC_READ_SEARCH, or since Linux 6.10 the very credentials that opened the file. ENOENT is what
 * it says otherwise (and what both say when the directory is gone). */
static int real_link(int procfd, int fd, int todir, const char *to)
{
    static atomic_bool by_proc;
    char from[16];

    if (!by_proc) {
        if (linkat(fd, "", todir, to, AT_EMPTY_PATH) == 0)
            return 0;
        if (errno != ENOENT)
            return -1;
    }
    snprintf(from, sizeof from, "%d", fd);
    if (linkat(procfd, from, todir, to, AT_SYMLINK_FOLLOW) < 0)
        return -1;
    by_proc = true;
    return 0;
}

static int real_unlink(int dirfd, const char *name)
{
    return unlinkat(dirfd, name, 0);
}

/* Component by component, for kernels without openat2(2). */
static int open_dir_walk(int dirfd, const char *path)
{
    int at = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);

    while (at >= 0 && *path) {
        char name[256];
        size_t n = strcspn(path, "/");
        int next, error;

        if (n >= sizeof name || (n == 2 && memcmp(path, "..", 2) == 0)) {
            close(at);
            errno = n == 2 ? EXDEV : ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path, n);
        name[n] = '\0';
        path += n + strspn(path + n, "/");
        if (n == 0)
            continue;
        next = openat(at, name, DIR_FLAGS);
        error = errno;
        close(at);
        errno = error;
        at = next;
    }
    return at;
}

/* The owner of a mailbox may put a symbolic link where a directory was: mail must not follow it anywhere. */
static int real_open_dir(int dirfd, const char *path)
{
    struct open_how how = {
        .flags = DIR_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    static atomic_bool by_walk;
    int fd;

    if (!by_walk) {
        do /* EAGAIN: a rename raced with "..", openat2(2) */
            fd = (int)syscall(SYS_openat2, dirfd, *path ? path : ".", &how, sizeof how);
        while (fd < 0 && errno == EAGAIN);
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
            return fd;
        by_walk = errno == ENOSYS;
    }
    return open_dir_walk(dirfd, path);
}

static int real_flush_start(int fd)
{
    return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* sync_file_range(2) reports, once for this open file, an error of writing back its pages. */
static int real_flush_check(int fd)
{
    return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE);
}

const struct fsops fsops_real = {
    .create = real_create,
    .create_named = real_create_named,
    .write = write,
    .link = real_link,
    .unlink = real_unlink,
    .mkdir = mkdirat,
    .open_dir = real_open_dir,
    .flush_start = real_flush_start,
    .flush_check = real_flush_check,
    .flush_data = fdatasync,
    .flush_dir = fsync,
    .flush_fs = syncfs,
};

const struct fsops *fsops = &fsops_real;

void fsops_step(const char *name)
{
    if (fsops->step)
        fsops->step(name);
}
