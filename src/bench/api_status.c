#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "bench/api_own.h"

void api_status_take(struct api *a, const json_t *line)
{
    const char *ev = json_string_value(json_object_get(line, "ev"));

    if (!ev)
        return;
    a->sessions += strcmp(ev, "session_start") == 0;
    a->ended += strcmp(ev, "session_end") == 0;
    a->faults += strcmp(ev, "fault") == 0;
    a->tls_done += strcmp(ev, "tls_done") == 0;
    a->tls_failed += strcmp(ev, "tls_fail") == 0;
    if (strcmp(ev, "message") == 0) {
        bool taken = json_is_true(json_object_get(line, "accepted"));

        a->accepted += taken;
        a->refused += !taken;
    }
}

/* Prometheus' text format. */
static void put(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
    buf_printf(b, "# HELP postern_bench_%s %s\n# TYPE postern_bench_%s %s\npostern_bench_%s{mode=\"testbench\"} %llu\n",
               name, help, name, type, name, (unsigned long long)value);
}

void api_metrics_get(struct api *a, struct api_call *c)
{
    struct buf b = {0};

    put(&b, "sessions_total", "counter", "Sessions that came.", a->sessions);
    put(&b, "sessions_open", "gauge", "Sessions now.", a->sessions - a->ended);
    put(&b, "messages_accepted_total", "counter", "Messages that were taken.", a->accepted);
    put(&b, "messages_refused_total", "counter", "Messages that were not.", a->refused);
    put(&b, "faults_total", "counter", "Times that a scenario's step acted.", a->faults);
    put(&b, "tls_handshakes_total", "counter", "Handshakes that were finished.", a->tls_done);
    put(&b, "tls_failures_total", "counter", "Handshakes that were not.", a->tls_failed);
    put(&b, "leases_total", "counter", "Leases that were made.", a->leases);
    put(&b, "leases_open", "gauge", "Leases now.", lease_table_count(a->setup.leases));
    if (a->setup.mail) {
        put(&b, "messages_kept", "gauge", "Messages that can be read.", mail_store_count(a->setup.mail));
        put(&b, "messages_kept_bytes", "gauge", "Octets of them.", mail_store_bytes(a->setup.mail));
    }
    put(&b, "waits_open", "gauge", "Requests that wait for something to happen.", a->wait_count);
    put(&b, "http_connections", "gauge", "Connections to this API.", http_server_connections(a->http));
    put(&b, "http_denied_total", "counter", "Requests without a right to an answer.", a->denied);
    put(&b, "uptime_seconds", "gauge", "Since it began.", (uint64_t)(clock_now().mono_us - a->begun_us) / 1000000);
    api_text(c, 200, "text/plain; version=0.0.4", (struct span){buf_data(&b), b.len});
    buf_clear(&b);
}

void api_health_get(struct api *a, struct api_call *c)
{
    (void)a;
    api_text(c, 200, "text/plain", SPAN("ok\n"));
}

/* Everything that is to listen listens before the API does. */
void api_ready_get(struct api *a, struct api_call *c)
{
    (void)a;
    api_text(c, 200, "text/plain", SPAN("ready\n"));
}

void api_ca_get(struct api *a, struct api_call *c)
{
    char *path = mem_printf("%s/ca.pem", a->setup.pki);

    api_file(c, path, "application/x-pem-file");
    free(path);
}

void api_index_get(struct api *a, struct api_call *c)
{
    static const char *const calls[] = {"GET /v1/scenarios[/NAME]",
                                        "PUT /v1/scenarios/NAME",
                                        "GET /v1/listeners",
                                        "PUT /v1/listeners/NAME {state}",
                                        "GET, POST /v1/leases {scenario, policy, ttl_s, seed, name, ip, port, select}",
                                        "GET, DELETE /v1/leases/ID",
                                        "GET /v1/leases/ID/wait?for=&n=&timeout_s=&over=",
                                        "GET /v1/sessions?lease=&scenario=&since=&limit=",
                                        "GET /v1/sessions/SID[.jsonl|.txt]",
                                        "GET, DELETE /v1/messages?lease=&since=&limit=",
                                        "GET, DELETE /v1/messages/MID[.eml|.wire]",
                                        "GET /v1/pki/ca.pem",
                                        "GET /metrics, /healthz, /readyz"};
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        json_array_append_new(list, json_string(calls[i]));
    api_json(c, 200,
             json_pack("{s:s,s:s,s:b,s:o}", "mode", "testbench", "host", a->setup.hostname, "write", a->setup.write,
                       "calls", list));
}
