#include "proc/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

#define REQUEST_MAX 4096
#define REPLY_MAX (16u << 20)
#define CLIENT_SECONDS 10

/* A path below a descriptor fits into sun_path however long the directory's own name is. */
static int dir_address(struct sockaddr_un *un, const char *dir, int *dirfd, struct err *e)
{
    *dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dirfd < 0)
        return err_set(e, "%s: %s", dir, strerror(errno));
    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof un->sun_path, "/proc/self/fd/%d/control.sock", *dirfd);
    return 0;
}

int control_listen(const char *dir, unsigned uid, unsigned gid, struct err *e)
{
    struct sockaddr_un un;
    int dirfd, fd = -1;

    if (dir_address(&un, dir, &dirfd, e) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        err_set(e, "socket: %s", strerror(errno));
        goto out;
    }
    (void)unlinkat(dirfd, "control.sock", 0);
    if (bind(fd, (struct sockaddr *)&un, sizeof un) < 0 || listen(fd, 64) < 0 ||
        fchmodat(dirfd, "control.sock", 0660, 0) < 0 ||
        (geteuid() == 0 && fchownat(dirfd, "control.sock", uid, gid, AT_SYMLINK_NOFOLLOW) < 0)) {
        err_set(e, "control socket in %s: %s", dir, strerror(errno));
        close(fd);
        fd = -1;
    }
out:
    close(dirfd);
    return fd;
}

/* ---- server */

struct client {
    unsigned number; /* 0: free */
    int fd;
    int64_t until_us;
    bool asked; /* the request is whole; an answer is owed or on its way */
    bool answered;
    struct buf in, out;
};

struct control {
    control_handler *handler;
    void *arg;
    unsigned next;
    struct client client[CONTROL_CLIENTS];
};

struct control *control_new(control_handler *handler, void *arg)
{
    struct control *c = mem_alloc(sizeof *c);

    c->handler = handler;
    c->arg = arg;
    return c;
}

static void client_drop(struct client *cl)
{
    close(cl->fd);
    buf_clear(&cl->in);
    buf_clear(&cl->out);
    memset(cl, 0, sizeof *cl);
}

void control_accept(struct control *c, int listen_fd, int64_t mono_us)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *cl = &c->client[i];
        int fd;

        if (cl->number)
            continue;
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        memset(cl, 0, sizeof *cl);
        cl->number = ++c->next ? c->next : ++c->next;
        cl->fd = fd;
        cl->until_us = mono_us + CLIENT_SECONDS * INT64_C(1000000);
        return;
    }
}

unsigned control_poll(const struct control *c, struct pollfd *pfds)
{
    unsigned n = 0;

    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        const struct client *cl = &c->client[i];

        if (cl->number)
            pfds[n++] = (struct pollfd){
                .fd = cl->fd,
                .events = (short)(cl->out.len ? POLLOUT
                                  : cl->asked ? 0
                                              : POLLIN),
            };
    }
    return n;
}

static void client_request(struct control *c, struct client *cl, size_t n)
{
    json_error_t je;
    json_t *request = json_loadb(buf_data(&cl->in), n, JSON_REJECT_DUPLICATES, &je);

    cl->asked = true;
    if (!json_is_object(request))
        control_answer(c, cl->number, json_pack("{s:b,s:s}", "ok", 0, "error", "the request is not a JSON object"));
    else
        c->handler(c->arg, cl->number, request);
    json_decref(request);
}

static void client_read(struct control *c, struct client *cl)
{
    ssize_t n = recv(cl->fd, buf_space(&cl->in, REQUEST_MAX), REQUEST_MAX, 0);
    const char *lf;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || cl->in.len + (size_t)n > REQUEST_MAX) {
        client_drop(cl);
        return;
    }
    buf_added(&cl->in, (size_t)n);
    lf = memchr(buf_data(&cl->in), '\n', cl->in.len);
    if (lf)
        client_request(c, cl, (size_t)(lf - buf_data(&cl->in)));
}

static void client_write(struct client *cl)
{
    ssize_t n = send(cl->fd, buf_data(&cl->out), cl->out.len, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_drop(cl);
        return;
    }
    buf_consume(&cl->out, (size_t)n);
    if (!cl->out.len)
        client_drop(cl);
}

static struct client *by_fd(struct control *c, int fd)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].number && c->client[i].fd == fd)
            return &c->client[i];
    return NULL;
}

void control_pump(struct control *c, const struct pollfd *pfds, unsigned count, int64_t mono_us)
{
    for (unsigned i = 0; i < count; i++) {
        struct client *cl = by_fd(c, pfds[i].fd);

        if (!cl || !pfds[i].revents)
            continue;
        if (pfds[i].revents & POLLOUT)
            client_write(cl);
        else if (pfds[i].revents & POLLIN)
            client_read(c, cl);
        else
            client_drop(cl); /* hung up while it waited for the answer */
    }
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *cl = &c->client[i];

        /* whoever waits for a reload may wait: the answer has a deadline of its own */
        if (cl->number && (!cl->asked || cl->answered) && mono_us > cl->until_us)
            client_drop(cl);
    }
}

void control_answer(struct control *c, unsigned number, json_t *reply)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS && number; i++) {
        struct client *cl = &c->client[i];
        char *text;

        if (cl->number != number || cl->answered)
            continue;
        text = json_dumps(reply, JSON_COMPACT);
        if (text) {
            buf_append(&cl->out, text, strlen(text));
            buf_append(&cl->out, "\n", 1);
            free(text);
        }
        cl->answered = true;
        cl->until_us = clock_now().mono_us + CLIENT_SECONDS * INT64_C(1000000);
        break;
    }
    json_decref(reply);
}

int control_take(struct control *c, unsigned number)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS && number; i++) {
        struct client *cl = &c->client[i];
        int fd = cl->fd;

        if (cl->number != number || cl->answered)
            continue;
        buf_clear(&cl->in);
        buf_clear(&cl->out);
        memset(cl, 0, sizeof *cl);
        return fd;
    }
    return -1;
}

bool control_is_idle(const struct control *c)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].number)
            return false;
    return true;
}

/* ---- client */

static int wait_ready(int fd, short what, int64_t until_us)
{
    int64_t left = (until_us - clock_now().mono_us) / 1000;
    struct pollfd p = {.fd = fd, .events = what};

    return left < 0 ? 0 : poll(&p, 1, (int)left);
}

static int read_reply(int fd, int64_t until_us, json_t **reply, struct err *e)
{
    struct buf in = {0};
    json_error_t je;
    int rc = -1;

    for (;;) {
        ssize_t n;

        if (wait_ready(fd, POLLIN, until_us) <= 0) {
            err_set(e, "the daemon did not answer in time");
            goto out;
        }
        n = recv(fd, buf_space(&in, 65536), 65536, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || in.len + (size_t)n > REPLY_MAX) {
            err_set(e, "reading the daemon's answer: %s", n < 0 ? strerror(errno) : "too long");
            goto out;
        }
        if (n == 0)
            break;
        buf_added(&in, (size_t)n);
    }
    *reply = json_loadb(in.len ? buf_data(&in) : "", in.len, 0, &je);
    rc = *reply ? 0 : err_set(e, "the daemon ended before it had answered");
out:
    buf_clear(&in);
    return rc;
}

int control_open(const char *state_dir, const json_t *request, struct err *e)
{
    char *text = json_dumps(request, JSON_COMPACT);
    struct sockaddr_un un;
    int dirfd, fd = -1;

    if (dir_address(&un, state_dir, &dirfd, e) < 0) {
        free(text);
        return err_wrap(e, "postern is not running here, or this user may not ask it");
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof un) < 0) {
        err_set(e, "postern is not running here, or this user may not ask it: %s/control.sock: %s", state_dir,
                strerror(errno));
        goto fail;
    }
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0) {
        err_set(e, "asking the daemon: %s", strerror(errno));
        goto fail;
    }
    goto out;
fail:
    if (fd >= 0)
        close(fd);
    fd = -1;
out:
    close(dirfd);
    free(text);
    return fd;
}

int control_ask(const char *state_dir, const json_t *request, int timeout_ms, json_t **reply, struct err *e)
{
    int64_t until = clock_now().mono_us + timeout_ms * INT64_C(1000);
    int fd = control_open(state_dir, request, e), rc;

    if (fd < 0)
        return -1;
    rc = read_reply(fd, until, reply, e);
    close(fd);
    return rc;
}
