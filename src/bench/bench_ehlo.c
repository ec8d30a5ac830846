/* What EHLO offers, and that it is the same as what is taken: the text that was really said is looked at, a scenario's or
 * the right one. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench/bench_session_own.h"

static const char *const extensions[] = {"PIPELINING", "SIZE 52428800", "8BITMIME",
                                         "SMTPUTF8",   "CHUNKING",      "ENHANCEDSTATUSCODES"};
#define EXTENSIONS (sizeof extensions / sizeof *extensions)

/* ---- what is said */

static bool is_dropped(const struct bench_ehlo *h, const char *word)
{
    size_t n = strcspn(word, " ");

    for (char **d = h->drop; d && *d; d++)
        if (strlen(*d) == n && strncasecmp(*d, word, n) == 0)
            return true;
    return false;
}

struct words {
    const char *list[64];
    unsigned count;
};

static void add_word(struct words *w, const char *word)
{
    if (w->count < sizeof w->list / sizeof *w->list)
        w->list[w->count++] = word;
}

static void add_words(struct words *w, char **list)
{
    for (char **a = list; a && *a; a++)
        add_word(w, *a);
}

static const char *starttls_word(const struct bench_session *s)
{
    const char *how = s->setup.scenario->ehlo.starttls;

    if (s->in_tls || !s->setup.tls_possible || (how && strcmp(how, "none") == 0))
        return NULL;
    return !how                        ? "STARTTLS"
           : strcmp(how, "lower") == 0 ? "starttls"
           : strcmp(how, "param") == 0 ? "STARTTLS "
                                       : "STARTTLS";
}

/* What the scenario's EHLO offers, STARTTLS at its place. */
static void offer(const struct bench_session *s, struct words *w)
{
    const struct bench_ehlo *h = &s->setup.scenario->ehlo;
    const char *tls = starttls_word(s), *how = h->starttls ? h->starttls : "last";

    if (tls && strcmp(how, "first") == 0)
        add_word(w, tls);
    for (size_t i = 0; i < EXTENSIONS; i++) {
        if (tls && i == EXTENSIONS / 2 && strcmp(how, "middle") == 0)
            add_word(w, tls);
        if (!is_dropped(h, extensions[i]))
            add_word(w, extensions[i]);
    }
    add_words(w, h->add);
    add_words(w, s->in_tls ? h->add_tls : h->add_clear);
    if (tls && strcmp(how, "first") != 0 && strcmp(how, "middle") != 0)
        add_word(w, tls);
}

static char *answer_of(const struct bench_session *s, struct span name)
{
    struct words w = {.count = 0};
    struct buf text = {0};
    char *all;

    offer(s, &w);
    buf_printf(&text, "250%c%.*s\r\n", w.count ? '-' : ' ', (int)name.n, name.p);
    for (unsigned i = 0; i < w.count; i++)
        buf_printf(&text, "250%c%s\r\n", i + 1 < w.count ? '-' : ' ', w.list[i]);
    all = mem_strn(buf_data(&text), text.len);
    buf_clear(&text);
    return all;
}

/* ---- EHLO and HELO */

void bench_ehlo_begin(struct bench_session *s)
{
    free(s->offer);
    s->offer = answer_of(s, span_str(s->setup.hostname));
}

/* A name that can stand in a line of ours; ours, where it cannot. */
static struct span called(struct bench_session *s, struct span name)
{
    bool good = name.n && name.n <= BENCH_NAME_MOST;

    for (size_t i = 0; i < name.n && good; i++)
        good = name.p[i] > ' ' && name.p[i] < 0x7f;
    if (!good || !s->setup.scenario->ehlo.own_name)
        return span_str(s->setup.hostname);
    if (s->setup.names)
        bench_names_learn(s->setup.names, s->setup.lease, s->setup.scenario->name, s->setup.client, name);
    return name;
}

/* RFC 5321 4.1.4: EHLO is a RSET, too. */
static void introduce(struct bench_session *s, struct span name)
{
    if (s->chunking)
        bench_mail_body_over(s);
    s->mail = s->chunking = s->chunk_failed = false;
    bench_choose_forget(s);
    free(s->helo);
    s->helo = mem_strn(name.p, name.n);
    bench_choose(s, BENCH_AT_HELO);
}

static void each_line(struct bench_session *s, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");

        n += text[n] == '\n';
        bench_session_part(s, text, n);
        bench_session_pause(s, 1);
        text += n;
    }
}

void bench_ehlo_ehlo(struct bench_session *s, struct span name)
{
    enum bench_at at = s->in_tls ? BENCH_EHLO_TLS : BENCH_EHLO;
    char *right, code;

    introduce(s, name);
    right = answer_of(s, called(s, name));
    code = *right;
    if (!bench_step_acts(s, at, right, &code)) {
        if (s->mode != BENCH_DEAF && s->setup.scenario->ehlo.split)
            each_line(s, right);
        else if (s->mode != BENCH_DEAF)
            bench_session_part(s, right, strlen(right));
        bench_session_answered(s, s->delay_ms, 0);
        buf_append(&s->said, right, strlen(right));
    }
    free(right);
    free(s->offer);
    s->offer = code == '2' ? mem_strn(buf_data(&s->said), s->said.len) : mem_str("");
}

void bench_ehlo_helo(struct bench_session *s, struct span name)
{
    struct span us;
    char *right;

    introduce(s, name);
    us = called(s, name);
    right = mem_printf("250 %.*s\r\n", (int)us.n, us.p);
    bench_step_answer(s, BENCH_HELO, right);
    free(right);
    free(s->offer);
    s->offer = mem_str("");
}

/* ---- what is taken */

/* What stands behind the keyword in a line of the answer, from its blank or = on; NULL: it is not offered. */
static const char *find(const struct bench_session *s, const char *keyword)
{
    size_t n = strlen(keyword);

    for (const char *line = s->offer; *line; line += strcspn(line, "\r\n"), line += strspn(line, "\r\n"))
        if (strcspn(line, "\r\n") >= n + 4 && strncasecmp(line + 4, keyword, n) == 0 &&
            memchr(" =\r\n", line[4 + n], 5))
            return line + 4 + n;
    return NULL;
}

bool bench_ehlo_has(const struct bench_session *s, const char *keyword)
{
    return find(s, keyword) != NULL;
}

struct span bench_ehlo_words(const struct bench_session *s, const char *keyword)
{
    const char *p = find(s, keyword);

    return p ? (struct span){p, strcspn(p, "\r\n")} : SPAN("");
}

uint64_t bench_ehlo_size(const struct bench_session *s)
{
    struct span words = bench_ehlo_words(s, "SIZE");
    uint64_t most;

    while (words.n && *words.p == ' ') {
        words.p++;
        words.n--;
    }
    return text_u64(words, &most) && most && most < s->setup.size_most ? most : s->setup.size_most;
}

static const struct {
    const char *parameter, *keyword;
    bool mail;
} parameters[] = {{"SIZE", "SIZE", true},
                  {"BODY", "8BITMIME", true},
                  {"SMTPUTF8", "SMTPUTF8", true},
                  {"AUTH", "AUTH", true},
                  {"RET", "DSN", true},
                  {"ENVID", "DSN", true},
                  {"REQUIRETLS", "REQUIRETLS", true},
                  {"MT-PRIORITY", "MT-PRIORITY", true},
                  {"BY", "DELIVERBY", true},
                  {"HOLDFOR", "FUTURERELEASE", true},
                  {"HOLDUNTIL", "FUTURERELEASE", true},
                  {"NOTIFY", "DSN", false},
                  {"ORCPT", "DSN", false},
                  {"RRVS", "RRVS", false}};

static const char *refuse(struct bench_session *s, bool mail, struct span word)
{
    const char *equal = memchr(word.p, '=', word.n);
    struct span name = {word.p, equal ? (size_t)(equal - word.p) : word.n};
    struct span value = {equal ? equal + 1 : word.p + word.n, equal ? word.n - name.n - 1 : 0};

    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        if (parameters[i].mail != mail || !span_is_nocase(name, parameters[i].parameter) ||
            !bench_ehlo_has(s, parameters[i].keyword))
            continue;
        if (span_is_nocase(name, "BODY") && !span_is_nocase(value, "7BIT") && !span_is_nocase(value, "8BITMIME"))
            return "501 5.5.4 that BODY was not offered\r\n";
        if (span_is_nocase(name, "SIZE") && !text_u64(value, &s->size_declared))
            return "501 5.5.4 SIZE is a number\r\n";
        return mail && s->size_declared > bench_ehlo_size(s) ? "552 5.3.4 larger than what SIZE said\r\n" : NULL;
    }
    return "555 5.5.4 a parameter that was not offered\r\n"; /* RFC 5321 4.1.1.11 */
}

const char *bench_ehlo_refuses(struct bench_session *s, bool mail, struct span argument)
{
    const char *p = memchr(argument.p, '>', argument.n), *end = argument.p + argument.n, *why = NULL;

    for (p = p ? p + 1 : end; p < end && !why;) {
        const char *blank = memchr(p, ' ', (size_t)(end - p));
        struct span word = {p, (size_t)((blank ? blank : end) - p)};

        if (word.n)
            why = refuse(s, mail, word);
        p += word.n + 1;
    }
    return why;
}
