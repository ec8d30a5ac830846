#include "bench/bench_options.h"

#include <stddef.h>
#include <string.h>

#include "base/text.h"

enum kind { FLAG, TEXT, LIST, NUMBER, SEED };

/* take: the commands that take it, with a blank on both sides. NUMBER: min to max. */
static const struct row {
    const char *name, *value, *take, *help;
    enum kind kind;
    size_t at, count_at; /* of the field in struct bench_options; LIST: and of how many there are */
    unsigned min, max;   /* LIST: max is how many there may be */
} rows[] = {
#define AT(field) offsetof(struct bench_options, field)
    {"-c", "FILE", " serve ", "what to serve; of the options below --catalogue stays, for its \"builtin\"", TEXT,
     AT(conf), 0, 0, 0},
    {"--check", "", " serve ", "only look whether that file is right", FLAG, AT(check), 0, 0, 0},
    {"--api", "IP:PORT", " serve ", "the HTTP API, on the loopback; its token is in OUT/api.token", TEXT, AT(api), 0, 0,
     0},
    {"--catalogue", "DIR", " serve run judge sink list show ", "scenarios of these files instead of the built-in ones",
     TEXT, AT(catalogue), 0, 0, 0},
    {"--scenario", "FILE", " serve run judge sink list show ", "more scenarios; several times", LIST, AT(files),
     AT(file_count), 0, BENCH_FILES},
    {"--only", "GLOB,...", " serve run judge list ", "these scenarios; several times", LIST, AT(only), AT(only_count),
     0, BENCH_ONLY},
    {"--policy", "P", " run judge ", "what the sender is set to: opportunistic (when not given), required, verified",
     TEXT, AT(policy), 0, 0, 0},
    {"--queue", "", " run ", "the sender queues: its end is not the end of its tries", FLAG, AT(queue), 0, 0, 0},
    {"--jobs", "N", " run ", "so many commands at once; when not given twice as many as CPUs, and two", NUMBER,
     AT(jobs), 0, 1, 256},
    {"--timeout", "S", " run ", "for a command; 120 when not given", NUMBER, AT(timeout_s), 0, 1, 86400},
    {"--verbose", "", " run judge ", "how each command ended, and all its sessions", FLAG, AT(verbose), 0, 0, 0},
    {"--junit", "FILE", " run judge ", "results for CI", TEXT, AT(junit), 0, 0, 0},
    {"--tap", "", " run judge ", "results as TAP", FLAG, AT(tap), 0, 0, 0},
    {"--address", "IP", " serve run sink ", "listen there, 127.0.0.1 when not given; loopback only", TEXT, AT(address),
     0, 0, 0},
    {"--port", "N", " serve sink ", "the first port, the others follow; 0: any free ones", NUMBER, AT(port), 0, 0,
     65000},
    {"--out", "DIR", " serve run judge ", "transcripts go there; bench-out when not given", TEXT, AT(out), 0, 0, 0},
    {"--pki", "DIR", " serve run sink ", "certificates, made when missing; bench-pki when not given", TEXT, AT(pki), 0,
     0, 0},
    {"--max-sessions", "N", " serve run ", "transcripts that are kept there, 20000 when not given; 0: all", NUMBER,
     AT(max_sessions), 0, 0, 1000000000},
    {"--max-mib", "N", " serve run ", "and as much of them, 512 when not given; 0: all", NUMBER, AT(max_mib), 0, 0,
     1000000000},
    {"--keep-auth", "", " serve run ", "secrets of AUTH are written, too", FLAG, AT(keep_auth), 0, 0, 0},
    {"--sid", "SID", " transcript ", "this session", TEXT, AT(sid), 0, 0, 0},
    {"--seed", "N", " serve run sink ", "for scenarios with a chance; 1 when not given", SEED, AT(seed), 0, 0, 0},
    {"--implicit", "", " serve run sink ", "TLS from the first octet, whatever the scenario", FLAG, AT(implicit), 0, 0,
     0},
    {"--no-tls", "", " sink ", "no STARTTLS; no certificates are needed", FLAG, AT(no_tls), 0, 0, 0},
    {"--every", "S", " sink ", "a line with the rate so often; on a terminal each second", NUMBER, AT(every_s), 0, 1,
     86400},
    {"--idle", "S", " sink ", "a session that is silent for so long is ended, 300 when not given", NUMBER, AT(idle_s),
     0, 1, 86400},
    {"--json", "", " list show facts sink ", "for programs", FLAG, AT(json), 0, 0, 0},
#undef AT
};
#define ROWS (sizeof rows / sizeof *rows)

static const struct row *find(const char *word, size_t n)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strlen(rows[i].name) == n && strncmp(rows[i].name, word, n) == 0)
            return &rows[i];
    return NULL;
}

static int unknown(const char *word, struct err *e)
{
    const char *best = NULL;
    unsigned least = 4; /* further away nobody meant it */

    for (size_t i = 0; i < ROWS; i++)
        if (text_distance(word, rows[i].name) < least) {
            best = rows[i].name;
            least = text_distance(word, best);
        }
    return err_set(e, "%s: unknown option%s%s%s", word, best ? "; did you mean " : "", best ? best : "",
                   best ? "?" : "");
}

static bool is_taken(const struct row *r, const char *command)
{
    size_t n = strlen(command);

    for (const char *p = strstr(r->take, command); p; p = strstr(p + 1, command))
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    return false;
}

static int set_number(struct bench_options *o, const struct row *r, const char *value, struct err *e)
{
    char *field = (char *)o + r->at;
    uint64_t n = 0;

    if (!text_u64(span_str(value), &n) || (r->kind == NUMBER && (n < r->min || n > r->max))) {
        if (r->kind == SEED)
            return err_set(e, "%s %s: a number is wanted", r->name, value);
        return err_set(e, "%s %s: a number from %u to %u is wanted", r->name, value, r->min, r->max);
    }
    if (r->kind == SEED)
        *(uint64_t *)(void *)field = n;
    else
        *(unsigned *)(void *)field = (unsigned)n;
    return 0;
}

static int set(struct bench_options *o, const struct row *r, const char *value, struct err *e)
{
    char *field = (char *)o + r->at;
    unsigned *count = (unsigned *)(void *)((char *)o + r->count_at);

    switch (r->kind) {
    case FLAG:
        *(bool *)(void *)field = true;
        return 0;
    case TEXT:
        *(const char **)(void *)field = value;
        return 0;
    case LIST:
        if (*count == r->max)
            return err_set(e, "%s: more than %u of them", r->name, r->max);
        ((const char **)(void *)field)[(*count)++] = value;
        return 0;
    default:
        return set_number(o, r, value, e);
    }
}

/* One option, and its value, which stands behind a = or is the next word. How many words that were; -1 and e. */
static int option(struct bench_options *o, const char *command, char **argv, struct err *e)
{
    const char *word = argv[0], *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    const struct row *r = find(word, n);
    const char *value = equals ? equals + 1 : argv[1];

    if (!r)
        return unknown(word, e);
    if (!is_taken(r, command))
        return err_set(e, "%s takes no %s", command, r->name);
    if (r->kind == FLAG)
        return equals ? err_set(e, "%s takes no value", r->name) : set(o, r, NULL, e) + 1;
    if (!value || (!equals && strcmp(value, "--") == 0))
        return err_set(e, "%s %s: what stands for %s is missing", r->name, r->value, r->value);
    return set(o, r, value, e) < 0 ? -1 : equals ? 1 : 2;
}

int bench_options_parse(struct bench_options *o, const char *command, int argc, char **argv, struct err *e)
{
    for (int i = 0; i < argc;) {
        int n = 1;

        if (strcmp(argv[i], "--") == 0) {
            o->command = argv[i + 1] ? argv + i + 1 : NULL;
            break;
        }
        if (argv[i][0] == '-' && argv[i][1])
            n = option(o, command, argv + i, e);
        else if (o->word)
            return err_set(e, "%s: %s is there already", argv[i], o->word);
        else
            o->word = argv[i];
        if (n < 0)
            return -1;
        i += n;
    }
    return 0;
}

/* " serve run " to "serve, run" */
static void put_commands(FILE *f, const char *take)
{
    size_t n = strlen(take);

    for (size_t i = 1; i + 1 < n; i++)
        fprintf(f, take[i] == ' ' ? ", " : "%c", take[i]);
}

void bench_options_help(FILE *f)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];

        fprintf(f, "  %s%s%-*s  %s (", r->name, *r->value ? " " : "", (int)(21 - strlen(r->name) - (*r->value ? 1 : 0)),
                r->value, r->help);
        put_commands(f, r->take);
        fprintf(f, ")\n");
    }
}
