/* The loader of run, nothing served. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "main/command.h"
#include "proc/generation.h"
#include "proc/report.h"

static json_t *problems_json(const struct conf_problems *p)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < p->count; i++) {
        const struct conf_problem *q = &p->list[i];

        json_array_append_new(list, json_pack("{s:b,s:s,s:i,s:s*,s:s,s:s*}", "warning", q->warning, "file", q->file, "line",
                                              (int)q->line, "option", q->option, "text", q->text, "remedy", q->remedy));
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

/* As somebody else than run would be, a file that cannot be read says nothing about run. */
static bool is_blind(const struct generation *g)
{
    return geteuid() != 0 && g->conf->user && access(g->conf->state_dir, W_OK) != 0;
}

/* A file that is worse than nothing is what run would refuse to take, whatever serves today. */
static int exit_code(const struct generation *g, const json_t *report, bool blind)
{
    const json_t *l;
    size_t i;
    int code = report_exit_code(report);
    bool only_unreadable = true;

    json_array_foreach (json_object_get(report, "listeners"), i, l) {
        const char *reason = json_string_value(json_object_get(l, "reason"));

        if (json_is_true(json_object_get(l, "wanted")) && !json_is_true(json_object_get(l, "offered")) && reason &&
            strcmp(reason, "unreadable") != 0 && strcmp(reason, "implicit-tls") != 0)
            only_unreadable = false;
    }
    (void)g;
    return blind && code == EXIT_FAILED && only_unreadable ? EXIT_WARN : code;
}

int cmd_check(const struct command_line *l)
{
    struct conf_problems p = {0};
    struct generation *g = NULL;
    json_t *report;
    int code = EXIT_FAILED;
    bool blind;

    clock_prepare();
    if (generation_build(&g, GENERATION_FULL, l->conf_file, NULL, &p) < 0) {
        if (l->json) {
            report = json_pack("{s:[],s:o}", "listeners", "problems", problems_json(&p));
            command_print_json(report);
            json_decref(report);
        } else {
            print_problems(&p);
        }
        conf_problems_free(&p);
        return EXIT_FAILED;
    }
    report = report_listeners(g, clock_now().real_us / 1000000);
    blind = is_blind(g);
    code = exit_code(g, report, blind);
    if (code == EXIT_FINE && p.count)
        code = EXIT_WARN;
    if (l->json) {
        json_object_set_new(report, "problems", problems_json(&p));
        json_object_set_new(report, "fewerRights", json_boolean(blind));
        command_print_json(report);
    } else {
        char *text = report_text(report, NULL);

        print_problems(&p);
        if (blind)
            fprintf(stderr, "checked with fewer rights than run has: \"unreadable\" below means unknown; ask again as root\n");
        fputs(text, stdout);
        free(text);
    }
    json_decref(report);
    generation_free(&g);
    conf_problems_free(&p);
    return code;
}
