#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "tls/cert_store.h"

#define FILE_MOST ((off_t)1 << 20)

void cert_bytes_free(struct cert_bytes *b)
{
    if (b->key)
        explicit_bzero(b->key, b->key_len);
    free(b->chain);
    free(b->key);
    *b = (struct cert_bytes){0};
}

void cert_source_free(struct cert_source *s)
{
    cert_bytes_free(&s->bytes);
}

/* Which part of the path stands in the way: "EACCES on /etc/letsencrypt/live" helps, "cannot open fullchain.pem" does
 * not, since the directory is what renewal tools close. */
static void name_component(const char *path, int error, char *out, size_t cap)
{
    char *copy = mem_str(path);

    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct stat st;

        *slash = '\0';
        if (stat(copy, &st) < 0) {
            snprintf(out, cap, "%s: %s (on the way to %s)", copy, strerror(errno), path);
            free(copy);
            return;
        }
        if (error == EACCES && access(copy, X_OK) < 0) {
            snprintf(out, cap, "%s: %s: uid %u may not search this directory (on the way to %s)", copy, strerror(EACCES),
                     (unsigned)geteuid(), path);
            free(copy);
            return;
        }
        *slash = '/';
    }
    free(copy);
    if (error == EACCES)
        snprintf(out, cap, "%s: %s: uid %u may not read this file", path, strerror(error), (unsigned)geteuid());
    else
        snprintf(out, cap, "%s: %s", path, strerror(error));
}

static int slurp(int fd, const struct stat *st, char **text, size_t *len)
{
    size_t n = (size_t)st->st_size, done = 0;

    *text = mem_alloc(n + 1);
    while (done < n) {
        ssize_t r = read(fd, *text + done, n - done);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        done += (size_t)r;
    }
    *len = done;
    return 0;
}

static void note_time(struct cert_source *out, const struct stat *st)
{
    int64_t m = (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
    int64_t c = (int64_t)st->st_ctim.tv_sec * 1000000 + st->st_ctim.tv_nsec / 1000;

    if (m > out->youngest_us)
        out->youngest_us = m;
    if (c > out->youngest_us)
        out->youngest_us = c;
}

static int read_file(struct cert_source *out, const char *path, bool is_key, char **text, size_t *len)
{
    struct stat st;
    /* O_NONBLOCK: a FIFO under that name must not stall a load */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        name_component(path, errno, out->details, sizeof out->details);
        out->fault = TLS_UNREADABLE;
        return -1;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MOST) {
        snprintf(out->details, sizeof out->details, "%s: %s", path,
                 S_ISREG(st.st_mode) ? "larger than 1 MiB, which no certificate is" : "not a regular file");
        out->fault = TLS_UNREADABLE;
        close(fd);
        return -1;
    }
    if (is_key && st.st_mode & S_IROTH)
        out->key_readable_by_others = true;
    note_time(out, &st);
    slurp(fd, &st, text, len);
    close(fd);
    return 0;
}

void cert_source_read(struct cert_source *out, const struct conf_certificate *c)
{
    memset(out, 0, sizeof *out);
    if (read_file(out, c->chain_file, false, &out->bytes.chain, &out->bytes.chain_len) == 0)
        (void)read_file(out, c->key_file, true, &out->bytes.key, &out->bytes.key_len);
}
