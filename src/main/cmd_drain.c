#include <stdio.h>

#include "main/command.h"

#define DRAIN_MS 10000

int cmd_drain(const struct command_line *l)
{
    int code = EXIT_FAILED;
    json_t *r = command_ask(l, "drain", DRAIN_MS, &code);

    if (!r)
        return code;
    code = EXIT_FAILED;
    if (command_refused(r) < 0)
        goto out;
    if (l->json)
        command_print_json(r);
    else
        printf("no new connections from now on; postern ends with the last of %lld open sessions\n",
               (long long)json_integer_value(json_object_get(r, "sessions")));
    code = EXIT_FINE;
out:
    json_decref(r);
    return code;
}
