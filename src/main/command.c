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

    *exit_code = EXIT_UNREACHABLE;
    if (!l->state_dir) {
        found = conf_state_dir_only(l->conf_file, &e);
        if (!found) {
            fprintf(stderr,
                    "postern: %s\nWhere the daemon answers is told by state-dir: name the file with -c FILE, or the "
                    "directory with --state-dir DIR.\n",
                    e.text);
            return NULL;
        }
    }
    request = json_pack("{s:s}", "command", command);
    if (control_ask(l->state_dir ? l->state_dir : found, request, timeout_ms, &reply, &e) < 0) {
        fprintf(
            stderr,
            "postern: %s\n"
            "Is it running: systemctl status postern, or its log. Ask as root or as a member of its group. Another\n"
            "state directory is named with --state-dir DIR. What a start would do: postern check -c %s\n",
            e.text, l->conf_file);
        reply = NULL;
    }
    json_decref(request);
    free(found);
    return reply;
}

int command_refused(const json_t *reply)
{
    const char *error = json_string_value(json_object_get(reply, "error"));

    if (json_is_true(json_object_get(reply, "ok")))
        return 0;
    fprintf(stderr, "postern: the daemon says: %s\n", error ? error : "no");
    return -1;
}

void command_print_json(const json_t *o)
{
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
}
