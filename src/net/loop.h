/* The event loop: descriptors, coarse deadlines, work at the end of a turn. The only room that knows libevent.
 *
 * Deadlines: ten thousand idle sessions would each cost a libevent timer; instead a session keeps one number and links
 * itself into a list that is walked once a second (loop_ticker), and only the few exact timers are events. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct watch; /* one descriptor */

#define LOOP_READ 1u
#define LOOP_WRITE 2u

typedef void loop_io(void *arg, unsigned what);
typedef void loop_fn(void *arg);

int loop_new(struct loop **out, struct err *e);
void loop_free(struct loop **l);
/* Runs until loop_stop(). After each turn of events `turn_end` is called, once. */
void loop_run(struct loop *l, loop_fn *turn_end, void *arg);
void loop_stop(struct loop *l);
int64_t loop_now_us(const struct loop *l); /* monotonic, as of this turn */

/* The watch calls back while the descriptor is ready for what was asked with watch_want(). */
struct watch *watch_new(struct loop *l, int fd, loop_io *io, void *arg);
void watch_want(struct watch *w, unsigned what); /* LOOP_READ | LOOP_WRITE, 0: nothing */
void watch_free(struct watch **w);

/* fn every interval_us from now on. Lives as long as the loop. */
void loop_ticker(struct loop *l, int64_t interval_us, loop_fn *fn, void *arg);

#endif
