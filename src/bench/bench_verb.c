#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_session_own.h"

#define SMALL 600u

static void reply(struct bench_session *s, const char *text)
{
    bench_session_send(s, text, strlen(text));
}

/* RFC 3207 4: not where it was not offered, and once is enough; a scenario that has a step there takes it all the same. */
static void starttls(struct bench_session *s, struct span arg)
{
    char code;

    if (s->in_tls || !s->setup.tls_possible ||
        (!bench_ehlo_has(s, "STARTTLS") && !bench_step_stands(s, BENCH_STARTTLS))) {
        reply(s, s->in_tls ? "503 5.5.1 in TLS already\r\n" : "502 5.5.1 not offered\r\n");
        return;
    }
    if (arg.n) {
        reply(s, "501 5.5.4 STARTTLS stands alone\r\n");
        return;
    }
    code = bench_step_answer(s, BENCH_STARTTLS, "220 2.0.0 go ahead\r\n");
    if (code != '2' || s->mode == BENCH_DEAF)
        return;
    bench_session_push(s, BENCH_DO_START_TLS);
    s->mode = BENCH_TLS_NEXT;
}

/* ---- the envelope */

static void keep(char **dst, struct span arg)
{
    const char *from = memchr(arg.p, '<', arg.n), *to = from ? memchr(from, '>', arg.n - (size_t)(from - arg.p)) : NULL;

    free(*dst);
    *dst = from && to ? mem_strn(from + 1, (size_t)(to - from - 1)) : mem_strn(arg.p, arg.n);
}

static void forget(struct bench_session *s)
{
    if (s->chunking)
        bench_mail_body_over(s);
    s->mail = s->chunking = s->chunk_failed = false;
    s->rcpts = 0;
    bench_choose_forget(s);
}

static void mail(struct bench_session *s, struct span arg)
{
    const char *why;

    if (s->mail) {
        reply(s, "503 5.5.1 nested MAIL\r\n");
        return;
    }
    forget(s);
    keep(&s->sender, arg);
    s->size_declared = 0;
    bench_choose_asked(s, s->sender);
    bench_choose(s, BENCH_AT_MAIL);
    why = bench_ehlo_refuses(s, true, arg);
    s->mail = bench_step_answer(s, BENCH_MAIL, why ? why : "250 2.1.0 Ok\r\n") == '2';
    if (s->setup.event)
        bench_envelope_mail(&s->envelope, arg);
}

static void rcpt(struct bench_session *s, struct span arg)
{
    const char *why = bench_ehlo_refuses(s, false, arg);

    if (!s->mail) {
        reply(s, "503 5.5.1 MAIL first\r\n");
        return;
    }
    keep(&s->last_rcpt, arg);
    bench_choose_asked(s, s->last_rcpt);
    bench_choose(s, BENCH_AT_RCPT);
    s->rcpts += bench_step_answer(s, BENCH_RCPT, why ? why : "250 2.1.5 Ok\r\n") == '2';
    if (s->setup.event)
        bench_envelope_rcpt(&s->envelope, arg, bench_step_code(s));
}

/* ---- which verb it is */

static void data(struct bench_session *s, struct span arg)
{
    (void)arg;
    bench_mail_data(s);
}

static void rset(struct bench_session *s, struct span arg)
{
    (void)arg;
    forget(s);
    bench_step_answer(s, BENCH_RSET, "250 2.0.0 Ok\r\n");
}

static void noop(struct bench_session *s, struct span arg)
{
    (void)arg;
    bench_step_answer(s, BENCH_NOOP, "250 2.0.0 Ok\r\n");
}

static void quit(struct bench_session *s, struct span arg)
{
    (void)arg;
    bench_step_answer(s, BENCH_QUIT, "221 2.0.0 bye\r\n");
    if (s->mode != BENCH_DEAF)
        bench_session_end(s, BENCH_CLOSE);
}

static const struct {
    const char *verb;
    void (*run)(struct bench_session *s, struct span arg);
} verbs[] = {{"EHLO", bench_ehlo_ehlo},
             {"LHLO", bench_ehlo_ehlo},
             {"HELO", bench_ehlo_helo},
             {"STARTTLS", starttls},
             {"AUTH", bench_auth_run},
             {"MAIL", mail},
             {"RCPT", rcpt},
             {"DATA", data},
             {"BDAT", bench_mail_bdat},
             {"RSET", rset},
             {"NOOP", noop},
             {"QUIT", quit}};

void bench_verb_run(struct bench_session *s, struct span line)
{
    const char *blank = memchr(line.p, ' ', line.n);
    struct span verb = {line.p, blank ? (size_t)(blank - line.p) : line.n},
                arg = {blank ? blank + 1 : line.p + line.n, blank ? line.n - verb.n - 1 : 0};

    if (s->turned_away && !span_is_nocase(verb, "QUIT")) {
        reply(s, "503 5.5.1 QUIT is all that is left\r\n");
        return;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (span_is_nocase(verb, verbs[i].verb)) {
            verbs[i].run(s, arg);
            return;
        }
    reply(s, "500 5.5.1 what?\r\n");
}

void bench_verb_greet(struct bench_session *s)
{
    const struct bench_session_setup *setup = &s->setup;
    const char *known = setup->scenario->ehlo.own_name && setup->names
                            ? bench_names_find(setup->names, setup->lease, setup->scenario->name, setup->client)
                            : NULL;
    char greeting[SMALL];

    snprintf(greeting, sizeof greeting, "220 %s ESMTP TESTBENCH\r\n", known ? known : setup->hostname);
    if (s->mode != BENCH_DEAF)
        s->turned_away = bench_step_answer(s, BENCH_CONNECT, greeting) == '5';
}
