#include <stdio.h>

#include "main/command.h"

int cmd_drain(const struct command_line *l)
{
    int code = EXIT_FAILED;
    json_t *r = command_ask(l, "drain", 10000, &code);

    if (!r)
        return code;
    printf("draining: no new connections; postern ends when its %lld sessions have\n",
           (long long)json_integer_value(json_object_get(r, "sessions")));
    json_decref(r);
    return EXIT_FINE;
}
