#include "proc/logpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

#define LOGPIPE_HOLD (1u << 20) /* bytes kept for a reader that is slow */
#define LOGPIPE_PART 65536u     /* a line is at most LOG_LINE_MAX */

struct logpipe {
    int in, out;
    enum conf_log_target target;
    char *file;
    int fd;          /* stderr's own open file description, or the file */
    bool is_socket;  /* fd needs send(MSG_DONTWAIT): a socket's flags are shared with everybody */
    struct buf part; /* the beginning of a line whose end has not come */
    struct buf hold;
    char last; /* byte that was written; no newline: the disk was full inside a line */
    uint64_t lost, lost_said;
};

/* O_NONBLOCK on an inherited descriptor would be set for everybody who shares it, the user's shell included; opening
 * it anew through /proc gives flags of our own. Sockets cannot be opened and do not need to be. */
static int own_stderr(bool *is_socket)
{
    struct stat st;
    int fd;

    *is_socket = fstat(2, &st) == 0 && S_ISSOCK(st.st_mode);
    if (*is_socket)
        return dup(2);
    fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 ? fd : fcntl(2, F_DUPFD_CLOEXEC, 3);
}

int logpipe_new(struct logpipe **out, struct err *e)
{
    struct logpipe *l;
    int p[2];

    if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_set(e, "pipe for the log: %s", strerror(errno));
    (void)fcntl(p[1], F_SETPIPE_SZ, 1 << 20); /* a larger pipe loses fewer lines; the default also works */
    l = mem_alloc(sizeof *l);
    l->in = p[0];
    l->out = p[1];
    l->target = CONF_LOG_STDERR;
    l->last = '\n';
    l->fd = own_stderr(&l->is_socket);
    *out = l;
    return 0;
}

void logpipe_free(struct logpipe **lp)
{
    struct logpipe *l = *lp;

    if (!l)
        return;
    close(l->in);
    close(l->out);
    if (l->fd >= 0)
        close(l->fd);
    buf_clear(&l->part);
    buf_clear(&l->hold);
    free(l->file);
    free(l);
    *lp = NULL;
}

int logpipe_write_end(const struct logpipe *l)
{
    return l->out;
}

int logpipe_read_end(const struct logpipe *l)
{
    return l->in;
}

int logpipe_wants_write(const struct logpipe *l)
{
    return l->hold.len && l->target != CONF_LOG_SYSLOG ? l->fd : -1;
}

static int level_of(const char *line, size_t n)
{
    static const struct {
        const char *word;
        int priority;
    } levels[] = {{"error", LOG_ERR}, {"warn", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};

    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        char plain[32], json[32];

        snprintf(plain, sizeof plain, " level=%s ", levels[i].word);
        snprintf(json, sizeof json, "\"level\":\"%s\"", levels[i].word);
        if (memmem(line, n, plain, strlen(plain)) || memmem(line, n, json, strlen(json)))
            return levels[i].priority;
    }
    return LOG_NOTICE;
}

static void to_syslog(struct logpipe *l)
{
    const char *lf;

    while (l->hold.len && (lf = memchr(buf_data(&l->hold), '\n', l->hold.len))) {
        const char *p = buf_data(&l->hold);
        size_t n = (size_t)(lf - p);

        syslog(level_of(p, n), "%.*s", (int)n, p);
        buf_consume(&l->hold, n + 1);
    }
}

static void write_held(struct logpipe *l)
{
    if (l->target == CONF_LOG_SYSLOG) {
        to_syslog(l);
        return;
    }
    while (l->hold.len) {
        ssize_t n = l->is_socket ? send(l->fd, buf_data(&l->hold), l->hold.len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                 : write(l->fd, buf_data(&l->hold), l->hold.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) { /* nobody will ever read this: do not keep it */
            for (size_t i = 0; i < l->hold.len; i++)
                l->lost += buf_data(&l->hold)[i] == '\n';
            buf_clear(&l->hold);
            return;
        }
        l->last = buf_data(&l->hold)[n - 1];
        buf_consume(&l->hold, (size_t)n);
    }
}

/* More than we hold for a slow reader is dropped, whole lines of it. */
static void keep(struct logpipe *l, const char *p, size_t n)
{
    if (l->hold.len + n > LOGPIPE_HOLD) {
        for (size_t i = 0; i < n; i++)
            l->lost += p[i] == '\n';
        return;
    }
    if (!l->hold.len && l->last != '\n')
        buf_append(&l->hold, "\n", 1);
    if (l->lost != l->lost_said) {
        buf_printf(&l->hold, "level=warn event=log.lines-lost count=%llu details=\"the log's reader is too slow\"\n",
                   (unsigned long long)(l->lost - l->lost_said));
        l->lost_said = l->lost;
    }
    buf_append(&l->hold, p, n);
}

/* A read may end inside a line. What is dropped must be whole lines: half a line and half another one would make a third,
 * and bytes of a client that were inside quotes could stand outside of them. */
static void take(struct logpipe *l, const char *p, size_t n)
{
    const char *lf;
    size_t whole;

    buf_append(&l->part, p, n);
    lf = memrchr(buf_data(&l->part), '\n', l->part.len);
    whole = lf ? (size_t)(lf - buf_data(&l->part)) + 1 : 0;
    if (!whole && l->part.len > LOGPIPE_PART) { /* no process of ours writes that; it is not collected for ever */
        buf_append(&l->part, "\n", 1);
        whole = l->part.len;
    }
    if (!whole)
        return;
    keep(l, buf_data(&l->part), whole);
    buf_consume(&l->part, whole);
}

void logpipe_pump(struct logpipe *l)
{
    char room[65536];

    for (int i = 0; i < 16; i++) { /* others wait to be served, too */
        ssize_t n = read(l->in, room, sizeof room);

        if (n <= 0)
            break;
        take(l, room, (size_t)n);
        write_held(l);
        if ((size_t)n < sizeof room) /* that was all */
            break;
    }
    write_held(l);
}

void logpipe_drain(struct logpipe *l, int timeout_ms)
{
    int64_t end = clock_now().mono_us + timeout_ms * INT64_C(1000);

    for (;;) {
        struct pollfd p = {.fd = l->in, .events = POLLIN};

        logpipe_pump(l);
        if (!l->hold.len && poll(&p, 1, 0) <= 0)
            return;
        if (clock_now().mono_us > end)
            return;
        p.fd = l->hold.len ? l->fd : l->in;
        p.events = l->hold.len ? POLLOUT : POLLIN;
        poll(&p, 1, 10);
    }
}

static int open_file(const char *file)
{
    return open(file, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
}

int logpipe_target(struct logpipe *l, enum conf_log_target target, const char *file, struct err *e)
{
    bool is_socket = false;
    int fd = -1;

    if (target == l->target && (target != CONF_LOG_FILE || (l->file && strcmp(l->file, file) == 0)))
        return 0;
    if (target == CONF_LOG_FILE) {
        fd = open_file(file);
        if (fd < 0)
            return err_set(e, "log file %s: %s", file, strerror(errno));
    } else if (target == CONF_LOG_STDERR) {
        fd = own_stderr(&is_socket);
    } else {
        openlog("postern", LOG_PID | LOG_NDELAY, LOG_MAIL);
    }
    write_held(l); /* what came before goes where it was meant to */
    if (l->fd >= 0)
        close(l->fd);
    free(l->file);
    l->file = target == CONF_LOG_FILE ? mem_str(file) : NULL;
    l->fd = fd;
    l->is_socket = is_socket;
    l->last = '\n';
    l->target = target;
    return 0;
}

void logpipe_reopen(struct logpipe *l)
{
    int fd;

    if (l->target != CONF_LOG_FILE)
        return;
    write_held(l);
    fd = open_file(l->file);
    if (fd < 0)
        return; /* the old file goes on */
    close(l->fd);
    l->fd = fd;
    l->last = '\n';
}

uint64_t logpipe_lost(const struct logpipe *l)
{
    return l->lost;
}
