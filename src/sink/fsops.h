/* Every file operation of the store and of its clients goes through this table. Tests put failing disks, full disks and
 * power cuts in its place; the daemon never does. */
#ifndef SINK_FSOPS_H
#define SINK_FSOPS_H

#include <sys/types.h>

struct fsops {
    int (*create)(int dirfd, mode_t mode);                        /* O_TMPFILE, write-only */
    int (*create_named)(int dirfd, const char *name, mode_t mode); /* where there is no O_TMPFILE */
    ssize_t (*write)(int fd, const void *p, size_t n);
    int (*link)(int fromdir, const char *from, int todir, const char *to, int flags);
    int (*unlink)(int dirfd, const char *name);
    int (*mkdir)(int dirfd, const char *name, mode_t mode);
    int (*flush_data)(int fd); /* fdatasync */
    int (*flush_dir)(int fd);  /* fsync */
    int (*flush_fs)(int fd);   /* syncfs */
    void (*step)(const char *name); /* between the steps of a commit; NULL in the daemon */
};

extern const struct fsops *fsops; /* the real ones unless a test says otherwise */
extern const struct fsops fsops_real;

#endif
