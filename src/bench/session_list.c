#include "bench/session_list.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_json.h"

struct session_list {
    unsigned most;
    uint64_t last;   /* the last one's number; the first one has 1 */
    json_t **ring;   /* number % most */
    json_t *numbers; /* "sid": number */
};

struct session_list *session_list_new(unsigned most)
{
    struct session_list *l = mem_alloc(sizeof *l);

    l->most = most;
    l->ring = mem_alloc(most * sizeof(json_t *));
    l->numbers = json_object();
    return l;
}

void session_list_free(struct session_list **lp)
{
    struct session_list *l = *lp;

    if (!l)
        return;
    for (unsigned i = 0; i < l->most; i++)
        json_decref(l->ring[i]);
    free(l->ring);
    json_decref(l->numbers);
    free(l);
    *lp = NULL;
}

static void begin(struct session_list *l, const json_t *line)
{
    static const char *const copied[] = {"sid", "lease", "listener", "scenario", "peer", "local", "ts", "seed"};
    json_t **place = &l->ring[++l->last % l->most], *o = json_object();

    if (*place) {
        json_object_del(l->numbers, bench_json_str(*place, "sid"));
        json_decref(*place);
    }
    *place = o;
    json_object_set_new(o, "n", json_integer((json_int_t)l->last));
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        if (json_object_get(line, copied[i]))
            json_object_set(o, copied[i], json_object_get(line, copied[i]));
    json_object_set_new(o, "ended", json_false());
    json_object_set_new(l->numbers, bench_json_str(line, "sid"), json_integer((json_int_t)l->last));
}

static json_t *find(const struct session_list *l, const char *sid)
{
    const json_t *n = json_object_get(l->numbers, sid);

    return n ? l->ring[(uint64_t)json_integer_value(n) % l->most] : NULL;
}

static void count(json_t *o, const char *key)
{
    json_object_set_new(o, key, json_integer(json_integer_value(json_object_get(o, key)) + 1));
}

void session_list_take(struct session_list *l, const json_t *line)
{
    const char *ev = bench_json_str(line, "ev");
    json_t *o;

    if (strcmp(ev, "session_start") == 0) {
        begin(l, line);
        return;
    }
    o = find(l, bench_json_str(line, "sid"));
    if (!o)
        return;
    if (strcmp(ev, "recv") == 0)
        count(o, "commands");
    else if (strcmp(ev, "fault") == 0)
        count(o, "faults");
    else if (strcmp(ev, "lint") == 0)
        count(o, "lints");
    else if (strcmp(ev, "message") == 0)
        count(o, json_is_true(json_object_get(line, "accepted")) ? "accepted" : "refused");
    else if (strcmp(ev, "tls_done") == 0)
        json_object_set(o, "tls", json_object_get(line, "version"));
    else if (strcmp(ev, "select") == 0)
        json_object_set(o, "scenario", json_object_get(line, "scenario"));
    else if (strcmp(ev, "session_end") == 0) {
        json_object_set_new(o, "ended", json_true());
        json_object_set(o, "by", json_object_get(line, "by"));
        json_object_set(o, "ms", json_object_get(line, "ms"));
    }
}

const json_t *session_list_find(const struct session_list *l, const char *sid)
{
    return find(l, sid);
}

json_t *session_list_some(const struct session_list *l, const struct session_filter *f, uint64_t *next)
{
    uint64_t first = l->last > l->most ? l->last - l->most + 1 : 1;
    json_t *found = json_array();

    *next = f->since;
    for (uint64_t n = f->since + 1 > first ? f->since + 1 : first; n <= l->last; n++) {
        json_t *o = l->ring[n % l->most];

        if (json_array_size(found) == f->most)
            break;
        *next = n;
        if (f->lease && strcmp(f->lease, bench_json_str(o, "lease")) != 0)
            continue;
        if (f->scenario && fnmatch(f->scenario, bench_json_str(o, "scenario"), 0) != 0)
            continue;
        json_array_append(found, o);
    }
    return found;
}
