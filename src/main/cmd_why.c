#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/command.h"
#include "proc/report.h"

/* Leaves only the listener that was named. 0, or -1: there is none of that name. */
static int keep_only(json_t *report, const char *name)
{
    json_t *list = json_object_get(report, "listeners"), *kept = json_array(), *l;
    size_t i;

    json_array_foreach (list, i, l) {
        const char *title = json_string_value(json_object_get(l, "listener"));

        if (title && strcmp(title, name) == 0)
            json_array_append(kept, l);
    }
    json_object_set_new(report, "listeners", kept);
    return json_array_size(kept) ? 0 : -1;
}

int cmd_why(const struct command_line *l)
{
    int code = EXIT_FAILED;
    json_t *report = command_ask(l, "why", 10000, &code);

    if (!report)
        return code;
    if (l->word_count && keep_only(report, l->words[0]) < 0) {
        fprintf(stderr, "postern: no listener is called \"%s\"; postern why shows all\n", l->words[0]);
        json_decref(report);
        return EXIT_FAILED;
    }
    code = report_exit_code(report);
    if (l->json) {
        command_print_json(report);
    } else {
        char *text = report_text(report, NULL);

        fputs(text, stdout);
        free(text);
    }
    json_decref(report);
    return code;
}
