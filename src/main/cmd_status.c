#include <stdio.h>

#include "main/command.h"

static void print(const json_t *s)
{
    const json_t *p, *v;
    const char *key;
    size_t i;
    long long up = (long long)json_integer_value(json_object_get(s, "uptime"));

    printf("postern %s, generation %lld, up %lld d %02lld:%02lld:%02lld\n",
           json_string_value(json_object_get(s, "version")), (long long)json_integer_value(json_object_get(s, "generation")),
           up / 86400, up / 3600 % 24, up / 60 % 60, up % 60);
    json_array_foreach (json_object_get(s, "processes"), i, p)
        printf("  %-12s pid %-8lld %s\n", json_string_value(json_object_get(p, "role")),
               (long long)json_integer_value(json_object_get(p, "pid")), json_string_value(json_object_get(p, "state")));
    json_array_foreach (json_object_get(s, "generations"), i, p)
        printf("  generation %-3lld %s\n", (long long)json_integer_value(json_object_get(p, "number")),
               json_string_value(json_object_get(p, "state")));
    json_object_foreach (json_object_get(s, "counters"), key, v)
        printf("  %-22s %lld\n", key, (long long)json_integer_value(v));
}

int cmd_status(const struct command_line *l)
{
    int code = EXIT_FAILED;
    json_t *s = command_ask(l, "status", 10000, &code);

    if (!s)
        return code;
    if (l->json)
        command_print_json(s);
    else
        print(s);
    json_decref(s);
    return EXIT_FINE;
}
