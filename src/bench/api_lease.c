#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/api_own.h"
#include "bench/bench_address.h"
#include "bench/bench_json.h"

static json_t *verdict_of(const struct lease *l, bool over)
{
    struct bench_verdict v;

    lease_judge(l, over, &v);
    return bench_verdict_json(l->scenario, l->policy, &v);
}

json_t *api_lease_json(const struct api *a, const struct lease *l, bool over)
{
    char ip[ADDR_TEXT], *domain = mem_printf("%s.%s.bench.test", l->id, l->scenario->name),
                        *rcpt = mem_printf("rcpt@%s", domain), *ca = mem_printf("%s/ca.pem", a->setup.pki);
    int64_t left = l->expires_us - clock_now().mono_us;
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:o,s:b,s:I,s:i,s:i,s:i,s:i,s:i,s:o}", "id", l->id, "name",
                          l->name, "scenario", l->scenario->name, "host", a->setup.hostname, "ip",
                          addr_ip_text(&l->address, ip), "port", (int)addr_port(&l->address), "domain", domain, "rcpt",
                          rcpt, "ca", bench_json_text(ca), "implicit", bench_told_implicit(l->scenario, false), "seed",
                          (json_int_t)l->seed, "expires_s", (int)(left > 0 ? left / 1000000 : 0), "sessions",
                          (int)l->sessions, "open", (int)(l->sessions - l->ended), "messages", (int)l->messages,
                          "accepted", (int)l->accepted, "verdict", verdict_of(l, over));

    free(domain);
    free(rcpt);
    free(ca);
    return o;
}

void api_leases_get(struct api *a, struct api_call *c)
{
    json_t *list = json_array();

    for (const struct lease *l = lease_table_first(a->setup.leases); l; l = l->next)
        json_array_append_new(list, api_lease_json(a, l, false));
    api_json(c, 200, json_pack("{s:o}", "leases", list));
}

/* NULL: it was said that there is none. */
static struct lease *lease_of(struct api *a, struct api_call *c)
{
    struct lease *l = lease_find(a->setup.leases, c->part[2]);

    if (!l)
        api_error(c, 404, "POST /v1/leases makes one; its time may be over", "there is no lease %.40s", c->part[2]);
    return l;
}

static bool over_of(const struct api_call *c)
{
    const char *over = http_request_query(c->r, "over");

    return over && strcmp(over, "1") == 0;
}

void api_lease_get(struct api *a, struct api_call *c)
{
    const struct lease *l = lease_of(a, c);

    if (l)
        api_json(c, 200, api_lease_json(a, l, over_of(c)));
}

void api_lease_over(struct api *a, struct lease *l, bool over)
{
    char id[LEASE_ID];

    bench_port_end_sessions(l->port);
    transcript_verdict(a->setup.book, l->id, verdict_of(l, over));
    snprintf(id, sizeof id, "%s", l->id);
    lease_end(a->setup.leases, &l);
    api_wait_drop(a, id);
}

/* Whoever ends a lease says that the sender is done: the answer has the last word on it. */
void api_lease_delete(struct api *a, struct api_call *c)
{
    struct lease *l = lease_of(a, c);
    json_t *o;

    if (!l)
        return;
    bench_port_end_sessions(l->port);
    o = api_lease_json(a, l, true);
    api_lease_over(a, l, true);
    api_json(c, 200, o);
}

/* ---- a new one */

struct wanted {
    struct lease_setup setup;
    struct addr address;
};

/* -1: it was said what is wrong. */
static int number(struct api_call *c, const json_t *o, const char *key, uint64_t most, uint64_t *out)
{
    const json_t *x = json_object_get(o, key);

    if (!x)
        return 0;
    if (json_is_integer(x) && json_integer_value(x) >= 0 && (uint64_t)json_integer_value(x) <= most) {
        *out = (uint64_t)json_integer_value(x);
        return 0;
    }
    api_error(c, 400, "give a number in that range", "%s: a number from 0 to %llu", key, (unsigned long long)most);
    return -1;
}

/* As above. *out stays as it is where the word is not there. */
static int word(struct api_call *c, const json_t *o, const char *key, const char **out)
{
    const json_t *x = json_object_get(o, key);

    if (!x)
        return 0;
    if (json_is_string(x) && json_string_length(x) <= 200) {
        *out = json_string_value(x);
        return 0;
    }
    api_error(c, 400, "give a string of at most 200 octets", "%s: not a word", key);
    return -1;
}

static int where_of(struct api *a, struct api_call *c, const json_t *o, struct wanted *w)
{
    const char *ip = NULL;
    uint64_t port = 0;
    struct err e;

    w->address = *a->setup.leases_at;
    if (word(c, o, "ip", &ip) < 0 || number(c, o, "port", 65535, &port) < 0)
        return -1;
    if (ip && bench_address_loopback(&w->address, ip, (unsigned)port, &e) < 0) {
        api_error(c, 400, "a loopback address, or none", "ip: %.50s", ip);
        return -1;
    }
    if (!ip && port)
        addr_set_port(&w->address, (uint16_t)port);
    return 0;
}

static int what_of(struct api *a, struct api_call *c, const json_t *o, struct wanted *w)
{
    const char *scenario = "good", *policy = "opportunistic";
    uint64_t ttl = LEASE_TTL_S;
    int p;

    w->setup.name = "";
    w->setup.seed = a->setup.seed;
    if (word(c, o, "scenario", &scenario) < 0 || word(c, o, "policy", &policy) < 0 ||
        word(c, o, "name", &w->setup.name) < 0 || number(c, o, "ttl_s", LEASE_TTL_MOST, &ttl) < 0 ||
        number(c, o, "seed", INT64_MAX, &w->setup.seed) < 0)
        return -1;
    p = bench_policy_find(policy);
    w->setup.scenario = bench_shelf_find(a->setup.shelf, scenario);
    w->setup.policy = (enum bench_policy)p;
    w->setup.ttl_s = ttl ? (unsigned)ttl : LEASE_TTL_S;
    w->setup.choices = json_is_true(json_object_get(o, "select")) ? bench_shelf_choices(a->setup.shelf) : NULL;
    if (p < 0)
        api_error(c, 400, "opportunistic, required or verified", "policy: %.50s", policy);
    else if (!w->setup.scenario)
        api_error(c, 404, "GET /v1/scenarios has them", "there is no scenario %.100s", scenario);
    else if (w->setup.scenario->why_not)
        api_error(c, 409, "play it on a machine that can", "%s: %.300s", scenario, w->setup.scenario->why_not);
    else
        return 0;
    return -1;
}

void api_leases_post(struct api *a, struct api_call *c)
{
    static const char *const names[] = {"scenario", "policy", "ttl_s", "seed", "name", "ip", "port", "select", NULL};
    json_t *o = api_object(c, names);
    struct wanted w = {.setup = {0}};
    struct lease *l;
    struct err e;

    if (!o)
        return;
    if (what_of(a, c, o, &w) == 0 && where_of(a, c, o, &w) == 0) {
        w.setup.address = &w.address;
        l = lease_new(a->setup.leases, &w.setup, clock_now().mono_us, &e);
        if (l) {
            a->leases++;
            api_json(c, 201, api_lease_json(a, l, false));
        } else {
            api_error(c, 503, "end leases that are done with: DELETE /v1/leases/ID", "%s", e.text);
        }
    }
    json_decref(o);
}
