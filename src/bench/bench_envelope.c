#include "bench/bench_envelope.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
    while (s.n && is_blank(*s.p)) {
        s.p++;
        s.n--;
    }
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* A quoted local part may hold '>' (RFC 5321 4.1.2). */
static size_t closing(struct span s)
{
    bool quoted = false;

    for (size_t i = 1; i < s.n; i++) {
        if (quoted && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
        else if (s.p[i] == '>' && !quoted)
            return i;
    }
    return 0;
}

struct bench_path bench_path_split(struct span arg)
{
    const char *colon = memchr(arg.p, ':', arg.n);
    size_t head = colon ? (size_t)(colon - arg.p) + 1 : 0, end;
    struct span rest = {arg.p + head, arg.n - head};
    struct bench_path out = {.spaced = colon && ((rest.n && is_blank(*rest.p)) || (head > 1 && is_blank(colon[-1])))};

    rest = trim(rest);
    end = rest.n && *rest.p == '<' ? closing(rest) : 0;
    if (end) {
        out.bracketed = true;
        out.addr = (struct span){rest.p + 1, end - 1};
        end++;
    } else {
        while (end < rest.n && !is_blank(rest.p[end]))
            end++;
        out.addr = (struct span){rest.p, end};
    }
    out.params = trim((struct span){rest.p + end, rest.n - end});
    return out;
}

struct span bench_path_param(struct span params, const char *name)
{
    size_t n = strlen(name);

    while (params.n) {
        size_t word = 0;

        while (word < params.n && !is_blank(params.p[word]))
            word++;
        if (word >= n && strncasecmp(params.p, name, n) == 0 && (word == n || params.p[n] == '='))
            return (struct span){params.p + n + (word > n), word - n - (word > n)};
        params = trim((struct span){params.p + word, params.n - word});
    }
    return (struct span){NULL, 0};
}

static char *bounded(struct span s)
{
    return mem_strn(s.n ? s.p : "", s.n < BENCH_PATH_MOST ? s.n : BENCH_PATH_MOST);
}

void bench_envelope_clear(struct bench_envelope *e)
{
    for (unsigned i = 0; i < e->rcpt_count; i++) {
        free(e->rcpts[i].addr);
        free(e->rcpts[i].params);
    }
    free(e->rcpts);
    free(e->from);
    free(e->params);
    *e = (struct bench_envelope){0};
}

void bench_envelope_mail(struct bench_envelope *e, struct span arg)
{
    struct bench_path p = bench_path_split(arg);
    struct span size = bench_path_param(p.params, "SIZE");

    bench_envelope_clear(e);
    e->from = bounded(p.addr);
    e->params = bounded(p.params);
    e->size_given = size.p && text_u64(size, &e->size_declared);
}

void bench_envelope_rcpt(struct bench_envelope *e, struct span arg, unsigned code)
{
    struct bench_path p = bench_path_split(arg);

    if (e->rcpt_count == BENCH_ENVELOPE_MOST) {
        e->rcpts_more++;
        return;
    }
    if ((e->rcpt_count & (e->rcpt_count - 1)) == 0) /* room doubles */
        e->rcpts = mem_grow(e->rcpts, (e->rcpt_count ? 2 * e->rcpt_count : 1) * sizeof *e->rcpts);
    e->rcpts[e->rcpt_count++] = (struct bench_rcpt){bounded(p.addr), bounded(p.params), code};
}
