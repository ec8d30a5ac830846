/* The ports that are no lease's, by their names: those of bench.conf, or one for each scenario. */
#ifndef BENCH_LISTENER_LIST_H
#define BENCH_LISTENER_LIST_H

#include "bench/bench_server.h"

struct bench_listener {
    char *name;
    struct bench_port *port;
};

struct listener_list {
    struct bench_listener *list; /* several may have one name: its addresses */
    unsigned count;
};

void listener_list_add(struct listener_list *l, const char *name, struct bench_port *port);
/* The first one of that name; NULL: none. */
const struct bench_listener *listener_list_find(const struct listener_list *l, const char *name);
void listener_list_free(struct listener_list *l); /* the ports stay */

const char *bench_listen_name(enum bench_listen how); /* "up", "down", "blackhole" */
int bench_listen_find(const char *name);              /* -1 */

#endif
