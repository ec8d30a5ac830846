#include "main/users_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/conf_utf8.h"

struct users_file {
    char *name; /* of the file itself, where a link leads to it */
    struct stat st;
    bool there;
    char *text; /* "" where it is missing */
    size_t len;
};

struct first_fault {
    const char *file;
    struct err *e;
    bool said;
};

static void say(void *arg, unsigned line, const char *text)
{
    struct first_fault *f = arg;

    if (!f->said)
        err_set(f->e, "%s:%u: %s; mend it first", f->file, line, text);
    f->said = true;
}

static void close_file(struct users_file *f)
{
    if (f->text)
        explicit_bzero(f->text, f->len);
    free(f->text);
    free(f->name);
}

/* What is broken by hand is not made worse. */
static int open_file(struct users_file *f, const char *name, bool create, struct err *e)
{
    struct first_fault fault = {name, e, false};
    struct conf_users *u;

    *f = (struct users_file){.name = realpath(name, NULL)};
    if (!f->name)
        f->name = mem_str(name);
    f->there = stat(name, &f->st) == 0;
    if (!f->there) {
        if (errno == ENOENT && create) {
            f->text = mem_str("");
            return 0;
        }
        err_set(e, "%s: %s%s", name, strerror(errno),
                errno == ENOENT ? "; -c makes a new file: postern passwd -c FILE USER" : "");
        close_file(f);
        return -1;
    }
    if (conf_read_disk(NULL, name, &f->text, &f->len, e) < 0) {
        close_file(f);
        return -1;
    }
    u = conf_users_parse(f->text, f->len, say, &fault);
    if (!u)
        close_file(f);
    conf_users_free(&u);
    return fault.said ? -1 : 0;
}

int users_file_ready(const char *name, bool create, struct err *e)
{
    struct users_file f;

    if (open_file(&f, name, create, e) < 0)
        return -1;
    close_file(&f);
    return 0;
}

static bool is_line_of(const char *p, size_t n, const char *name)
{
    const char *colon = n && *p != '#' ? memchr(p, ':', n) : NULL;
    char plain[CONF_USER_NAME];
    size_t len;

    while (n && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    if (!colon)
        return false;
    len = (size_t)(colon - p);
    return conf_user_name(plain, (struct span){p, len}, NULL) == 0 && strcmp(plain, name) == 0;
}

/* Copies all lines but the user's, in whose place `line` goes (NULL: nothing). True: there was one. */
static bool replace(const struct users_file *f, const char *name, const char *line, struct buf *out)
{
    bool found = false;

    for (const char *p = conf_utf8_begin(f->text, f->len), *end = f->text + f->len; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((eol ? eol : end) - p);

        if (!is_line_of(p, n, name)) {
            buf_append(out, p, n);
            buf_append(out, "\n", 1);
        } else {
            if (line)
                buf_printf(out, "%s\n", line);
            found = true;
        }
        p = eol ? eol + 1 : end;
    }
    return found;
}

static int flush_directory(const char *file)
{
    char *dir = mem_str(file), *slash = strrchr(dir, '/');
    int fd, rc;

    if (slash)
        slash[slash == dir] = '\0';
    fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    free(dir);
    return rc;
}

static int fill(int fd, const struct users_file *f, const struct buf *b)
{
    const char *p = buf_data(b);

    for (size_t left = b->len; left;) {
        ssize_t n = write(fd, p, left);

        if (n <= 0)
            return -1;
        p += n;
        left -= (size_t)n;
    }
    if (f->there && (fchown(fd, f->st.st_uid, f->st.st_gid) < 0 || fchmod(fd, f->st.st_mode & 07777) < 0))
        return -1;
    return fsync(fd);
}

/* The new file, made before the old one is read: of two that are at it one is told, and neither loses the other's user. */
struct new_file {
    char *tmp;
    int fd;
};

static int claim(struct new_file *n, const char *file, struct err *e)
{
    char *real = realpath(file, NULL);

    n->tmp = mem_printf("%s.new", real ? real : file);
    free(real);
    n->fd = open(n->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (n->fd >= 0)
        return 0;
    err_set(e, "%s: %s%s", n->tmp, strerror(errno),
            errno == EEXIST ? "; another postern passwd is at it, or one was cut off: remove that file then" : "");
    free(n->tmp);
    return -1;
}

static int put_in_place(const struct new_file *n, const struct users_file *f, const struct buf *b, struct err *e)
{
    if (fill(n->fd, f, b) == 0 && rename(n->tmp, f->name) == 0 && flush_directory(f->name) == 0)
        return 0;
    return err_set(e, "%s: %s", n->tmp, strerror(errno));
}

static void release(struct new_file *n, bool in_place)
{
    if (!in_place)
        unlink(n->tmp);
    close(n->fd);
    free(n->tmp);
}

int users_file_set(const char *file, bool create, const char *name, const char *password, struct err *e)
{
    char *secret = secret_make(password, e), *line;
    struct users_file f;
    struct new_file n;
    struct buf out = {0};
    int rc;

    if (!secret)
        return -1;
    line = mem_printf("%s:%s", name, secret);
    rc = claim(&n, file, e);
    if (rc == 0) {
        rc = open_file(&f, file, create, e);
        if (rc == 0) {
            if (!replace(&f, name, line, &out))
                buf_printf(&out, "%s\n", line);
            rc = put_in_place(&n, &f, &out, e);
            explicit_bzero(buf_data(&out), out.len);
            close_file(&f);
        }
        release(&n, rc == 0);
    }
    buf_clear(&out);
    explicit_bzero(secret, strlen(secret));
    explicit_bzero(line, strlen(line));
    free(secret);
    free(line);
    return rc;
}

int users_file_remove(const char *file, const char *name, struct err *e)
{
    struct users_file f;
    struct new_file n;
    struct buf out = {0};
    int rc;

    if (claim(&n, file, e) < 0)
        return -1;
    rc = open_file(&f, file, false, e);
    if (rc == 0) {
        rc = replace(&f, name, NULL, &out) ? put_in_place(&n, &f, &out, e)
                                           : err_set(e, "%s: there is no %s in it", file, name);
        close_file(&f);
    }
    release(&n, rc == 0);
    if (out.len)
        explicit_bzero(buf_data(&out), out.len);
    buf_clear(&out);
    return rc;
}
