#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "proc/leader_private.h"
#include "proc/report.h"

#define SEND_MS 1000

#ifndef PACKAGE_VERSION
#include "config.h"
#endif

static const char *state_name(enum leader_state s)
{
    return s == LEADER_ACTIVE ? "active" : s == LEADER_DRAINING ? "draining" : "starting";
}

static void add_process(json_t *list, const char *role, int pid, unsigned generation, const char *state)
{
    json_array_append_new(
        list, json_pack("{s:s,s:i,s:i,s:s}", "role", role, "pid", pid, "generation", (int)generation, "state", state));
}

static json_t *processes(const struct leader *l)
{
    json_t *list = json_array();
    const char *state = state_name(l->state);

    add_process(list, "supervisor", l->setup->supervisor_pid, 0, "active");
    add_process(list, "leader", (int)getpid(), l->setup->number, state);
    if (l->store_pid)
        add_process(list, "store", (int)l->store_pid, l->setup->number, state);
    if (l->relay.pid)
        add_process(list, "relay", (int)l->relay.pid, l->setup->number, l->relay.ready ? state : "starting");
    if (l->auth.pid)
        add_process(list, "auth", (int)l->auth.pid, l->setup->number, l->auth.ready ? state : "starting");
    for (unsigned i = 0; i < l->worker_count; i++) {
        char role[32];

        if (!l->workers[i].pid)
            continue;
        snprintf(role, sizeof role, "worker %u", i);
        add_process(list, role, (int)l->workers[i].pid, l->setup->number, l->workers[i].ready ? state : "starting");
    }
    return list;
}

static json_t *generations(const struct leader *l)
{
    static const char *const name[] = {"starting", "active", "draining"};
    json_t *list = json_array();

    for (unsigned i = 0; i < l->other_count; i++)
        json_array_append_new(list, json_pack("{s:i,s:i,s:s}", "number", (int)l->others[i].number, "leader",
                                              l->others[i].leader, "state", name[l->others[i].state % 3]));
    return list;
}

static json_t *status(const struct leader *l)
{
    json_t *counters = json_object();
    int64_t now = clock_now().real_us / 1000000;

    for (int c = 0; c < SHARE_COUNTERS; c++)
        json_object_set_new(counters, share_counter_name((enum share_counter)c),
                            json_integer(share_total(l->setup->share, (enum share_counter)c)));
    return json_pack("{s:b,s:s,s:i,s:I,s:I,s:I,s:o,s:o,s:o}", "ok", 1, "version", PACKAGE_VERSION, "generation",
                     (int)l->setup->number, "startedAt", (json_int_t)l->setup->started_s, "uptime",
                     (json_int_t)(now - l->setup->started_s), "loadedAt", (json_int_t)l->gen->loaded_at, "processes",
                     processes(l), "generations", generations(l), "counters", counters);
}

static json_t *why(const struct leader *l)
{
    json_t *r = report_listeners(l->gen, clock_now().real_us / 1000000);

    json_object_set_new(r, "ok", json_true());
    json_object_set_new(r, "generation", json_integer((json_int_t)l->setup->number));
    return r;
}

/* The store answers, straight to whoever asked. */
static void ask_queue(struct leader *l, unsigned client, const char *words)
{
    int fd;

    if (!l->relay.wanted || !words) {
        control_answer(l->control, client,
                       json_pack("{s:b,s:s}", "ok", 0, "error",
                                 words ? "there is no queue: no delivery of this configuration is another server"
                                       : "what of the queue?"));
        return;
    }
    fd = control_take(l->control, client);
    if (fd < 0)
        return;
    (void)chan_send_wait(l->store_fd, SEND_MS, STORE_QUEUE_ASK, words, strlen(words), &fd, 1, NULL);
    close(fd);
}

void leader_answer(void *arg, unsigned client, const json_t *request)
{
    struct leader *l = arg;
    const char *command = json_string_value(json_object_get(request, "command"));
    uint32_t token = client;

    if (!command)
        command = "";
    if (strcmp(command, "why") == 0) {
        control_answer(l->control, client, why(l));
    } else if (strcmp(command, "status") == 0) {
        control_answer(l->control, client, status(l));
    } else if (strcmp(command, "reload") == 0) {
        leader_send(l, PROC_RELOAD, &token, sizeof token, NULL); /* answered by leader_reload_result() */
    } else if (strcmp(command, "drain") == 0) {
        control_answer(l->control, client,
                       json_pack("{s:b,s:I}", "ok", 1, "sessions",
                                 (json_int_t)share_total(l->setup->share, SHARE_CONNECTIONS_NOW)));
        leader_send(l, PROC_STOP, NULL, 0, NULL);
    } else if (strcmp(command, "queue") == 0) {
        ask_queue(l, client, json_string_value(json_object_get(request, "request")));
    } else if (strcmp(command, "version") == 0) {
        control_answer(l->control, client,
                       json_pack("{s:b,s:s,s:s}", "ok", 1, "version", PACKAGE_VERSION, "tls", tls_library_version()));
    } else {
        control_answer(l->control, client,
                       json_pack("{s:b,s:s}", "ok", 0, "error", "this daemon does not know that command"));
    }
}

void leader_reload_result(struct leader *l, const struct chan_msg *m)
{
    struct proc_result r;
    json_t *reply;

    if (m->len < sizeof r)
        return;
    memcpy(&r, m->data, sizeof r);
    reply = json_pack("{s:b}", "ok", r.ok != 0);
    json_object_set_new(reply, r.ok ? "text" : "error",
                        json_stringn_nocheck((const char *)m->data + sizeof r, m->len - sizeof r));
    control_answer(l->control, r.token, reply);
}
