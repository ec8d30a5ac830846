/* What the room does with files itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf_raw.h"

#define READ_MAX ((off_t)64 * 1024 * 1024)

static int read_whole(int fd, const char *path, size_t size, char **text, size_t *len, struct err *e)
{
    char *p = mem_alloc(size + 1);
    size_t n = 0;

    while (n < size) {
        ssize_t got = read(fd, p + n, size - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(p);
            return err_set(e, "%s: %s", path, strerror(errno));
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    if (memchr(p, '\0', n)) {
        free(p);
        return err_set(e, "%s: a NUL byte: this is not a text file", path);
    }
    *text = p;
    *len = n;
    return 0;
}

int conf_read_disk(void *arg, const char *path, char **text, size_t *len, struct err *e)
{
    /* O_NONBLOCK: a FIFO in the place of a file must not hold up a load */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc = -1;
    struct stat st;

    (void)arg;
    if (fd < 0)
        return err_set(e, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st))
        err_set(e, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        err_set(e, "%s: not a regular file", path);
    else if (st.st_size > READ_MAX)
        err_set(e, "%s: larger than 64 MiB", path);
    else
        rc = read_whole(fd, path, (size_t)st.st_size, text, len, e);
    close(fd);
    return rc;
}

/* state-dir = VALUE, wherever it stands: it exists only once. */
static unsigned find_state_dir(const struct conf_scan *s)
{
    for (unsigned i = 0; i + 2 < s->count; i++)
        if (conf_token_is(&s->tokens[i], "state-dir") && s->tokens[i + 1].kind == '=' && s->tokens[i + 2].kind == 't')
            return i;
    return s->count;
}

/* The value as libconfuse reads it, escapes and variables included. */
static char *state_dir_at(const struct conf_scan *s, unsigned at, const char *file, struct err *e)
{
    struct conf_scan three = {.tokens = s->tokens + at, .count = 3};
    struct conf_problems p = {0};
    struct conf_raw raw;
    const struct conf_raw_setting *set;
    char *dir = NULL;

    if (s->tokens[at + 2].bad) {
        err_set(e, "%s:%u: state-dir: its value cannot be read", file, s->tokens[at].line);
    } else if (conf_raw_parse(&raw, &three, &p) == 0) {
        set = conf_raw_find(&raw.sections[0], "state-dir");
        if (set && *set->values[0].text)
            dir = conf_path_join(set->file, set->values[0].text);
        else
            err_set(e, "%s:%u: state-dir: the value is empty", file, s->tokens[at].line);
        conf_raw_free(&raw);
    }
    conf_problems_free(&p);
    return dir;
}

char *conf_state_dir_only(const char *file, struct err *e)
{
    const struct conf_reader disk = {conf_read_disk, NULL};
    struct conf_problems ignored = {0};
    struct conf_scan scan;
    char *text = NULL, *dir;
    size_t len;
    unsigned at;

    if (conf_read_disk(NULL, file, &text, &len, e))
        return NULL;
    conf_scan(&scan, file, text, &disk, &ignored);
    at = find_state_dir(&scan);
    if (at < scan.count)
        dir = state_dir_at(&scan, at, file, e);
    else
        dir = mem_str(conf_option_find(CONF_GLOBAL, "state-dir")->fallback);
    conf_scan_free(&scan);
    conf_problems_free(&ignored);
    free(text);
    return dir;
}
