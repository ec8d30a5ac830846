#include "conf/conf_scan.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf_options.h"
#include "conf/conf_utf8.h"

struct reading {
    struct conf_scan *s;
    struct conf_problems *p;
    const struct conf_reader *reader;
    const char *file;
    const char *at, *end;
    unsigned line;
    const struct reading *from; /* the file that includes this one */
};

static void push(struct conf_scan *s, struct conf_token t)
{
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 256;
        s->tokens = mem_grow(s->tokens, s->cap * sizeof *s->tokens);
    }
    s->tokens[s->count++] = t;
}

static char *hold(struct conf_scan *s, char *text)
{
    s->held = mem_grow(s->held, (s->held_count + 1) * sizeof *s->held);
    s->held[s->held_count++] = text;
    return text;
}

void conf_scan_insert(struct conf_scan *s, unsigned at, char kind, const char *text, bool bad)
{
    struct conf_token t = {.kind = kind, .made = true, .bad = bad, .text = span_str(text)};
    const struct conf_token *near = at ? &s->tokens[at - 1] : &s->tokens[at];

    if (s->count) {
        t.line = near->line;
        t.file = near->file;
    }
    push(s, t);
    memmove(&s->tokens[at + 1], &s->tokens[at], (s->count - 1 - at) * sizeof t);
    s->tokens[at] = t;
}

static void token(struct reading *r, char kind, const char *from, bool bad)
{
    struct conf_scan *s = r->s;
    struct conf_token t = {
        .kind = kind, .bad = bad, .line = r->line, .file = r->file, .text = {from, (size_t)(r->at - from)}};

    /* An empty list says nothing to libconfuse's callback; an empty string inside does. */
    if (kind == '}' && s->count >= 2 && s->tokens[s->count - 1].kind == '{' &&
        (s->tokens[s->count - 2].kind == '=' || s->tokens[s->count - 2].kind == '+'))
        push(s, (struct conf_token){.kind = 't', .made = true, .line = r->line, .file = r->file, .text = SPAN("\"\"")});
    if (bad) /* whatever it was: conf_load.c writes something harmless */
        t.text = SPAN("");
    push(s, t);
}

/* Of a token by itself. Behind a = it is the option's problem. Past SCAN_MOST the rest is not read:
 * this is some other kind of file. */
#define SCAN_MOST 100
static void problem(struct reading *r, const char *remedy, const char *text)
{
    const struct conf_token *t = r->s->tokens;
    unsigned n = r->s->count;
    char *option = n >= 2 && t[n - 1].kind == '=' && t[n - 2].kind == 't' ? conf_token_text(&t[n - 2]) : NULL;

    conf_problem_add(r->p, false, r->file, r->line, option, remedy, "%s", text);
    free(option);
    if (++r->s->problems == SCAN_MOST) {
        conf_problem_add(r->p, false, r->file, r->line, NULL, "mend these first",
                         "too many errors, the rest was not read");
        r->s->given_up = true;
    }
}

/* ${NAME} or ${NAME:-default} at `at`. Returns what follows it, or NULL when it was reported. */
static const char *variable(struct reading *r, const char *at, const char *end)
{
    const char *close = memchr(at, '}', (size_t)(end - at));
    const char *p = at + 2;
    char name[128];

    while (close && p < close && (isalnum((unsigned char)*p) || *p == '_'))
        p++;
    if (!close || p == at + 2 || (size_t)(p - at - 2) >= sizeof name || !(p == close || (p[0] == ':' && p[1] == '-'))) {
        problem(r, "write \"${NAME}\" or \"${NAME:-default}\", or a backslash before the dollar sign",
                "\"${\" without a variable's name");
        return NULL;
    }
    memcpy(name, at + 2, (size_t)(p - at - 2));
    name[p - at - 2] = '\0';
    if (p == close && !getenv(name)) {
        char *remedy = mem_printf("set it, or write ${%s:-default}", name);
        char *text = mem_printf("the environment variable %s is not set", name);

        problem(r, remedy, text);
        free(remedy);
        free(text);
        return NULL;
    }
    return close + 1;
}

/* The escapes of libconfuse that can go wrong: \8, \777 and those that make a NUL, which would cut
 * the value. */
static bool escape_is_good(const char *at, const char *end)
{
    unsigned value = 0, digits = 0;

    if (at[1] == 'x') {
        for (at += 2; at < end && digits < 2 && isxdigit((unsigned char)*at); at++, digits++)
            value = value * 16 + (unsigned)(isdigit((unsigned char)*at) ? *at - '0' : 9);
        return digits == 0 || value != 0;
    }
    if (!isdigit((unsigned char)at[1]))
        return true;
    for (at++; at < end && isdigit((unsigned char)*at); at++, digits++)
        value = *at > '7' ? 1000 : value < 1000 ? value * 8 + (unsigned)(*at - '0') : value;
    return digits <= 3 && value > 0 && value <= 255;
}

/* A quoted string, r->at on the quote. It ends on its line: that is how a forgotten quote is found
 * where it is. */
static void quoted(struct reading *r)
{
    const char *from = r->at, *eol = memchr(from, '\n', (size_t)(r->end - from));
    char quote = *from;
    bool bad = false;
    const char *p = from + 1;

    if (!eol)
        eol = r->end;
    if (eol > p && eol[-1] == '\r')
        eol--;
    while (p < eol && *p != quote) {
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f) {
            if (!bad)
                problem(r, "remove it", "a control character inside a string");
            bad = true;
            p++;
        } else if (*p == '\\' && p + 1 < eol) {
            if (quote == '"' && !bad && !escape_is_good(p, eol)) {
                problem(r, "write a backslash twice to mean one", "a bad escape sequence");
                bad = true;
            }
            p += 2;
        } else if (quote == '"' && !bad && p[0] == '$' && p + 1 < eol && p[1] == '{') {
            const char *next = variable(r, p, eol);

            bad = !next;
            p = next ? next : p + 2;
        } else {
            p++;
        }
    }
    if (p >= eol) {
        problem(r, "end the string on the line where it begins", "a string without its closing quote");
        token(r, 't', from, true);
        for (r->at = from; r->at < eol;) /* its braces were most likely meant as braces */
            if (strchr("{}", *r->at++))
                token(r, r->at[-1], r->at - 1, false);
        return;
    }
    r->at = p + 1;
    token(r, 't', from, bad);
}

static bool is_comment(const struct reading *r, const char *p)
{
    return *p == '#' || (*p == '/' && p + 1 < r->end && (p[1] == '/' || p[1] == '*'));
}

static void comment(struct reading *r)
{
    if (*r->at == '/' && r->at[1] == '*') {
        unsigned line = r->line;

        for (r->at += 2; r->at < r->end; r->at++) {
            if (*r->at == '\n')
                r->line++;
            if (r->at[0] == '*' && r->at + 1 < r->end && r->at[1] == '/') {
                r->at += 2;
                return;
            }
        }
        conf_problem_add(r->p, false, r->file, line, NULL, "end it with */", "a comment that never ends");
        return;
    }
    while (r->at < r->end && *r->at != '\n')
        r->at++;
}

/* "name =" at the end of a line, and the next line is a statement: that is a value forgotten, not
 * one on its way. */
static void check_missing(struct reading *r, const char *from)
{
    struct conf_scan *s = r->s;
    const struct conf_token *equal = s->count ? &s->tokens[s->count - 1] : NULL;
    char *word = mem_strn(from, (size_t)(r->at - from)), *name;
    const char *p = r->at;

    while (p < r->end && (*p == ' ' || *p == '\t'))
        p++;
    if (s->count >= 2 && equal->kind == '=' && equal->line != r->line && p < r->end &&
        ((conf_section_find(word) != CONF_SECTIONS && (*p == '{' || *p == '"' || isalnum((unsigned char)*p))) ||
         (conf_option_known(word) && *p == '='))) {
        name = conf_token_text(equal - 1);
        conf_problem_add(r->p, false, equal->file, equal->line, name, "write it on the same line", "it has no value");
        free(name);
        push(s,
             (struct conf_token){
                 .kind = 't', .made = true, .bad = true, .line = equal->line, .file = equal->file, .text = SPAN("")});
    }
    free(word);
}

/* A word without quotes. libconfuse drops some characters silently, takes others for its own use:
 * those want quotes. */
static void word(struct reading *r)
{
    const char *from = r->at;
    bool bad = false;

    while (r->at < r->end && (unsigned char)*r->at > ' ' && *r->at != 0x7f && !strchr("\"'={}(),#", *r->at) &&
           !(r->at > from && r->at[0] == '/' && r->at + 1 < r->end && r->at[1] == '*')) {
        if (strchr("+*\\$|", *r->at) && !bad) {
            char *text = mem_printf("the character %c stands outside of quotes", *r->at);

            problem(r, "put the value in double quotes", text);
            free(text);
            bad = true;
        }
        r->at++;
    }
    if (!bad)
        check_missing(r, from);
    token(r, 't', from, bad);
}

static void scan_text(struct reading *r);

/* The name of the file inside include("..."), or NULL when it was reported. */
static char *include_name(struct reading *r, const struct conf_token *t)
{
    unsigned depth = 0;
    char *name, *path;

    for (const struct reading *up = r; up; up = up->from)
        depth++;
    if (depth > CONF_SCAN_DEPTH || r->s->files >= CONF_SCAN_FILES) {
        problem(r, "include fewer files", "too many included files, or included too deeply");
        return NULL;
    }
    if (t->kind != 't' || t->bad || memchr(t->text.p, '\\', t->text.n) || memchr(t->text.p, '$', t->text.n)) {
        problem(r, "write include(\"/path/of/the/file\"), without variables or backslashes",
                "include() wants the name of one file");
        return NULL;
    }
    name = conf_token_text(t);
    path = conf_path_join(r->file, name);
    free(name);
    for (const struct reading *up = r; up; up = up->from) {
        if (strcmp(up->file, path) == 0) {
            conf_problem_add(r->p, false, r->file, r->line, "include", "remove this line", "%s includes itself", path);
            free(path);
            return NULL;
        }
    }
    return path;
}

/* After ")": the last tokens are include ( "name" ). They go, the file's tokens come. */
static void include(struct reading *r)
{
    struct conf_scan *s = r->s;
    struct conf_token named = s->tokens[s->count - 2];
    struct reading in = *r;
    struct err e = {""};
    char *path, *text = NULL;
    size_t len = 0;

    s->count -= 4;
    path = include_name(r, &named);
    if (!path)
        return;
    hold(s, path);
    if (r->reader->read(r->reader->arg, path, &text, &len, &e)) {
        conf_problem_add(r->p, false, r->file, r->line, "include", NULL, "%s", e.text);
        return;
    }
    hold(s, text);
    if (memchr(text, '\0', len)) {
        conf_problem_add(r->p, false, r->file, r->line, "include", NULL, "%s is not a text file", path);
        return;
    }
    s->files++;
    in.file = path;
    in.at = conf_utf8_begin(text, len);
    in.end = text + len;
    in.line = 1;
    in.from = r;
    scan_text(&in);
}

static bool scan_size(struct reading *r)
{
    size_t n = (size_t)(r->end - r->at);

    if (n > CONF_SCAN_BYTES - r->s->bytes) {
        problem(r, "put lists of mailboxes into a mailbox-file", "the configuration is larger than 4 MiB");
        return false;
    }
    r->s->bytes += n;
    return true;
}

static void scan_text(struct reading *r)
{
    struct conf_scan *s = r->s;

    if (!scan_size(r))
        return;
    while (r->at < r->end && !s->given_up) {
        const char *p = r->at;

        if (*p == '\n') {
            r->line++;
            r->at++;
        } else if (*p == ' ' || *p == '\t' || *p == '\r') {
            r->at++;
        } else if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            problem(r, "remove it", "a control character");
            r->at++;
        } else if (is_comment(r, p)) {
            comment(r);
        } else if (*p == '"' || *p == '\'') {
            quoted(r);
        } else if (strchr("={}(),", *p)) {
            r->at++;
            token(r, *p, p, false);
            if (*p == ')' && s->count >= 4 && s->tokens[s->count - 3].kind == '(' &&
                conf_token_is(&s->tokens[s->count - 4], "include"))
                include(r);
        } else if (*p == '+' && p + 1 < r->end && p[1] == '=') {
            r->at += 2;
            token(r, '+', p, false);
        } else {
            word(r);
        }
    }
}

void conf_scan(struct conf_scan *out, const char *file, const char *text, const struct conf_reader *reader,
               struct conf_problems *p)
{
    struct reading r = {.s = out,
                        .p = p,
                        .reader = reader,
                        .file = file,
                        .at = conf_utf8_begin(text, strlen(text)),
                        .end = text + strlen(text),
                        .line = 1};

    *out = (struct conf_scan){.files = 1};
    scan_text(&r);
}

void conf_scan_free(struct conf_scan *s)
{
    for (unsigned i = 0; i < s->held_count; i++)
        free(s->held[i]);
    free(s->held);
    free(s->tokens);
    *s = (struct conf_scan){0};
}

char *conf_token_text(const struct conf_token *t)
{
    struct span s = t->text;

    if (s.n >= 2 && (*s.p == '"' || *s.p == '\''))
        return mem_strn(s.p + 1, s.n - 2);
    return mem_strn(s.p, s.n);
}

bool conf_token_is(const struct conf_token *t, const char *name)
{
    return t->kind == 't' && !t->bad && span_is(t->text, name);
}

char *conf_path_join(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    char cwd[PATH_MAX];

    if (*path == '/')
        return mem_str(path);
    if (slash == file)
        return mem_printf("/%s", path);
    if (*file == '/')
        return mem_printf("%.*s/%s", (int)(slash - file), file, path);
    if (!getcwd(cwd, sizeof cwd))
        return mem_str(path);
    if (!slash)
        return mem_printf("%s/%s", cwd, path);
    return mem_printf("%s/%.*s/%s", cwd, (int)(slash - file), file, path);
}
