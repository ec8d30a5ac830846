/* The relay process's whole life after its sandbox is in place: transfers from the store, connections to next hops,
 * results back; and questions of workers, whether a next hop takes a recipient. It opens no file: messages come as
 * descriptors. */
#ifndef RELAY_RELAY_PROCESS_H
#define RELAY_RELAY_PROCESS_H

#include "relay/relay_task.h"

/* relay -> leader, once, when it is behind its sandbox. */
enum relay_report { RELAY_READY = 100 };
/* leader -> relay, at any time */
enum relay_order { RELAY_ADD_WORKER = 1 /* no payload, one descriptor: the relay's end of a channel, verify_msg.h */ };

struct relay_setup {
    const struct relay_route *routes;
    unsigned route_count;
    const char *hostname;
    struct tls_client *tls; /* made before the sandbox, since both read files */
    struct dns *dns;        /* NULL: no route needs names */
    int store_fd;           /* chan, sink/relay_msg.h; its end: the store died, and everything is forgotten */
    int leader_fd;          /* chan; its end, or what is no order: then the same */
};

/* Returns the process's exit code: 0 after a drain or an end of its channels. */
int relay_run(const struct relay_setup *s);

#endif
