#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "conf/conf_build.h"
#include "conf/conf_utf8.h"

/* A copy fit for a terminal and for JSON: what is no character, or a control character, becomes
 * "?". */
static char *clean(const char *text)
{
    char *copy = mem_str(text);

    for (char *p = copy; p && *p;) {
        size_t len = conf_utf8_char(p, strnlen(p, 4));

        if (len == 0 || (unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
            len = 1;
        }
        p += len;
    }
    return copy;
}

void conf_problem_add(struct conf_problems *p, bool warning, const char *file, unsigned line, const char *option,
                      const char *remedy, const char *fmt, ...)
{
    struct conf_problem *q;
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if ((p->count & (p->count - 1)) == 0) /* grows at powers of two */
        p->list = mem_grow(p->list, (p->count ? (size_t)p->count * 2 : 1) * sizeof *p->list);
    q = &p->list[p->count++];
    *q = (struct conf_problem){.warning = warning,
                               .file = clean(file),
                               .line = line,
                               .option = clean(option),
                               .text = clean(text),
                               .remedy = clean(remedy)};
    if (!warning)
        p->errors++;
}

void conf_problems_free(struct conf_problems *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        free(p->list[i].file);
        free(p->list[i].option);
        free(p->list[i].text);
        free(p->list[i].remedy);
    }
    free(p->list);
    *p = (struct conf_problems){0};
}

char *conf_problem_text(const struct conf_problem *p)
{
    char line[16] = "";

    if (p->line)
        snprintf(line, sizeof line, ":%u", p->line);
    return mem_printf("%s%s: %s%s%s%s%s%s", p->file ? p->file : "configuration", line, p->warning ? "warning: " : "",
                      p->option ? p->option : "", p->option ? ": " : "", p->text, p->remedy ? "; " : "",
                      p->remedy ? p->remedy : "");
}

void conf_problems_move(struct conf_problems *to, struct conf_problems *from)
{
    for (unsigned i = 0; i < from->count; i++) {
        const struct conf_problem *q = &from->list[i];

        conf_problem_add(to, q->warning, q->file, q->line, q->option, q->remedy, "%s", q->text);
    }
    conf_problems_free(from);
}

struct place {
    unsigned file, number;
    struct conf_problem problem;
};

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->problem.line != y->problem.line)
        return x->problem.line < y->problem.line ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

void conf_problems_sort(struct conf_problems *p, const char *file)
{
    struct place *places = mem_alloc(p->count * sizeof *places);
    const char **files = mem_alloc((p->count + 1) * sizeof *files);
    unsigned count = 0;

    files[count++] = file;
    for (unsigned i = 0; i < p->count; i++) {
        unsigned f = 0;

        while (f < count && p->list[i].file && strcmp(files[f], p->list[i].file) != 0)
            f++;
        if (f == count)
            files[count++] = p->list[i].file;
        places[i] = (struct place){f, i, p->list[i]};
    }
    if (p->count)
        qsort(places, p->count, sizeof *places, by_place);
    for (unsigned i = 0; i < p->count; i++)
        p->list[i] = places[i].problem;
    free(places);
    free(files);
}
