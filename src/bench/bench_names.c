#include "bench/bench_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 1024u

struct bench_names {
    struct {
        char *who, *name;
    } entry[KEPT];
    unsigned next; /* to be overwritten */
};

struct bench_names *bench_names_new(void)
{
    return mem_alloc(sizeof(struct bench_names));
}

void bench_names_free(struct bench_names **np)
{
    struct bench_names *n = *np;

    for (unsigned i = 0; n && i < KEPT; i++) {
        free(n->entry[i].who);
        free(n->entry[i].name);
    }
    free(n);
    *np = NULL;
}

/* KEPT: nowhere. */
static unsigned find(const struct bench_names *n, const char *lease, const char *scenario, const char *client)
{
    char *who = mem_printf("%s %s %s", lease, scenario, client);
    unsigned i = 0;

    while (i < KEPT && !(n->entry[i].who && strcmp(n->entry[i].who, who) == 0))
        i++;
    free(who);
    return i;
}

void bench_names_learn(struct bench_names *n, const char *lease, const char *scenario, const char *client,
                       struct span name)
{
    unsigned i = find(n, lease, scenario, client);

    if (i == KEPT) {
        i = n->next;
        n->next = (n->next + 1) % KEPT;
    }
    free(n->entry[i].who);
    free(n->entry[i].name);
    n->entry[i].who = mem_printf("%s %s %s", lease, scenario, client);
    n->entry[i].name = mem_strn(name.p, name.n);
}

const char *bench_names_find(const struct bench_names *n, const char *lease, const char *scenario, const char *client)
{
    unsigned i = find(n, lease, scenario, client);

    return i < KEPT ? n->entry[i].name : NULL;
}
