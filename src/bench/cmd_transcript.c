#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_command.h"
#include "bench/bench_json.h"
#include "bench/transcript_text.h"

/* ---- sessions, one after the other: the lines of those that ran at one time are mixed in all.jsonl */

struct lines {
    json_t **all;
    size_t count;
};

static int read_lines(struct lines *l, FILE *f, const char *name)
{
    char *text = NULL;
    size_t cap = 0;
    int rc = 0;

    for (unsigned number = 1; rc == 0 && getline(&text, &cap, f) > 0; number++) {
        json_t *o = json_loads(text, 0, NULL);

        if (!json_is_object(o)) {
            fprintf(stderr, "postern-bench: %s:%u: no line of a transcript\n", name, number);
            json_decref(o);
            rc = 2;
            break;
        }
        if ((l->count & (l->count - 1)) == 0) /* room doubles */
            l->all = mem_grow(l->all, (l->count ? 2 * l->count : 1) * sizeof(json_t *));
        l->all[l->count++] = o;
    }
    free(text);
    return rc;
}

struct place {
    const char *sid;
    size_t at;
};

static int by_sid(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int d = strcmp(x->sid, y->sid);

    return d ? d : (x->at > y->at) - (x->at < y->at);
}

/* For each line where the next one of its session is; all of the order in which sessions began. */
static size_t *chain(const struct lines *l, bool *begins)
{
    struct place *p = mem_alloc((l->count + 1) * sizeof *p);
    size_t *next = mem_alloc((l->count + 1) * sizeof *next);

    for (size_t i = 0; i < l->count; i++)
        p[i] = (struct place){bench_json_str(l->all[i], "sid"), i};
    qsort(p, l->count, sizeof *p, by_sid);
    for (size_t i = 0; i < l->count; i++) {
        bool same = i && strcmp(p[i].sid, p[i - 1].sid) == 0 && *p[i].sid;

        begins[p[i].at] = !same;
        next[p[i].at] = l->count;
        if (same)
            next[p[i - 1].at] = p[i].at;
    }
    free(p);
    return next;
}

/* How many sessions were shown. */
static unsigned show_all(const struct lines *l, const char *sid)
{
    bool *begins = mem_alloc(l->count + 1);
    size_t *next = chain(l, begins);
    unsigned shown = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (!begins[i] || (sid && strcmp(sid, bench_json_str(l->all[i], "sid")) != 0))
            continue;
        if (shown++)
            putchar('\n');
        for (size_t k = i; k < l->count; k = next[k])
            transcript_text(stdout, l->all[k]);
    }
    free(begins);
    free(next);
    return shown;
}

int bench_cmd_transcript(const struct bench_options *o)
{
    bool input = o->word && strcmp(o->word, "-") == 0;
    FILE *f = input ? stdin : o->word ? fopen(o->word, "re") : NULL;
    struct lines l = {0};
    int rc;

    if (!f) {
        fprintf(stderr, "postern-bench: %s: %s\n", o->word ? o->word : "transcript FILE",
                o->word ? strerror(errno) : "which file? - is the standard input");
        return o->word ? 2 : 64;
    }
    rc = read_lines(&l, f, o->word);
    if (!show_all(&l, o->sid) && rc == 0 && o->sid) {
        fprintf(stderr, "postern-bench: %s: no session %s\n", o->word, o->sid);
        rc = 2;
    }
    for (size_t i = 0; i < l.count; i++)
        json_decref(l.all[i]);
    free(l.all);
    if (!input)
        fclose(f);
    return rc;
}
