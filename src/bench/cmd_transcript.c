#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_command.h"

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

/* Each line with who said it; what a terminal must not see is written out. */
static void say(const char *who, double ms, const char *text, bool whole)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p) {
        printf("%9.1f %s ", ms, who);
        for (; *p && *p != '\n'; p++) {
            if (*p == '\r' && p[1] == '\n')
                continue;
            if (*p >= 0x20 && *p != 0x7f && *p < 0x80)
                putchar(*p);
            else
                printf("\\x%02x", *p);
        }
        printf("%s\n", *p || whole ? "" : "  (no line end)");
        p += *p != 0;
    }
}

static void show(const json_t *o)
{
    double ms = (double)json_integer_value(json_object_get(o, "mono_us")) / 1000;
    const char *ev = str(o, "ev");

    if (strcmp(ev, "session_start") == 0) {
        printf("%s, from %s to %s\n", str(o, "scenario"), str(o, "peer"), str(o, "local"));
    } else if (strcmp(ev, "recv") == 0) {
        say("C:", ms, *str(o, "text") ? str(o, "text") : "\n", true);
        if (json_is_true(json_object_get(o, "redacted")))
            printf("%9s    (what follows is kept back)\n", "");
    } else if (strcmp(ev, "send") == 0) {
        say("S:", ms, str(o, "text"), false);
    } else if (strcmp(ev, "fault") == 0) {
        printf("%9.1f -- the scenario acts at %s, time %lld\n", ms, str(o, "at"),
               (long long)json_integer_value(json_object_get(o, "count")));
    } else if (strcmp(ev, "tls_done") == 0) {
        printf("%9.1f ================ TLS: %s, %s, for \"%s\"\n", ms, str(o, "version"), str(o, "cipher"),
               str(o, "sni"));
    } else if (strcmp(ev, "tls_fail") == 0) {
        printf("%9.1f ======x========= TLS failed: %s\n", ms, str(o, "openssl"));
    } else if (strcmp(ev, "body") == 0) {
        printf("%9.1f C: ... %lld octets of content\n", ms, (long long)json_integer_value(json_object_get(o, "bytes")));
    } else if (strcmp(ev, "lint") == 0) {
        printf("%9.1f -- peculiar: %s\n", ms, str(o, "id"));
    } else if (strcmp(ev, "session_end") == 0) {
        printf("%9.1f -- the end, by the %s\n", ms, str(o, "by"));
    }
}

int bench_cmd_transcript(const struct bench_options *o)
{
    FILE *f = o->word ? fopen(o->word, "re") : NULL;
    char *line = NULL;
    size_t cap = 0;
    unsigned number = 0;
    int rc = 0;

    if (!f) {
        fprintf(stderr, "postern-bench: %s: %s\n", o->word ? o->word : "which file?", o->word ? strerror(errno) : "");
        return o->word ? 2 : 64;
    }
    while (rc == 0 && getline(&line, &cap, f) > 0) {
        json_t *x = json_loads(line, 0, NULL);

        number++;
        if (x) {
            show(x);
        } else {
            fprintf(stderr, "postern-bench: %s:%u: no JSON\n", o->word, number);
            rc = 2;
        }
        json_decref(x);
    }
    free(line);
    fclose(f);
    return rc;
}
