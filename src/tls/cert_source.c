/* Two files into memory, and when that fails, which part of the path stands in the way. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "tls/cert_store.h"

#define FILE_MOST ((off_t)1 << 20)
#define LINKS_MOST 40 /* path_resolution(7) */

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

/* ---- which part of the path: "EACCES on /etc/letsencrypt/live" helps, "cannot open fullchain.pem" does not, since it is
 * the directory that renewal tools close, and the file is a symbolic link into it */

struct walk {
    char done[PATH_MAX]; /* what could be resolved, links followed */
    char rest[PATH_MAX]; /* what is to come */
    unsigned links;
};

static void say_denied(const struct walk *w, const char *path, struct buf *out)
{
    const char *dir = *w->done ? w->done : *path == '/' ? "/" : ".";

    buf_printf(out, "%s: %s: uid %u may not search this directory (on the way to %s)", dir, strerror(EACCES),
               (unsigned)geteuid(), path);
}

static void say(const char *where, const char *what, const char *path, struct buf *out)
{
    if (strcmp(where, path) == 0)
        buf_printf(out, "%s: %s", path, what);
    else
        buf_printf(out, "%s: %s (on the way to %s)", where, what, path);
}

/* A symbolic link at `here`: its target takes its place. False: it cannot be followed. */
static bool follow(struct walk *w, const char *here)
{
    char target[PATH_MAX], joined[PATH_MAX];
    ssize_t n = readlink(here, target, sizeof target - 1);

    if (n < 0 || ++w->links > LINKS_MOST)
        return false;
    target[n] = '\0';
    if ((size_t)snprintf(joined, sizeof joined, "%s/%s", target, w->rest) >= sizeof joined)
        return false;
    memcpy(w->rest, joined, sizeof joined);
    if (target[0] == '/')
        w->done[0] = '\0';
    return true;
}

/* Takes the next component off ->rest and puts what ->done and it make into `here`. False: there is none. */
static bool next_component(struct walk *w, bool absolute, char here[PATH_MAX])
{
    char *p = w->rest + strspn(w->rest, "/");
    size_t n = strcspn(p, "/");
    const char *between = *w->done || absolute ? "/" : "";

    if (n == 0 || (size_t)snprintf(here, PATH_MAX, "%s%s%.*s", w->done, between, (int)n, p) >= PATH_MAX)
        return false;
    memmove(w->rest, p + n, strlen(p + n) + 1);
    return true;
}

static void name_component(const char *path, int error, struct buf *out)
{
    struct walk w = {.links = 0};
    char here[PATH_MAX];
    bool absolute = *path == '/';
    struct stat st;

    snprintf(w.rest, sizeof w.rest, "%s", path);
    while (next_component(&w, absolute, here)) {
        if (lstat(here, &st) < 0 && errno == EACCES) {
            say_denied(&w, path, out);
            return;
        }
        if (lstat(here, &st) < 0) {
            say(here,
                w.links && errno == ENOENT ? "this is where a symbolic link points, and it does not exist"
                                           : strerror(errno),
                path, out);
            return;
        }
        if (S_ISLNK(st.st_mode)) {
            if (!follow(&w, here))
                break;
            absolute = absolute || *w.rest == '/';
            continue;
        }
        memcpy(w.done, here, sizeof w.done);
    }
    if (error == EACCES)
        buf_printf(out, "%s: %s: uid %u may not read this file", path, strerror(error), (unsigned)geteuid());
    else
        buf_printf(out, "%s: %s", path, strerror(error));
}

/* ---- reading */

static int slurp(int fd, size_t n, char **text, size_t *len)
{
    *text = mem_alloc(n + 1);
    *len = 0;
    while (*len < n) {
        ssize_t r = read(fd, *text + *len, n - *len);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0) /* it was cut meanwhile: what is there is judged, and the change brings another load */
            break;
        *len += (size_t)r;
    }
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

/* Adds to what is wrong already: both files are spoken of at once. */
static void unreadable(struct cert_source *out, const char *text)
{
    size_t n = strlen(out->details);

    snprintf(out->details + n, sizeof out->details - n, "%s%s", n ? "; " : "", text);
    out->fault = TLS_UNREADABLE;
}

static void read_file(struct cert_source *out, const char *path, bool is_key, char **text, size_t *len)
{
    struct buf why = {0};
    struct stat st = {0};
    /* O_NONBLOCK: a FIFO under that name must not stall a load */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, &st) < 0) {
        name_component(path, errno, &why);
    } else if (!S_ISREG(st.st_mode)) {
        buf_printf(&why, "%s: %s", path, S_ISDIR(st.st_mode) ? "this is a directory" : "this is not a regular file");
    } else if (st.st_size > FILE_MOST) {
        buf_printf(&why, "%s: larger than 1 MiB, which no certificate or key is", path);
    } else if (slurp(fd, (size_t)st.st_size, text, len) < 0) {
        buf_printf(&why, "%s: %s", path, strerror(errno));
    } else {
        out->key_readable_by_others |= is_key && st.st_mode & S_IROTH;
        note_time(out, &st);
    }
    if (why.len)
        unreadable(out, buf_str(&why));
    buf_clear(&why);
    if (fd >= 0)
        close(fd);
}

void cert_source_read(struct cert_source *out, const struct conf_certificate *c)
{
    memset(out, 0, sizeof *out);
    read_file(out, c->chain_file, false, &out->bytes.chain, &out->bytes.chain_len);
    read_file(out, c->key_file, true, &out->bytes.key, &out->bytes.key_len);
    if (out->fault != TLS_OK)
        cert_bytes_free(&out->bytes); /* half a pair is of no use */
}
