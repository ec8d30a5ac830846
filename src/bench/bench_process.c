#include "bench/bench_process.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/text.h"

struct bench_process {
    struct watch *watch;
    int fd;
    void (*fn)(void *arg);
    void *arg;
};

/* Each is taken, or the loop would turn on it until the end. */
static void on_signal(void *arg, unsigned what)
{
    struct bench_process *p = arg;
    struct signalfd_siginfo info;

    (void)what;
    while (read(p->fd, &info, sizeof info) == (ssize_t)sizeof info)
        p->fn(p->arg);
}

struct bench_process *bench_process_listen(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct bench_process *p = mem_alloc(sizeof *p);
    sigset_t stop;

    p->fn = fn;
    p->arg = arg;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGHUP);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    p->fd = signalfd(-1, &stop, SFD_NONBLOCK | SFD_CLOEXEC);
    p->watch = watch_new(l, p->fd, on_signal, p);
    watch_want(p->watch, LOOP_READ);
    return p;
}

void bench_process_free(struct bench_process **pp)
{
    struct bench_process *p = *pp;

    if (!p)
        return;
    watch_free(&p->watch);
    close(p->fd);
    free(p);
    *pp = NULL;
}

void bench_process_raise_files(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return;
    l.rlim_cur = l.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &l);
}
