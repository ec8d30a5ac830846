#include <stdio.h>

#include "main/command.h"

#define RELOAD_MS 90000 /* the supervisor itself gives up after 60 s */

/* Ends when the new generation serves or has failed: `systemctl reload` then says how it went. */
int cmd_reload(const struct command_line *l)
{
    int code = EXIT_FAILED;
    json_t *r = command_ask(l, "reload", RELOAD_MS, &code);
    const char *text;

    if (!r)
        return code;
    code = json_is_true(json_object_get(r, "ok")) ? EXIT_FINE : EXIT_FAILED;
    text = json_string_value(json_object_get(r, code == EXIT_FINE ? "text" : "error"));
    if (l->json) {
        command_print_json(r);
    } else if (code == EXIT_FINE) {
        fputs(text ? text : "", stdout);
    } else {
        fprintf(stderr, "postern: nothing was changed, the configuration before this one serves on:\n%s",
                text ? text : "");
    }
    json_decref(r);
    return code;
}
