/* Accepting from a listening socket that several workers share. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/addr.h"
#include "net/loop.h"

struct listener;

/* fd: the accepted socket, non-blocking, TCP_NODELAY, the callee's. */
typedef void listener_accepted(void *arg, int fd, const struct addr *peer);

struct listener *listener_new(struct loop *l, int fd, listener_accepted *cb, void *arg);
void listener_start(struct listener *s);
void listener_stop(struct listener *s); /* stops and closes this process's descriptor */
/* Call once a second: a listener that ran out of descriptors begins again. */
void listener_tick(struct listener *s);
void listener_free(struct listener **s);

#endif
