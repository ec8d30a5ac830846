#include "sink/queue_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/fsops.h"

#define FIRST_READ 8192u
#define LOG_MOST ((uint64_t)256 << 20)

int queue_disk_open(const struct queue_disk *d, const char *id)
{
    return openat(d->dir, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static int read_at(int fd, struct buf *out, uint64_t at, size_t n, struct err *e)
{
    while (n) {
        ssize_t r = pread(fd, buf_space(out, n), n, (off_t)at);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return err_set(e, "%s", r < 0 ? strerror(errno) : "it became shorter");
        buf_added(out, (size_t)r);
        at += (size_t)r;
        n -= (size_t)r;
    }
    return 0;
}

/* More and more of the file until the head is whole. */
static int load_head(int fd, struct queue_loaded *l, struct buf *text, struct err *e)
{
    size_t want = FIRST_READ, used;

    for (;;) {
        size_t n = want < l->bytes ? want : (size_t)l->bytes;
        int r;

        if (read_at(fd, text, text->len, n - text->len, e) < 0)
            return -1;
        r = queue_file_parse(&l->head, n ? buf_data(text) : "", n, &used, e);
        if (r < 0)
            return -1;
        if (r > 0) {
            l->content_at = used;
            return queue_file_log_at(l->head, used, l->bytes, &l->log_at, e);
        }
        if (n == l->bytes)
            return err_set(e, "cut off inside its head");
        want *= 4;
    }
}

static int load_log(int fd, struct queue_loaded *l, struct buf *text, struct err *e)
{
    uint64_t n = l->bytes - l->log_at;
    struct buf rest = {0};
    int rc;

    if (n > LOG_MOST)
        return err_set(e, "its log has %llu bytes", (unsigned long long)n);
    l->state = queue_state_new(l->head->rcpt_count);
    if (n == 0)
        return 0;
    if (l->bytes == text->len) /* a small message came with its log */
        return queue_state_read(l->state, buf_data(text) + l->log_at, (size_t)n, e);
    rc = read_at(fd, &rest, l->log_at, (size_t)n, e);
    if (rc == 0)
        rc = queue_state_read(l->state, buf_data(&rest), (size_t)n, e);
    buf_clear(&rest);
    return rc;
}

int queue_disk_load(const struct queue_disk *d, const char *id, struct queue_loaded **out, struct err *e)
{
    struct queue_loaded *l = NULL;
    struct buf text = {0};
    struct stat st;
    int fd = queue_disk_open(d, id), rc = -1;

    *out = NULL;
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(e, "%s", strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        err_set(e, "not a file");
        goto out;
    }
    l = mem_alloc(sizeof *l);
    l->bytes = (uint64_t)st.st_size;
    if (load_head(fd, l, &text, e) < 0 || load_log(fd, l, &text, e) < 0)
        goto out;
    if (strcmp(l->head->id, id) != 0) {
        err_set(e, "it says that its id is %s", l->head->id);
        goto out;
    }
    *out = l;
    l = NULL;
    rc = 1;
out:
    queue_loaded_free(&l);
    buf_clear(&text);
    close(fd);
    return rc;
}

void queue_loaded_free(struct queue_loaded **l)
{
    if (!*l)
        return;
    queue_file_free(&(*l)->head);
    queue_state_free(&(*l)->state);
    free(*l);
    *l = NULL;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t w = fsops->write(fd, p, n);

        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return -1;
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

int queue_disk_append(const struct queue_disk *d, const char *id, struct queue_loaded *l, const struct buf *lines,
                      bool flush, struct err *e)
{
    uint64_t at = l->log_at + l->state->whole;
    int fd = openat(d->dir, id, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), rc = -1;

    if (fd < 0)
        return err_set(e, "%s", strerror(errno));
    fsops_step("log");
    /* what is behind the last whole line is left of a crash, or of a write that failed */
    if (ftruncate(fd, (off_t)at) < 0 || lseek(fd, (off_t)at, SEEK_SET) < 0 ||
        write_all(fd, buf_data(lines), lines->len) < 0) {
        err_set(e, "%s", strerror(errno));
        goto out;
    }
    fsops_step("log-written");
    if (flush && fsops->flush_data(fd) < 0) {
        err_set(e, "%s", strerror(errno));
        goto out;
    }
    fsops_step("log-flushed");
    l->state->whole += lines->len;
    l->bytes = at + lines->len;
    rc = 0;
out:
    close(fd);
    return rc;
}

/* Where there is no O_TMPFILE the file has a hidden name first, which no scan takes for a message. */
static int create(const struct queue_disk *d, const char *hidden, bool *named)
{
    int fd = fsops->create(d->dir, 0600);

    *named = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR);
    return *named ? fsops->create_named(d->dir, hidden, 0600) : fd;
}

int queue_disk_publish(const struct queue_disk *d, const char *id, const struct buf *text, struct err *e)
{
    char hidden[QUEUE_FILE_ID_MOST + 8];
    bool named;
    int fd, rc = -1;

    snprintf(hidden, sizeof hidden, ".new-%s", id);
    fd = create(d, hidden, &named);
    if (fd < 0)
        return err_set(e, "%s", strerror(errno));
    if (write_all(fd, buf_data(text), text->len) < 0 || fsops->flush_data(fd) < 0 ||
        fsops->link(d->procfd, fd, d->dir, id) < 0) {
        err_set(e, "%s", strerror(errno));
        goto out;
    }
    fsops_step("report-linked");
    if (fsops->flush_dir(d->dir) < 0) {
        err_set(e, "%s", strerror(errno));
        (void)fsops->unlink(d->dir, id);
        goto out;
    }
    fsops_step("report-flushed");
    rc = 0;
out:
    if (named)
        (void)fsops->unlink(d->dir, hidden);
    close(fd);
    return rc;
}

int queue_disk_remove(struct queue_disk *d, const char *id, struct err *e)
{
    fsops_step("remove");
    if (fsops->unlink(d->dir, id) < 0 && errno != ENOENT)
        return err_set(e, "%s", strerror(errno));
    d->unflushed = true;
    fsops_step("removed");
    return 0;
}

/* An error here has no remedy: after a power cut a delivered message may be there again, and is sent twice. */
void queue_disk_flush(struct queue_disk *d)
{
    if (d->unflushed)
        (void)fsops->flush_dir(d->dir);
    d->unflushed = false;
}
