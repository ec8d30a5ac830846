/* What we say to systemd, and the sockets it hands us: sd_notify(3) and sd_listen_fds(3) are small protocols. */
#ifndef PROC_NOTIFY_H
#define PROC_NOTIFY_H

#include <stdint.h>

#include "base/addr.h"

/* "READY=1", "STATUS=..."; nothing happens where NOTIFY_SOCKET is not set. */
void notify_send(const char *text);
void notify_reloading(void);
/* Microseconds between two WATCHDOG=1, 0: none is asked for. */
int64_t notify_watchdog_us(void);

/* A socket among LISTEN_FDS that is bound to this address and listens; it is taken once. -1: none. */
int notify_take_socket(const struct addr *a);

#endif
