#include <stdio.h>

#include "main/command.h"

#define RELOAD_MS 90000 /* the supervisor itself gives up after 60 s */

int cmd_reload(const struct command_line *l)
{
    int code = EXIT_FAILED;
    json_t *r = command_ask(l, "reload", RELOAD_MS, &code);
    const char *text;

    if (!r)
        return code;
    code = json_is_true(json_object_get(r, "ok")) ? EXIT_FINE : EXIT_FAILED;
    text = json_string_value(json_object_get(r, code == EXIT_FINE ? "text" : "error"));
    if (code != EXIT_FINE)
        fprintf(stderr, "postern: nothing was changed, the configuration before this one serves on:\n");
    fputs(text ? text : "", code == EXIT_FINE ? stdout : stderr);
    json_decref(r);
    return code;
}
