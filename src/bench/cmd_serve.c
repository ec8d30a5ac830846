#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/bench_command.h"
#include "bench/bench_server.h"

static void on_signal(void *arg, unsigned what)
{
    (void)what;
    loop_stop(arg);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* One port for each scenario, printed. How many; -1: said. */
static int open_all(const struct bench_options *o, struct bench_server *v, const struct bench_catalogue *c)
{
    unsigned port = o->port;
    int opened = 0;
    struct err e;

    for (unsigned i = 0; i < c->count; i++) {
        const struct bench_scenario *s = &c->list[i];
        char where[ADDR_TEXT], *text = mem_printf(strchr(o->address, ':') ? "[%s]:%u" : "%s:%u", o->address, port);
        struct bench_port *p = NULL;
        struct addr a;
        bool wanted = !s->why_not && bench_options_want(o, s->name);

        if (wanted && addr_parse(&a, text, &e) == 0 && !addr_is_loopback(&a))
            err_set(&e, "%s: a server that is wrong on purpose listens on the loopback only", o->address);
        else if (wanted && addr_parse(&a, text, &e) == 0)
            p = bench_port_open(v, &(struct bench_port_setup){.address = &a, .scenario = s, .lease = ""}, &e);
        free(text);
        if (wanted && !p) {
            fprintf(stderr, "postern-bench: %s: %s\n", s->name, e.text);
            return -1;
        }
        if (!wanted)
            continue;
        printf("%-28s %s\n", s->name, addr_text(bench_port_address(p), where));
        port += o->port != 0;
        opened++;
    }
    fflush(stdout);
    return opened;
}

static int serve(const struct bench_options *o, const struct bench_catalogue *c, struct loop *l)
{
    struct bench_server_setup setup = {.loop = l, .hostname = BENCH_HOST, .pki_dir = o->pki, .seed = o->seed};
    struct bench_server *v = NULL;
    sigset_t stop;
    struct watch *w;
    struct err e;
    int fd, rc = 2;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    fd = signalfd(-1, &stop, SFD_NONBLOCK | SFD_CLOEXEC);
    w = watch_new(l, fd, on_signal, l);
    watch_want(w, LOOP_READ);
    if (transcript_book_open(&setup.book, o->out, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        goto out;
    }
    v = bench_server_new(&setup);
    if (open_all(o, v, c) > 0) {
        loop_run(l, nothing, NULL);
        rc = 0;
    }
    bench_server_free(&v);
    transcript_book_close(&setup.book);
out:
    watch_free(&w);
    close(fd);
    return rc;
}

int bench_cmd_serve(const struct bench_options *o)
{
    struct bench_catalogue c = {0};
    struct loop *l = NULL;
    struct err e;
    int rc = 2;

    if (bench_options_pki(o) == 0 && bench_options_catalogue(o, &c) == 0 && bench_options_only(o, &c) == 0) {
        if (loop_new(&l, &e) < 0)
            fprintf(stderr, "postern-bench: %s\n", e.text);
        else
            rc = serve(o, &c, l);
        loop_free(&l);
    }
    bench_catalogue_free(&c);
    return rc;
}
