/* With conf/conf_load.c, where libconfuse is known. It is given one text without comments, in which included files stand
 * where they were included; so its lines can be trusted, and each is known to be one of some file. */
#include "bench/scenario_cfg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "bench/scenario_text.h"

#define FILES 64u /* in one load */
#define DEPTH 10u

struct line {
    unsigned file, number;
};

struct file {
    char *name;
    struct line from; /* where it is included; of the first one: nothing */
};

/* libconfuse hands nothing through to its callbacks: one load at a time. */
static struct {
    struct err *e;
    struct file files[FILES];
    unsigned file_count;
    struct buf text;
    const char *whole;  /* the text, when it is */
    struct line *lines; /* of the text */
    unsigned line_count, line_cap;
    struct scenario_section *sections; /* of the text */
    unsigned section_count, section_cap;
} loading;

/* ---- errors */

static struct line at(int line)
{
    return line > 0 && (unsigned)line <= loading.line_count ? loading.lines[line - 1] : (struct line){0, 0};
}

static int tell(struct line where, const char *option, const char *what)
{
    const struct file *f = &loading.files[where.file];
    char by[200] = "";

    if (where.file)
        snprintf(by, sizeof by, " (included by %s:%u)", loading.files[f->from.file].name, f->from.number);
    return err_set(loading.e, "%s:%u%s: %s%s%s", f->name ? f->name : "?", where.number, by, option, *option ? ": " : "",
                   what);
}

/* A word that is far from all of them is no slip of theirs. */
static const char *nearer(const char *word, const char *best, const char *other)
{
    unsigned d = text_distance(word, other);

    return d <= strlen(word) / 2 && (!best || d < text_distance(word, best)) ? other : best;
}

static void unknown_option(cfg_t *cfg, const char *word)
{
    const char *best = NULL;
    char what[400];

    for (const cfg_opt_t *o = cfg->opts; o && o->name; o++)
        best = nearer(word, best, o->name);
    snprintf(what, sizeof what, "not an option of %s%s%s",
             cfg->name && strcmp(cfg->name, "root") != 0 ? cfg->name : "this file",
             best ? "; nearest: " : "; remove it", best ? best : "");
    tell(at(cfg->line), word, what);
}

__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    static const char unknown[] = "no such option '", second[] = "found duplicate title";
    char text[300];

    vsnprintf(text, sizeof text, fmt, ap);
    if (cfg && strncmp(text, unknown, sizeof unknown - 1) == 0) {
        text[sizeof unknown - 1 + strcspn(text + sizeof unknown - 1, "'")] = '\0';
        unknown_option(cfg, text + sizeof unknown - 1);
    } else if (cfg && strncmp(text, second, sizeof second - 1) == 0) {
        tell(at(cfg->line), "", "the second of that name; give it another one");
    } else {
        tell(at(cfg ? cfg->line : 0), "", text);
    }
}

static struct line line_of(const cfg_t *sec, const char *option)
{
    return at((int)scenario_text_line(loading.whole, loading.text.len, (unsigned)sec->line, option));
}

static struct line begin_of(const cfg_t *sec)
{
    for (unsigned i = 0; i < loading.section_count; i++)
        if ((int)loading.sections[i].end == sec->line && span_is(loading.sections[i].name, sec->name))
            return at((int)loading.sections[i].begin);
    return at(sec->line);
}

unsigned scenario_cfg_line(const cfg_t *sec)
{
    return begin_of(sec).number;
}

const char *scenario_cfg_file(const cfg_t *sec)
{
    return loading.files[begin_of(sec).file].name;
}

int scenario_cfg_complain(cfg_t *sec, const char *option, const char *what)
{
    return tell(line_of(sec, option), option, what);
}

int scenario_cfg_unknown(cfg_t *sec, const char *option, const char *word, const char *const *words)
{
    const char *best = NULL;
    char what[300];

    for (const char *const *w = words; *w; w++)
        best = nearer(word, best, *w);
    if (best)
        snprintf(what, sizeof what, "not \"%.80s\"; nearest: %s", word, best);
    else
        snprintf(what, sizeof what, "not \"%.80s\"; one of", word);
    for (const char *const *w = words; *w && !best; w++)
        snprintf(what + strlen(what), sizeof what - strlen(what), " %s", *w);
    return scenario_cfg_complain(sec, option, what);
}

/* ---- one text */

static void forget(void)
{
    while (loading.file_count)
        free(loading.files[--loading.file_count].name);
    buf_clear(&loading.text);
    free(loading.lines);
    loading.lines = NULL;
    loading.line_count = loading.line_cap = 0;
    free(loading.sections);
    loading.sections = NULL;
    loading.section_count = loading.section_cap = 0;
}

static void begin_line(unsigned file, unsigned number)
{
    if (loading.line_count == loading.line_cap) {
        loading.line_cap = loading.line_cap ? loading.line_cap * 2 : 256;
        loading.lines = mem_grow(loading.lines, loading.line_cap * sizeof *loading.lines);
    }
    loading.lines[loading.line_count++] = (struct line){file, number};
}

static void add_section(void *arg, const struct scenario_section *s)
{
    (void)arg;
    if (loading.section_count == loading.section_cap) {
        loading.section_cap = loading.section_cap ? loading.section_cap * 2 : 256;
        loading.sections = mem_grow(loading.sections, loading.section_cap * sizeof *loading.sections);
    }
    loading.sections[loading.section_count++] = *s;
}

/* The whole text is there. */
static void find_sections(void)
{
    loading.whole = buf_str(&loading.text); /* nothing is added from here on */
    scenario_text_sections(loading.whole, loading.text.len, add_section, NULL);
}

static void copy(unsigned file, unsigned *number, const char *p, size_t n)
{
    buf_append(&loading.text, p, n);
    for (size_t i = 0; i < n; i++)
        if (p[i] == '\n')
            begin_line(file, ++*number);
}

static int read_file(struct buf *b, const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    size_t n;
    int rc;

    if (!f)
        return err_set(e, "%s: %s", path, strerror(errno));
    while ((n = fread(buf_space(b, 65536), 1, 65536, f)) > 0)
        buf_added(b, n);
    rc = ferror(f) ? err_set(e, "%s: %s", path, strerror(errno)) : 0;
    fclose(f);
    return rc;
}

/* The new file's number. */
static unsigned add_file(const char *name, struct line from)
{
    loading.files[loading.file_count] = (struct file){.name = mem_str(name), .from = from};
    return loading.file_count++;
}

static bool includes_itself(const char *path, struct line from)
{
    for (;; from = loading.files[from.file].from) {
        if (strcmp(loading.files[from.file].name, path) == 0)
            return true;
        if (!from.file)
            return false;
    }
}

static int take_file(const char *path, struct line from, unsigned depth);

/* Relative to the file where it stands. */
static int include(const struct scenario_include *inc, struct line from, unsigned depth)
{
    const char *name = loading.files[from.file].name, *slash = strrchr(name, '/');
    int dir = slash && inc->name.n && *inc->name.p != '/' ? (int)(slash - name) + 1 : 0;
    char *path = mem_printf("%.*s%.*s", dir, name, (int)inc->name.n, inc->name.p);
    int rc;

    if (depth == DEPTH || loading.file_count == FILES)
        rc = tell(from, "include", "too many files inside of files; include fewer");
    else if (includes_itself(path, from))
        rc = tell(from, "include", "the file includes itself; remove it");
    else
        rc = take_file(path, from, depth + 1);
    free(path);
    return rc;
}

static int take_text(unsigned file, char *text, size_t n, unsigned depth)
{
    struct scenario_include inc;
    unsigned number = 1;
    size_t done = 0;

    scenario_text_blank(text, n);
    begin_line(file, number);
    while (depth < DEPTH + 1 && scenario_text_include(text, n, done, &inc)) {
        copy(file, &number, text + done, inc.from - done);
        buf_append(&loading.text, "\n", 1);
        if (include(&inc, (struct line){file, inc.line}, depth) < 0)
            return -1;
        buf_append(&loading.text, "\n", 1);
        for (size_t i = inc.from; i < inc.to; i++)
            number += text[i] == '\n';
        begin_line(file, number);
        done = inc.to;
    }
    copy(file, &number, text + done, n - done);
    return 0;
}

static int take_file(const char *path, struct line from, unsigned depth)
{
    struct buf b = {0};
    struct err e;
    unsigned file;
    int rc = read_file(&b, path, &e);

    if (rc == 0)
        rc = scenario_text_check(path, b.len ? buf_data(&b) : "", b.len, &e);
    if (rc < 0 && depth)
        rc = tell(from, "include", e.text);
    else if (rc < 0)
        rc = err_set(loading.e, "%s", e.text);
    if (rc == 0) {
        file = add_file(path, from);
        buf_append(&b, "\n", 1);
        rc = take_text(file, buf_data(&b), b.len, depth);
    }
    buf_clear(&b);
    return rc;
}

static int parse(cfg_t *cfg)
{
    cfg_set_error_function(cfg, on_error);
    err_set(loading.e, "%s: cannot be read", loading.files[0].name);
    return cfg_parse_buf(cfg, loading.whole) == CFG_SUCCESS ? 0 : -1;
}

int scenario_cfg_again(const char *path, struct err *e)
{
    forget();
    loading.e = e;
    if (take_file(path, (struct line){0, 0}, 0) < 0)
        return -1;
    find_sections();
    return 0;
}

int scenario_cfg_parse(cfg_t *cfg, const char *path, struct err *e)
{
    return scenario_cfg_again(path, e) < 0 ? -1 : parse(cfg);
}

int scenario_cfg_parse_text(cfg_t *cfg, const char *name, const char *text, struct err *e)
{
    unsigned number = 1, variable = scenario_text_variable(text, strlen(text));
    char *own;

    forget();
    loading.e = e;
    if (scenario_text_check(name, text, strlen(text), e) < 0)
        return -1;
    if (variable) /* whoever wrote it is not always who may read our environment */
        return err_set(e, "%s:%u: the environment is not for scenarios; write ${...} between ''", name, variable);
    own = mem_str(text);
    scenario_text_blank(own, strlen(own));
    (void)add_file(name, (struct line){0, 0});
    begin_line(0, number);
    copy(0, &number, own, strlen(own));
    free(own);
    find_sections();
    return parse(cfg);
}

int scenario_cfg_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
    (void)opt;
    (void)argc;
    (void)argv;
    return tell(at(cfg->line), "include", "write include(\"more.conf\"), outside of sections");
}
