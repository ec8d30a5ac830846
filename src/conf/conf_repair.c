/* What to do when libconfuse stops: find out what it was waiting for, say it in the words of the
 * file, and mend the tokens so that parsing can go on and the rest is checked too. */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_raw.h"
#include "conf/conf_shape.h"

static void blank(struct conf_scan *s, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to && i < s->count; i++)
        s->tokens[i].gone = true;
}

/* A line with a string that never ends, or a token that was refused by itself: what follows from
 * that is no news. */
static bool is_spoilt(const struct conf_scan *s, const struct conf_token *t)
{
    const struct conf_token *from = t, *end = s->tokens + s->count;

    while (from > s->tokens && from[-1].line == t->line && from[-1].file == t->file)
        from--;
    for (; from < end && from->line == t->line && from->file == t->file; from++)
        if (from->bad && !from->made && from->kind == 't' && from->text.n == 0)
            return true;
    return false;
}

static void say(const struct conf_scan *s, struct conf_problems *p, const struct conf_token *t, const char *option,
                char *remedy, char *text)
{
    if (!is_spoilt(s, t))
        conf_problem_add(p, false, t->file, t->line, option, remedy, "%s", text);
    free(remedy);
    free(text);
}

static char *section_words(const struct conf_scan *s, const struct conf_shape *pl)
{
    const struct conf_token *t = &s->tokens[pl->section];
    char *title = conf_sections[pl->kind].titled ? conf_token_text(&s->tokens[conf_shape_next(s, pl->section)]) : NULL;
    char *words = title ? mem_printf("%s \"%s\" (line %u)", conf_sections[pl->kind].name, title, t->line)
                        : mem_printf("%s (line %u)", conf_sections[pl->kind].name, t->line);

    free(title);
    return words;
}

/* In which section is this name at home? */
static enum conf_section_kind home_of(const char *name)
{
    for (unsigned k = 0; k < CONF_SECTIONS; k++)
        if (conf_option_find((enum conf_section_kind)k, name))
            return (enum conf_section_kind)k;
    return CONF_SECTIONS;
}

/* A name libconfuse does not know, at a place where it can be mended by a closing brace in front.
 */
static bool belongs_outside(const struct conf_scan *s, const struct conf_shape *pl, unsigned at, const char *name)
{
    unsigned i = conf_shape_next(s, at);

    if (pl->kind == CONF_GLOBAL)
        return false;
    if (conf_section_find(name) != CONF_SECTIONS)
        return conf_shape_kind(s, i) == 't' || conf_shape_kind(s, i) == '{';
    return conf_option_find(CONF_GLOBAL, name) && s->tokens[at].line > s->tokens[pl->section].line;
}

static char *unknown_remedy(enum conf_section_kind kind, const char *name, const char *nearest)
{
    enum conf_section_kind home = home_of(name);

    if (nearest)
        return mem_printf("nearest: %s", nearest);
    if (home == CONF_GLOBAL && kind != CONF_GLOBAL)
        return mem_str("it stands outside of every section");
    if (home != CONF_SECTIONS && home != kind)
        return mem_printf("it belongs into a %s section", conf_sections[home].name);
    return mem_str("remove it; postern.conf(5) lists every option");
}

/* The scan takes include("file") away; what is left here is another form of it. */
static void bad_include(struct conf_scan *s, unsigned at, struct conf_problems *p)
{
    unsigned end = at;

    say(s, p, &s->tokens[at], "include", mem_str("write include(\"FILE\")"), mem_str("it wants the name of one file"));
    while (end < s->count && s->tokens[end].line == s->tokens[at].line && s->tokens[end].kind != ')')
        end++;
    blank(s, at, end + (conf_shape_kind(s, end) == ')'));
}

static void unknown_name(struct conf_scan *s, unsigned at, const struct conf_shape *pl, struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[at];
    char *name = conf_token_text(t);
    const char *nearest = conf_option_nearest(pl->kind, name);

    if (t->bad) {
        blank(s, at, conf_shape_past_statement(s, at));
    } else if (strcmp(name, "include") == 0 && conf_shape_kind(s, conf_shape_next(s, at)) == '(') {
        bad_include(s, at, p);
    } else if (belongs_outside(s, pl, at, name)) {
        char *words = section_words(s, pl);

        say(s, p, t, name, mem_printf("close it with } before this line"), mem_printf("%s is not closed", words));
        free(words);
        conf_scan_insert(s, at, '}', "}", true);
    } else {
        say(s, p, t, name, unknown_remedy(pl->kind, name, nearest),
            pl->kind == CONF_GLOBAL ? mem_str("unknown option")
                                    : mem_printf("unknown option of %s", conf_sections[pl->kind].name));
        if (nearest && strcmp(nearest, name) != 0) {
            t->text = span_str(nearest); /* taken for that, so that what it holds is checked too */
            t->bad = true;
        } else {
            blank(s, at, conf_shape_past_statement(s, at));
        }
    }
    free(name);
}

static void second_title(struct conf_scan *s, unsigned title, const struct conf_shape *pl, struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[title];
    char *name = conf_token_text(t), *kind = conf_token_text(&s->tokens[pl->name]);
    unsigned line = 0;

    for (unsigned i = 1; i < title && !line; i++) {
        char *other = conf_token_text(&s->tokens[i]);

        if (s->tokens[i].kind == 't' && conf_token_is(&s->tokens[i - 1], kind) && strcmp(other, name) == 0)
            line = s->tokens[i].line;
        free(other);
    }
    say(s, p, t, kind, mem_str("give it another title, or put both into one section"),
        mem_printf("a second %s \"%s\"; the first is in line %u", kind, name, line));
    t->text = SPAN(""); /* a title that nobody else has */
    t->bad = t->made = true;
    free(name);
    free(kind);
}

static void in_list(struct conf_scan *s, unsigned at, const struct conf_shape *pl, struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[at];
    unsigned next = conf_shape_next(s, at);
    const char *option = pl->option->name;

    if (t->kind == 't' && conf_shape_kind(s, next) != '=' && conf_shape_kind(s, next) != '{') {
        say(s, p, t, option, mem_str("put a comma between them"), mem_str("two values without a comma"));
        conf_scan_insert(s, at, ',', ",", true);
    } else if (t->kind == '=' || t->kind == '+') {
        say(s, p, t, option, mem_str("put the value in double quotes"), mem_str("a value with an = in it"));
        blank(s, pl->name, conf_shape_past_braces(s, pl->list));
    } else {
        say(s, p, t, option, mem_str("close it with }"),
            mem_printf("the list that begins in line %u is not closed", s->tokens[pl->list].line));
        conf_scan_insert(s, at, '}', "}", true);
    }
}

/* A value that was reported, so that the option counts as given. */
static void stand_in(struct conf_scan *s, unsigned at)
{
    conf_scan_insert(s, at, 't', "", true);
}

static void wants_value(struct conf_scan *s, unsigned at, const struct conf_shape *pl, struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[at];
    const char *option = pl->option->name;

    if (pl->state == CONF_AN_ITEM && t->kind == ',') {
        say(s, p, t, option, mem_str("remove it"), mem_str("a comma without a value before it"));
        blank(s, at, at + 1);
    } else if (pl->state == CONF_AN_ITEM) {
        in_list(s, at, pl, p);
    } else if (t->kind == '{') {
        say(s, p, t, option, mem_str("write it without braces"), mem_str("it takes one value, not a list"));
        blank(s, at, conf_shape_past_braces(s, at));
        stand_in(s, at);
    } else {
        say(s, p, &s->tokens[pl->name], option, mem_printf("write %s = ...", option), mem_str("it has no value"));
        stand_in(s, at);
    }
}

static void wants_equal(struct conf_scan *s, unsigned at, const struct conf_shape *pl, struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[at], *name = &s->tokens[pl->name];

    if (t->kind == '+') {
        say(s, p, t, pl->option->name, mem_str("write ="), mem_str("it takes one value, += is for lists"));
        t->kind = '=';
        t->text = SPAN("=");
        return;
    }
    if ((t->kind == 't' && t->line == name->line) || t->kind == '{') {
        say(s, p, name, pl->option->name, mem_str("put a = between name and value"), mem_str("no = after the name"));
    } else {
        say(s, p, name, pl->option->name, mem_printf("write %s = ...", pl->option->name), mem_str("it has no value"));
        stand_in(s, at);
    }
    conf_scan_insert(s, at, '=', "=", true);
}

static void wants_section(struct conf_scan *s, unsigned at, const struct conf_shape *pl, struct conf_problems *p)
{
    const struct conf_token *name = &s->tokens[pl->name];
    char got = conf_shape_kind(s, at), *kind = conf_token_text(name);

    if (pl->state == CONF_A_BRACE && got == '{' && conf_sections[conf_section_find(kind)].titled) {
        second_title(s, at - 1, pl, p);
    } else if (pl->state == CONF_A_TITLE && got == '{') {
        say(s, p, name, kind, mem_printf("write %s \"title\" { ... }", kind), mem_str("the section has no title"));
        conf_scan_insert(s, at, 't', "", true);
    } else if (pl->state == CONF_A_BRACE && got == 't' && conf_shape_kind(s, conf_shape_next(s, at)) == '{') {
        say(s, p, &s->tokens[at], kind, mem_printf("write %s { ... }", kind), mem_str("the section takes no title"));
        blank(s, at, at + 1);
    } else {
        unsigned end = at;

        say(s, p, name, kind,
            mem_printf(pl->state == CONF_A_TITLE ? "write %s \"title\" { ... }" : "put { ... } around its options",
                       kind),
            mem_str("it is a section"));
        while (end < s->count && s->tokens[end].line == name->line && s->tokens[end].kind != '}')
            end++;
        blank(s, pl->name, end);
    }
    free(kind);
}

static void at_end(struct conf_scan *s, const struct conf_shape *pl, struct conf_problems *p)
{
    if (pl->state == CONF_A_COMMA || pl->state == CONF_AN_ITEM) {
        say(s, p, &s->tokens[pl->list], pl->option->name, mem_str("close it with }"),
            mem_str("the list is not closed"));
        conf_scan_insert(s, s->count, '}', "}", true);
    } else if (pl->state == CONF_A_TITLE || pl->state == CONF_A_BRACE) {
        wants_section(s, s->count, pl, p);
    } else if (pl->state != CONF_A_NAME) {
        say(s, p, &s->tokens[pl->name], pl->option->name, mem_printf("write %s = ...", pl->option->name),
            mem_str("it has no value"));
        blank(s, pl->name, s->count);
    } else if (pl->section != UINT_MAX) {
        char *words = section_words(s, pl), *kind = conf_token_text(&s->tokens[pl->section]);

        say(s, p, &s->tokens[pl->section], kind, mem_str("close it with }"), mem_printf("%s is not closed", words));
        conf_scan_insert(s, s->count, '}', "}", true);
        free(words);
        free(kind);
    } else if (s->count) {
        say(s, p, &s->tokens[s->count - 1], NULL, NULL, mem_str("the file ends inside a statement"));
    }
}

void conf_repair(struct conf_scan *s, unsigned at, struct conf_problems *p)
{
    struct conf_shape pl = conf_shape(s, at);
    const struct conf_token *t;

    assert(s->tokens); /* nothing at all is a valid configuration to libconfuse */
    if (at >= s->count) {
        at_end(s, &pl, p);
        return;
    }
    t = &s->tokens[at];
    if (pl.state == CONF_A_NAME && t->kind == 't') {
        unknown_name(s, at, &pl, p);
    } else if (pl.state == CONF_A_NAME) {
        say(s, p, t, NULL, mem_str("remove it"),
            t->kind == '}' ? mem_str("a closing brace without an opening one")
                           : mem_printf("unexpected \"%.*s\"", (int)t->text.n, t->text.p));
        blank(s, at, t->kind == '{' ? conf_shape_past_braces(s, at) : at + 1);
    } else if (pl.state == CONF_AN_EQUAL) {
        wants_equal(s, at, &pl, p);
    } else if (pl.state == CONF_A_COMMA) {
        in_list(s, at, &pl, p);
    } else if (pl.state == CONF_A_TITLE || pl.state == CONF_A_BRACE) {
        wants_section(s, at, &pl, p);
    } else {
        wants_value(s, at, &pl, p);
    }
}
