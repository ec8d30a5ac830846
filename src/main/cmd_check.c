/* The loader of run, with nothing served. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "main/command.h"
#include "proc/generation.h"
#include "proc/report.h"
#include "proc/rights.h"

static json_t *problems_json(const struct conf_problems *p)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < p->count; i++) {
        const struct conf_problem *q = &p->list[i];

        json_array_append_new(list, json_pack("{s:b,s:s,s:i,s:s?,s:s,s:s?}", "warning", q->warning, "file",
                                              q->file ? q->file : "", "line", (int)q->line, "option", q->option, "text",
                                              q->text, "remedy", q->remedy));
    }
    return list;
}

static void print_problems(const struct conf_problems *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        char *line = conf_problem_text(&p->list[i]);

        fprintf(stderr, "%s\n", line);
        free(line);
    }
}

/* Would run have more rights than this process? It reads keys before it gives up root, and it needs root for another
 * user or a low port. */
static bool has_fewer_rights(const struct conf *c)
{
    if (geteuid() == 0)
        return false;
    if (c->user)
        return true;
    for (unsigned i = 0; i < c->listener_count; i++)
        for (unsigned k = 0; k < c->listeners[i].address_count; k++) {
            uint16_t port = addr_port(&c->listeners[i].addresses[k]);

            if (port > 0 && port < 1024)
                return true;
        }
    return false;
}

static bool is_denied(const json_t *certificate, const char *key)
{
    const char *file = json_string_value(json_object_get(certificate, key));

    return file && access(file, R_OK) < 0 && errno == EACCES;
}

/* A file this user may not read says nothing about run: it is marked as unknown. */
static void mark_unknown(json_t *report)
{
    const json_t *l, *c;
    size_t i, k;

    json_array_foreach(json_object_get(report, "listeners"), i, l)
    {
        bool blind = false;

        json_array_foreach(json_object_get(l, "certificates"), k, c) if (is_denied(c, "chain") || is_denied(c, "key"))
        {
            json_object_set_new((json_t *)c, "unknown", json_true());
            blind = true;
        }
        if (blind && !json_is_true(json_object_get(l, "serves")))
            json_object_set_new((json_t *)l, "unknown", json_true());
    }
}

/* The accounts that the processes become. */
static void check_rights(const struct conf *c, struct conf_problems *p)
{
    struct rights r;
    struct err e;

    if (rights_resolve(&r, c, &e) < 0)
        conf_problem_add(p, false, c->file, 0, NULL, NULL, "%s", e.text);
}

static int print_report(const struct command_line *l, const struct generation *g, struct conf_problems *p)
{
    bool blind = has_fewer_rights(g->conf);
    json_t *report = report_listeners(g, clock_now().real_us / 1000000);
    int code;

    check_rights(g->conf, p);
    if (blind)
        mark_unknown(report);
    code = report_exit_code(report);
    if (p->errors)
        code = EXIT_FAILED;
    else if (p->count && code == EXIT_FINE)
        code = EXIT_WARN;
    json_object_set_new(report, "problems", problems_json(p));
    json_object_set_new(report, "fewerRights", json_boolean(blind));
    json_object_set_new(report, "unfinished", json_boolean(g->unfinished));
    if (l->json) {
        command_print_json(report);
    } else {
        char *text = report_text(report, NULL);

        print_problems(p);
        if (blind)
            fprintf(stderr, "postern: checked with fewer rights than run has; what this user may not read is unknown: "
                            "ask as root\n");
        if (g->unfinished)
            fprintf(stderr, "postern: a chain and a key that do not match were written within the last 5 seconds: a "
                            "renewal may be under way, ask again\n");
        fputs(text, stdout);
        free(text);
        if (report_exit_code(report) == EXIT_FAILED)
            printf("\nThis is what a start would do. A daemon that runs goes on with its last good pair: postern why "
                   "-c %s\n",
                   l->conf_file);
    }
    json_decref(report);
    return code;
}

int cmd_check(const struct command_line *l)
{
    struct conf_problems p = {0};
    struct generation *g = NULL;
    int code = EXIT_FAILED;

    clock_prepare();
    log_open(-1, LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR); /* everything is in the report */
    if (generation_build(&g, GENERATION_FULL, l->conf_file, NULL, &p) == 0) {
        code = print_report(l, g, &p);
        generation_free(&g);
    } else if (l->json) {
        json_t *o = json_pack("{s:[],s:o}", "listeners", "problems", problems_json(&p));

        command_print_json(o);
        json_decref(o);
    } else {
        print_problems(&p);
    }
    conf_problems_free(&p);
    return code;
}
