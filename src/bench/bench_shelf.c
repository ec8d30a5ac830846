#include "bench/bench_shelf.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/scenario_text.h"

#define SECTIONS_MOST 1000u /* what reads them takes its time with each, and nobody else is heard meanwhile */

struct brought {
    struct brought *next;
    struct bench_catalogue one;
    bool old; /* another one has taken its place */
};

struct bench_shelf {
    const struct bench_catalogue *base;
    struct brought *brought;
    unsigned count; /* of those that are not old */
    const struct bench_scenario **list;
    struct bench_choices choices;
};

static void list_all(struct bench_shelf *s)
{
    unsigned n = 0;

    s->list = mem_grow(s->list, (s->count + s->base->count + 1) * sizeof(const struct bench_scenario *));
    for (const struct brought *b = s->brought; b; b = b->next)
        if (!b->old)
            s->list[n++] = b->one.list;
    for (unsigned i = 0; i < s->base->count; i++)
        if (bench_shelf_find(s, s->base->list[i].name) == &s->base->list[i])
            s->list[n++] = &s->base->list[i];
    s->choices = (struct bench_choices){.list = s->list, .count = n};
}

struct bench_shelf *bench_shelf_new(const struct bench_catalogue *c)
{
    struct bench_shelf *s = mem_alloc(sizeof *s);

    s->base = c;
    list_all(s);
    return s;
}

static void free_brought(struct brought *b)
{
    bench_catalogue_free(&b->one);
    free(b);
}

void bench_shelf_free(struct bench_shelf **sp)
{
    struct bench_shelf *s = *sp;

    if (!s)
        return;
    for (struct brought *b = s->brought, *next; b; b = next) {
        next = b->next;
        free_brought(b);
    }
    free(s->list);
    free(s);
    *sp = NULL;
}

static struct brought *find_brought(const struct bench_shelf *s, const char *name)
{
    for (struct brought *b = s->brought; b; b = b->next)
        if (!b->old && strcmp(b->one.list->name, name) == 0)
            return b;
    return NULL;
}

const struct bench_scenario *bench_shelf_find(const struct bench_shelf *s, const char *name)
{
    const struct brought *b = find_brought(s, name);

    return b ? b->one.list : bench_catalogue_find(s->base, name);
}

const struct bench_choices *bench_shelf_choices(const struct bench_shelf *s)
{
    return &s->choices;
}

static void count(void *arg, const struct scenario_section *s)
{
    (void)s;
    ++*(unsigned *)arg;
}

static int read_one(struct bench_catalogue *c, const char *name, const char *text, struct err *e)
{
    unsigned sections = 0;

    scenario_text_sections(text, strlen(text), count, &sections);
    if (sections > SECTIONS_MOST)
        return err_set(e, "%u sections; at most %u", sections, SECTIONS_MOST);
    if (bench_scenario_load_text(c, name, text, e) < 0)
        return -1;
    if (c->count == 1 && strcmp(c->list->name, name) == 0)
        return 0;
    return err_set(e, "the text must define the scenario \"%s\", and nothing else", name);
}

int bench_shelf_bring(struct bench_shelf *s, const char *name, const char *text, bench_shelf_check *check, void *arg,
                      const struct bench_scenario **out, const struct bench_scenario **old, struct err *e)
{
    struct brought *b, *before = find_brought(s, name);

    if (!before && s->count == BENCH_SHELF_BROUGHT)
        return err_set(e, "%u scenarios were brought already; replace one of them", s->count);
    b = mem_alloc(sizeof *b);
    if (read_one(&b->one, name, text, e) < 0 || check(arg, b->one.list, e) < 0) {
        free_brought(b);
        return -1;
    }
    *old = bench_shelf_find(s, name);
    *out = b->one.list;
    if (before)
        before->old = true;
    else
        s->count++;
    b->next = s->brought;
    s->brought = b;
    list_all(s);
    return 0;
}

void bench_shelf_sweep(struct bench_shelf *s, bool (*is_free)(void *arg, const struct bench_scenario *sc), void *arg)
{
    for (struct brought **at = &s->brought, *b; (b = *at) != NULL;) {
        if (b->old && is_free(arg, b->one.list)) {
            *at = b->next;
            free_brought(b);
        } else {
            at = &b->next;
        }
    }
}
