#include "proc/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

int memfd_make(const char *name, const void *p, size_t n, struct err *e)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t done = 0;

    if (fd < 0)
        return err_set(e, "memfd_create: %s", strerror(errno));
    while (done < n) {
        ssize_t w = write(fd, (const char *)p + done, n - done);

        if (w <= 0) {
            err_set(e, "writing a memfd: %s", strerror(errno));
            close(fd);
            return -1;
        }
        done += (size_t)w;
    }
    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return fd;
}

int memfd_read(int fd, char **text, size_t *len, struct err *e)
{
    struct stat st;
    size_t n, done = 0;

    if (fstat(fd, &st) < 0)
        return err_set(e, "fstat: %s", strerror(errno));
    n = (size_t)st.st_size;
    *text = mem_alloc(n + 1);
    while (done < n) {
        ssize_t r = pread(fd, *text + done, n - done, (off_t)done);

        if (r <= 0) {
            free(*text);
            return err_set(e, "reading a memfd: %s", strerror(errno));
        }
        done += (size_t)r;
    }
    *len = n;
    return 0;
}
