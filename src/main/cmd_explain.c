#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "main/command.h"
#include "main/explain_table.h"

/* How many of the '&'-separated parts of `words` occur in text; *parts: how many there are. */
static unsigned parts_found(const char *words, const char *text, unsigned *parts)
{
    unsigned found = 0;

    *parts = 0;
    while (*words) {
        size_t n = strcspn(words, "&");
        char *part = mem_strn(words, n);

        (*parts)++;
        found += strcasestr(text, part) != NULL;
        free(part);
        words += n + (words[n] == '&');
    }
    return found;
}

static const struct explanation *find(const char *text)
{
    for (const struct explanation *x = explain_table; x->words; x++) {
        unsigned parts;

        if (parts_found(x->words, text, &parts) == parts)
            return x;
    }
    return NULL;
}

static void print(const struct explanation *x, bool json)
{
    if (json) {
        json_t *o = json_pack("{s:s,s:s,s:s,s:s}", "who", x->who, "means", x->means, "side", x->side, "next", x->next);

        command_print_json(o);
        json_decref(o);
        return;
    }
    printf("said by   %s\nmeans     %s\nlook at   %s\nnext      %s\n", x->who, x->means, x->side, x->next);
}

/* The entries that share at least one word of four letters with the text. */
static void print_near(const char *text)
{
    unsigned shown = 0;

    fprintf(stderr, "postern: these words are not known here: %s\n", text);
    for (const struct explanation *x = explain_table; x->words && shown < 3; x++) {
        char *copy = mem_str(x->words), *save = NULL;

        for (char *w = strtok_r(copy, " &", &save); w; w = strtok_r(NULL, " &", &save))
            if (strlen(w) >= 4 && strcasestr(text, w)) {
                fprintf(stderr, "  near: %s\n", x->words);
                shown++;
                break;
            }
        free(copy);
    }
}

int cmd_explain(const struct command_line *l)
{
    const struct explanation *x;
    struct buf text = {0};
    int code = EXIT_FINE;

    for (unsigned i = 0; i < l->word_count; i++)
        buf_printf(&text, "%s%s", i ? " " : "", l->words[i]);
    x = find(buf_str(&text));
    if (x) {
        print(x, l->json);
    } else {
        print_near(buf_str(&text));
        code = EXIT_WARN;
    }
    buf_clear(&text);
    return code;
}
