/* Dovecot's side of its auth socket, and what workers and auth say to each other: none is trusted to be well-formed. The
 * first byte chooses: lines apart from any connection, a whole conversation, or one message. In a conversation NUL parts
 * what Dovecot says from what we do: 'b' begins an exchange, 's' steps and 'c' cancels the one that the next byte names. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/auth_msg.h"
#include "auth/dovecot.h"
#include "base/log.h"
#include "base/text.h"
#include "conf/conf_users.h"

#define TALKS 8

struct talk {
    struct auth_exchange *exchange; /* NULL: none, or it has its last answer */
    bool asked;
};

static struct talk talks[TALKS];
static struct loop *loop;
static char path[] = "/tmp/fuzz-dovecot-XXXXXX/s";
static int listener = -1;

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* ---- lines */

static bool is_inside(const char *p, const char *line, size_t n)
{
    return !p || !*p || (p >= line && p + strlen(p) <= line + n);
}

static void lines(const uint8_t *p, size_t n)
{
    char *line = mem_strn((const char *)p, n);
    size_t len = strlen(line);
    struct dovecot_line l;

    if (dovecot_parse(&l, line) == 0)
        check(l.text && l.user && is_inside(l.text, line, len) && is_inside(l.user, line, len) &&
              is_inside(l.resp, line, len) && (l.kind != DOVECOT_MECH || *l.text));
    free(line);
}

/* ---- a conversation */

static void on_answer(void *arg, enum auth_verdict v, const char *text, const char *name)
{
    struct talk *t = arg;
    char plain[CONF_USER_NAME];

    check(t->exchange && text && name);
    if (v == AUTH_OK)
        check(conf_user_name(plain, span_str(text), NULL) == 0 && strcmp(plain, text) == 0);
    if (v == AUTH_CONTINUE)
        t->asked = false;
    else
        t->exchange = NULL;
}

static void on_changed(void *arg)
{
    (void)arg;
}

static void no_end(void *arg)
{
    (void)arg;
}

static void turn(void)
{
    check(loop_turn(loop, false, no_end, NULL) == 0);
}

static void tidy(void)
{
    unlink(path);
    path[strlen(path) - 2] = '\0';
    rmdir(path);
}

static void listen_once(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct err e;

    if (listener >= 0)
        return;
    path[strlen(path) - 2] = '\0';
    check(mkdtemp(path) != NULL);
    path[strlen(path)] = '/';
    strcpy(a.sun_path, path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(bind(listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(listener, 8) == 0);
    atexit(tidy);
    log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    check(loop_new(&loop, &e) == 0);
}

static void begin(struct auth_backend *b, struct talk *t)
{
    struct auth_begin_msg m = {.has_text = 1, .mechanism = "PLAIN", .session = "1"};

    if (t->exchange)
        return;
    t->asked = true;
    t->exchange = b->ops->begin(b, &m, "eA==", t);
}

/* What is said to it in between is not looked at, but must not fill the socket. */
static void drain(int fd)
{
    char room[4096];

    while (recv(fd, room, sizeof room, MSG_DONTWAIT) > 0)
        ;
}

static void act(struct auth_backend *b, int fd, const uint8_t *p, size_t n)
{
    struct talk *t = n > 1 ? &talks[p[1] % TALKS] : &talks[0];

    if (n && n <= 2 && p[0] == 'b') {
        begin(b, t);
    } else if (n && n <= 2 && p[0] == 's') {
        if (t->exchange && !t->asked) {
            t->asked = true;
            b->ops->step(b, t->exchange, "eA==");
        }
    } else if (n && n <= 2 && p[0] == 'c') {
        if (t->exchange)
            b->ops->cancel(b, t->exchange);
        t->exchange = NULL;
    } else if (n) {
        (void)!send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    for (int i = 0; i < 3; i++)
        turn();
    drain(fd);
}

static void conversation(const uint8_t *p, size_t n)
{
    struct auth_backend_events events = {on_answer, on_changed};
    struct auth_backend *b;
    struct err e;
    int fd;

    listen_once();
    memset(talks, 0, sizeof talks);
    check(dovecot_new(&b, loop, path, &events, NULL, &e) == 0);
    fd = accept(listener, NULL, NULL);
    check(fd >= 0);
    turn();
    while (n) {
        const uint8_t *nul = memchr(p, 0, n);
        size_t part = nul ? (size_t)(nul - p) : n;

        act(b, fd, p, part);
        p += nul ? part + 1 : part;
        n -= nul ? part + 1 : part;
    }
    close(fd); /* Dovecot goes: everybody who waits is answered */
    for (int i = 0; i < 3; i++)
        turn();
    for (unsigned i = 0; i < TALKS; i++)
        check(!talks[i].exchange);
    b->ops->free(&b);
}

/* ---- messages */

static void again(struct buf *b, const uint8_t *p, size_t n)
{
    check(b->len == n && memcmp(buf_data(b), p, n) == 0);
    buf_clear(b);
}

static void begin_message(const uint8_t *p, size_t n)
{
    struct auth_begin_msg m;
    struct buf b = {0};
    char ip[ADDR_TEXT];
    const char *text;

    if (auth_begin_decode(&m, &text, p, n) < 0)
        return;
    check(strlen(m.mechanism) < sizeof m.mechanism && strlen(m.session) < sizeof m.session);
    check(!strpbrk(text, "\t\n") && !strpbrk(m.mechanism, "\t\n ") && !strpbrk(m.session, "\t\n "));
    (void)addr_key(&m.client, 32, 64);
    check(*addr_ip_text(&m.client, ip) && *addr_ip_text(&m.local, ip));
    auth_begin_encode(&b, &m, text, strlen(text));
    again(&b, p, n);
}

static void messages(const uint8_t *p, size_t n)
{
    enum auth_verdict v;
    struct buf b = {0};
    const char *text;
    uint32_t number;

    begin_message(p, n);
    if (auth_step_decode(&number, &text, p, n) == 0) {
        auth_step_encode(&b, number, text, strlen(text));
        again(&b, p, n);
    }
    if (auth_answer_decode(&number, &v, &text, p, n) == 0) {
        auth_answer_encode(&b, number, v, text);
        again(&b, p, n);
    }
    (void)auth_cancel_decode(&number, p, n);
    if (auth_mechanisms_decode(&text, p, n) == 0)
        check(strlen(text) + 1 == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const ways[])(const uint8_t *, size_t) = {lines, conversation, messages};
    uint8_t *copy;

    if (size == 0)
        return 0;
    copy = malloc(size > 1 ? size - 1 : 1); /* exactly as long as it is */
    memcpy(copy, data + 1, size - 1);
    ways[data[0] % 3](copy, size - 1);
    free(copy);
    return 0;
}
