/* The worker's side of the store: sink.h for sessions, and this for the loop that carries it. */
#ifndef SINK_STORE_CLIENT_H
#define SINK_STORE_CLIENT_H

#include <stdbool.h>

#include "conf/conf.h"
#include "sink/sink.h"

/* fd: channel to the store, stays the caller's. conf and events must outlive it. */
struct sink *store_client_new(int fd, const struct conf *conf, const struct sink_events *events);
void store_client_free(struct sink **s);
/* Call when fd is readable: takes everything there is, calls opened() and committed(). -1: the store is gone; every
 * open and every commit has been answered with SINK_FAILED, and so is whatever comes. */
int store_client_readable(struct sink *s);
/* Once per loop turn: sends what was committed since the last. */
void store_client_flush(struct sink *s);
/* Something could not be sent: call store_client_flush() when fd is writable. */
bool store_client_wants_write(const struct sink *s);
unsigned store_client_in_flight(const struct sink *s); /* commits not answered yet */

#endif
