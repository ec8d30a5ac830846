/* The small parts that processes are made of: back-off, watched files, sealed memory, messages, what a sandbox forbids. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "proc/memfd.h"
#include "proc/proc_msg.h"
#include "proc/sandbox.h"
#include "proc/spawn.h"
#include "proc/watch.h"
#include "unit/suite.h"

#define SECOND INT64_C(1000000)

static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[4][200];
    static unsigned turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static void begin(void)
{
    snprintf(dir, sizeof dir, "/tmp/postern-parts.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in_dir(name), "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

START_TEST(the_first_death_costs_nothing_and_each_further_one_more)
{
    static const int64_t want[] = {0,       100000,  200000,   400000,   800000,   1600000,
                                   3200000, 6400000, 12800000, 25600000, 30000000, 30000000};
    struct backoff b = {0};
    int64_t now = 5 * SECOND;

    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        ck_assert_int_eq(backoff_delay_us(&b, now), want[i]);
        now += want[i] + SECOND / 2;
    }
    now += 61 * SECOND; /* a quiet minute forgives */
    ck_assert_int_eq(backoff_delay_us(&b, now), 0);
    ck_assert_int_eq(backoff_delay_us(&b, now + 1), 100000);
}
END_TEST

static bool changed(struct watched_file *w)
{
    const char *path = watch_changed(w, 1);

    ck_assert(!path || strcmp(path, w->path) == 0);
    watch_stat(w);
    return path != NULL;
}

START_TEST(every_way_a_file_changes)
{
    struct watched_file w = {0};

    begin();
    ck_assert_int_eq(mkdir(in_dir("a"), 0700), 0);
    ck_assert_int_eq(mkdir(in_dir("b"), 0700), 0);
    put("a/key", "one");
    put("b/key", "one");
    ck_assert_int_eq(symlink("a", in_dir("live")), 0);
    snprintf(w.path, sizeof w.path, "%s", in_dir("live/key"));
    watch_stat(&w);
    ck_assert(w.exists && !changed(&w));
    put("a/key", "three"); /* in place */
    ck_assert(changed(&w) && !changed(&w));
    put("a/new", "three");
    ck_assert_int_eq(rename(in_dir("a/new"), in_dir("a/key")), 0); /* the way renewal tools do it */
    ck_assert(changed(&w) && !changed(&w));
    ck_assert_int_eq(symlink("b", in_dir("next")), 0); /* a directory above it, swapped */
    ck_assert_int_eq(rename(in_dir("next"), in_dir("live")), 0);
    ck_assert(changed(&w) && !changed(&w));
    ck_assert_int_eq(unlink(in_dir("b/key")), 0);
    ck_assert(changed(&w) && !w.exists && !changed(&w));
    put("b/key", "one");
    ck_assert(changed(&w) && w.exists && !changed(&w));
    ck_assert_int_eq(unlink(in_dir("b/key")), 0);
    ck_assert_int_eq(unlink(in_dir("a/key")), 0);
    ck_assert_int_eq(unlink(in_dir("live")), 0);
    rmdir(in_dir("a"));
    rmdir(in_dir("b"));
    rmdir(dir);
}
END_TEST

START_TEST(sealed_memory_stays_as_it_is)
{
    char big[100000], *text;
    size_t n;
    struct err e;
    int fd;

    memset(big, 'x', sizeof big);
    fd = memfd_make("test", big, sizeof big, &e);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, "y", 1), -1);
    ck_assert_int_eq(ftruncate(fd, 10), -1);
    ck_assert_ptr_eq(mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    lseek(fd, 500, SEEK_SET);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(memfd_read(fd, &text, &n, &e), 0);
        ck_assert(n == sizeof big && memcmp(text, big, n) == 0 && text[n] == '\0');
        free(text);
    }
    close(fd);
    fd = memfd_make("empty", "", 0, &e);
    ck_assert_int_eq(memfd_read(fd, &text, &n, &e), 0);
    ck_assert_uint_eq(n, 0);
    free(text);
    close(fd);
}
END_TEST

START_TEST(messages_of_the_wrong_length_are_refused)
{
    static uint8_t room[CHAN_MAX];
    struct proc_bind bind = {.control = true, .dir = "/x"};
    struct proc_bind bind_out;
    struct snapshot_item item;
    struct watched_file watched;
    struct proc_log log;

    for (size_t n = 0; n < 3000; n++) {
        struct chan_msg m = {.data = room, .len = n};

        ck_assert(!proc_msg_snapshot(&m, &item, 5) || n == sizeof(struct proc_snapshot));
        ck_assert(!proc_msg_watch(&m, &watched));
        ck_assert(!proc_msg_log(&m, &log) || n == sizeof log);
        ck_assert(!proc_msg_bind(&m, &bind_out));
    }
    {
        struct chan_msg m = {.data = &bind, .len = sizeof bind};

        ck_assert(proc_msg_bind(&m, &bind_out));
        memset(bind.dir, 'x', sizeof bind.dir); /* no slash, no end */
        ck_assert(!proc_msg_bind(&m, &bind_out));
        bind.dir[0] = '/';
        ck_assert(proc_msg_bind(&m, &bind_out));
        ck_assert_uint_eq(strlen(bind_out.dir), sizeof bind.dir - 1);
        ((uint8_t *)&bind)[offsetof(struct proc_bind, control)] = 7;
        ck_assert(!proc_msg_bind(&m, &bind_out));
    }
    {
        struct chan_msg m = {.data = room, .len = sizeof(struct proc_snapshot)};

        ck_assert(!proc_msg_snapshot(&m, &item, -1)); /* no descriptor came along */
    }
}
END_TEST

START_TEST(a_child_keeps_what_it_was_given)
{
    int keep[4], status;
    pid_t pid;

    for (unsigned i = 0; i < 4; i++)
        keep[i] = open("/dev/null", O_RDONLY);
    pid = fork();
    if (pid == 0) {
        int mine[] = {keep[2], -1, keep[0], keep[2]};
        int wrong = 0;

        spawn_keep_only(mine, 4);
        wrong += fcntl(keep[0], F_GETFD) < 0;
        wrong += fcntl(keep[2], F_GETFD) < 0;
        wrong += fcntl(keep[1], F_GETFD) >= 0;
        wrong += fcntl(keep[3], F_GETFD) >= 0;
        wrong += fcntl(2, F_GETFD) < 0;
        _exit(wrong);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    for (unsigned i = 0; i < 4; i++)
        close(keep[i]);
}
END_TEST

/* ---- sandboxes, each in a process that is thrown away. A wish that is granted is a number in the exit code. */

static int granted(int r)
{
    return r >= 0;
}

static int status_of(int (*wishes)(void), struct sandbox *s)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        struct err e;

        log_open(open("/dev/null", O_WRONLY | O_NONBLOCK), LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
        if (sandbox_enter(s, &e) < 0) {
            fprintf(stderr, "sandbox: %s\n", e.text);
            _exit(99);
        }
        _exit(wishes());
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

#ifndef POSTERN_SANITIZED
static int wishes_of_a_worker(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(9)};
    int fds[2], wrong = 0;

    if (granted(open("/etc/passwd", O_RDONLY)))
        wrong |= 1;
    if (granted(socket(AF_INET, SOCK_STREAM, 0)))
        wrong |= 2;
    if (granted(mkdir("/tmp/postern-must-not-be", 0700)))
        wrong |= 4;
    if (granted(kill(getppid(), 0)))
        wrong |= 8;
    if (granted(connect(0, (struct sockaddr *)&in, sizeof in)))
        wrong |= 16;
    if (!granted(pipe2(fds, O_CLOEXEC))) /* what it needs works */
        wrong |= 32;
    return wrong;
}

START_TEST(a_worker_may_nothing)
{
    struct sandbox s = {.profile = SANDBOX_WORKER, .user = "test"};

    ck_assert_int_eq(status_of(wishes_of_a_worker, &s), 0);
}
END_TEST
#define WORKER a_worker_may_nothing,
#else
#define WORKER /* a sanitizer build is allowed to look around */
#endif

static int mail_dir;

static int wishes_of_a_store(void)
{
    int wrong = 0;

    if (!granted(openat(mail_dir, "letter", O_CREAT | O_WRONLY, 0600)))
        wrong |= 1;
    if (!granted(mkdirat(mail_dir, "box", 0700)))
        wrong |= 2;
    if (granted(open("/etc/passwd", O_RDONLY)))
        wrong |= 4;
    if (granted(openat(mail_dir, "../outside", O_CREAT | O_WRONLY, 0600)))
        wrong |= 8;
    if (granted(socket(AF_INET, SOCK_STREAM, 0)))
        wrong |= 16;
    return wrong;
}

START_TEST(a_store_may_use_its_directories_alone)
{
    struct sandbox s = {.profile = SANDBOX_STORE, .user = "test", .dirs = &mail_dir, .dir_count = 1};

    begin();
    ck_assert_int_eq(mkdir(in_dir("mail"), 0700), 0);
    mail_dir = open(in_dir("mail"), O_RDONLY | O_DIRECTORY);
#ifdef POSTERN_SANITIZED
    ck_assert_int_eq(status_of(wishes_of_a_store, &s) & ~(16 << 8), 0);
#else
    ck_assert_int_eq(status_of(wishes_of_a_store, &s), 0);
#endif
    unlink(in_dir("mail/letter"));
    rmdir(in_dir("mail/box"));
    rmdir(in_dir("mail"));
    rmdir(dir);
}
END_TEST

SUITE_MAIN("parts", the_first_death_costs_nothing_and_each_further_one_more, every_way_a_file_changes,
           sealed_memory_stays_as_it_is, messages_of_the_wrong_length_are_refused, a_child_keeps_what_it_was_given,
           WORKER a_store_may_use_its_directories_alone)
