/* The only file that knows libconfuse. It is given the scan's tokens, one per line, so that its
 * line number is the number of a token and with that a file and a line. It sees strings and lists
 * of strings only; its validate callback hands each value over together with the place where it
 * stands. */
#include <assert.h>
#include <confuse.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "conf/conf_build.h"
#include "conf/conf_raw.h"

/* libconfuse passes no argument through, and its scanner is global anyhow: one parse at a time. */
static struct parsing {
    struct conf_scan *s;
    struct conf_raw *raw;
    struct conf_problems *p;
    struct conf_raw_section *open; /* the section that values go to, other than the global one */
    struct conf_raw_setting *set;  /* the setting that a list's further values go to */
    unsigned stopped_at;           /* token at the first error; UINT_MAX: none */
} now;

void conf_raw_free(struct conf_raw *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        struct conf_raw_section *s = &r->sections[i];

        for (unsigned k = 0; k < s->count; k++) {
            for (unsigned v = 0; v < s->settings[k].count; v++)
                free(s->settings[k].values[v].text);
            free(s->settings[k].values);
        }
        free(s->settings);
        free(s->title);
    }
    free(r->sections);
    *r = (struct conf_raw){0};
}

const struct conf_raw_setting *conf_raw_find(const struct conf_raw_section *s, const char *option)
{
    for (unsigned i = 0; i < s->count; i++)
        if (strcmp(s->settings[i].option->name, option) == 0)
            return &s->settings[i];
    return NULL;
}

static unsigned token_at(const cfg_t *cfg)
{
    unsigned line = cfg->line > 0 ? (unsigned)cfg->line - 1 : 0;

    return line < now.s->count ? line : now.s->count;
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    (void)fmt; /* said better by conf_repair(), in any version and language of the library */
    (void)ap;
    if (now.stopped_at == UINT_MAX)
        now.stopped_at = token_at(cfg);
}

static struct conf_raw_section *section_new(enum conf_section_kind kind, const char *title, const struct conf_token *t)
{
    struct conf_raw *raw = now.raw;
    struct conf_raw_section *s;

    if ((raw->count & (raw->count - 1)) == 0)
        raw->sections = mem_grow(raw->sections, (raw->count ? (size_t)raw->count * 2 : 1) * sizeof *s);
    s = &raw->sections[raw->count++];
    *s = (struct conf_raw_section){.kind = kind, .title = mem_str(title ? title : "")};
    if (t) {
        s->file = t->file;
        s->line = t->line;
    }
    return s;
}

static unsigned before(unsigned i)
{
    while (i > 0 && now.s->tokens[--i].gone)
        ;
    return i;
}

/* The section's name stands before its brace (and title). at: a name inside, or the closing brace.
 */
static void open_section(const cfg_t *sec, unsigned at)
{
    struct conf_token *t = now.s->tokens;
    enum conf_section_kind kind = conf_section_find(sec->name);
    unsigned depth = 1, i = at;
    bool titled = conf_sections[kind].titled, bad_title = false;

    while (i > 0 && depth > 0) {
        i = before(i);
        if (t[i].kind == '}')
            depth++;
        else if (t[i].kind == '{')
            depth--;
    }
    i = before(i);
    if (titled) {
        bad_title = t[i].bad;
        i = before(i);
    }
    now.open = section_new(kind, sec->title, &t[i]);
    now.open->bad = bad_title;
    if (!t[i].bad && !conf_token_is(&t[i], sec->name)) {
        conf_problem_add(now.p, false, t[i].file, t[i].line, sec->name, "write the name without quotes",
                         "a section's name in quotes");
        t[i].bad = true;
    }
}

static struct conf_raw_setting *setting_new(struct conf_raw_section *sec, const struct conf_option *o, unsigned name)
{
    struct conf_raw_setting *set;
    const struct conf_token *t = &now.s->tokens[name];

    sec->settings = mem_grow(sec->settings, (sec->count + 1) * sizeof *set);
    set = &sec->settings[sec->count++];
    *set = (struct conf_raw_setting){.option = o, .file = t->file, .line = t->line, .name = name};
    return set;
}

/* The setting that a statement's first value belongs to; NULL when it was refused. */
static struct conf_raw_setting *setting_of(struct conf_raw_section *sec, const cfg_opt_t *opt, unsigned name)
{
    const struct conf_option *o = conf_option_find(sec->kind, opt->name);
    const struct conf_token *t = &now.s->tokens[name];

    /* "listener|tls" in quotes: libconfuse would reach into a section by that */
    if (!o || !(t->bad || conf_token_is(t, opt->name))) {
        conf_problem_add(now.p, false, t->file, t->line, NULL, "write a plain name, in the section it belongs to",
                         "%.*s is not the name of an option", (int)t->text.n, t->text.p);
        return NULL;
    }
    for (unsigned i = 0; i < sec->count; i++) {
        if (sec->settings[i].option != o)
            continue;
        if (!t->bad && !now.s->tokens[sec->settings[i].name].bad)
            conf_problem_add(now.p, false, t->file, t->line, o->name, o->list ? "write one list" : "remove one of them",
                             "it was given already in line %u", sec->settings[i].line);
        return NULL;
    }
    return setting_new(sec, o, name);
}

static void add_value(struct conf_raw_setting *set, const char *text, const struct conf_token *t)
{
    if (set->count == set->cap) {
        set->cap = set->cap ? set->cap * 2 : 1;
        set->values = mem_grow(set->values, set->cap * sizeof *set->values);
    }
    set->values[set->count++] = (struct conf_raw_value){mem_str(text), t->line, t->bad};
    set->bad |= t->bad;
}

/* Called after each value, after a list's end, and after a section's end. */
static int seen(cfg_t *cfg, cfg_opt_t *opt)
{
    unsigned at = token_at(cfg), name;
    const struct conf_token *t = &now.s->tokens[at];
    struct conf_raw_section *sec = &now.raw->sections[0];

    if (at >= now.s->count) { /* libconfuse lets the end of the text
                                  close a section; here it is an error */
        now.stopped_at = at;
        return -1;
    }
    if (opt->type == CFGT_SEC) {
        if (!now.open)
            open_section(opt->values[opt->nvalues - 1]->section, at);
        now.open = NULL;
        return 0;
    }
    if (t->kind != 't') /* the end of a list */
        return 0;
    name = before(at);
    if (now.s->tokens[name].kind != ',') { /* a statement's first value */
        if (now.s->tokens[name].kind == '{')
            name = before(name);
        name = before(name);
        if (conf_section_find(cfg->name) != CONF_SECTIONS) {
            if (!now.open)
                open_section(cfg, name);
            sec = now.open;
        }
        now.set = setting_of(sec, opt, name);
    }
    if (now.set && !(t->made && !t->bad)) /* made: stands for an empty list */
        add_value(now.set, opt->values[opt->nvalues - 1]->string, t);
    return 0;
}

/* libconfuse's own tables, made from ours. It copies them, names included. */
static cfg_opt_t *tables_of(enum conf_section_kind kind, cfg_opt_t subs[CONF_SECTIONS][64])
{
    cfg_opt_t *out = subs[kind], end = CFG_END();
    size_t n = 0;

    for (size_t i = 0; i < conf_option_count; i++) {
        cfg_opt_t one = CFG_STR(NULL, NULL, CFGF_NODEFAULT);

        if (conf_options[i].section != kind)
            continue;
        one.name = conf_options[i].name;
        one.validcb = seen;
        if (conf_options[i].list)
            one.flags |= CFGF_LIST;
        out[n++] = one;
    }
    for (unsigned k = CONF_GLOBAL + 1; kind == CONF_GLOBAL && k < CONF_SECTIONS; k++) {
        cfg_opt_t one = CFG_SEC(NULL, NULL, CFGF_MULTI);

        one.name = conf_sections[k].name;
        one.subopts = tables_of((enum conf_section_kind)k, subs);
        one.validcb = seen;
        if (conf_sections[k].titled)
            one.flags |= CFGF_TITLE | CFGF_NO_TITLE_DUPES;
        out[n++] = one;
    }
    assert(n < 64);
    out[n] = end;
    return out;
}

static void tokens_text(struct buf *out, const struct conf_scan *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        const struct conf_token *t = &s->tokens[i];

        if (t->kind == 't' && t->text.n == 0 && !t->gone) /* a title that nobody else has: no file holds \001 */
            buf_printf(out, "\"\001%u\"", i);
        else if (!t->gone)
            buf_append(out, t->text.p, t->text.n);
        buf_append(out, "\n", 1);
    }
}

/* One parse. The token at which it stopped, or UINT_MAX. */
static unsigned parse_once(struct conf_raw *raw, struct conf_scan *s, struct conf_problems *p)
{
    cfg_opt_t subs[CONF_SECTIONS][64];
    struct buf text = {0};
    unsigned at;
    cfg_t *cfg = cfg_init(tables_of(CONF_GLOBAL, subs), CFGF_NONE);

    now = (struct parsing){.s = s, .raw = raw, .p = p, .stopped_at = UINT_MAX};
    section_new(CONF_GLOBAL, NULL, s->count ? &s->tokens[0] : NULL);
    if (!cfg)
        abort(); /* out of memory, as in mem_alloc() */
    cfg_set_error_function(cfg, on_error);
    tokens_text(&text, s);
    if (cfg_parse_buf(cfg, buf_str(&text)) != CFG_SUCCESS && now.stopped_at == UINT_MAX)
        now.stopped_at = token_at(cfg);
    cfg_free(cfg);
    buf_clear(&text);
    at = now.stopped_at;
    now = (struct parsing){0};
    return at;
}

int conf_raw_parse(struct conf_raw *out, struct conf_scan *s, struct conf_problems *p)
{
    for (unsigned tries = 0;; tries++) {
        struct conf_problems said = {0};
        unsigned at;

        *out = (struct conf_raw){0};
        at = parse_once(out, s, &said);
        if (at == UINT_MAX) { /* what the callbacks said in parses that failed is said again by this
                                 one */
            conf_problems_move(p, &said);
            return 0;
        }
        conf_problems_free(&said);
        conf_raw_free(out);
        if (tries == CONF_REPAIRS) {
            const struct conf_token *t = &s->tokens[at < s->count ? at : s->count - 1];

            conf_problem_add(p, false, t->file, t->line, NULL, "mend these first",
                             "too many errors, the rest was not read");
            return -1;
        }
        conf_repair(s, at, p);
    }
}

int conf_load(struct conf **out, const char *file, const char *text, const struct conf_reader *reader,
              struct conf_problems *p)
{
    struct conf_scan scan;
    struct conf_raw raw = {0};
    struct conf *c = NULL;

    conf_scan(&scan, file, text, reader, p);
    if (!scan.given_up && conf_raw_parse(&raw, &scan, p) == 0)
        c = conf_build(&raw, file, reader, p);
    conf_raw_free(&raw);
    conf_scan_free(&scan);
    conf_problems_sort(p, file);
    if (p->errors)
        conf_free(&c);
    *out = c;
    return c ? 0 : -1;
}
