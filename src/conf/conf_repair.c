/* What to do when libconfuse stops: find out what it was waiting for, say it in the words of the
 * file, and mend the tokens so that parsing can go on and the rest is checked too. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_raw.h"

enum expecting { A_NAME, AN_EQUAL, A_VALUE, A_LIST, AN_ITEM, A_COMMA, A_TITLE, A_BRACE };

/* Where libconfuse stands before a token. */
struct place {
    enum expecting state;
    unsigned name;    /* token of the statement's name */
    unsigned list;    /* token of the list's brace */
    unsigned section; /* token of the section's name, UINT_MAX: global */
    enum conf_section_kind kind;
    const struct conf_option *option;
};

static void step_name(struct place *pl, const struct conf_token *t, unsigned i)
{
    char *name;
    enum conf_section_kind kind;

    if (t->kind == '}') {
        pl->kind = CONF_GLOBAL;
        pl->section = UINT_MAX;
        return;
    }
    if (t->kind != 't')
        return;
    name = conf_token_text(t);
    kind = pl->kind == CONF_GLOBAL ? conf_section_find(name) : CONF_SECTIONS;
    pl->name = i;
    pl->option = conf_option_find(pl->kind, name);
    if (kind != CONF_SECTIONS)
        pl->state = conf_sections[kind].titled ? A_TITLE : A_BRACE;
    else if (pl->option)
        pl->state = AN_EQUAL;
    free(name);
}

static void step_section(struct place *pl, const struct conf_scan *s)
{
    char *name = conf_token_text(&s->tokens[pl->name]);

    pl->kind = conf_section_find(name);
    pl->section = pl->name;
    pl->state = A_NAME;
    free(name);
}

/* The same steps that libconfuse took up to token `at`, which it refused. */
static struct place place_of(const struct conf_scan *s, unsigned at)
{
    struct place pl = {.state = A_NAME, .section = UINT_MAX, .kind = CONF_GLOBAL};

    for (unsigned i = 0; i < at && i < s->count; i++) {
        const struct conf_token *t = &s->tokens[i];

        if (t->gone)
            continue;
        switch (pl.state) {
        case A_NAME:
            step_name(&pl, t, i);
            break;
        case AN_EQUAL:
            pl.state = pl.option->list ? A_LIST : A_VALUE;
            break;
        case A_LIST:
            pl.list = i;
            pl.state = t->kind == '{' ? AN_ITEM : A_NAME;
            break;
        case AN_ITEM:
            pl.state = t->kind == '}' ? A_NAME : A_COMMA;
            break;
        case A_COMMA:
            pl.state = t->kind == '}' ? A_NAME : AN_ITEM;
            break;
        case A_TITLE:
            pl.state = A_BRACE;
            break;
        case A_BRACE:
            step_section(&pl, s);
            break;
        case A_VALUE:
            pl.state = A_NAME;
            break;
        }
    }
    return pl;
}

static unsigned next_of(const struct conf_scan *s, unsigned i)
{
    while (++i < s->count && s->tokens[i].gone)
        ;
    return i;
}

static char kind_at(const struct conf_scan *s, unsigned i)
{
    return i < s->count ? s->tokens[i].kind : '\0';
}

static void blank(struct conf_scan *s, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to && i < s->count; i++)
        s->tokens[i].gone = true;
}

/* Past the brace that closes the one at `open`. */
static unsigned past_braces(const struct conf_scan *s, unsigned open)
{
    unsigned depth = 0;

    for (unsigned i = open; i < s->count; i++) {
        if (s->tokens[i].kind == '{')
            depth++;
        else if (s->tokens[i].kind == '}' && --depth == 0)
            return i + 1;
    }
    return s->count;
}

/* Past the statement that begins with the name at `at`: name = value, name = {...}, name [title]
 * {...}. */
static unsigned past_statement(const struct conf_scan *s, unsigned at)
{
    unsigned i = next_of(s, at);

    if (kind_at(s, i) == '=' || kind_at(s, i) == '+') {
        unsigned v = next_of(s, i);

        if (kind_at(s, v) == '{')
            return past_braces(s, v);
        return kind_at(s, v) == 't' ? v + 1 : v;
    }
    if (kind_at(s, i) == 't' && kind_at(s, next_of(s, i)) == '{')
        i = next_of(s, i);
    if (kind_at(s, i) == '{')
        return past_braces(s, i);
    return at + 1;
}

static void say(struct conf_problems *p, const struct conf_token *t, const char *option,
                char *remedy, char *text)
{
    conf_problem_add(p, false, t->file, t->line, option, remedy, "%s", text);
    free(remedy);
    free(text);
}

static char *section_words(const struct conf_scan *s, const struct place *pl)
{
    const struct conf_token *t = &s->tokens[pl->section];
    char *title = conf_sections[pl->kind].titled
                      ? conf_token_text(&s->tokens[next_of(s, pl->section)])
                      : NULL;
    char *words =
        title ? mem_printf("%s \"%s\" (line %u)", conf_sections[pl->kind].name, title, t->line)
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
static bool belongs_outside(const struct conf_scan *s, const struct place *pl, unsigned at,
                            const char *name)
{
    unsigned i = next_of(s, at);

    if (pl->kind == CONF_GLOBAL)
        return false;
    if (conf_section_find(name) != CONF_SECTIONS)
        return kind_at(s, i) == 't' || kind_at(s, i) == '{';
    return conf_option_find(CONF_GLOBAL, name) && s->tokens[at].line > s->tokens[pl->section].line;
}

static char *unknown_remedy(enum conf_section_kind kind, const char *name, const char *nearest)
{
    enum conf_section_kind home = home_of(name);
    const char *later = conf_option_later(name);

    if (later)
        return mem_str(later);
    if (nearest)
        return mem_printf("nearest: %s", nearest);
    if (home == CONF_GLOBAL && kind != CONF_GLOBAL)
        return mem_str("it stands outside of every section");
    if (home != CONF_SECTIONS && home != kind)
        return mem_printf("it belongs into a %s section", conf_sections[home].name);
    return mem_str("remove it; docs/configuration.md lists every option");
}

static void unknown_name(struct conf_scan *s, unsigned at, const struct place *pl,
                         struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[at];
    char *name = conf_token_text(t);
    const char *nearest = conf_option_later(name) ? NULL : conf_option_nearest(pl->kind, name);

    if (t->bad) {
        blank(s, at, past_statement(s, at));
    } else if (belongs_outside(s, pl, at, name)) {
        char *words = section_words(s, pl);

        say(p, t, name, mem_printf("close it with } before this line"),
            mem_printf("%s is not closed", words));
        free(words);
        conf_scan_insert(s, at, '}', "}", true);
    } else {
        say(p, t, name, unknown_remedy(pl->kind, name, nearest),
            pl->kind == CONF_GLOBAL
                ? mem_str("unknown option")
                : mem_printf("unknown option of %s", conf_sections[pl->kind].name));
        if (nearest && strcmp(nearest, name) != 0) {
            t->text = span_str(nearest); /* taken for that, so that what it holds is checked too */
            t->bad = true;
        } else {
            blank(s, at, past_statement(s, at));
        }
    }
    free(name);
}

static void second_title(struct conf_scan *s, unsigned title, const struct place *pl,
                         struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[title];
    char *name = conf_token_text(t), *kind = conf_token_text(&s->tokens[pl->name]);
    unsigned line = 0;

    for (unsigned i = 1; i < title && !line; i++) {
        char *other = conf_token_text(&s->tokens[i]);

        if (s->tokens[i].kind == 't' && conf_token_is(&s->tokens[i - 1], kind) &&
            strcmp(other, name) == 0)
            line = s->tokens[i].line;
        free(other);
    }
    say(p, t, kind, mem_str("give it another title, or put both into one section"),
        mem_printf("a second %s \"%s\"; the first is in line %u", kind, name, line));
    t->text = SPAN("");
    t->bad = true;
    free(name);
    free(kind);
}

static void in_list(struct conf_scan *s, unsigned at, const struct place *pl,
                    struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[at];
    unsigned next = next_of(s, at);
    const char *option = pl->option->name;

    if (t->kind == 't' && kind_at(s, next) != '=' && kind_at(s, next) != '{') {
        say(p, t, option, mem_str("put a comma between them"),
            mem_str("two values without a comma"));
        conf_scan_insert(s, at, ',', ",", true);
    } else if (t->kind == '=' || t->kind == '+') {
        say(p, t, option, mem_str("put the value in double quotes"),
            mem_str("a value with an = in it"));
        blank(s, pl->name, past_braces(s, pl->list));
    } else {
        say(p, t, option, mem_str("close it with }"),
            mem_printf("the list that begins in line %u is not closed", s->tokens[pl->list].line));
        conf_scan_insert(s, at, '}', "}", true);
    }
}

static void wants_value(struct conf_scan *s, unsigned at, const struct place *pl,
                        struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[at];
    const char *option = pl->option->name;

    if (pl->state == A_LIST && t->kind == '{') /* cannot be: libconfuse takes it */
        return;
    if (t->kind == '{') {
        say(p, t, option, mem_str("write it without braces"),
            mem_str("it takes one value, not a list"));
        blank(s, pl->name, past_braces(s, at));
    } else if (pl->state == AN_ITEM && t->kind == ',') {
        say(p, t, option, mem_str("remove it"), mem_str("a comma without a value before it"));
        blank(s, at, at + 1);
    } else if (pl->state == AN_ITEM) {
        in_list(s, at, pl, p);
    } else {
        say(p, &s->tokens[pl->name], option, NULL, mem_str("it has no value"));
        blank(s, pl->name, at);
    }
}

static void wants_equal(struct conf_scan *s, unsigned at, const struct place *pl,
                        struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[at], *name = &s->tokens[pl->name];

    if (t->kind == '+') {
        say(p, t, pl->option->name, mem_str("write ="),
            mem_str("it takes one value, += is for lists"));
        blank(s, pl->name, past_statement(s, pl->name));
    } else if ((t->kind == 't' && t->line == name->line) || t->kind == '{') {
        say(p, name, pl->option->name, mem_str("put a = between name and value"),
            mem_str("no = after the name"));
        conf_scan_insert(s, at, '=', "=", true);
    } else {
        say(p, name, pl->option->name, mem_printf("write %s = ...", pl->option->name),
            mem_str("it has no value"));
        blank(s, pl->name, at);
    }
}

static void wants_section(struct conf_scan *s, unsigned at, const struct place *pl,
                          struct conf_problems *p)
{
    struct conf_token *t = &s->tokens[at], *name = &s->tokens[pl->name];
    char *kind = conf_token_text(name);

    if (pl->state == A_BRACE && t->kind == '{' && conf_sections[conf_section_find(kind)].titled) {
        second_title(s, at - 1, pl, p);
    } else if (pl->state == A_TITLE && t->kind == '{') {
        say(p, name, kind, mem_printf("write %s \"title\" { ... }", kind),
            mem_str("the section has no title"));
        conf_scan_insert(s, at, 't', "", true);
    } else if (pl->state == A_BRACE && t->kind == 't' && kind_at(s, next_of(s, at)) == '{') {
        say(p, t, kind, mem_printf("write %s { ... }", kind),
            mem_str("the section takes no title"));
        blank(s, at, at + 1);
    } else {
        unsigned end = at;

        say(p, name, kind,
            mem_printf(pl->state == A_TITLE ? "write %s \"title\" { ... }"
                                            : "put { ... } around its options",
                       kind),
            mem_str("it is a section"));
        while (end < s->count && s->tokens[end].line == name->line && s->tokens[end].kind != '}')
            end++;
        blank(s, pl->name, end);
    }
    free(kind);
}

static void at_end(struct conf_scan *s, const struct place *pl, struct conf_problems *p)
{
    unsigned last = s->count - 1;

    if (pl->state == A_COMMA || pl->state == AN_ITEM) {
        say(p, &s->tokens[pl->list], pl->option->name, mem_str("close it with }"),
            mem_str("the list is not closed"));
        conf_scan_insert(s, s->count, '}', "}", true);
    } else if (pl->state == A_NAME && pl->section != UINT_MAX) {
        char *words = section_words(s, pl), *kind = conf_token_text(&s->tokens[pl->section]);

        say(p, &s->tokens[pl->section], kind, mem_str("close it with }"),
            mem_printf("%s is not closed", words));
        conf_scan_insert(s, s->count, '}', "}", true);
        free(words);
        free(kind);
    } else {
        say(p, &s->tokens[last], NULL, NULL, mem_str("the file ends inside a statement"));
        blank(s, pl->name, s->count);
    }
}

void conf_repair(struct conf_scan *s, unsigned at, struct conf_problems *p)
{
    struct place pl = place_of(s, at);
    struct conf_token *t = at < s->count ? &s->tokens[at] : NULL;

    if (!t) {
        at_end(s, &pl, p);
    } else if (pl.state == A_NAME && t->kind == 't') {
        unknown_name(s, at, &pl, p);
    } else if (pl.state == A_NAME) {
        say(p, t, NULL, mem_str("remove it"),
            t->kind == '}' ? mem_str("a closing brace without an opening one")
                           : mem_printf("unexpected \"%.*s\"", (int)t->text.n, t->text.p));
        blank(s, at, t->kind == '{' ? past_braces(s, at) : at + 1);
    } else if (pl.state == AN_EQUAL) {
        wants_equal(s, at, &pl, p);
    } else if (pl.state == A_COMMA) {
        in_list(s, at, &pl, p);
    } else if (pl.state == A_TITLE || pl.state == A_BRACE) {
        wants_section(s, at, &pl, p);
    } else {
        wants_value(s, at, &pl, p);
    }
}
