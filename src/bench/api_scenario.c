#include <stdlib.h>
#include <string.h>

#include "bench/api_own.h"
#include "bench/bench_json.h"
#include "bench/bench_probe.h"
#include "bench/scenario_json.h"

/* ---- scenarios */

void api_scenarios_get(struct api *a, struct api_call *c)
{
    const struct bench_choices *all = bench_shelf_choices(a->setup.shelf);
    json_t *list = json_array();

    for (unsigned i = 0; i < all->count; i++)
        json_array_append_new(list, scenario_json(all->list[i]));
    api_json(c, 200, json_pack("{s:o}", "scenarios", list));
}

void api_scenario_get(struct api *a, struct api_call *c)
{
    const struct bench_scenario *sc = bench_shelf_find(a->setup.shelf, c->part[2]);

    if (sc)
        api_json(c, 200, scenario_json(sc));
    else
        api_error(c, 404, "GET /v1/scenarios has them", "there is no scenario %.100s", c->part[2]);
}

static int check(void *arg, const struct bench_scenario *sc, struct err *e)
{
    const char *unknown = bench_expect_unknown(sc);

    if (unknown)
        return err_set(e, "expect: \"%s\" is not a fact that is known here", unknown);
    return bench_probe(sc, e) < 0 ? -1 : bench_server_try(arg, sc, e);
}

static bool is_free(void *arg, const struct bench_scenario *sc)
{
    return bench_server_forget(arg, sc);
}

/* Listeners play the new one from the next session on; leases go on with what they were made with. */
static int play_at_listeners(struct api *a, const struct bench_scenario *old, const struct bench_scenario *now,
                             struct err *e)
{
    for (unsigned i = 0; i < a->setup.listeners->count; i++) {
        struct bench_port *p = a->setup.listeners->list[i].port;

        if (bench_port_scenario(p) == old && bench_port_play(p, now, e) < 0)
            return -1;
    }
    return 0;
}

void api_scenario_put(struct api *a, struct api_call *c)
{
    struct span body = http_request_body(c->r);
    const struct bench_scenario *now, *old;
    char *text;
    struct err e;

    if (!bench_scenario_is_name(c->part[2])) {
        api_error(c, 400, "letters, digits, dot, minus, underscore; at most 64", "that cannot be a scenario's name");
        return;
    }
    if (memchr(body.p, '\0', body.n)) {
        api_error(c, 400, "send text", "there is a NUL in it");
        return;
    }
    text = mem_strn(body.p, body.n);
    if (bench_shelf_bring(a->setup.shelf, c->part[2], text, check, a->setup.server, &now, &old, &e) < 0)
        api_error(c, 400, "docs/bench.md has the language", "%s", e.text);
    else if (old && play_at_listeners(a, old, now, &e) < 0)
        api_error(c, 409, "PUT /v1/listeners/NAME", "it is there, and a listener is down: %s", e.text);
    else
        api_json(c, old ? 200 : 201, scenario_json(now));
    bench_shelf_sweep(a->setup.shelf, is_free, a->setup.server);
    free(text);
}

/* ---- listeners */

static json_t *listener_json(const struct bench_listener *l)
{
    char where[ADDR_TEXT];

    return json_pack("{s:o,s:s,s:s,s:s,s:i}", "name", bench_json_text(l->name), "address",
                     addr_text(bench_port_address(l->port), where), "scenario", bench_port_scenario(l->port)->name,
                     "state", bench_listen_name(bench_port_listens(l->port)), "open",
                     (int)bench_port_sessions(l->port));
}

static json_t *listeners_json(const struct listener_list *all, const char *name)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < all->count; i++)
        if (!name || strcmp(all->list[i].name, name) == 0)
            json_array_append_new(list, listener_json(&all->list[i]));
    return json_pack("{s:o}", "listeners", list);
}

void api_listeners_get(struct api *a, struct api_call *c)
{
    api_json(c, 200, listeners_json(a->setup.listeners, NULL));
}

static int set_state(struct api *a, const char *name, enum bench_listen how, struct err *e)
{
    struct lease *l = lease_find(a->setup.leases, name);

    for (unsigned i = 0; i < a->setup.listeners->count; i++)
        if (strcmp(a->setup.listeners->list[i].name, name) == 0 &&
            bench_port_listen(a->setup.listeners->list[i].port, how, e) < 0)
            return -1;
    return l ? bench_port_listen(l->port, how, e) : 0;
}

/* Of a lease, too: its test may want the server to be down for a while. */
void api_listener_put(struct api *a, struct api_call *c)
{
    static const char *const names[] = {"state", NULL};
    const char *name = c->part[2], *word;
    struct lease *l = lease_find(a->setup.leases, name);
    json_t *o;
    struct err e;
    int how;

    if (!l && !listener_list_find(a->setup.listeners, name)) {
        api_error(c, 404, "GET /v1/listeners has them; a lease's ID is one, too", "there is no listener %.100s", name);
        return;
    }
    o = api_object(c, names);
    if (!o)
        return;
    word = json_string_value(json_object_get(o, "state"));
    how = word ? bench_listen_find(word) : -1;
    if (how < 0)
        api_error(c, 400, "{\"state\": \"up\"}, \"down\" or \"blackhole\"", "which state?");
    else if (set_state(a, name, (enum bench_listen)how, &e) < 0)
        api_error(c, 409, "give it another port, or end what took it", "%s", e.text);
    else if (l)
        api_json(c, 200, json_pack("{s:s,s:s}", "name", name, "state", bench_listen_name((enum bench_listen)how)));
    else
        api_json(c, 200, listeners_json(a->setup.listeners, name));
    json_decref(o);
}
