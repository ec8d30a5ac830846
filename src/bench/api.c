#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "bench/api_own.h"

#define TICK_US 50000
#define REQUEST_SECONDS 10
#define HEADERS_MOST 16384u
#define BODY_MOST ((size_t)256 << 10) /* read before anybody knows who sends it, from each connection */
#define FILE_MOST ((size_t)64 << 20)

/* ---- answers */

void api_text(struct api_call *c, int status, const char *type, struct span text)
{
    /* what senders sent is shown as text, and runs nowhere */
    http_request_add(c->r, "X-Content-Type-Options", "nosniff");
    http_request_add(c->r, "Content-Security-Policy", "default-src 'none'; sandbox");
    http_request_add(c->r, "Cache-Control", "no-store");
    http_request_reply(&c->r, status, type, text);
}

void api_json(struct api_call *c, int status, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
    struct buf b = {0};

    buf_printf(&b, "%s\n", text ? text : "{}");
    api_text(c, status, "application/json", (struct span){buf_data(&b), b.len});
    buf_clear(&b);
    free(text);
    json_decref(o);
}

void api_error(struct api_call *c, int status, const char *remedy, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    json_t *s;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s = json_string(text);
    api_json(c, status, json_pack("{s:o,s:s}", "error", s ? s : json_string("not UTF-8"), "remedy", remedy));
}

void api_file(struct api_call *c, const char *path, const char *type)
{
    FILE *f = fopen(path, "re");
    struct buf b = {0};
    size_t n;

    if (!f) {
        api_error(c, 404, "ask for what is in the list", "it is not kept: %s", strerror(errno));
        return;
    }
    while (b.len <= FILE_MOST && (n = fread(buf_space(&b, 65536), 1, 65536, f)) > 0)
        buf_added(&b, n);
    fclose(f);
    if (b.len > FILE_MOST)
        api_error(c, 413, path, "it has more than %zu octets; read it where it is", FILE_MOST);
    else
        api_text(c, 200, type, (struct span){b.len ? buf_data(&b) : "", b.len});
    buf_clear(&b);
}

/* ---- what is asked */

static const char *nearest(const char *word, const char *const *names)
{
    const char *best = names[0];

    for (; *names; names++)
        if (text_distance(word, *names) < text_distance(word, best))
            best = *names;
    return best;
}

json_t *api_object(struct api_call *c, const char *const *names)
{
    struct span body = http_request_body(c->r);
    json_error_t e = {.line = 1};
    json_t *o = body.n ? json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &e) : json_object(), *value;
    const char *key;

    if (!json_is_object(o)) {
        api_error(c, 400, "send one JSON object", "line %d: %s", o ? 1 : e.line, o ? "no object" : e.text);
        json_decref(o);
        return NULL;
    }
    json_object_foreach(o, key, value)
    {
        const char *const *n = names;

        while (*n && strcmp(*n, key) != 0)
            n++;
        if (*n)
            continue;
        api_error(c, 400, "remove it, or spell it as named", "\"%.100s\" is not known here; nearest: \"%s\"", key,
                  nearest(key, names));
        json_decref(o);
        return NULL;
    }
    return o;
}

int api_number(struct api_call *c, const char *name, uint64_t fallback, uint64_t most, uint64_t *out)
{
    const char *text = http_request_query(c->r, name);

    *out = fallback;
    if (!text)
        return 0;
    if (text_u64(span_str(text), out) && *out <= most)
        return 0;
    api_error(c, 400, "give a number in that range", "%s: a number from 0 to %llu", name, (unsigned long long)most);
    return -1;
}

/* ---- who may ask */

/* The name under which this API was meant to be reached: by a rebound name a browser would send that name. */
static bool is_our_host(const struct api *a, const char *host)
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1", "[::1]"};
    char ip[ADDR_TEXT], bracketed[ADDR_TEXT + 2];

    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcasecmp(host, always[i]) == 0)
            return true;
    addr_ip_text(http_server_address(a->http), ip);
    snprintf(bracketed, sizeof bracketed, "[%s]", ip);
    return strcasecmp(host, ip) == 0 || strcasecmp(host, bracketed) == 0 || strcasecmp(host, a->setup.hostname) == 0;
}

/* Open ones ask for no token. A * is any one part. */
static const struct {
    enum http_method method;
    const char *path;
    bool open, writes;
    api_handler *run;
} routes[] = {
    {HTTP_GET, "", false, false, api_index_get},
    {HTTP_GET, "healthz", true, false, api_health_get},
    {HTTP_GET, "readyz", true, false, api_ready_get},
    {HTTP_GET, "metrics", false, false, api_metrics_get},
    {HTTP_GET, "v1/scenarios", false, false, api_scenarios_get},
    {HTTP_GET, "v1/scenarios/*", false, false, api_scenario_get},
    {HTTP_PUT, "v1/scenarios/*", false, true, api_scenario_put},
    {HTTP_GET, "v1/listeners", false, false, api_listeners_get},
    {HTTP_PUT, "v1/listeners/*", false, true, api_listener_put},
    {HTTP_GET, "v1/leases", false, false, api_leases_get},
    {HTTP_POST, "v1/leases", false, false, api_leases_post},
    {HTTP_GET, "v1/leases/*", false, false, api_lease_get},
    {HTTP_DELETE, "v1/leases/*", false, false, api_lease_delete},
    {HTTP_GET, "v1/leases/*/wait", false, false, api_wait_get},
    {HTTP_GET, "v1/sessions", false, false, api_sessions_get},
    {HTTP_GET, "v1/sessions/*", false, false, api_session_get},
    {HTTP_GET, "v1/messages", false, false, api_messages_get},
    {HTTP_DELETE, "v1/messages", false, true, api_messages_delete},
    {HTTP_GET, "v1/messages/*", false, false, api_message_get},
    {HTTP_DELETE, "v1/messages/*", false, true, api_message_delete},
    {HTTP_GET, "v1/pki/ca.pem", false, false, api_ca_get},
};
#define ROUTES (sizeof routes / sizeof *routes)

/* Cuts it at its slashes. Nothing here has a name that would need to be percent-encoded: a % is part of no name. */
static bool cut_path(struct api_call *c, const char *path)
{
    char *p = c->path;

    if (strlen(path) >= sizeof c->path)
        return false;
    snprintf(p, sizeof c->path, "%s", path + 1);
    while (p && *p) {
        if (c->parts == API_SEGMENTS)
            return false;
        c->part[c->parts++] = strsep(&p, "/");
    }
    return true;
}

static bool fits(const struct api_call *c, const char *pattern)
{
    for (unsigned i = 0; i < c->parts; i++) {
        size_t n = strcspn(pattern, "/");

        if (!n || (strncmp(pattern, "*", n) != 0 && (strlen(c->part[i]) != n || strncmp(pattern, c->part[i], n) != 0)))
            return false;
        pattern += n + (pattern[n] == '/');
    }
    return *pattern == '\0';
}

static void refuse(struct api *a, struct api_call *c, bool path_is_known)
{
    a->denied++;
    if (path_is_known)
        api_error(c, 405, "docs/bench.md has the calls", "not with that method");
    else
        api_error(c, 404, "GET / has the calls", "there is nothing of that name");
}

static void on_request(void *arg, struct http_request *r)
{
    struct api *a = arg;
    struct api_call c = {.r = r};
    bool cut = cut_path(&c, http_request_path(r)), known = false,
         trusted = api_token_is(a->token, http_request_header(r, "Authorization"));

    if (a->setup.clients && !http_request_from(r, a->setup.clients, a->setup.client_count)) {
        a->denied++;
        api_error(&c, 403, "api { client = {...} }", "not from that address");
        return;
    }
    if (!is_our_host(a, http_request_host(r))) {
        a->denied++;
        api_error(&c, 403, "ask by its address, as localhost, or by the bench's host name", "that Host is not served");
        return;
    }
    for (size_t i = 0; cut && i < ROUTES; i++) {
        if (!fits(&c, routes[i].path))
            continue;
        if (!trusted && !routes[i].open)
            break;
        known = true;
        if (routes[i].method != http_request_method(r))
            continue;
        if (routes[i].writes && !a->setup.write)
            api_error(&c, 403, "api { write = yes }", "nothing may be changed here");
        else
            routes[i].run(a, &c);
        return;
    }
    if (trusted || known) {
        refuse(a, &c, known);
        return;
    }
    a->denied++;
    http_request_add(r, "WWW-Authenticate", "Bearer");
    api_error(&c, 401, "Authorization: Bearer TOKEN, with what is in the token file", "who asks?");
}

/* ---- the whole */

static void on_tick(void *arg)
{
    struct api *a = arg;
    int64_t now = clock_now().mono_us;
    struct lease *l;

    api_wait_tick(a, now);
    while ((l = lease_expired(a->setup.leases, now)) != NULL)
        api_lease_over(a, l, false);
}

int api_open(struct api **out, const struct api_setup *s, struct err *e)
{
    static const struct http_limits limits = {
        .connections = API_CONNECTIONS, .headers = HEADERS_MOST, .body = BODY_MOST, .seconds = REQUEST_SECONDS};
    struct api *a = mem_alloc(sizeof *a);

    *out = NULL;
    a->setup = *s;
    a->begun_us = clock_now().mono_us;
    if (api_token_read(a->token, s->token_file, e) < 0 ||
        http_server_new(&a->http, s->loop, s->listen, &limits, on_request, a, e) < 0) {
        free(a);
        return -1;
    }
    loop_ticker(s->loop, TICK_US, on_tick, a);
    *out = a;
    return 0;
}

void api_close(struct api **ap)
{
    struct api *a = *ap;

    if (!a)
        return;
    api_wait_drop(a, NULL);
    http_server_free(&a->http);
    free(a);
    *ap = NULL;
}

const struct addr *api_address(const struct api *a)
{
    return http_server_address(a->http);
}

void api_line(struct api *a, struct lease *l, const json_t *line)
{
    api_status_take(a, line);
    if (l)
        api_wait_look(a, l);
}
