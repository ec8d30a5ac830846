#include "bench/scenario.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"

static const char *const at_names[BENCH_POINTS + 1] = {
    [BENCH_ACCEPT] = "accept",     [BENCH_CONNECT] = "connect",   [BENCH_EHLO] = "ehlo",
    [BENCH_HELO] = "helo",         [BENCH_STARTTLS] = "starttls", [BENCH_CLIENT_HELLO] = "client-hello",
    [BENCH_TLS_DONE] = "tls-done", [BENCH_EHLO_TLS] = "ehlo-tls", [BENCH_AUTH] = "auth",
    [BENCH_MAIL] = "mail",         [BENCH_RCPT] = "rcpt",         [BENCH_DATA] = "data",
    [BENCH_BODY] = "body",         [BENCH_DATA_END] = "data-end", [BENCH_BDAT] = "bdat",
    [BENCH_RSET] = "rset",         [BENCH_NOOP] = "noop",         [BENCH_QUIT] = "quit",
    [BENCH_IDLE] = "idle"};
static const char *const then_names[] = {[BENCH_CONTINUE] = "continue",
                                         [BENCH_CLOSE] = "close",
                                         [BENCH_CUT] = "cut",
                                         [BENCH_RST] = "rst",
                                         [BENCH_HALF_CLOSE] = "half-close",
                                         [BENCH_HANG] = "hang",
                                         [BENCH_PLAIN] = "plain",
                                         [BENCH_SWALLOW] = "swallow",
                                         [BENCH_EXTRA_REPLY] = "extra-reply",
                                         [BENCH_KEYUPDATE] = "keyupdate",
                                         [BENCH_RENEGOTIATE] = "renegotiate",
                                         [BENCH_RENEGOTIATE + 1] = NULL};
static const char *const policy_names[BENCH_POLICIES] = {
    [BENCH_OPPORTUNISTIC] = "opportunistic", [BENCH_REQUIRED] = "required", [BENCH_VERIFIED] = "verified"};

static const char *past_strokes(const char *s)
{
    while (*s == '-' || *s == '_')
        s++;
    return s;
}

bool bench_word_is(const char *a, const char *b)
{
    for (a = past_strokes(a), b = past_strokes(b); *a && *b; a = past_strokes(a + 1), b = past_strokes(b + 1))
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
    return *a == *b;
}

static int find(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (bench_word_is(names[i], name))
            return i;
    return -1;
}

const char *bench_at_name(enum bench_at at)
{
    return at_names[at];
}

const char *const *bench_at_names(void)
{
    return at_names;
}

int bench_at_find(const char *name)
{
    return find(at_names, BENCH_POINTS, name);
}

const char *const *bench_then_names(void)
{
    return then_names;
}

const char *bench_policy_name(enum bench_policy p)
{
    return policy_names[p];
}

int bench_policy_find(const char *name)
{
    return find(policy_names, BENCH_POLICIES, name);
}

bool bench_is_about_starttls(const struct bench_scenario *s)
{
    for (unsigned i = 0; i < s->step_count; i++)
        if (s->steps[i].at == BENCH_STARTTLS || s->steps[i].tls == BENCH_CLEAR)
            return true;
    return s->ehlo.starttls || s->tls.told;
}

bool bench_told_implicit(const struct bench_scenario *s, bool implicit)
{
    return s->tls.told ? strcmp(s->tls.told, "implicit") == 0 : s->tls.implicit || implicit;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int bench_bytes_parse(struct bench_bytes *out, const char *text, struct err *e)
{
    struct buf b = {0};

    for (const char *p = text; *p; p++) {
        char c = *p;

        if (c == '%') {
            p++;
            if (*p == 'r' || *p == 'n' || *p == '%') {
                c = *p == 'r' ? '\r' : *p == 'n' ? '\n' : '%';
            } else if (*p && hex(p[0]) >= 0 && hex(p[1]) >= 0) {
                c = (char)(hex(p[0]) << 4 | hex(p[1]));
                p++;
            } else {
                buf_clear(&b);
                return err_set(e, "%% is followed by two hexadecimal digits, r, n or %%");
            }
        }
        buf_append(&b, &c, 1);
    }
    out->n = b.len;
    out->p = mem_strn(b.len ? buf_data(&b) : "", b.len);
    buf_clear(&b);
    return 0;
}

static void free_list(char **list)
{
    for (char **p = list; p && *p; p++)
        free(*p);
    free(list);
}

static void free_step(struct bench_step *s)
{
    free(s->rcpt);
    free(s->reply.p);
    free(s->inject.p);
    free(s->flood.p);
    for (unsigned i = 0; i < s->piece_count; i++)
        free(s->pieces[i].p);
    free(s->pieces);
}

bool bench_scenario_is_name(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr(".-_", name[i]))
            return false;
    return n > 0 && n <= 64;
}

void bench_scenario_free(struct bench_scenario *s)
{
    char *const texts[] = {s->name,         s->section,         s->doc,          s->correct,
                           s->source,       s->why_not,         s->file,         s->tls.cert,
                           s->tls.sni_cert, s->tls.ocsp,        s->tls.min,      s->tls.max,
                           s->tls.ciphers,  s->tls.groups,      s->tls.sigalgs,  s->tls.tickets,
                           s->tls.told,     s->tls.client_cert, s->ehlo.starttls};
    char **const lists[] = {s->tls.rotate, s->ehlo.add,    s->ehlo.drop,   s->ehlo.add_clear, s->ehlo.add_tls,
                            s->select.sni, s->select.helo, s->select.mail, s->select.rcpt,    s->recipients};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        free_list(lists[i]);
    free(s->select.client);
    free(s->also_ends.p);
    for (unsigned i = 0; i < s->step_count; i++)
        free_step(&s->steps[i]);
    free(s->steps);
    for (unsigned p = 0; p < BENCH_POLICIES; p++) {
        free_list(s->expect[p].forbid);
        free_list(s->expect[p].demand);
        free(s->expect[p].wait);
        free(s->expect[p].undecided);
    }
    memset(s, 0, sizeof *s);
}
