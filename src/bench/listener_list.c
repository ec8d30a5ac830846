#include "bench/listener_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char *const names[] = {
    [BENCH_LISTEN_ACCEPT] = "up", [BENCH_LISTEN_REFUSE] = "down", [BENCH_LISTEN_BLACKHOLE] = "blackhole"};

void listener_list_add(struct listener_list *l, const char *name, struct bench_port *port)
{
    l->list = mem_grow(l->list, (l->count + 1) * sizeof *l->list);
    l->list[l->count++] = (struct bench_listener){.name = mem_str(name), .port = port};
}

const struct bench_listener *listener_list_find(const struct listener_list *l, const char *name)
{
    for (unsigned i = 0; i < l->count; i++)
        if (strcmp(l->list[i].name, name) == 0)
            return &l->list[i];
    return NULL;
}

void listener_list_free(struct listener_list *l)
{
    for (unsigned i = 0; i < l->count; i++)
        free(l->list[i].name);
    free(l->list);
    memset(l, 0, sizeof *l);
}

const char *bench_listen_name(enum bench_listen how)
{
    return names[how];
}

int bench_listen_find(const char *name)
{
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}
