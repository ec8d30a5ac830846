#include "main/command.h"

#include <stdio.h>
#include <stdlib.h>

#include "conf/conf.h"
#include "proc/control.h"

json_t *command_ask(const struct command_line *l, const char *command, int timeout_ms, int *exit_code)
{
    char *found = NULL;
    json_t *request, *reply = NULL;
    struct err e;

    if (!l->state_dir) {
        found = conf_state_dir_only(l->conf_file, &e);
        if (!found) {
            fprintf(stderr, "postern: %s; name the daemon with --state-dir DIR\n", e.text);
            *exit_code = EXIT_UNREACHABLE;
            return NULL;
        }
    }
    request = json_pack("{s:s}", "command", command);
    if (control_ask(l->state_dir ? l->state_dir : found, request, timeout_ms, &reply, &e) < 0) {
        fprintf(stderr, "postern: %s\n", e.text);
        *exit_code = EXIT_UNREACHABLE;
        reply = NULL;
    }
    json_decref(request);
    free(found);
    return reply;
}

void command_print_json(const json_t *o)
{
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
}
