/* The event loop: descriptors, coarse deadlines, work at the end of a turn. The only room that knows libevent.
 *
 * Deadlines: ten thousand idle sessions would each cost a libevent timer; instead a session keeps one number and links
 * itself into a list that is walked once a second (loop_ticker); what needs more precision asks for one alarm. */
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
/* One turn: waits for events (or only looks, wait false), carries them out, then calls turn_end, once. -1: the loop
 * cannot go on. */
int loop_turn(struct loop *l, bool wait, loop_fn *turn_end, void *arg);
/* Turns until loop_stop(). */
void loop_run(struct loop *l, loop_fn *turn_end, void *arg);
void loop_stop(struct loop *l);
int64_t loop_now_us(struct loop *l); /* monotonic; one reading of the clock serves a whole turn */

/* The watch calls back while the descriptor is ready for what was asked with watch_want(). */
struct watch *watch_new(struct loop *l, int fd, loop_io *io, void *arg);
void watch_want(struct watch *w, unsigned what); /* LOOP_READ | LOOP_WRITE, 0: nothing */
unsigned watch_wanted(const struct watch *w);
void watch_free(struct watch **w);

/* fn every interval_us from now on. Lives as long as the loop. */
void loop_ticker(struct loop *l, int64_t interval_us, loop_fn *fn, void *arg);
/* fn once, at at_us (monotonic) or up to LOOP_ALARM_US later: for what cannot wait for a tick. There is one alarm: an
 * earlier wish wins, so fn looks what is due and asks again for the rest. */
#define LOOP_ALARM_US 20000
void loop_alarm(struct loop *l, int64_t at_us, loop_fn *fn, void *arg);

struct event_base *loop_base(struct loop *l); /* for this room's own files, which know libevent */

#endif
