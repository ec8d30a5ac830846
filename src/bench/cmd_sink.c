/* A server that takes mail as fast as it comes: one scenario, "good" when none is named, and nothing written down. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/bench_address.h"
#include "bench/bench_command.h"
#include "bench/bench_process.h"
#include "bench/bench_server.h"
#include "bench/sink_report.h"

#define IDLE_S 300u /* as long as RFC 5321 4.5.3.2.7 has a server wait for a command */

struct sink {
    const struct bench_options *o;
    const struct bench_scenario *scenario;
    struct loop *loop;
    struct bench_server *server;
    struct transcript_book *book;   /* which nobody reads */
    struct sink_moment begin, last; /* last: of the line before */
    unsigned every_s, ticks;
};

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static struct sink_moment moment(const struct sink *s)
{
    struct sink_moment m = {.totals = *bench_server_totals(s->server), .mono_us = clock_now().mono_us};
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    m.user_s = seconds(u.ru_utime);
    m.system_s = seconds(u.ru_stime);
    return m;
}

static void say(struct buf *text)
{
    if (text->len)
        fwrite(buf_data(text), 1, text->len, stdout);
    buf_clear(text);
    fflush(stdout);
}

static void on_second(void *arg)
{
    struct sink *s = arg;
    struct sink_moment now;
    struct buf text = {0};

    if (++s->ticks % s->every_s != 0)
        return;
    now = moment(s);
    sink_report_line(&text, &s->last, &now, s->begin.mono_us);
    s->last = now;
    say(&text);
}

static void on_stop(void *arg)
{
    loop_stop(arg);
}

static void nothing(void *arg)
{
    (void)arg;
}

static int open_port(struct sink *s, struct err *e)
{
    struct bench_port_setup setup = {
        .scenario = s->scenario, .lease = "", .implicit = s->o->implicit, .no_tls = s->o->no_tls};
    struct bench_port *p = NULL;
    char where[ADDR_TEXT];
    struct addr a;
    int rc = bench_address_loopback(&a, s->o->address, s->o->port, e);

    setup.address = &a;
    if (rc == 0)
        p = bench_port_open(s->server, &setup, e);
    if (!p)
        return -1;
    printf("%-28s %s\n", s->scenario->name, addr_text(bench_port_address(p), where));
    fflush(stdout);
    return 0;
}

static int run(struct sink *s)
{
    const struct bench_server_setup setup = {.loop = s->loop,
                                             .book = s->book,
                                             .hostname = BENCH_HOST,
                                             .pki_dir = s->o->pki,
                                             .seed = s->o->seed,
                                             .silence_us = (s->o->idle_s ? s->o->idle_s : IDLE_S) * INT64_C(1000000)};
    struct err e;

    s->server = bench_server_new(&setup);
    if (open_port(s, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        bench_server_free(&s->server);
        return 2;
    }
    s->begin = s->last = moment(s);
    if (s->every_s)
        loop_ticker(s->loop, 1000000, on_second, s);
    loop_run(s->loop, nothing, NULL);
    return 0;
}

static void report(struct sink *s)
{
    struct sink_moment end = moment(s);
    const struct bench_totals *t = &end.totals;
    struct buf text = {0};

    sink_report_all(&text, &s->begin, &end, t->messages ? (double)(t->last_us - t->first_us) / 1e6 : 0, s->o->json);
    say(&text);
}

static int until_signal(struct sink *s)
{
    struct bench_process *p = bench_process_listen(s->loop, on_stop, s->loop);
    int rc = run(s);

    if (rc == 0)
        report(s);
    bench_server_free(&s->server);
    transcript_book_close(&s->book);
    bench_process_free(&p);
    return rc;
}

static int with_catalogue(struct sink *s, const struct bench_catalogue *c)
{
    const char *name = s->o->word ? s->o->word : "good";
    struct err e;
    int rc;

    s->scenario = bench_catalogue_find(c, name);
    if (!s->scenario || s->scenario->why_not) {
        fprintf(stderr, "postern-bench: %s: %s\n", name,
                s->scenario ? s->scenario->why_not : "no such scenario; postern-bench list has their names");
        return 2;
    }
    if (loop_new(&s->loop, &e) < 0 ||
        transcript_book_open(&s->book, &(struct transcript_book_setup){.dir = NULL}, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        loop_free(&s->loop);
        return 2;
    }
    bench_process_raise_files();
    rc = until_signal(s);
    loop_free(&s->loop);
    return rc;
}

int bench_cmd_sink(const struct bench_options *o)
{
    struct sink s = {.o = o, .every_s = o->every_s ? o->every_s : isatty(STDOUT_FILENO) ? 1 : 0};
    struct bench_catalogue c = {0};
    int rc = 2;

    if (o->no_tls && o->implicit) {
        fprintf(stderr, "postern-bench: sink: --implicit is TLS, and --no-tls is none\n");
        return 64;
    }
    if ((o->no_tls || bench_options_pki(o->pki, BENCH_HOST) == 0) && bench_options_catalogue(o, &c) == 0)
        rc = with_catalogue(&s, &c);
    bench_catalogue_free(&c);
    return rc;
}
