/* Drives the store alone, over its channels: K worker processes with S sessions each, every session hands over its next
 * message when the last one is answered. Prints messages per second, CPU per 1,000 messages (store and workers) and how
 * long an answer takes. For docs/storage.md; `make bench` measures the whole daemon.
 *
 * ext4 looks at every inode that was deleted in the last minutes before it gives one out, which costs ten times what a
 * message does: so --keep leaves the mail, and a series of runs is removed behind the last.
 *
 *     build/bench/store_bench [--keep] [--dir /var/tmp] [--workers 2] [--sessions 32] [--messages 200] [--size 4096]
 *                             [--mailboxes 8] [--rcpts 1] [--flush auto|each|whole] [--committers 2] */
#include <getopt.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../unit/sink/rig.h"
#include "samples.h"
#include "sink/commit.h"
#include "sink/flush.h"

static bool keep;
static struct {
    const char *dir;
    unsigned workers, sessions, messages, size, mailboxes, rcpts;
    const char *flush;
} o = {.dir = "/var/tmp",
       .workers = 2,
       .sessions = 32,
       .messages = 200,
       .size = 4096,
       .mailboxes = 8,
       .rcpts = 1,
       .flush = "auto"};

struct shared { /* what the workers write, mapped by all */
    _Atomic unsigned ready, go, failed;
    uint32_t us[];
};

struct session {
    struct rig_letter letter;
    unsigned left;
    uint32_t next; /* mailbox */
    int64_t began_us;
    struct bench *bench;
};

struct bench {
    struct sink *sink;
    struct shared *shared;
    size_t at; /* next sample */
    unsigned running;
    char *text;
};

static void begin(struct session *s, struct sink_message *m);

static void start_one(struct session *s)
{
    uint32_t to[64];
    int pending;
    struct sink_answer a;
    struct sink_message *m;

    for (unsigned i = 0; i < o.rcpts; i++)
        to[i] = (s->next + i) % o.mailboxes;
    s->next += o.rcpts;
    s->began_us = clock_now().mono_us;
    m = sink_open(s->bench->sink, s, to, o.rcpts, &pending, &a);
    if (m)
        begin(s, m);
    else if (!pending)
        RIG_DIE("refused: %s", strerror(a.error));
}

static void begin(struct session *s, struct sink_message *m)
{
    for (unsigned done = 0; done < o.size; done += 65536)
        sink_write(m, s->bench->text, o.size - done < 65536 ? o.size - done : 65536);
    sink_commit(m);
}

static void on_opened(void *session, struct sink_message *m, const struct sink_answer *a)
{
    if (!m)
        RIG_DIE("refused: %s", strerror(a->error));
    begin(session, m);
}

static void on_committed(void *session, const struct sink_answer *a)
{
    struct session *s = session;
    struct bench *b = s->bench;

    if (a->result != SINK_OK)
        b->shared->failed++;
    b->shared->us[b->at++] = (uint32_t)(clock_now().mono_us - s->began_us);
    if (--s->left)
        start_one(s);
    else
        b->running--;
}

static void worker(const struct rig_conf *c, int fd, struct shared *sh, unsigned number)
{
    static const struct sink_events events = {on_opened, on_committed};
    struct session *sessions = mem_alloc(sizeof *sessions * o.sessions);
    struct bench b = {.shared = sh, .at = (size_t)number * o.sessions * o.messages, .running = o.sessions};

    b.text = mem_alloc(65536);
    memset(b.text, 'x', 65536);
    b.sink = store_client_new(fd, &c->conf, &events);
    sh->ready++;
    while (!sh->go)
        poll(NULL, 0, 1);
    for (unsigned i = 0; i < o.sessions; i++) {
        sessions[i] = (struct session){.left = o.messages, .next = number * o.sessions + i, .bench = &b};
        start_one(&sessions[i]);
    }
    while (b.running) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        store_client_flush(b.sink);
        if (store_client_wants_write(b.sink))
            p.events |= POLLOUT;
        if (poll(&p, 1, 30000) == 0)
            RIG_DIE("nothing for 30 s");
        if (p.revents & POLLIN && store_client_readable(b.sink) < 0)
            RIG_DIE("the store is gone");
    }
    _exit(0);
}

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static double cpu_of_children(void)
{
    struct rusage r;

    getrusage(RUSAGE_CHILDREN, &r);
    return seconds(&r.ru_utime) + seconds(&r.ru_stime);
}

static double cpu_of_machine(void)
{
    unsigned long v[8] = {0};
    FILE *f = fopen("/proc/stat", "r");

    if (f && fscanf(f, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) != 8)
        v[0] = 0;
    if (f)
        fclose(f);
    return (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / (double)sysconf(_SC_CLK_TCK);
}

static void options(int argc, char **argv)
{
    static const struct option known[] = {
        {"dir", 1, NULL, 'd'},      {"workers", 1, NULL, 'w'}, {"sessions", 1, NULL, 's'},
        {"messages", 1, NULL, 'm'}, {"size", 1, NULL, 'z'},    {"mailboxes", 1, NULL, 'b'},
        {"rcpts", 1, NULL, 'r'},    {"flush", 1, NULL, 'f'},   {"committers", 1, NULL, 'c'},
        {"keep", 0, NULL, 'k'},     {NULL, 0, NULL, 0}};
    int k;

    while ((k = getopt_long(argc, argv, "", known, NULL)) != -1) {
        unsigned n = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;

        switch (k) {
        case 'd':
            o.dir = optarg;
            break;
        case 'w':
            o.workers = n;
            break;
        case 's':
            o.sessions = n;
            break;
        case 'm':
            o.messages = n;
            break;
        case 'z':
            o.size = n;
            break;
        case 'b':
            o.mailboxes = n;
            break;
        case 'r':
            o.rcpts = n;
            break;
        case 'f':
            o.flush = optarg;
            break;
        case 'c':
            commit_threads = n;
            break;
        case 'k':
            keep = true;
            break;
        default:
            exit(64);
        }
    }
    if (!o.workers || !o.sessions || !o.messages || !o.mailboxes || !o.rcpts || o.rcpts > 64 || o.rcpts > o.mailboxes ||
        !commit_threads || commit_threads > FLUSH_THREADS)
        exit(64);
    flush_force = strcmp(o.flush, "each") == 0 ? 0 : strcmp(o.flush, "whole") == 0 ? 1 : -1;
}

int main(int argc, char **argv)
{
    size_t total;
    struct shared *sh;
    struct rig_conf c;
    struct rig_store s;
    struct samples us = {0};
    int64_t began;
    double machine, took;

    options(argc, argv);
    total = (size_t)o.workers * o.sessions * o.messages;
    sh = mmap(NULL, sizeof *sh + total * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sh == MAP_FAILED)
        RIG_DIE("mmap: %s", strerror(errno));
    rig_conf_new(&c, o.dir, o.mailboxes);
    c.conf.workers = o.workers;
    rig_store_start(&s, &c);
    for (unsigned i = 0; i < o.workers; i++) {
        int fd = rig_store_add(&s);

        if (fork() == 0) {
            close(s.leader_fd);
            worker(&c, fd, sh, i);
        }
        close(fd);
    }
    while (sh->ready < o.workers)
        poll(NULL, 0, 1);
    machine = cpu_of_machine();
    began = clock_now().mono_us;
    sh->go = 1;
    for (unsigned i = 0; i < o.workers; i++) {
        int status;

        if (wait(&status) == s.pid || status != 0)
            RIG_DIE("a process ended with status %d", status);
    }
    took = (double)(clock_now().mono_us - began) / 1e6;
    machine = cpu_of_machine() - machine;
    if (rig_store_end(&s) != 0)
        RIG_DIE("the store did not end well");
    for (size_t i = 0; i < total; i++)
        samples_add(&us, sh->us[i]);
    samples_sort(&us);
    printf("%s, %u committers, %u x %u sessions, %u bytes, %u mailboxes, %u rcpts: %.0f/s, CPU %.3f s per 1,000 "
           "(machine %.3f), answer p50 %.2f p99 %.2f max %.2f ms%s\n",
           o.flush, commit_threads, o.workers, o.sessions, o.size, o.mailboxes, o.rcpts, (double)total / took,
           cpu_of_children() * 1000 / (double)total, machine * 1000 / (double)total, samples_at(&us, 500),
           samples_at(&us, 990), samples_at(&us, 1000), sh->failed ? ", FAILED" : "");
    if (!keep)
        rig_conf_free(&c);
    return sh->failed ? 1 : 0;
}
