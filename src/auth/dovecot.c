#include "auth/dovecot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "conf/conf_users.h"
#include "net/connect.h"

#define AGAIN_FIRST_S 1
#define AGAIN_MOST_S 30
#define HELLO_MOST_S 30 /* from the connection to DONE */
#define LIST_MOST 300u  /* bytes of the mechanisms' names: one line of EHLO */
#define OUT_MOST ((size_t)1 << 20)

struct dovecot;

struct auth_exchange {
    struct auth_exchange *next, **link;
    struct dovecot *dovecot;
    void *talk;
    uint32_t number;
    bool finished; /* OK came with last words: the next step ends it */
    char user[CONF_USER_NAME];
};

struct dovecot {
    struct auth_backend backend;
    struct loop *loop;
    struct addr address;
    int fd; /* -1: waiting for the next try */
    struct watch *watch;
    bool connected, ready, lost_said;
    int wait_s, left_s; /* until the next try */
    int hello_s;        /* connected, or about to be, and not ready */
    uint32_t last;
    struct auth_exchange *exchanges;
    char coming[LIST_MOST + 1], mechanisms[LIST_MOST + 1]; /* while MECH lines come; when DONE was said */
    struct buf in, out;
};

/* ---- lines */

static bool number(const char *text, uint32_t *out)
{
    uint64_t n;

    if (!text || !text_u64(span_str(text), &n) || n > UINT32_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool is_mechanism(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= 20 && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == n;
}

static void parameters(struct dovecot_line *out, char **rest)
{
    for (char *word; (word = strsep(rest, "\t"));) {
        if (strncmp(word, "user=", 5) == 0)
            out->user = word + 5;
        else if (strncmp(word, "resp=", 5) == 0)
            out->resp = word + 5;
        else if (strcmp(word, "temp") == 0 || strcmp(word, "code=temp_fail") == 0)
            out->temporary = true;
        else if (strcmp(word, "private") == 0 || strcmp(word, "anonymous") == 0)
            out->hidden = true;
    }
}

int dovecot_parse(struct dovecot_line *out, char *line)
{
    static const char *const kinds[] = {"", "VERSION", "MECH", "DONE", "OK", "FAIL", "CONT"};
    char *rest = line, *word = strsep(&rest, "\t"), *first;

    *out = (struct dovecot_line){.kind = DOVECOT_OTHER, .text = "", .user = ""};
    for (unsigned k = DOVECOT_VERSION; k <= DOVECOT_CONT; k++)
        if (strcmp(word, kinds[k]) == 0)
            out->kind = (enum dovecot_kind)k;
    if (out->kind == DOVECOT_OTHER || out->kind == DOVECOT_DONE)
        return 0;
    first = strsep(&rest, "\t");
    if (out->kind == DOVECOT_MECH) {
        if (!first || !is_mechanism(first))
            return -1;
        out->text = first;
    } else if (!number(first, &out->number)) {
        return -1;
    }
    if (out->kind == DOVECOT_CONT) {
        word = strsep(&rest, "\t");
        out->text = word ? word : "";
        return 0;
    }
    parameters(out, &rest);
    return 0;
}

/* ---- exchanges */

static void free_exchange(struct auth_exchange *x)
{
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    free(x);
}

static void finish(struct auth_exchange *x, enum auth_verdict v, const char *text, const char *name)
{
    const struct auth_backend_events *ev = x->dovecot->backend.events;
    void *talk = x->talk;

    free_exchange(x);
    ev->answer(talk, v, text, name);
}

static struct auth_exchange *find(const struct dovecot *d, uint32_t n)
{
    for (struct auth_exchange *x = d->exchanges; x; x = x->next)
        if (x->number == n)
            return x;
    return NULL;
}

/* ---- the connection */

static void hang_up(struct dovecot *d, const char *why)
{
    struct log_line l;

    watch_free(&d->watch);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
    d->connected = d->ready = false;
    buf_clear(&d->in);
    buf_clear(&d->out);
    d->left_s = d->wait_s;
    d->wait_s = d->wait_s * 2 > AGAIN_MOST_S ? AGAIN_MOST_S : d->wait_s * 2;
    if (!d->lost_said) {
        log_begin(&l, LOG_LEVEL_ERROR, "auth.backend-lost");
        log_str(&l, "details", why);
        log_str(&l, "hint", "nobody can log in until Dovecot's auth socket answers again");
        log_end(&l);
    }
    d->lost_said = true;
    while (d->exchanges)
        finish(d->exchanges, AUTH_UNAVAILABLE, "", "");
}

static void push(struct dovecot *d)
{
    while (d->out.len) {
        ssize_t n = send(d->fd, buf_data(&d->out), d->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            hang_up(d, strerror(errno));
            return;
        }
        explicit_bzero(buf_data(&d->out), (size_t)n);
        buf_consume(&d->out, (size_t)n);
    }
    watch_want(d->watch, d->out.len ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* Sent with the next turn: a failure must not be answered from inside the question. */
static void post(struct dovecot *d)
{
    watch_want(d->watch, LOOP_READ | LOOP_WRITE);
}

static void take_mech(struct dovecot *d, const struct dovecot_line *l)
{
    size_t n = strlen(d->coming);

    if (!l->hidden && n + 1 + strlen(l->text) <= LIST_MOST)
        snprintf(d->coming + n, sizeof d->coming - n, "%s%s", n ? " " : "", l->text);
}

static void take_done(struct dovecot *d)
{
    struct log_line l;

    d->ready = true;
    d->wait_s = AGAIN_FIRST_S;
    memcpy(d->mechanisms, d->coming, sizeof d->mechanisms);
    d->coming[0] = '\0';
    log_begin(&l, LOG_LEVEL_INFO, "auth.backend-back");
    log_str(&l, "mechanism", d->mechanisms);
    log_end(&l);
    d->lost_said = false;
    d->backend.events->changed(d->backend.arg);
}

static void take_ok(struct auth_exchange *x, const struct dovecot_line *l)
{
    char identity[CONF_USER_NAME];
    struct err e;

    if (conf_user_name(identity, span_str(l->user), &e) < 0) {
        log_event(LOG_LEVEL_ERROR, "auth.bad-message", "Dovecot's name for a user: %s", e.text);
        finish(x, AUTH_UNAVAILABLE, "", "");
    } else if (l->resp && *l->resp) { /* RFC 4954 4: last words go as a challenge, which is answered with nothing */
        x->finished = true;
        memcpy(x->user, identity, sizeof x->user);
        x->dovecot->backend.events->answer(x->talk, AUTH_CONTINUE, l->resp, identity);
    } else {
        finish(x, AUTH_OK, identity, identity);
    }
}

static int take(struct dovecot *d, char *text)
{
    struct dovecot_line l;
    struct auth_exchange *x;

    if (dovecot_parse(&l, text) < 0 || (l.kind == DOVECOT_VERSION && l.number != 1))
        return -1;
    if (l.kind == DOVECOT_MECH)
        take_mech(d, &l);
    if (l.kind == DOVECOT_DONE)
        take_done(d);
    x = l.kind >= DOVECOT_OK ? find(d, l.number) : NULL;
    if (!x) /* it was cancelled */
        return 0;
    if (l.kind == DOVECOT_OK)
        take_ok(x, &l);
    else if (l.kind == DOVECOT_FAIL)
        finish(x, l.temporary ? AUTH_UNAVAILABLE : AUTH_FAILED, "", l.user);
    else
        d->backend.events->answer(x->talk, AUTH_CONTINUE, l.text, l.user);
    return 0;
}

/* Whole lines out of what has come. */
static void take_lines(struct dovecot *d)
{
    char *lf;

    while (d->fd >= 0 && d->in.len && (lf = memchr(buf_data(&d->in), '\n', d->in.len))) {
        size_t n = (size_t)(lf - buf_data(&d->in));
        char *line = mem_strn(buf_data(&d->in), n);
        bool bad = memchr(line, '\0', n) != NULL;

        buf_consume(&d->in, n + 1);
        if (bad || take(d, line) < 0)
            hang_up(d, "a line that is not of Dovecot's auth protocol, version 1");
        explicit_bzero(line, n);
        free(line);
    }
    if (d->in.len > DOVECOT_LINE_MOST)
        hang_up(d, "a line without an end");
}

static void receive(struct dovecot *d)
{
    ssize_t n = recv(d->fd, buf_space(&d->in, 8192), 8192, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        hang_up(d, n < 0 ? strerror(errno) : "Dovecot closed the connection");
        return;
    }
    buf_added(&d->in, (size_t)n);
    take_lines(d);
}

static void on_io(void *arg, unsigned what)
{
    struct dovecot *d = arg;

    if (!d->connected) {
        struct err e;

        if (connect_result(d->fd, &e) < 0) {
            hang_up(d, e.text);
            return;
        }
        d->connected = true;
        buf_printf(&d->out, "VERSION\t1\t2\nCPID\t%d\n", (int)getpid());
    }
    if (what & LOOP_WRITE)
        push(d);
    if (d->fd >= 0 && what & LOOP_READ)
        receive(d);
}

static void dial(struct dovecot *d)
{
    struct err e;

    d->hello_s = 0;
    d->fd = connect_start(&d->address, NULL, &e);
    if (d->fd < 0) {
        hang_up(d, e.text);
        return;
    }
    d->watch = watch_new(d->loop, d->fd, on_io, d);
    watch_want(d->watch, LOOP_WRITE);
}

/* ---- as a backend */

static const char *dovecot_mechanisms(const struct auth_backend *b)
{
    return ((const struct dovecot *)b)->mechanisms;
}

static void facts(struct buf *out, const struct auth_begin_msg *m)
{
    char ip[ADDR_TEXT];

    buf_printf(out, "\tservice=smtp\tsecured\tlip=%s\tlport=%u", addr_ip_text(&m->local, ip), addr_port(&m->local));
    buf_printf(out, "\trip=%s\trport=%u\tsession=%s", addr_ip_text(&m->client, ip), addr_port(&m->client), m->session);
}

static struct auth_exchange *dovecot_begin(struct auth_backend *b, const struct auth_begin_msg *m, const char *text,
                                           void *talk)
{
    struct dovecot *d = (struct dovecot *)b;
    struct auth_exchange *x;

    if (!d->ready || d->out.len > OUT_MOST)
        return NULL;
    x = mem_alloc(sizeof *x);
    x->dovecot = d;
    x->talk = talk;
    x->number = ++d->last;
    x->next = d->exchanges;
    x->link = &d->exchanges;
    if (x->next)
        x->next->link = &x->next;
    d->exchanges = x;
    buf_printf(&d->out, "AUTH\t%u\t%s", x->number, m->mechanism);
    facts(&d->out, m);
    if (m->has_text)
        buf_printf(&d->out, "\tresp=%s", text);
    buf_append(&d->out, "\n", 1);
    post(d);
    return x;
}

static void dovecot_step(struct auth_backend *b, struct auth_exchange *x, const char *text)
{
    struct dovecot *d = (struct dovecot *)b;

    if (x->finished) {
        char user[CONF_USER_NAME];

        memcpy(user, x->user, sizeof user);
        finish(x, *text ? AUTH_MALFORMED : AUTH_OK, *text ? "" : user, user);
        return;
    }
    buf_printf(&d->out, "CONT\t%u\t%s\n", x->number, text);
    post(d);
}

static void dovecot_cancel(struct auth_backend *b, struct auth_exchange *x)
{
    struct dovecot *d = (struct dovecot *)b;

    if (d->ready && !x->finished) {
        buf_printf(&d->out, "CANCEL\t%u\n", x->number);
        post(d);
    }
    free_exchange(x);
}

static void dovecot_tick(struct auth_backend *b)
{
    struct dovecot *d = (struct dovecot *)b;

    if (d->fd < 0 && --d->left_s <= 0)
        dial(d);
    else if (d->fd >= 0 && !d->ready && ++d->hello_s > HELLO_MOST_S)
        hang_up(d, "no greeting of Dovecot's auth protocol: is this the auth-client socket?");
}

static void dovecot_free(struct auth_backend **b)
{
    struct dovecot *d = (struct dovecot *)*b;

    if (!d)
        return;
    while (d->exchanges)
        free_exchange(d->exchanges);
    watch_free(&d->watch);
    if (d->fd >= 0)
        close(d->fd);
    buf_clear(&d->in);
    buf_clear(&d->out);
    free(d);
    *b = NULL;
}

static const struct auth_backend_ops ops = {.mechanisms = dovecot_mechanisms,
                                            .begin = dovecot_begin,
                                            .step = dovecot_step,
                                            .cancel = dovecot_cancel,
                                            .tick = dovecot_tick,
                                            .free = dovecot_free};

int dovecot_new(struct auth_backend **out, struct loop *l, const char *path, const struct auth_backend_events *events,
                void *arg, struct err *e)
{
    struct dovecot *d = mem_alloc(sizeof *d);
    char *text = mem_printf("unix:%s", path);
    int rc = addr_parse(&d->address, text, e);

    free(text);
    d->backend = (struct auth_backend){.ops = &ops, .events = events, .arg = arg};
    d->loop = l;
    d->fd = -1;
    d->wait_s = AGAIN_FIRST_S;
    *out = &d->backend;
    if (rc < 0) {
        dovecot_free(out);
        return -1;
    }
    dial(d);
    return 0;
}
