#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/command.h"
#include "proc/report.h"

#define WHY_MS 10000

static const char *title_of(const json_t *listener)
{
    const char *title = json_string_value(json_object_get(listener, "listener"));

    return title ? title : "";
}

/* Leaves only the listener that was named. 0, or -1: there is none of that name, said with those there are. */
static int keep_only(json_t *report, const char *name)
{
    json_t *list = json_object_get(report, "listeners"), *kept = json_array(), *l;
    size_t i;

    json_array_foreach(list, i, l) if (strcmp(title_of(l), name) == 0) json_array_append(kept, l);
    if (json_array_size(kept)) {
        json_object_set_new(report, "listeners", kept);
        return 0;
    }
    json_decref(kept);
    fprintf(stderr, "postern: no listener is called \"%s\"; there is", name);
    json_array_foreach(list, i, l) fprintf(stderr, "%s \"%s\"", i ? "," : "", title_of(l));
    fprintf(stderr, "%s\n", json_array_size(list) ? "" : " none");
    return -1;
}

int cmd_why(const struct command_line *l)
{
    int code = EXIT_FAILED;
    json_t *report = command_ask(l, "why", WHY_MS, &code);

    if (!report)
        return code;
    code = EXIT_FAILED;
    if (command_refused(report) < 0)
        goto out;
    if (l->word_count && keep_only(report, l->words[0]) < 0) {
        code = EXIT_USAGE;
        goto out;
    }
    code = report_exit_code(report);
    if (l->json) {
        command_print_json(report);
    } else {
        char *text = report_text(report, NULL);

        fputs(text, stdout);
        free(text);
    }
out:
    json_decref(report);
    return code;
}
