/* The queue alone: how long a scheduler takes to take over N messages, what memory it needs for them, how long a list
 * takes, and how fast they leave through a relay that says yes to everything.
 *
 *     queue_bench [--messages 100000] [--size 4096] [--dir DIR] [--no-drain] */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "sink/queue.h"
#include "sink/queue_file.h"
#include "sink/relay_msg.h"

#define DIE(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))

static unsigned messages = 100000, size = 4096;
static char room[CHAN_MAX + 4];

static double seconds(void)
{
    return (double)clock_now().mono_us / 1e6;
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long memory_kib(void)
{
    long pages = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f && fscanf(f, "%*d %ld %ld", &pages, &shared) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return (pages - shared) * (sysconf(_SC_PAGESIZE) / 1024);
}

static void make(const char *dir)
{
    char *content = malloc(size + 1), path[600];

    if (!content)
        DIE("no memory");
    memset(content, 'x', size);
    for (unsigned i = 0; i < messages; i++) {
        char address[64];
        struct queue_rcpt to = {.route = {"out", 3}};
        struct queue_head h = {.size = size,
                               .arrived_us = clock_now().real_us,
                               .sender = {"alice@example.org", 17},
                               .client_name = {"", 0},
                               .rcpts = &to,
                               .rcpt_count = 1};
        struct buf b = {0};
        int fd;

        snprintf(address, sizeof address, "user%u@example%u.net", i, i % 1000);
        to.address = (struct peer_text){address, strlen(address)};
        snprintf(h.id, sizeof h.id, "%014x", i);
        if (queue_file_write(&b, &h, NULL) < 0)
            DIE("a head that cannot be");
        buf_append(&b, content, size);
        snprintf(path, sizeof path, "%s/queue/%s", dir, h.id);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || write(fd, buf_data(&b), b.len) != (ssize_t)b.len)
            DIE("%s: %s", path, strerror(errno));
        close(fd);
        buf_clear(&b);
    }
    free(content);
}

static void no_home(void *arg, struct queue_home *out, struct peer_text address)
{
    (void)arg;
    (void)address;
    *out = (struct queue_home){.way = QUEUE_WAY_NONE};
}

static bool no(void *arg, const char *route)
{
    (void)arg;
    (void)route;
    return false;
}

/* Seconds until the answer is there; its size in *n. */
static double ask(struct queue *q, const char *what, size_t *n, const char *until)
{
    double start = seconds();
    int fd = memfd_create("answer", MFD_CLOEXEC), mine = dup(fd);
    char tail[512];

    queue_ask(q, span_str(what), fd);
    for (;;) {
        off_t end = lseek(mine, 0, SEEK_END), from = end > 500 ? end - 500 : 0;
        ssize_t r = pread(mine, tail, 500, from);

        tail[r > 0 ? r : 0] = '\0';
        *n = (size_t)end;
        if (strstr(tail, "{\"ok\":"))
            break;
        poll(NULL, 0, 1);
    }
    close(mine);
    return strstr(tail, until) ? seconds() - start : -1;
}

static void say(int relay, const struct relay_transfer *t)
{
    struct relay_result r = {.number = t->number,
                             .outcome = RELAY_DELIVERED,
                             .code = 250,
                             .enhanced = "2.0.0",
                             .remote = {"mx[192.0.2.1]", 13},
                             .text = {"Ok", 2}};
    struct relay_done d = {t->number, RELAY_HEALTH_GOOD};
    struct buf b = {0};

    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        r.index = t->rcpts[i].index;
        relay_result_encode(&b, &r);
        chan_send_wait(relay, 10000, RELAY_RESULT, buf_data(&b), b.len, NULL, 0, NULL);
        buf_clear(&b);
    }
    relay_done_encode(&b, &d);
    chan_send_wait(relay, 10000, RELAY_DONE, buf_data(&b), b.len, NULL, 0, NULL);
    buf_clear(&b);
}

static void drain(struct queue *q)
{
    static struct relay_transfer t;
    double start, cpu = cpu_seconds();
    struct chan_msg m;
    struct err e;
    int fd[2];

    if (chan_pair(fd, &e) < 0)
        DIE("%s", e.text);
    start = seconds();
    queue_add_relay(q, fd[1]);
    for (unsigned i = 0; i < messages; i++) {
        if (chan_recv_wait(fd[0], 10000, room, sizeof room, &m, &e) != 1 || m.type != RELAY_TRANSFER ||
            relay_transfer_decode(&t, m.data, m.len) < 0)
            DIE("transfer %u does not come", i);
        say(fd[0], &t);
        chan_msg_close(&m);
    }
    printf("drain: %.0f messages/s, %.3f CPU s per 1,000 (queue and relay together)\n", messages / (seconds() - start),
           (cpu_seconds() - cpu) / messages * 1000);
    close(fd[0]);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

int main(int argc, char **argv)
{
    static const struct queue_hooks hooks = {.home = no_home, .by_domain = no, .is_here = no, .is_final = no};
    const char *where = "/tmp";
    char dir[512], path[600], count[64];
    bool draining = true;
    struct queue *q;
    struct err e;
    double start;
    long before;
    size_t n;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--messages") && i + 1 < argc)
            messages = (unsigned)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--size") && i + 1 < argc)
            size = (unsigned)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--dir") && i + 1 < argc)
            where = argv[++i];
        else if (!strcmp(argv[i], "--no-drain"))
            draining = false;
        else
            DIE("queue_bench [--messages N] [--size BYTES] [--dir DIR] [--no-drain]");
    }
    log_open(-1, LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    snprintf(dir, sizeof dir, "%s/postern-queue-bench.XXXXXX", where);
    if (!mkdtemp(dir))
        DIE("%s: %s", dir, strerror(errno));
    snprintf(path, sizeof path, "%s/queue", dir);
    mkdir(path, 0700);
    make(dir);
    before = memory_kib();
    start = seconds();
    if (queue_open(&q, dir, "mail.example.org", geteuid(), getegid(), &e) < 0 ||
        queue_start(q, &queue_limits_default, &hooks, &e) < 0)
        DIE("%s", e.text);
    snprintf(count, sizeof count, "\"count\":%u}", messages);
    while (ask(q, "status", &n, "\"scanning\":false") < 0)
        poll(NULL, 0, 5);
    printf("take-over of %u messages of %u bytes: %.2f s, %ld bytes of memory for each\n", messages, size,
           seconds() - start, (memory_kib() - before) * 1024 / (long)messages);
    printf("list: %.3f s", ask(q, "list", &n, count));
    printf(", %zu KiB\n", n / 1024);
    if (draining)
        drain(q);
    queue_free(&q);
    nftw(dir, remove_one, 64, FTW_DEPTH | FTW_PHYS);
    return 0;
}
