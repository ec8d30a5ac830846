/* Of the API's own files: api.c (who may ask what, and answers), api_token.c, api_lease.c, api_wait.c, api_scenario.c,
 * api_session.c, api_message.c, api_status.c. Nobody else includes this. */
#ifndef BENCH_API_OWN_H
#define BENCH_API_OWN_H

#include "bench/api.h"
#include "net/http_server.h"

#define API_SEGMENTS 5u
#define API_TOKEN 128

/* One request: answered exactly once, by one of api_json(), api_error(), api_text(), or kept by api_wait. */
struct api_call {
    struct http_request *r;
    char path[512];
    const char *part[API_SEGMENTS]; /* of the path: "v1", "leases", ... */
    unsigned parts;
};

struct api_wait {
    struct api_wait *next;
    struct http_request *r;
    struct api *api;
    char lease[LEASE_ID];
    int what;
    unsigned n;
    bool over;
    int64_t until_us;
};

struct api {
    struct api_setup setup;
    struct http_server *http;
    char token[API_TOKEN];
    struct api_wait *waits;
    unsigned wait_count;
    int64_t begun_us;
    uint64_t leases, sessions, ended, accepted, refused, faults, tls_done, tls_failed, denied;
};

typedef void api_handler(struct api *a, struct api_call *c);

/* api.c. o: stolen. */
void api_json(struct api_call *c, int status, json_t *o);
/* remedy: what to do. */
void api_error(struct api_call *c, int status, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void api_text(struct api_call *c, int status, const char *type, struct span text);
void api_file(struct api_call *c, const char *path, const char *type);
/* The object in the body; no body: an empty one. NULL: it was said what is wrong. names: what may be in it, ends with NULL. */
json_t *api_object(struct api_call *c, const char *const *names);
/* A number of the query string; -1: it was said what is wrong. */
int api_number(struct api_call *c, const char *name, uint64_t fallback, uint64_t most, uint64_t *out);

/* api_token.c: reads the file, or makes it. -1 and e. */
int api_token_read(char token[API_TOKEN], const char *path, struct err *e);
/* Takes as long whatever is wrong with it. header: "Bearer ..."; NULL: none was sent. */
bool api_token_is(const char *token, const char *header);

/* api_lease.c */
api_handler api_leases_get, api_leases_post, api_lease_get, api_lease_delete;
json_t *api_lease_json(const struct api *a, const struct lease *l, bool over);
/* With whoever waits for it, and with a last verdict. over: as of lease_judge(). */
void api_lease_over(struct api *a, struct lease *l, bool over);

/* api_wait.c */
api_handler api_wait_get;
void api_wait_look(struct api *a, struct lease *l); /* something happened in it */
void api_wait_tick(struct api *a, int64_t now_us);
/* The lease is gone, or (NULL) everything is. */
void api_wait_drop(struct api *a, const char *lease);

/* api_scenario.c */
api_handler api_scenarios_get, api_scenario_get, api_scenario_put, api_listeners_get, api_listener_put;

/* api_session.c */
api_handler api_sessions_get, api_session_get;

/* api_message.c */
api_handler api_messages_get, api_messages_delete, api_message_get, api_message_delete;

/* api_status.c */
api_handler api_metrics_get, api_health_get, api_ready_get, api_ca_get, api_index_get;
void api_status_take(struct api *a, const json_t *line);

#endif
