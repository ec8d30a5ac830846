/* What serve, run and sink ask of their process: to be told that it is to end, and room for many connections. */
#ifndef BENCH_BENCH_PROCESS_H
#define BENCH_BENCH_PROCESS_H

#include "net/loop.h"

struct bench_process;

/* From here on fn is called at SIGTERM, SIGINT and SIGHUP, which end nobody any more. */
struct bench_process *bench_process_listen(struct loop *l, void (*fn)(void *arg), void *arg);
void bench_process_free(struct bench_process **p);

/* As many descriptors, which sessions are, as this user may have. */
void bench_process_raise_files(void);

#endif
