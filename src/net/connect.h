/* Connections outwards. */
#ifndef NET_CONNECT_H
#define NET_CONNECT_H

#include "base/addr.h"

/* Begins to connect; from (or NULL) is the own address. Returns a non-blocking, close-on-exec descriptor that becomes
 * writable when it is decided, then connect_result() says; or -1 and e. TCP and unix sockets. */
int connect_start(const struct addr *to, const struct addr *from, struct err *e);
/* 0: connected. -1 and e: "connection refused", in words without the address. */
int connect_result(int fd, struct err *e);

#endif
