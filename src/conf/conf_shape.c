#include "conf/conf_shape.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void step_name(struct conf_shape *pl, const struct conf_token *t, unsigned i)
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
        pl->state = conf_sections[kind].titled ? CONF_A_TITLE : CONF_A_BRACE;
    else if (pl->option)
        pl->state = CONF_AN_EQUAL;
    free(name);
}

static void step_section(struct conf_shape *pl, const struct conf_scan *s)
{
    char *name = conf_token_text(&s->tokens[pl->name]);

    pl->kind = conf_section_find(name);
    pl->section = pl->name;
    pl->state = CONF_A_NAME;
    free(name);
}

struct conf_shape conf_shape(const struct conf_scan *s, unsigned at)
{
    struct conf_shape pl = {.state = CONF_A_NAME, .section = UINT_MAX, .kind = CONF_GLOBAL};

    for (unsigned i = 0; i < at && i < s->count; i++) {
        const struct conf_token *t = &s->tokens[i];

        if (t->gone)
            continue;
        switch (pl.state) {
        case CONF_A_NAME:
            step_name(&pl, t, i);
            break;
        case CONF_AN_EQUAL:
            pl.state = pl.option->list ? CONF_A_LIST : CONF_A_VALUE;
            break;
        case CONF_A_LIST:
            pl.list = i;
            pl.state = t->kind == '{' ? CONF_AN_ITEM : CONF_A_NAME;
            break;
        case CONF_AN_ITEM:
            pl.state = t->kind == '}' ? CONF_A_NAME : CONF_A_COMMA;
            break;
        case CONF_A_COMMA:
            pl.state = t->kind == '}' ? CONF_A_NAME : CONF_AN_ITEM;
            break;
        case CONF_A_TITLE:
            pl.state = CONF_A_BRACE;
            break;
        case CONF_A_BRACE:
            step_section(&pl, s);
            break;
        case CONF_A_VALUE:
            pl.state = CONF_A_NAME;
            break;
        }
    }
    return pl;
}

unsigned conf_shape_next(const struct conf_scan *s, unsigned i)
{
    while (++i < s->count && s->tokens[i].gone)
        ;
    return i;
}

char conf_shape_kind(const struct conf_scan *s, unsigned i)
{
    return i < s->count ? s->tokens[i].kind : '\0';
}

unsigned conf_shape_past_braces(const struct conf_scan *s, unsigned open)
{
    unsigned depth = 0;

    for (unsigned i = open; i < s->count; i++) {
        if (s->tokens[i].gone)
            continue;
        if (s->tokens[i].kind == '{')
            depth++;
        else if (s->tokens[i].kind == '}' && --depth == 0)
            return i + 1;
    }
    return s->count;
}

unsigned conf_shape_past_statement(const struct conf_scan *s, unsigned at)
{
    unsigned i = conf_shape_next(s, at);

    if (conf_shape_kind(s, i) == '=' || conf_shape_kind(s, i) == '+') {
        unsigned v = conf_shape_next(s, i);

        if (conf_shape_kind(s, v) == '{')
            return conf_shape_past_braces(s, v);
        return conf_shape_kind(s, v) == 't' ? v + 1 : v;
    }
    if (conf_shape_kind(s, i) == 't' && conf_shape_kind(s, conf_shape_next(s, i)) == '{')
        i = conf_shape_next(s, i);
    if (conf_shape_kind(s, i) == '{')
        return conf_shape_past_braces(s, i);
    return at + 1;
}
