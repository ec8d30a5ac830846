/* A worker's server turned by hand: real sockets on loopback, the real client side of the store, and a store made of
 * memory files at the other end of the channel, which answers when the test says so. */
#ifndef TESTS_UNIT_SESSION_RIG_H
#define TESTS_UNIT_SESSION_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "session/session.h"
#include "sink/store_msg.h"
#include "unit/suite.h"

#define RIG_FILES STORE_SLOTS
#define RIG_PATIENCE_US (10 * INT64_C(1000000))

struct rig {
    struct conf *conf;
    struct tls_listener *tls[4];
    struct cert_slot cert;
    bool has_cert;
    struct server_socket socket[4];
    int leader, store; /* our ends; -1: closed */
    struct server_setup setup;
    struct server *server;
    int log;
    /* the store */
    bool hold; /* answers wait */
    bool no_files;
    bool sealed;             /* files that refuse every write */
    enum sink_result result; /* of the answers to come */
    int error;
    int file[RIG_FILES];
    unsigned next_slot;
    uint32_t waiting[64];
    unsigned waiting_count, commits, drops;
    int last_file; /* of the last commit */
    uint32_t last_count;
    char room[CHAN_MAX + 4];
};

static struct rig rig;
static struct { /* of the store, before rig_start(): it is asked for files at once */
    bool no_files, sealed;
} rig_preset;

/* ---- making one */

static inline void rig_conf(const char *listeners)
{
    struct conf_problems p = {0};
    char *text = mem_printf("hostname = \"mx.example.test\"\nstate-dir = \"/nonexistent\"\nworkers = 1\n"
                            "certificate \"mx\" { chain = \"cert.pem\" key = \"key.pem\" }\n%s\n"
                            "domain \"example.test\" { mailboxes = {\"alice\", \"bob\"} deliver = \"local\" }\n"
                            "delivery \"local\" { type = maildir path = \"/nonexistent/%%d/%%u\" }\n",
                            listeners);

    if (conf_load(&rig.conf, "/nonexistent/postern.conf", text, NULL, &p) < 0)
        for (unsigned i = 0; i < p.count; i++)
            ck_assert_msg(p.list[i].warning, "%s", conf_problem_text(&p.list[i]));
    conf_problems_free(&p);
    free(text);
    rig.conf->limits.session_memory = 1 << 20;
}

static inline void rig_certificate(bool good)
{
    char dir[] = "/tmp/postern-session-XXXXXX", chain[128], key[128], ca[128], ca_key[128];
    struct conf_certificate c = {.title = "mx", .chain_file = chain, .key_file = key};
    struct cert_source src;
    struct err e;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(chain, sizeof chain, "%s/cert.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    snprintf(ca_key, sizeof ca_key, "%s/ca-key.pem", dir);
    if (good)
        ck_assert_msg(cert_make_local(dir, "mx.example.test", 90, &e) == 0, "%s", e.text);
    cert_source_read(&src, &c);
    cert_slot_choose(&rig.cert, &rig.conf->certificates[0], &src, NULL, "mx.example.test",
                     clock_now().real_us / 1000000);
    rig.has_cert = true;
    cert_source_free(&src);
    for (unsigned i = 0; good && i < 4; i++)
        unlink((const char *[]){chain, key, ca, ca_key}[i]);
    rmdir(dir);
}

static inline void rig_listen(unsigned i)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct server_socket *s = &rig.socket[i];

    s->listener = i;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(s->fd, 0);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listen(s->fd, 1024), 0);
    s->local.len = sizeof s->local.ss;
    ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&s->local.ss, &s->local.len), 0);
}

static inline void rig_turn(void);

static inline void rig_order(enum server_order o)
{
    ck_assert_int_eq(chan_send(rig.leader, o, NULL, 0, NULL, 0, NULL), 1);
    rig_turn();
}

/* listeners: their sections; good: whether the certificate is usable. After this the server accepts. */
static inline void rig_start(const char *listeners, bool good, void (*tune)(struct conf *))
{
    int leader[2], store[2];
    struct err e;

    signal(SIGPIPE, SIG_IGN); /* as in every process of ours */
    memset(&rig, 0, sizeof rig);
    rig.last_file = -1;
    rig.no_files = rig_preset.no_files;
    rig.sealed = rig_preset.sealed;
    for (unsigned i = 0; i < RIG_FILES; i++)
        rig.file[i] = -1;
    rig.log = memfd_create("log", MFD_CLOEXEC);
    log_open(rig.log, LOG_FORMAT_LOGFMT, LOG_LEVEL_DEBUG);
    rig_conf(listeners);
    if (tune)
        tune(rig.conf);
    rig_certificate(good);
    ck_assert_int_eq(chan_pair(leader, &e), 0);
    ck_assert_int_eq(chan_pair(store, &e), 0);
    rig.leader = leader[0];
    rig.store = store[0];
    for (unsigned i = 0; i < rig.conf->listener_count; i++) {
        if (rig.conf->listeners[i].tls != CONF_TLS_OFF)
            rig.tls[i] = tls_listener_new(&rig.conf->listeners[i], &rig.cert, &e);
        rig_listen(i);
    }
    rig.setup = (struct server_setup){
        .conf = rig.conf,
        .tls = rig.tls,
        .sockets = rig.socket,
        .socket_count = rig.conf->listener_count,
        .leader_fd = leader[1],
        .store_fd = store[1],
        .generation = 1,
    };
    ck_assert_int_eq(share_new(&rig.setup.share, 1024, &e), 0);
    rig.setup.slot = share_take(rig.setup.share, 1);
    rig.server = server_new(&rig.setup, &e);
    ck_assert_ptr_nonnull(rig.server);
    rig_order(SERVER_ACCEPT);
}

static inline void rig_stop(void)
{
    server_free(&rig.server);
    /* whatever happened, nobody is counted any more */
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_CONNECTIONS_NOW), 0);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_TRANSACTIONS_NOW), 0);
    for (unsigned i = 0; i < RIG_FILES; i++)
        if (rig.file[i] >= 0)
            close(rig.file[i]);
    for (unsigned i = 0; i < rig.conf->listener_count; i++)
        tls_listener_free(&rig.tls[i]);
    if (rig.leader >= 0)
        close(rig.leader);
    if (rig.store >= 0)
        close(rig.store);
    close(rig.setup.leader_fd);
    close(rig.setup.store_fd);
    cert_slot_free(&rig.cert);
    conf_free(&rig.conf);
    close(rig.log);
}

/* ---- the store */

static inline void rig_make_files(unsigned count)
{
    struct store_file f[16] = {0};
    int fds[16] = {0};
    unsigned n = count < 16 ? count : 16;

    for (unsigned i = 0; i < n; i++) {
        uint32_t slot = rig.next_slot++;

        ck_assert_uint_lt(slot, RIG_FILES);
        rig.file[slot] = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        ck_assert_int_ge(rig.file[slot], 0);
        if (rig.sealed)
            ck_assert_int_eq(fcntl(rig.file[slot], F_ADD_SEALS, F_SEAL_WRITE), 0);
        fds[i] = rig.file[slot];
        f[i] = (struct store_file){slot, 0};
    }
    ck_assert_int_eq(chan_send(rig.store, STORE_FILES, f, n * sizeof *f, fds, n, NULL), 1);
    if (count > n)
        rig_make_files(count - n);
}

static inline void rig_answer_all(void)
{
    for (unsigned i = 0; i < rig.waiting_count; i++) {
        struct store_answer a = {rig.waiting[i], (uint32_t)rig.result, rig.error, UINT32_MAX};

        ck_assert_int_eq(chan_send(rig.store, STORE_ANSWERS, &a, sizeof a, NULL, 0, NULL), 1);
    }
    rig.waiting_count = 0;
}

static inline void rig_take_commits(const struct chan_msg *m)
{
    const uint8_t *p = m->data;
    size_t len = m->len;
    struct store_commit c;
    int r;

    while ((r = store_commit_next(&p, &len, NULL, &c)) == 1) {
        ck_assert_uint_lt(c.slot, RIG_FILES);
        rig.last_file = rig.file[c.slot];
        rig.last_count = c.count;
        ck_assert_uint_eq(c.size, (uint64_t)lseek(rig.last_file, 0, SEEK_END));
        rig.waiting[rig.waiting_count++] = c.slot;
        rig.commits++;
    }
    ck_assert_int_eq(r, 0);
}

static inline void rig_store(void)
{
    struct chan_msg m;

    while (rig.store >= 0 && chan_recv(rig.store, rig.room, sizeof rig.room, &m, NULL) == 1) {
        if (m.type == STORE_WANT && !rig.no_files)
            rig_make_files(((const struct store_want *)m.data)->count);
        else if (m.type == STORE_COMMIT)
            rig_take_commits(&m);
        else if (m.type == STORE_DROP)
            rig.drops += (unsigned)(m.len / sizeof(uint32_t));
        chan_msg_close(&m);
    }
    if (!rig.hold)
        rig_answer_all();
}

static inline void rig_turn(void)
{
    ck_assert_int_eq(server_turn(rig.server, false), 0);
    rig_store();
}

/* Turns until the condition holds; the deadline is for a broken program. */
#define RIG_UNTIL(condition)                                                                                           \
    do {                                                                                                               \
        int64_t rig_end = clock_now().mono_us + RIG_PATIENCE_US;                                                       \
                                                                                                                       \
        while (!(condition)) {                                                                                         \
            ck_assert_msg(clock_now().mono_us < rig_end, "never: " #condition);                                        \
            rig_turn();                                                                                                \
            poll(NULL, 0, 1);                                                                                          \
        }                                                                                                              \
    } while (0)

/* What the last committed message holds. Caller frees. */
static inline char *rig_message(void)
{
    size_t len = (size_t)lseek(rig.last_file, 0, SEEK_END);
    char *text = mem_alloc(len + 1);

    ck_assert_int_eq(pread(rig.last_file, text, len, 0), (ssize_t)len);
    return text;
}

/* ---- the log */

static inline unsigned rig_logged(const char *word)
{
    size_t len = (size_t)lseek(rig.log, 0, SEEK_END);
    char *text = mem_alloc(len + 1);
    unsigned n = 0;

    ck_assert_int_eq(pread(rig.log, text, len, 0), (ssize_t)len);
    for (const char *p = text; (p = strstr(p, word)); p++)
        n++;
    free(text);
    return n;
}

/* ---- clients */

struct client {
    int fd;
    char got[300000];
    size_t len;
    bool eof, reset;
};

static inline int64_t rig_now(void)
{
    return share_total(rig.setup.share, SHARE_CONNECTIONS_NOW);
}

static inline struct client *client_new(unsigned listener)
{
    struct client *c = mem_alloc(sizeof *c);
    const struct addr *a = &rig.socket[listener].local;
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(c->fd, 0);
    ck_assert_int_eq(connect(c->fd, (const struct sockaddr *)&a->ss, a->len), 0);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* what is sent arrives now */
    return c;
}

/* A client that comes from this address: handed to the session past the listener. */
static inline struct client *client_from(const char *ip)
{
    struct client *c = mem_alloc(sizeof *c);
    struct addr peer;
    struct err e;
    int fd[2];

    ck_assert_msg(addr_parse(&peer, ip, &e) == 0, "%s", e.text);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    c->fd = fd[0];
    session_start(&rig.server->accepts[0], fd[1], &peer, NULL);
    return c;
}

static inline void client_free(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

static inline void client_reset(struct client *c)
{
    struct linger now = {1, 0};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c->fd);
    c->fd = -1;
}

static inline void client_take(struct client *c)
{
    ssize_t n = -1;

    errno = EAGAIN;
    while (c->len < sizeof c->got - 1 &&
           (n = recv(c->fd, c->got + c->len, sizeof c->got - 1 - c->len, MSG_DONTWAIT)) > 0)
        c->len += (size_t)n;
    c->got[c->len] = '\0';
    if (c->len < sizeof c->got - 1) {
        c->eof |= n == 0;
        c->reset |= n < 0 && errno != EAGAIN;
    }
}

static inline bool client_has(struct client *c, const char *text)
{
    client_take(c);
    return strstr(c->got, text) != NULL;
}

static inline bool client_ended(struct client *c)
{
    client_take(c);
    return c->eof || c->reset;
}

static inline void client_forget(struct client *c)
{
    c->len = 0;
    c->got[0] = '\0';
}

static inline void client_send(struct client *c, const char *text)
{
    size_t len = strlen(text);

    while (len) {
        ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);

        ck_assert_msg(n > 0 || errno == EAGAIN, "%s", strerror(errno));
        if (n < 0)
            rig_turn();
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

/* Sends, turns until the words come, forgets what came. */
static inline void client_says(struct client *c, const char *text, const char *answer)
{
    client_send(c, text);
    RIG_UNTIL(client_has(c, answer));
    client_forget(c);
}

static inline struct client *client_greeted(unsigned listener)
{
    struct client *c = client_new(listener);

    RIG_UNTIL(client_has(c, "220 mx.example.test"));
    client_forget(c);
    return c;
}

static inline unsigned count_of(const char *text, const char *word)
{
    unsigned n = 0;

    for (const char *p = text; (p = strstr(p, word)); p++)
        n++;
    return n;
}

#define RIG_MX "listener \"mx\" { address = {\"127.0.0.1:0\"} role = mx tls = off }\n"
#define RIG_STARTTLS "listener \"mx\" { address = {\"127.0.0.1:0\"} role = mx tls = starttls }\n"
#define RIG_IMPLICIT "listener \"in\" { address = {\"127.0.0.1:0\"} role = mx tls = implicit }\n"
#define HELLO "EHLO client.example.net\r\n"
#define ENVELOPE "MAIL FROM:<s@example.net>\r\nRCPT TO:<alice@example.test>\r\n"

#endif
