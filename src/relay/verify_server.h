/* Workers' channels (verify_msg.h) to the verify desk. A worker is not trusted: what is not well-formed ends its channel,
 * one that does not listen to its answers is not listened to either, and only so many of its questions are open at once. */
#ifndef RELAY_VERIFY_SERVER_H
#define RELAY_VERIFY_SERVER_H

#include "relay/verify_desk.h"

struct verify_server;

struct verify_server *verify_server_new(struct loop *l, struct verify_desk *d);
void verify_server_free(struct verify_server **s);             /* before the desk */
void verify_server_add(struct verify_server *s, int fd);       /* fd is the server's from now on */
unsigned verify_server_workers(const struct verify_server *s); /* channels that have not ended */

#endif
