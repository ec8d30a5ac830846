#include "bench/scenario_text.h"

#include <string.h>

#define NAMES 64u /* of one section; more are not compared */

struct token {
    char
        kind; /* 'w' a word or a string, a character of {}=,()+ itself, '\0' the end, '!' something that does not end */
    struct span text;
    unsigned line;
};

struct place {
    const char *at, *end;
    unsigned line;
};

struct option {
    struct span name;
    unsigned line;
};

struct section {
    struct span name;
    unsigned line; /* of its name, or of the brace where there is none */
    struct option options[NAMES];
    unsigned count;
};

struct walk {
    struct place place;
    struct section section[SCENARIO_TEXT_DEPTH]; /* 0: the file */
    unsigned depth;
    struct token last, name; /* name: what a statement begins with */
    unsigned list;           /* line of the { of a value, 0: none is open */
};

/* ---- tokens */

static bool ends_word(char c)
{
    return (unsigned char)c <= ' ' || strchr("\"'={}(),+#", c) != NULL;
}

static void skip_line(struct place *p)
{
    while (p->at < p->end && *p->at != '\n')
        p->at++;
}

/* False: it does not end. */
static bool skip_comment(struct place *p)
{
    for (p->at += 2; p->at + 1 < p->end; p->at++) {
        p->line += *p->at == '\n';
        if (p->at[0] == '*' && p->at[1] == '/') {
            p->at += 2;
            return true;
        }
    }
    p->at = p->end;
    return false;
}

/* A string may go over several lines: where it does not end, the first one that does is most likely the one that lost its
 * mark. */
static struct token quoted(struct place *p)
{
    struct token t = {.kind = 'w', .line = p->line};
    char mark = *p->at++;

    t.text.p = p->at;
    for (; p->at < p->end && *p->at != mark; p->at++) {
        if (*p->at == '\\' && p->at + 1 < p->end)
            p->at++;
        p->line += *p->at == '\n';
    }
    t.text.n = (size_t)(p->at - t.text.p);
    if (p->at == p->end)
        t.kind = '!';
    else
        p->at++;
    return t;
}

static struct token next(struct place *p)
{
    for (; p->at < p->end; p->at++) {
        bool more = p->at + 1 < p->end;
        struct token t = {.line = p->line, .text = {p->at, 1}};

        if (*p->at == '\n') {
            p->line++;
        } else if (*p->at == '#' || (more && p->at[0] == '/' && p->at[1] == '/')) {
            skip_line(p);
            p->at--;
        } else if (more && p->at[0] == '/' && p->at[1] == '*') {
            if (!skip_comment(p))
                return (struct token){.kind = '!', .line = t.line, .text = SPAN("/*")};
            p->at--;
        } else if (*p->at == '"' || *p->at == '\'') {
            return quoted(p);
        } else if ((unsigned char)*p->at > ' ') {
            t.kind = *p->at++;
            if (strchr("={}(),+", t.kind))
                return t;
            t.kind = 'w';
            while (p->at < p->end && !ends_word(*p->at))
                p->at++;
            t.text.n = (size_t)(p->at - t.text.p);
            return t;
        }
    }
    return (struct token){.kind = '\0', .line = p->line};
}

/* ---- sections */

enum event { NOTHING, OPTION, TWICE, SECTION_ENDS, TOO_DEEP, TOO_MANY, UNENDED, END };

static enum event option(struct walk *w)
{
    struct section *s = &w->section[w->depth];

    for (unsigned i = 0; i < s->count; i++)
        if (s->options[i].name.n == w->name.text.n && memcmp(s->options[i].name.p, w->name.text.p, w->name.text.n) == 0)
            return TWICE;
    if (s->count < NAMES)
        s->options[s->count++] = (struct option){w->name.text, w->name.line};
    return OPTION;
}

static enum event opening(struct walk *w, const struct token *t)
{
    if (w->last.kind == '=') {
        w->list = t->line;
        return NOTHING;
    }
    if (w->depth + 1 == SCENARIO_TEXT_DEPTH)
        return TOO_DEEP;
    w->depth++;
    w->section[w->depth].line = w->name.kind ? w->name.line : t->line;
    w->section[w->depth].name = w->name.kind ? w->name.text : SPAN("");
    w->section[w->depth].count = 0;
    return NOTHING;
}

/* One token further. *t: it. */
static enum event step(struct walk *w, struct token *t)
{
    enum event happened = NOTHING;

    *t = next(&w->place);
    if (t->kind == '!')
        return UNENDED;
    if (t->kind == '\0')
        return END;
    if (w->list) {
        w->list = t->kind == '}' ? 0 : w->list;
        t->kind = t->kind == '}' ? 'v' : t->kind; /* the value's end */
    } else if (t->kind == '{') {
        happened = opening(w, t);
    } else if (t->kind == '}') {
        happened = w->depth ? SECTION_ENDS : TOO_MANY;
    } else if (t->kind == '=' && w->last.kind == 'w') {
        w->name = w->last;
        happened = option(w);
    } else if (t->kind == 'w' && w->last.kind == '=') {
        t->kind = 'v';
    } else if (t->kind == 'w' && w->last.kind != 'w') {
        w->name = *t; /* of an option, or of a section: its title, if any, is the next word */
    }
    w->last = *t;
    return happened;
}

static struct walk begin(const char *text, size_t n)
{
    return (struct walk){.place = {text, text + n, 1}};
}

/* ---- outside */

static int complain(const char *name, unsigned line, struct err *e, const char *what)
{
    return err_set(e, "%s:%u: %s", name, line, what);
}

static int twice(const char *name, const struct walk *w, struct err *e)
{
    const struct section *s = &w->section[w->depth];
    unsigned line = 0;

    for (unsigned i = 0; i < s->count && !line; i++)
        if (s->options[i].name.n == w->name.text.n && memcmp(s->options[i].name.p, w->name.text.p, w->name.text.n) == 0)
            line = s->options[i].line;
    return err_set(e, "%s:%u: %.*s: it stands in line %u already; remove one", name, w->name.line,
                   (int)(w->name.text.n < 40 ? w->name.text.n : 40), w->name.text.p, line);
}

/* Where a quotation mark is missing all the following ones are taken for their contrary, so the culprit is the first string
 * with a line's end in it. */
static unsigned first_long(const char *text, size_t n)
{
    struct place p = {text, text + n, 1};

    for (;;) {
        struct token t = next(&p);

        if (t.kind == '\0' || t.kind == '!' || memchr(t.text.p, '\n', t.text.n))
            return t.line;
    }
}

int scenario_text_check(const char *name, const char *text, size_t n, struct err *e)
{
    struct walk w = begin(text, n);
    struct token t;

    if (memchr(text, '\0', n))
        return err_set(e, "%s: there is a NUL in it", name);
    for (;;)
        switch (step(&w, &t)) {
        case TWICE:
            return twice(name, &w, e);
        case SECTION_ENDS:
            w.depth--;
            w.name.kind = '\0';
            break;
        case TOO_MANY:
            return complain(name, t.line, e, "a } that closes nothing; remove it");
        case TOO_DEEP:
            return complain(name, t.line, e, "sections inside of too many sections; is a } missing?");
        case UNENDED:
            if (t.text.n == 2 && memcmp(t.text.p, "/*", 2) == 0)
                return complain(name, t.line, e, "a comment that does not end; write */");
            return complain(name, first_long(text, n), e, "a string that does not end; write its quotation mark");
        case END:
            if (w.list)
                return complain(name, w.list, e, "a list that does not end; write }");
            return w.depth ? complain(name, w.section[w.depth].line, e, "a section that does not end; write }") : 0;
        default:
            break;
        }
}

static unsigned line_of(const struct section *s, const char *option)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->options[i].name.n == strlen(option) && memcmp(s->options[i].name.p, option, s->options[i].name.n) == 0)
            return s->options[i].line;
    return 0;
}

/* Several sections may end in one line: the first that has the option is meant, or the last one. */
unsigned scenario_text_line(const char *text, size_t n, unsigned end, const char *option)
{
    struct walk w = begin(text, n);
    unsigned begins = 0, line = 0;
    struct token t;

    for (;;)
        switch (step(&w, &t)) {
        case SECTION_ENDS:
            if (t.line == end) {
                begins = w.section[w.depth].line;
                line = line_of(&w.section[w.depth], option);
            }
            w.depth--;
            w.name.kind = '\0';
            if (line)
                return line;
            break;
        case TOO_MANY:
        case TOO_DEEP:
        case UNENDED:
        case END:
            return begins ? begins : end;
        default:
            break;
        }
}

void scenario_text_sections(const char *text, size_t n, scenario_section_fn *fn, void *arg)
{
    struct walk w = begin(text, n);
    enum event happened;
    struct token t;

    while ((happened = step(&w, &t)) <= SECTION_ENDS)
        if (happened == SECTION_ENDS) {
            const struct section *s = &w.section[w.depth--];

            fn(arg, &(struct scenario_section){s->name, s->line, t.line});
            w.name.kind = '\0';
        }
}

static void blank(char *from, const char *to)
{
    for (; from < to; from++)
        if (*from != '\n')
            *from = ' ';
}

void scenario_text_blank(char *text, size_t n)
{
    struct place p = {text, text + n, 1};

    while (p.at < p.end) {
        char *from = text + (p.at - text);
        bool more = p.at + 1 < p.end;

        if (*p.at == '"' || *p.at == '\'') {
            (void)quoted(&p);
        } else if (*p.at == '#' || (more && p.at[0] == '/' && p.at[1] == '/')) {
            skip_line(&p);
            blank(from, p.at);
        } else if (more && p.at[0] == '/' && p.at[1] == '*') {
            (void)skip_comment(&p);
            blank(from, p.at);
        } else {
            p.at++;
        }
    }
}

unsigned scenario_text_variable(const char *text, size_t n)
{
    struct place p = {text, text + n, 1};

    for (;;) {
        struct token t = next(&p);
        const char *end = t.text.p + t.text.n;

        if (t.kind == '\0' || t.kind == '!')
            return 0;
        if (t.text.n && end[-1] == '$' && end < p.end && *end == '{')
            return t.line;
        if (t.text.p > text && t.text.p[-1] == '"' && memmem(t.text.p, t.text.n, "${", 2))
            return t.line;
    }
}

bool scenario_text_include(const char *text, size_t n, size_t after, struct scenario_include *out)
{
    struct walk w = begin(text, n);
    unsigned seen = 0; /* of: include ( name ) */
    struct token t;

    for (;;) {
        enum event happened = step(&w, &t);

        if (happened == UNENDED || happened == END || happened == TOO_MANY || happened == TOO_DEEP)
            return false;
        if (happened == SECTION_ENDS) {
            w.depth--;
            w.name.kind = '\0';
        }
        if (w.depth || w.list || happened == SECTION_ENDS) {
            seen = 0;
        } else if (t.kind == 'w' && span_is(t.text, "include") && (size_t)(t.text.p - text) >= after) {
            out->from = (size_t)(t.text.p - text);
            out->line = t.line;
            seen = 1;
        } else if (seen == 1 && t.kind == '(') {
            seen = 2;
        } else if (seen == 2 && t.kind == 'w') {
            out->name = t.text;
            seen = 3;
        } else if (seen == 3 && t.kind == ')') {
            out->to = (size_t)(w.place.at - text);
            return true;
        } else {
            seen = 0;
        }
    }
}
