#include <stdio.h>

#include "base/buf.h"
#include "main/command.h"
#include "main/explain.h"

static json_t *as_json(const struct explanation *x)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "pattern", x->parts, "who", x->who, "means", x->means, "side", x->side,
                     "next", x->next);
}

static void print(const struct explanation *x, bool json)
{
    if (json) {
        json_t *o = as_json(x);

        command_print_json(o);
        json_decref(o);
        return;
    }
    printf("said by   %s\nmeans     %s\nlook at   %s\nnext      %s\n", x->who, x->means, x->side, x->next);
}

static void print_near(const char *text, bool json)
{
    const struct explanation *near[EXPLAIN_NEAREST];
    unsigned n = explain_nearest(text, near);

    if (json) {
        json_t *list = json_array(), *o;

        for (unsigned i = 0; i < n; i++)
            json_array_append_new(list, as_json(near[i]));
        o = json_pack("{s:n,s:o}", "who", "nearest", list);
        command_print_json(o);
        json_decref(o);
        return;
    }
    fprintf(stderr, "postern: these words are not known here%s\n", n ? "; the nearest are" : "");
    for (unsigned i = 0; i < n; i++)
        fprintf(stderr, "  \"%s\", said by %s\n", near[i]->parts, near[i]->who);
    fprintf(stderr, "postern why says what this server offers, the log what happened to a session\n");
}

int cmd_explain(const struct command_line *l)
{
    const struct explanation *x;
    struct buf text = {0};
    bool general;

    for (unsigned i = 0; i < l->word_count; i++)
        buf_printf(&text, "%s%s", i ? " " : "", l->words[i]);
    x = explain_find(buf_str(&text), &general);
    if (x)
        print(x, l->json);
    else
        print_near(buf_str(&text), l->json);
    buf_clear(&text);
    return x ? EXIT_FINE : EXIT_WARN;
}
