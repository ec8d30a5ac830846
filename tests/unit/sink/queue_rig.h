/* For tests of the queue: a directory with messages, a scheduler as a thread or a process, and a relay in the test. Every
 * wait has a deadline. */
#ifndef TESTS_UNIT_SINK_QUEUE_RIG_H
#define TESTS_UNIT_SINK_QUEUE_RIG_H

#include <ftw.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/chan.h"
#include "sink/queue.h"
#include "sink/queue_command.h"
#include "sink/queue_disk.h"
#include "sink/relay_msg.h"
#include "unit/sink/rig.h"

struct queue_rig {
    char dir[PATH_MAX];
    struct queue *q;
    struct queue_limits limits;
    int relay; /* the test's end */
};

/* What the hooks saw, and say. Senders at example.org are local, at nowhere.example have no way, others a route. */
static struct {
    pthread_mutex_t lock;
    unsigned delivered;
    char *mail;
    int error;
} rig_home = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void rig_home_of(void *arg, struct queue_home *out, struct peer_text address)
{
    static const unsigned mailbox[] = {7};
    char *text = mem_strn(address.p, address.n);

    (void)arg;
    *out = (struct queue_home){.way = QUEUE_WAY_ROUTE, .route = "back"};
    if (strstr(text, "@example.org"))
        *out = (struct queue_home){.way = QUEUE_WAY_LOCAL, .mailboxes = mailbox, .mailbox_count = 1};
    if (strstr(text, "@nowhere.example"))
        out->way = QUEUE_WAY_NONE;
    free(text);
}

static inline int rig_deliver(void *arg, const unsigned *mailboxes, unsigned count, const char *text, size_t n)
{
    int error;

    (void)arg;
    pthread_mutex_lock(&rig_home.lock);
    error = rig_home.error;
    if (!error && count == 1 && mailboxes[0] == 7) {
        free(rig_home.mail);
        rig_home.mail = mem_strn(text, n);
        rig_home.delivered++;
    }
    pthread_mutex_unlock(&rig_home.lock);
    return error;
}

static inline bool rig_by_domain(void *arg, const char *route)
{
    (void)arg;
    return strcmp(route, "mx") == 0;
}

static inline bool rig_is_final(void *arg, const char *route)
{
    (void)arg;
    return strcmp(route, "lmtp") == 0 || strcmp(route, "maildir") == 0;
}

static inline bool rig_is_here(void *arg, const char *route)
{
    (void)arg;
    return strcmp(route, "maildir") == 0;
}

static const struct queue_hooks rig_hooks = {.home = rig_home_of,
                                             .deliver = rig_deliver,
                                             .by_domain = rig_by_domain,
                                             .is_here = rig_is_here,
                                             .is_final = rig_is_final};

static inline void queue_rig_dir(struct queue_rig *r)
{
    const char *where = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    char path[PATH_MAX + 8];

    memset(r, 0, sizeof *r);
    r->relay = -1;
    r->limits = queue_limits_default;
    snprintf(r->dir, sizeof r->dir, "%s/postern-queue.XXXXXX", where);
    if (!mkdtemp(r->dir))
        RIG_DIE("mkdtemp %s: %s", r->dir, strerror(errno));
    snprintf(path, sizeof path, "%s/queue", r->dir);
    mkdir(path, 0700);
}

static inline void queue_rig_relay(struct queue_rig *r)
{
    struct err e;
    int fd[2];

    if (chan_pair(fd, &e) < 0)
        RIG_DIE("%s", e.text);
    queue_add_relay(r->q, fd[1]);
    r->relay = fd[0];
}

static inline void queue_rig_start(struct queue_rig *r)
{
    struct err e;

    if (queue_open(&r->q, r->dir, "mail.example.org", geteuid(), getegid(), &e) < 0 ||
        queue_start(r->q, &r->limits, &rig_hooks, &e) < 0)
        RIG_DIE("%s", e.text);
}

static inline void queue_rig_stop(struct queue_rig *r)
{
    queue_free(&r->q);
    if (r->relay >= 0)
        close(r->relay);
    r->relay = -1;
}

static inline void queue_rig_end(struct queue_rig *r)
{
    queue_rig_stop(r);
    nftw(r->dir, rig_remove_one, 64, FTW_DEPTH | FTW_PHYS);
}

/* ---- messages */

#define RIG_CONTENT "Subject: x\n\nHello\n"

static bool rig_requiretls; /* of the messages put from now on */

/* Recipients with blanks between; "!" in front of one: NOTIFY=SUCCESS,FAILURE,DELAY. log: lines, NULL: none. */
static inline void queue_rig_put(const struct queue_rig *r, const char *id, const char *from, const char *route,
                                 const char *to, int64_t age_s, const char *log)
{
    struct queue_rcpt rcpts[64];
    struct queue_head h = {.size = strlen(RIG_CONTENT),
                           .arrived_us = clock_now().real_us - age_s * 1000000,
                           .sender = {from, strlen(from)},
                           .client_name = {"", 0},
                           .requiretls = rig_requiretls,
                           .rcpts = rcpts};
    char *copy = mem_str(to), *save = NULL, *path = mem_printf("%s/queue/.%s", r->dir, id),
         *name = mem_printf("%s/queue/%s", r->dir, id);
    struct buf b = {0};
    struct err e;
    FILE *f;

    snprintf(h.id, sizeof h.id, "%s", id);
    for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
        bool all = *s == '!';

        rcpts[h.rcpt_count++] = (struct queue_rcpt){
            .address = {s + all, strlen(s + all)}, .route = {route, strlen(route)}, .notify = all ? 14 : 0};
    }
    if (queue_file_write(&b, &h, &e) < 0)
        RIG_DIE("%s", e.text);
    buf_printf(&b, "%s%s", RIG_CONTENT, log ? log : "");
    f = fopen(path, "w");
    if (!f || fwrite(buf_data(&b), 1, b.len, f) != b.len || fclose(f) || rename(path, name) < 0)
        RIG_DIE("%s: %s", path, strerror(errno));
    buf_clear(&b);
    free(copy);
    free(path);
    free(name);
}

static inline bool queue_rig_has(const struct queue_rig *r, const char *id)
{
    char *path = mem_printf("%s/queue/%s", r->dir, id);
    bool has = access(path, F_OK) == 0;

    free(path);
    return has;
}

static inline unsigned queue_rig_count(const struct queue_rig *r)
{
    char *path = mem_printf("%s/queue", r->dir);
    unsigned n = rig_names_below(path, DT_REG);

    free(path);
    return n;
}

/* Valid until the next call. */
static inline const char *queue_rig_read(const struct queue_rig *r, const char *id)
{
    static char text[65536];
    char *path = mem_printf("%s/queue/%s", r->dir, id);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
    free(path);
    return text;
}

#define queue_rig_until(condition, what)                                                                               \
    do {                                                                                                               \
        int64_t until_us = clock_now().mono_us + RIG_DEADLINE_MS * INT64_C(1000);                                      \
        while (!(condition)) {                                                                                         \
            if (clock_now().mono_us > until_us)                                                                        \
                RIG_DIE("not in time: %s", what);                                                                      \
            poll(NULL, 0, 2);                                                                                          \
        }                                                                                                              \
    } while (0)

/* ---- the relay */

struct rig_transfer {
    char room[CHAN_MAX + 4];
    struct relay_transfer t;
    int fd;
};

/* False: none in that time, or RELAY_DRAIN, or the end. */
static inline bool rig_relay_get_within(int relay, struct rig_transfer *t, int ms)
{
    struct chan_msg m;

    if (chan_recv_wait(relay, ms, t->room, sizeof t->room, &m, NULL) != 1)
        return false;
    if (m.type != RELAY_TRANSFER) {
        chan_msg_close(&m);
        return false;
    }
    if (relay_transfer_decode(&t->t, m.data, m.len) < 0 || m.nfds != 1)
        RIG_DIE("a transfer that is none");
    t->fd = chan_msg_take(&m, 0);
    return true;
}

static inline void rig_relay_get(int relay, struct rig_transfer *t)
{
    if (!rig_relay_get_within(relay, t, RIG_DEADLINE_MS))
        RIG_DIE("no transfer in time");
}

static inline int rig_relay_say(int relay, const struct relay_transfer *t, uint32_t i, enum relay_outcome outcome)
{
    static const char *const enhanced[] = {"2.0.0", "2.0.0", "4.2.0", "5.1.1"};
    static const uint16_t code[] = {250, 250, 450, 550};
    struct relay_result r = {.number = t->number,
                             .index = t->rcpts[i].index,
                             .outcome = outcome,
                             .code = code[outcome],
                             .remote = {"mx.example.net[192.0.2.25]", 26},
                             .text = {"so it is", 8}};
    struct buf b = {0};
    int rc;

    strcpy(r.enhanced, enhanced[outcome]);
    relay_result_encode(&b, &r);
    rc = chan_send_wait(relay, RIG_DEADLINE_MS, RELAY_RESULT, buf_data(&b), b.len, NULL, 0, NULL);
    buf_clear(&b);
    return rc;
}

static inline int rig_relay_done(int relay, struct rig_transfer *t, enum relay_health health)
{
    struct relay_done d = {t->t.number, health};
    struct buf b = {0};
    int rc;

    relay_done_encode(&b, &d);
    rc = chan_send_wait(relay, RIG_DEADLINE_MS, RELAY_DONE, buf_data(&b), b.len, NULL, 0, NULL);
    buf_clear(&b);
    close(t->fd);
    return rc;
}

static inline void rig_relay_all(int relay, struct rig_transfer *t, enum relay_outcome outcome,
                                 enum relay_health health)
{
    for (uint32_t i = 0; i < t->t.rcpt_count; i++)
        rig_relay_say(relay, &t->t, i, outcome);
    rig_relay_done(relay, t, health);
}

static inline char *rig_content(const struct rig_transfer *t)
{
    char *text = mem_alloc((size_t)t->t.size + 1);

    if (pread(t->fd, text, (size_t)t->t.size, (off_t)t->t.offset) != (ssize_t)t->t.size)
        RIG_DIE("the content cannot be read");
    return text;
}

/* ---- commands */

static inline char *queue_rig_ask(const struct queue_rig *r, const char *request)
{
    int fd = memfd_create("answer", MFD_CLOEXEC), mine = dup(fd);
    char *text = mem_alloc(1 << 20);
    struct span s = span_str(request);
    int64_t until = clock_now().mono_us + RIG_DEADLINE_MS * INT64_C(1000);

    queue_ask(r->q, s, fd);
    for (;;) {
        ssize_t n = pread(mine, text, (1 << 20) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        if (strstr(text, "{\"ok\":"))
            break;
        if (clock_now().mono_us > until)
            RIG_DIE("no answer to %s", request);
        poll(NULL, 0, 2);
    }
    close(mine);
    return text;
}

static inline bool queue_rig_says(const struct queue_rig *r, const char *request, const char *what)
{
    char *text = queue_rig_ask(r, request);
    bool has = strstr(text, what) != NULL;

    free(text);
    return has;
}

#endif
