#include <jansson.h>
#include <stdio.h>

#include "bench/bench_command.h"
#include "bench/bench_probe.h"
#include "bench/scenario_json.h"

static void print_json(const json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
}

static void print_line(const struct bench_scenario *s)
{
    printf("%-36s %-2s %s; correct: %s; source: %s%s%s\n", s->name, *s->section ? s->section : "-", s->doc, s->correct,
           s->source, s->why_not ? "; not available: " : "", s->why_not ? s->why_not : "");
}

int bench_cmd_list(const struct bench_options *o)
{
    struct bench_catalogue c = {0};
    struct bench_options only = *o;
    int rc;

    if (o->word && only.only_count < BENCH_ONLY)
        only.only[only.only_count++] = o->word;
    rc = bench_options_catalogue(&only, &c) < 0 || bench_options_only(&only, &c) < 0 ? 2 : 0;
    if (rc == 0)
        bench_probe_all(&c, &only, true);
    for (unsigned i = 0; i < c.count && rc == 0; i++) {
        const struct bench_scenario *s = &c.list[i];

        if (!bench_options_want(&only, s->name))
            continue;
        if (o->json) {
            json_t *line = scenario_json(s);

            print_json(line);
            json_decref(line);
        } else {
            print_line(s);
        }
    }
    bench_catalogue_free(&c);
    return rc;
}

static void print_words(const char *title, char **list)
{
    if (!list || !*list)
        return;
    printf("    %-8s", title);
    for (char **w = list; *w; w++)
        printf(" %s", *w);
    printf("\n");
}

static void print_scenario(const struct bench_scenario *s)
{
    printf("%s\n  section  %s\n  server   %s\n  correct  %s\n  source   %s\n  from     %s:%u\n", s->name,
           *s->section ? s->section : "-", s->doc, s->correct, s->source, s->file, s->line);
    if (s->why_not)
        printf("  not available: %s\n", s->why_not);
    if (s->recipients[1] || s->messages > 1)
        printf("  sent     %u message%s\n", s->messages, s->messages > 1 ? "s, one after the other" : "");
    if (s->recipients[1])
        print_words("to", s->recipients);
    for (unsigned i = 0; i < s->step_count; i++)
        printf("  step     at %s (line %u)\n", bench_at_name(s->steps[i].at), s->steps[i].line);
    for (unsigned p = 0; p < BENCH_POLICIES; p++) {
        if (!s->expect[p].given)
            continue;
        printf("  %s\n", bench_policy_name((enum bench_policy)p));
        print_words("demands", s->expect[p].demand);
        print_words("forbids", s->expect[p].forbid);
        if (s->expect[p].wait)
            printf("    after    %s\n", s->expect[p].wait);
        if (s->expect[p].undecided)
            printf("    undecided: %s\n", s->expect[p].undecided);
    }
}

int bench_cmd_show(const struct bench_options *o)
{
    struct bench_catalogue c = {0};
    const struct bench_scenario *s = NULL;
    struct bench_options only = *o;
    int rc;

    if (!o->word) {
        fprintf(stderr, "postern-bench: show NAME: which scenario? postern-bench list has their names\n");
        return 64;
    }
    only.only_count = 1;
    only.only[0] = o->word;
    rc = bench_options_catalogue(&only, &c) < 0 ? 2 : 0;
    if (rc == 0) {
        bench_probe_all(&c, &only, true);
        s = bench_catalogue_find(&c, o->word);
        rc = s ? 0 : 2;
        if (!s)
            fprintf(stderr, "postern-bench: there is no scenario \"%s\"; postern-bench list has their names\n",
                    o->word);
    }
    if (s && o->json) {
        json_t *line = scenario_json(s);

        print_json(line);
        json_decref(line);
    } else if (s) {
        print_scenario(s);
    }
    bench_catalogue_free(&c);
    return rc;
}
