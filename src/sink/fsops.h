/* Every file operation of the store and of its clients goes through this table. Tests put failing disks, full
 * disks and power cuts in its place; the daemon never does. Each returns as the system call it is named after:
 * -1 and errno on failure. */
#ifndef SINK_FSOPS_H
#define SINK_FSOPS_H

#include <sys/types.h>

struct fsops {
    int (*create)(int dirfd, mode_t mode);                         /* O_TMPFILE, write-only */
    int (*create_named)(int dirfd, const char *name, mode_t mode); /* where there is no O_TMPFILE */
    ssize_t (*write)(int fd, const void *p, size_t n);
    int (*link)(int procfd, int fd, int todir, const char *to); /* gives the open file fd a name */
    int (*unlink)(int dirfd, const char *name);
    int (*mkdir)(int dirfd, const char *name, mode_t mode);
    int (*open_dir)(int dirfd, const char *path); /* below dirfd, no symbolic link on the way */
    int (*flush_start)(int fd);                   /* data on its way, nothing waited for */
    int (*flush_check)(int fd);     /* what a flush of the whole file system did to this file: waits, tells its error */
    int (*flush_data)(int fd);      /* fdatasync */
    int (*flush_dir)(int fd);       /* fsync */
    int (*flush_fs)(int fd);        /* syncfs */
    void (*step)(const char *name); /* between the steps of a commit; NULL in the daemon */
};

extern const struct fsops *fsops; /* the real ones unless a test says otherwise */
extern const struct fsops fsops_real;

void fsops_step(const char *name);

#endif
