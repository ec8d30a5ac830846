#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_session_own.h"

#define SMALL 256u

static const char *const extensions[] = {"PIPELINING", "SIZE 52428800", "8BITMIME",
                                         "SMTPUTF8",   "CHUNKING",      "ENHANCEDSTATUSCODES"};

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
    size_t n = sizeof extensions / sizeof *extensions;

    if (tls && strcmp(how, "first") == 0)
        add_word(w, tls);
    for (size_t i = 0; i < n; i++) {
        if (tls && i == n / 2 && strcmp(how, "middle") == 0)
            add_word(w, tls);
        if (!is_dropped(h, extensions[i]))
            add_word(w, extensions[i]);
    }
    for (char **a = h->add; a && *a; a++)
        add_word(w, *a);
    if (tls && strcmp(how, "first") != 0 && strcmp(how, "middle") != 0)
        add_word(w, tls);
}

static void ehlo(struct bench_session *s)
{
    struct words w = {.count = 0};
    struct buf text = {0};

    bench_choose_forget(s);
    s->mail = false;
    add_word(&w, s->setup.hostname);
    offer(s, &w);
    for (unsigned i = 0; i < w.count; i++)
        buf_printf(&text, "250%c%s\r\n", i + 1 < w.count ? '-' : ' ', w.list[i]);
    buf_append(&text, "", 1);
    s->greeted = bench_step_answer(s, s->in_tls ? BENCH_EHLO_TLS : BENCH_EHLO, buf_data(&text)) == '2';
    buf_clear(&text);
}

static void starttls(struct bench_session *s)
{
    char code;

    if (s->in_tls || !s->setup.tls_possible) {
        bench_session_send(s, s->in_tls ? "503 5.5.1 in TLS already\r\n" : "502 5.5.1 not offered\r\n",
                           s->in_tls ? 26 : 23);
        return;
    }
    code = bench_step_answer(s, BENCH_STARTTLS, "220 2.0.0 go ahead\r\n");
    if (code != '2' || s->mode == BENCH_DEAF)
        return;
    bench_session_push(s, BENCH_DO_START_TLS);
    s->mode = BENCH_TLS_NEXT;
}

static void keep(char **dst, struct span arg)
{
    const char *from = memchr(arg.p, '<', arg.n), *to = from ? memchr(from, '>', arg.n - (size_t)(from - arg.p)) : NULL;

    free(*dst);
    *dst = from && to ? mem_strn(from + 1, (size_t)(to - from - 1)) : mem_strn(arg.p, arg.n);
}

static void mail(struct bench_session *s, struct span arg)
{
    if (s->mail) {
        bench_session_send(s, "503 5.5.1 nested MAIL\r\n", 23);
        return;
    }
    keep(&s->sender, arg);
    s->rcpts = 0;
    bench_choose_forget(s);
    bench_choose_asked(s, s->sender);
    bench_choose(s, BENCH_AT_MAIL);
    s->mail = bench_step_answer(s, BENCH_MAIL, "250 2.1.0 Ok\r\n") == '2';
}

static void rcpt(struct bench_session *s, struct span arg)
{
    if (!s->mail) {
        bench_session_send(s, "503 5.5.1 MAIL first\r\n", 22);
        return;
    }
    keep(&s->last_rcpt, arg);
    bench_choose_asked(s, s->last_rcpt);
    bench_choose(s, BENCH_AT_RCPT);
    s->rcpts += bench_step_answer(s, BENCH_RCPT, "250 2.1.5 Ok\r\n") == '2';
}

static void begin_content(struct bench_session *s)
{
    bench_content_begin(&s->content, s->setup.scenario->also_ends);
    s->reached = 0;
}

static void data(struct bench_session *s)
{
    const char *right = !s->mail ? "503 5.5.1 MAIL first\r\n" : !s->rcpts ? "554 5.5.1 no valid recipients\r\n" : NULL;

    if (!s->mail) {
        bench_session_send(s, right, strlen(right));
        return;
    }
    if (bench_step_answer(s, BENCH_DATA, right ? right : "354 go\r\n") != '3')
        return;
    begin_content(s);
    s->mode = BENCH_CONTENT;
}

/* ---- content */

static void count(struct bench_session *s, bool accepted)
{
    struct bench_totals *t = s->setup.totals;

    if (!t)
        return;
    t->messages += accepted;
    t->refused += !accepted;
    t->octets += accepted ? s->content.body.bytes : 0;
}

static void message_over(struct bench_session *s)
{
    char code;

    bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_BODY, .body = &s->content.body});
    s->mode = BENCH_LINES;
    code = bench_step_answer(s, BENCH_DATA_END, "250 2.0.0 Ok\r\n");
    count(s, code == '2');
    bench_session_tell(
        s, &(struct bench_event){.kind = BENCH_EV_MESSAGE, .accepted = code == '2', .body = &s->content.body});
    s->mail = s->chunking = false;
}

/* The next octet of the content at which a step waits; 0: none does. */
static uint64_t next_stop(const struct bench_session *s)
{
    const struct bench_scenario *sc = s->setup.scenario;
    uint64_t stop = 0;

    for (unsigned i = 0; i < sc->step_count; i++)
        if (sc->steps[i].at == BENCH_BODY && sc->steps[i].bytes > s->reached && (!stop || sc->steps[i].bytes < stop))
            stop = sc->steps[i].bytes;
    return stop;
}

static void reach(struct bench_session *s, uint64_t stop)
{
    if (!stop || s->content.body.bytes < stop)
        return;
    s->reached = stop;
    bench_step_answer(s, BENCH_BODY, NULL);
}

size_t bench_verb_content(struct bench_session *s, const char *p, size_t n)
{
    uint64_t stop = next_stop(s);
    bool ended;
    size_t taken = bench_content_data(&s->content, p, n, stop, &ended);

    if (ended)
        message_over(s);
    else
        reach(s, stop);
    return taken;
}

static void chunk_over(struct bench_session *s)
{
    s->mode = BENCH_LINES;
    if (s->chunk_last)
        message_over(s);
    else
        bench_step_answer(s, BENCH_BDAT, "250 2.0.0 Ok\r\n");
}

size_t bench_verb_chunk(struct bench_session *s, const char *p, size_t n)
{
    uint64_t stop = next_stop(s);
    size_t taken = bench_content_chunk(&s->content, p, n < s->chunk_left ? n : (size_t)s->chunk_left, stop);

    s->chunk_left -= taken;
    reach(s, stop);
    if (s->mode == BENCH_CHUNK && !s->chunk_left)
        chunk_over(s);
    return taken;
}

static void bdat(struct bench_session *s, struct span arg)
{
    const char *blank = memchr(arg.p, ' ', arg.n);
    struct span size = {arg.p, blank ? (size_t)(blank - arg.p) : arg.n};

    if (!text_u64(size, &s->chunk_left) || s->chunk_left > s->setup.size_most) {
        bench_session_send(s, "501 5.5.4 BDAT what?\r\n", 22);
        return;
    }
    if (!s->mail || !s->rcpts) { /* RFC 3030 2: the octets are read all the same */
        bench_session_send(s, "503 5.5.1 MAIL and RCPT first\r\n", 31);
    }
    if (!s->chunking)
        begin_content(s);
    s->chunking = true;
    s->chunk_last = blank && strncasecmp(blank + 1, "LAST", 4) == 0;
    s->mode = BENCH_CHUNK;
    if (!s->chunk_left)
        chunk_over(s);
}

/* ---- AUTH, and which verb it is */

void bench_verb_auth_line(struct bench_session *s, struct span line)
{
    if (span_is(line, "*")) {
        s->mode = BENCH_LINES;
        bench_session_send(s, "501 5.7.0 cancelled\r\n", 21);
        return;
    }
    if (s->auth_steps && --s->auth_steps) {
        bench_session_send(s, "334 UGFzc3dvcmQ6\r\n", 18);
        return;
    }
    s->mode = BENCH_LINES;
    bench_session_send(s, "235 2.7.0 Welcome\r\n", 19);
}

/* Whoever it is is let in: what matters is what the sender did. */
static void auth(struct bench_session *s, struct span arg)
{
    bool login = arg.n >= 5 && strncasecmp(arg.p, "LOGIN", 5) == 0, initial = memchr(arg.p, ' ', arg.n) != NULL;
    char code = bench_step_answer(s, BENCH_AUTH,
                                  initial && !login ? "235 2.7.0 Welcome\r\n"
                                  : login           ? "334 VXNlcm5hbWU6\r\n"
                                                    : "334 \r\n");

    s->auth_steps = login ? (initial ? 1 : 2) : 1;
    if (code == '3')
        s->mode = BENCH_AUTH_LINES;
}

static const struct {
    const char *verb;
    void (*run)(struct bench_session *s, struct span arg);
} with_argument[] = {{"MAIL", mail}, {"RCPT", rcpt}, {"BDAT", bdat}, {"AUTH", auth}};

static void introduce(struct bench_session *s, struct span name)
{
    free(s->helo);
    s->helo = mem_strn(name.p, name.n);
    bench_choose(s, BENCH_AT_HELO);
}

static void other(struct bench_session *s, struct span verb)
{
    if (span_is_nocase(verb, "EHLO") || span_is_nocase(verb, "LHLO"))
        ehlo(s);
    else if (span_is_nocase(verb, "HELO"))
        s->greeted = bench_step_answer(s, BENCH_HELO, "250 bench\r\n") == '2';
    else if (span_is_nocase(verb, "STARTTLS"))
        starttls(s);
    else if (span_is_nocase(verb, "DATA"))
        data(s);
    else if (span_is_nocase(verb, "RSET")) {
        s->mail = false;
        bench_choose_forget(s);
        bench_step_answer(s, BENCH_RSET, "250 2.0.0 Ok\r\n");
    } else if (span_is_nocase(verb, "NOOP"))
        bench_step_answer(s, BENCH_NOOP, "250 2.0.0 Ok\r\n");
    else if (span_is_nocase(verb, "QUIT")) {
        bench_step_answer(s, BENCH_QUIT, "221 2.0.0 bye\r\n");
        if (s->mode != BENCH_DEAF)
            bench_session_end(s, BENCH_CLOSE);
    } else
        bench_session_send(s, "500 5.5.1 what?\r\n", 17);
}

void bench_verb_run(struct bench_session *s, struct span line)
{
    const char *blank = memchr(line.p, ' ', line.n);
    struct span verb = {line.p, blank ? (size_t)(blank - line.p) : line.n},
                arg = {blank ? blank + 1 : line.p + line.n, blank ? line.n - verb.n - 1 : 0};

    for (size_t i = 0; i < sizeof with_argument / sizeof *with_argument; i++)
        if (span_is_nocase(verb, with_argument[i].verb)) {
            with_argument[i].run(s, arg);
            return;
        }
    if (span_is_nocase(verb, "EHLO") || span_is_nocase(verb, "LHLO") || span_is_nocase(verb, "HELO"))
        introduce(s, arg);
    other(s, verb);
}

void bench_verb_greet(struct bench_session *s)
{
    char greeting[SMALL];

    snprintf(greeting, sizeof greeting, "220 %s ESMTP TESTBENCH\r\n", s->setup.hostname);
    if (s->mode != BENCH_DEAF)
        bench_step_answer(s, BENCH_CONNECT, greeting);
}
