#include <stdio.h>

#include "main/command.h"

#define STATUS_MS 10000

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static long long num(const json_t *o, const char *key)
{
    return (long long)json_integer_value(json_object_get(o, key));
}

static void print(const json_t *s)
{
    const json_t *p, *v;
    const char *key;
    size_t i;
    long long up = num(s, "uptime");

    printf("postern %s, generation %lld, up %lld d %02lld:%02lld:%02lld\n", str(s, "version"), num(s, "generation"),
           up / 86400, up / 3600 % 24, up / 60 % 60, up % 60);
    json_array_foreach(json_object_get(s, "processes"), i, p)
        printf("  %-12s pid %-8lld %s\n", str(p, "role"), num(p, "pid"), str(p, "state"));
    json_array_foreach(json_object_get(s, "generations"), i, p)
        printf("  generation %-5lld %s\n", num(p, "number"), str(p, "state"));
    json_object_foreach((json_t *)json_object_get(s, "counters"), key, v)
        printf("  %-22s %lld\n", key, (long long)json_integer_value(v));
}

int cmd_status(const struct command_line *l)
{
    int code = EXIT_FAILED;
    json_t *s = command_ask(l, "status", STATUS_MS, &code);

    if (!s)
        return code;
    code = EXIT_FAILED;
    if (command_refused(s) < 0)
        goto out;
    if (l->json)
        command_print_json(s);
    else
        print(s);
    code = EXIT_FINE;
out:
    json_decref(s);
    return code;
}
