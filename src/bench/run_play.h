/* One scenario played to one run of the command: a port of its own, facts of its own, and the judgement at its end. Several
 * go on at once in one loop; the owner calls run_play_tick() every now and then. */
#ifndef BENCH_RUN_PLAY_H
#define BENCH_RUN_PLAY_H

#include "bench/bench_command.h"
#include "bench/bench_server.h"
#include "bench/run_mail.h"
#include "bench/run_report.h"

struct run_play;

struct run_play_setup {
    const struct bench_options *options; /* command, address, out, pki, queue, timeout_s */
    enum bench_policy policy;
    struct bench_server *server;
    const struct run_mail *mail;
    struct run_result *result; /* .scenario is there; the rest is filled in */
};

/* Opens the port and starts the command. -1 and e: one of both could not be. */
int run_play_start(struct run_play **out, const struct run_play_setup *s, struct err *e);
/* A line of a transcript. True: it is of a session of this play. */
bool run_play_take(struct run_play *p, const json_t *line);
/* True: it is over, and judged. */
bool run_play_tick(struct run_play *p, int64_t now_us);
/* Asks the command to end, the second time more than asks; what is not judged then is not. */
void run_play_stop(struct run_play *p);
const struct run_result *run_play_result(const struct run_play *p);
/* The command ended with 127: a shell's, or a driver's, word for a program that is not there. */
bool run_play_lacks(const struct run_play *p);
void run_play_free(struct run_play **p);

#endif
