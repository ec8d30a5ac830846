/* A sender in the same process as the bench's session: correct, with a queue, or wrong in one way, which is named by the
 * fact that it is to show. No sockets and no clock, so that every scenario can be played to every such sender.
 *
 * TLS is what both sides say it is. Only the scenario's words are looked at: a certificate that is not called good-...
 * does not verify, nor does one whose stapled response is not good; ciphers of aNULL prove nothing, and of eNULL nobody takes
 * any. */
#ifndef TESTS_UNIT_BENCH_BENCH_PLAYER_H
#define TESTS_UNIT_BENCH_BENCH_PLAYER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_count.h"
#include "bench/bench_session.h"
#include "bench/transcript.h"
#include "bench/verdict.h"

#define PLAYER_TRIES 8
#define PLAYER_RCPTS 16
#define PLAYER_MESSAGES 20
#define PLAYER_WAIT_S 60 /* between tries */

enum player_way { PLAYER_PLAIN, PLAYER_PIPELINED, PLAYER_CHUNKED, PLAYER_WAYS };
enum player_state { PLAYER_OPEN, PLAYER_DONE, PLAYER_FAILED };

struct player {
    const struct bench_scenario *sc;
    enum bench_policy policy;
    enum player_way way;
    const char *bad; /* the name of a fact; "": correct */
    struct bench_facts f;
    struct bench_count *count;
    struct transcript_book *book;
    int64_t now_s;
    enum player_state state[PLAYER_MESSAGES][PLAYER_RCPTS];
    unsigned rcpts, tries;
    bool no_tls; /* it failed: the next connection does without */
    /* the session */
    struct bench_session *s;
    struct transcript *t;
    char in[131072];
    size_t len, at;
    bool over, hung, tls, start;
    char offer[4096]; /* the lines of the last answer; of EHLO's while it is in force */
};

static bool player_is(const struct player *p, const char *word)
{
    return strcmp(p->bad, word) == 0;
}

/* ---- the wire */

/* The player's clock is not the real one. */
static void player_line(void *arg, const json_t *line)
{
    struct player *p = arg;
    json_t *o = json_copy((json_t *)line);

    if (json_object_get(o, "ts"))
        json_object_set_new(o, "ts", json_integer((json_int_t)(1000000 + p->now_s) * 1000000));
    json_object_set_new(o, "mono_us", json_integer(0));
    bench_facts_take(&p->f, o);
    json_decref(o);
}

static void player_event(void *arg, const struct bench_event *ev)
{
    struct player *p = arg;

    transcript_event(p->t, ev);
}

static void player_drain(struct player *p)
{
    struct bench_do d;

    for (bench_session_next(p->s, &d); d.kind != BENCH_DO_WAIT; bench_session_next(p->s, &d)) {
        if (d.kind == BENCH_DO_SEND && p->len + d.bytes.n <= sizeof p->in) {
            memcpy(p->in + p->len, d.bytes.p, d.bytes.n);
            p->len += d.bytes.n;
        } else if (d.kind == BENCH_DO_START_TLS) {
            p->start = true;
            break;
        } else if (d.kind == BENCH_DO_END) {
            p->over = d.then != BENCH_HANG;
            p->hung = true;
            if (d.then == BENCH_RST) /* what lay there is lost */
                p->at = p->len;
            break;
        }
    }
}

static void player_put(struct player *p, const char *text, size_t n)
{
    if (p->hung)
        return;
    bench_session_feed(p->s, text, n, p->now_s);
    player_drain(p);
}

__attribute__((format(printf, 2, 3))) static void player_say(struct player *p, const char *format, ...)
{
    char text[1024];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    player_put(p, text, (size_t)n);
}

/* A whole reply's code; -1: none came, or what came is none. EHLO's lines are kept in offer. */
static int player_reply(struct player *p)
{
    int code = -1;
    bool more = true;

    p->offer[0] = '\0';
    while (more) {
        char *line = p->in + p->at, *lf = memchr(line, '\n', p->len - p->at);
        size_t n = lf ? (size_t)(lf - line) : 0, have = strlen(p->offer);

        if (n < 4 || n > 2000 || lf[-1] != '\r' || memchr(line, '\r', n) != lf - 1 || strspn(line, "0123456789") != 3 ||
            (code >= 0 && atoi(line) != code) || !strchr(" -\r", line[3]))
            return -1;
        code = atoi(line);
        more = line[3] == '-';
        p->at += n + 1;
        if (code == 250 && n > 5)
            snprintf(p->offer + have, sizeof p->offer - have, "%.*s\n", (int)n - 5, line + 4);
    }
    return code;
}

static int player_ask(struct player *p, const char *command)
{
    player_say(p, "%s\r\n", command);
    return player_reply(p);
}

static const char *player_offers(const struct player *p, const char *word)
{
    size_t n = strlen(word);

    for (const char *line = p->offer; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncasecmp(line, word, n) == 0 && strchr(" =\n", line[n]))
            return line + n;
    return NULL;
}

/* What it is shown: without SNI another one, perhaps. */
static const char *player_certificate(const struct player *p)
{
    const struct bench_tls *t = &p->sc->tls;

    return t->sni_cert && !player_is(p, "mail-unproven") ? t->sni_cert : t->cert ? t->cert : "good";
}

/* As a correct sender of its policy does, or one that is wrong in that. */
static bool player_trusts(const struct player *p)
{
    const struct bench_tls *t = &p->sc->tls;
    bool blind = player_is(p, "mail") || player_is(p, "auth");
    bool stale = t->ocsp && strcmp(t->ocsp, "good") != 0 && !player_is(p, "mail-status-asked");

    if (blind)
        return true;
    if (t->ciphers && strncmp(t->ciphers, "eNULL", 5) == 0)
        return false;
    if (p->policy != BENCH_VERIFIED)
        return true;
    if (t->ciphers && strncmp(t->ciphers, "aNULL", 5) == 0)
        return false;
    return !stale && (player_is(p, "mail-unproven") || player_is(p, "mail-status-asked") ||
                      strncmp(player_certificate(p), "good", 4) == 0);
}

/* True: TLS is up. */
static bool player_handshake(struct player *p)
{
    static const struct client_hello h = {
        .versions = {0x0304, 0x0303}, .version_count = 2, .sni = "mx.bench.test", .asks_status = true, .size = 300};
    enum bench_hello r = BENCH_HELLO_ANSWERED;

    p->start = false;
    transcript_note(p->t, "client_hello", client_hello_json(&h, 0));
    if (!p->hung)
        r = bench_session_client_hello(p->s, &h, p->now_s);
    player_drain(p);
    if (r == BENCH_HELLO_ANSWERED)
        return false;
    if (r == BENCH_HELLO_HELD)
        p->at = p->len; /* a warning */
    p->start = false;
    if (!player_trusts(p)) {
        transcript_note(p->t, "tls_fail", json_pack("{s:s}", "sni", h.sni));
        return false;
    }
    transcript_note(p->t, "tls_done",
                    json_pack("{s:s,s:b}", "sni", h.sni, "cert_valid", strncmp(player_certificate(p), "good", 4) == 0));
    bench_session_tls_done(p->s);
    p->tls = true;
    player_drain(p);
    return true;
}

/* Where it is told that TLS begins with the first octet, and it does not. */
static bool player_is_misled(const struct player *p)
{
    return bench_told_implicit(p->sc, false) != p->sc->tls.implicit;
}

static bool player_connect(struct player *p)
{
    struct addr a;
    struct err e;
    struct bench_session_setup s = {.scenario = p->sc,
                                    .count = p->count,
                                    .hostname = "mx.bench.test",
                                    .client = "127.0.0.1",
                                    .lease = "lease",
                                    .implicit = p->sc->tls.implicit,
                                    .tls_possible = true,
                                    .size_most = 1000000,
                                    .event = player_event,
                                    .arg = p};

    addr_parse(&a, "127.0.0.1:25", &e);
    p->len = p->at = 0;
    p->over = p->hung = p->tls = p->start = false;
    p->t = transcript_begin(
        p->book,
        &(struct transcript_start){.scenario = p->sc->name, .lease = "", .listener = "", .peer = &a, .local = &a});
    p->s = bench_session_new(&s, p->now_s);
    if (player_is(p, "early-talker"))
        player_say(p, "EHLO early\r\n");
    player_drain(p);
    if (player_is_misled(p) && !player_is(p, "mail-in-clear") && !player_is(p, "auth-in-clear"))
        return false;
    return !p->sc->tls.implicit || player_handshake(p);
}

static void player_leave(struct player *p)
{
    transcript_end(&p->t, p->over ? "server" : "client", NULL);
    bench_session_free(&p->s);
}

/* ---- before the mail */

static int player_ehlo(struct player *p)
{
    int code = player_ask(p, player_is(p, "pipelined-unoffered") ? "EHLO c.example.org\r\nNOOP" : "EHLO c.example.org");

    if (player_is(p, "pipelined-unoffered")) {
        char kept[sizeof p->offer];

        memcpy(kept, p->offer, sizeof kept);
        (void)player_reply(p);
        memcpy(p->offer, kept, sizeof kept);
    }
    if ((code >= 500 && code <= 502) || (code >= 500 && player_is(p, "mail")) || player_is(p, "helo"))
        return player_ask(p, "HELO c.example.org");
    return code;
}

/* False: this session is of no use. */
static bool player_start_tls(struct player *p)
{
    bool must = (p->policy != BENCH_OPPORTUNISTIC && !player_is(p, "mail")) || player_is(p, "false-success");
    int code;

    if (p->tls || (p->no_tls && !must))
        return true;
    if (player_is(p, "auth-in-clear"))
        (void)player_ask(p, "AUTH PLAIN AGEAYg==");
    if (player_is(p, "mail-in-clear") && (must || player_is_misled(p)))
        return true;
    if (!player_offers(p, "STARTTLS") && !player_is(p, "client-hello-in-clear"))
        return !must;
    code = player_ask(p, "STARTTLS");
    if (player_is(p, "client-hello-in-clear"))
        player_put(p,
                   "\x16\x03\x01\0\x04"
                   "abcd",
                   9);
    if (code != 220) {
        p->no_tls = !must;
        return !must && code >= 400;
    }
    if (!player_is(p, "forged-used"))
        p->at = p->len; /* what came in clear behind the 220 is nobody's word */
    if (player_is(p, "clear-after-220")) {
        (void)player_ask(p, "EHLO c.example.org");
        return false;
    }
    if (!p->start || !player_handshake(p)) {
        p->no_tls = true;
        return false;
    }
    if (player_is(p, "no-ehlo-after-tls"))
        return true;
    if (player_is(p, "starttls-in-tls")) {
        (void)player_ask(p, "STARTTLS");
        return false;
    }
    code = player_ehlo(p);
    if (code != 250)
        p->no_tls = true;
    return code == 250 || player_is(p, "mail");
}

static bool player_login(struct player *p)
{
    bool offered = player_offers(p, "AUTH") != NULL;
    int code = 535;

    if (player_is(p, "auth"))
        (void)player_ask(p, "AUTH PLAIN AGEAYg==");
    if (!offered || !p->tls)
        return true;
    for (int i = 0; i < (player_is(p, "login-loop") ? 30 : 1) && code >= 400; i++) {
        code = player_ask(p, "AUTH PLAIN AGEAYg==");
        if (code == 334)
            code = player_ask(p, "*");
    }
    return code == 235;
}

/* ---- the mail */

struct player_text {
    char p[1024];
    size_t n;
};

/* As DATA wants it, but for the final dot; or as BDAT does. */
static void player_content(const struct player *p, unsigned m, bool chunked, struct player_text *t)
{
    const char *line = player_is(p, "bare-lf")     ? "a\nb"
                       : player_is(p, "bare-cr")   ? "a\rb"
                       : player_is(p, "near-end")  ? "a\n.\nb"
                       : player_is(p, "unstuffed") ? ".b"
                       : chunked                   ? ".b"
                                                   : "..b";
    static const struct bench_bytes right = {(char *)"\r\n.\r\n", 5};
    const struct bench_bytes *end = p->sc->also_ends.n ? &p->sc->also_ends : &right;

    t->n = (size_t)snprintf(t->p, sizeof t->p, "Message-ID: <%u@example.org>\r\nSubject: %0100d\r\n\r\n%s", m, 0, line);
    if (player_is(p, "smuggled")) { /* what also ends it, and a message behind */
        memcpy(t->p + t->n, end->p, end->n);
        t->n += end->n;
        t->n += (size_t)snprintf(t->p + t->n, sizeof t->p - t->n, "MAIL FROM:<smuggled@example.org>");
    }
    t->n += (size_t)snprintf(t->p + t->n, sizeof t->p - t->n, "\r\n");
}

static void player_settle(struct player *p, unsigned m, const bool *of, int code)
{
    for (unsigned i = 0; i < p->rcpts; i++)
        if (of[i] && p->state[m][i] != PLAYER_DONE)
            p->state[m][i] = code / 100 == 2 ? PLAYER_DONE : code / 100 == 5 ? PLAYER_FAILED : PLAYER_OPEN;
}

static void player_mail_command(const struct player *p, char *text, size_t cap)
{
    snprintf(text, cap, "MAIL FROM:<sender@example.org>%s%s", player_offers(p, "SIZE") ? " SIZE=100" : "",
             player_is(p, "unoffered-extension") ? " SIZE=100 RET=HDRS BY=100;R" : "");
}

/* False: the session is lost. */
static bool player_body(struct player *p, unsigned m, const bool *taken, bool chunked)
{
    struct player_text t;
    int code;

    player_content(p, m, chunked, &t);
    if (chunked)
        player_say(p, "BDAT %zu LAST\r\n", t.n);
    player_put(p, t.p, t.n);
    if (!chunked)
        player_put(p, ".\r\n", 3);
    code = player_reply(p);
    if (code < 0)
        return false;
    player_settle(p, m, taken, code);
    return code != 421;
}

struct player_answers {
    int mail, rcpt[PLAYER_RCPTS], data;
    bool named[PLAYER_RCPTS], taken[PLAYER_RCPTS];
    bool any;
};

static bool player_wants_one(const struct player *p, unsigned m, unsigned i)
{
    return p->state[m][i] == PLAYER_OPEN || (player_is(p, "retried") && p->state[m][i] == PLAYER_FAILED) ||
           player_is(p, "duplicate");
}

static void player_rcpt_command(const struct player *p, unsigned i, char *text, size_t cap)
{
    snprintf(text, cap, "RCPT TO:<%s@bench.test>", p->sc->recipients[i]);
}

/* All of it before the first answer. */
static void player_pipeline(struct player *p, const struct player_answers *a, bool chunked)
{
    char all[4096], text[256];
    size_t n;

    player_mail_command(p, text, sizeof text);
    n = (size_t)snprintf(all, sizeof all, "%s\r\n", text);
    for (unsigned i = 0; i < p->rcpts; i++) {
        player_rcpt_command(p, i, text, sizeof text);
        if (a->named[i])
            n += (size_t)snprintf(all + n, sizeof all - n, "%s\r\n", text);
    }
    n += (size_t)snprintf(all + n, sizeof all - n, "%s", chunked ? "" : "DATA\r\n");
    player_put(p, all, n);
}

/* False: the session is lost. */
static bool player_rcpt(struct player *p, struct player_answers *a, unsigned i, bool pipelined)
{
    char text[256];

    player_rcpt_command(p, i, text, sizeof text);
    a->rcpt[i] = pipelined ? player_reply(p) : player_ask(p, text);
    a->taken[i] = a->mail / 100 == 2 && a->rcpt[i] / 100 == 2;
    a->any = a->any || a->taken[i];
    return a->rcpt[i] > 0 && a->rcpt[i] != 421 && (a->rcpt[i] / 100 != 3 || a->mail / 100 != 2);
}

/* False: the session is lost. */
static bool player_ask_all(struct player *p, unsigned m, struct player_answers *a, bool pipelined, bool chunked)
{
    char text[256];

    memset(a, 0, sizeof *a);
    for (unsigned i = 0; i < p->rcpts; i++)
        a->named[i] = player_wants_one(p, m, i);
    if (pipelined)
        player_pipeline(p, a, chunked);
    player_mail_command(p, text, sizeof text);
    a->mail = pipelined ? player_reply(p) : player_ask(p, text);
    if (a->mail < 0 || a->mail == 421)
        return false;
    for (unsigned i = 0; i < p->rcpts; i++)
        if (a->named[i] && (pipelined || a->mail / 100 == 2) && !player_rcpt(p, a, i, pipelined))
            return false;
    if (chunked || (!pipelined && !a->any && !player_is(p, "content-for-nobody") && !player_is(p, "content")))
        return true;
    a->data = pipelined ? player_reply(p) : player_ask(p, "DATA");
    return a->data > 0 && a->data != 421;
}

static void player_refused(struct player *p, unsigned m, const struct player_answers *a)
{
    for (unsigned i = 0; i < p->rcpts; i++) {
        bool one[PLAYER_RCPTS] = {0};
        int code = a->mail / 100 != 2 ? a->mail : a->rcpt[i];

        one[i] = a->named[i] && !a->taken[i];
        if (one[i])
            player_settle(p, m, one, code == 552 && a->mail / 100 == 2 ? 452 : code);
    }
}

static bool player_is_too_large(const struct player *p)
{
    const char *size = player_offers(p, "SIZE");
    unsigned long most = size ? strtoul(size, NULL, 10) : 0;

    return most && p->sc->octets > most;
}

/* False: the session is lost. */
static bool player_message(struct player *p, unsigned m)
{
    bool pipelined = p->way == PLAYER_PIPELINED && player_offers(p, "PIPELINING");
    bool chunked = p->way == PLAYER_CHUNKED && player_offers(p, "CHUNKING");
    struct player_answers a;
    char offer[sizeof p->offer];
    bool go;

    memcpy(offer, p->offer, sizeof offer);
    if (player_is_too_large(p) && !player_is(p, "content")) { /* RFC 1870 6.1: it is not even tried */
        for (unsigned i = 0; i < p->rcpts; i++)
            p->state[m][i] = PLAYER_FAILED;
        return true;
    }
    go = player_ask_all(p, m, &a, pipelined, chunked);
    player_refused(p, m, &a);
    if (!go)
        return false;
    if (chunked && a.any) {
        go = player_body(p, m, a.taken, true);
    } else if (a.data == 354 && !a.any && !player_is(p, "content-for-nobody") && !player_is(p, "content")) {
        player_put(p, ".\r\n", 3); /* RFC 2920 3.1: the dot alone */
        go = player_reply(p) > 0;
    } else if (a.data == 354 || (a.data / 100 == 2 && player_is(p, "content"))) {
        go = player_body(p, m, a.taken, false);
    } else if (a.any && a.data >= 400) {
        player_settle(p, m, a.taken, a.data);
    } else if (a.any) {
        return false; /* what is neither yes nor no to DATA */
    }
    memcpy(p->offer, offer, sizeof offer);
    return go && player_ask(p, "RSET") > 0 && (memcpy(p->offer, offer, sizeof offer), true);
}

/* ---- the whole */

static bool player_wants(const struct player *p, unsigned m)
{
    for (unsigned i = 0; i < p->rcpts; i++)
        if (player_wants_one(p, m, i))
            return true;
    return false;
}

static bool player_wants_any(const struct player *p)
{
    for (unsigned m = 0; m < p->sc->messages; m++)
        if (player_wants(p, m))
            return true;
    return false;
}

static bool player_has_idle(const struct player *p)
{
    for (unsigned i = 0; i < p->sc->step_count; i++)
        if (p->sc->steps[i].at == BENCH_IDLE)
            return true;
    return false;
}

static void player_quit(struct player *p)
{
    if (player_has_idle(p) && !p->hung) {
        bench_session_idle(p->s, p->now_s);
        player_drain(p);
    }
    if (!player_is(p, "no-quit"))
        (void)player_ask(p, "QUIT");
}

static void player_session(struct player *p)
{
    int code = player_connect(p) ? player_reply(p) : -1;
    bool ok = code == 220;

    if (!ok && !player_is(p, "mail")) {
        if (code >= 400 && code != 421)
            player_quit(p);
        return;
    }
    code = player_ehlo(p);
    if (code != 250 && !player_is(p, "mail")) {
        if (code > 0 && code != 421)
            player_quit(p);
        return;
    }
    if (!player_start_tls(p) || !player_login(p)) {
        player_quit(p);
        return;
    }
    for (unsigned m = 0; m < p->sc->messages; m++)
        if (player_wants(p, m) && !player_message(p, m))
            return;
    player_quit(p);
}

/* One that says "sent" whatever became of it, or that does not even try. */
static bool player_lies(const struct player *p)
{
    return player_is(p, "false-success") || player_is(p, "lost-recipient");
}

static unsigned player_tries(const struct player *p)
{
    return player_lies(p) ? 1 : player_is(p, "login-loop") ? 3 * PLAYER_TRIES : PLAYER_TRIES;
}

/* Tries until everything is done or there have been enough of them. */
static void player_run(struct player *p)
{
    bool sent = true, hasty = player_is(p, "retried-at-once");

    for (p->tries = 0; p->tries < player_tries(p) && player_wants_any(p); p->tries++) {
        player_session(p);
        player_leave(p);
        p->now_s += hasty ? 0 : PLAYER_WAIT_S;
    }
    for (unsigned i = 0; i < 40 && player_is(p, "reconnect-storm"); i++) {
        (void)player_connect(p);
        player_leave(p);
    }
    for (unsigned m = 0; m < p->sc->messages; m++)
        for (unsigned i = 0; i < p->rcpts; i++)
            sent = sent && p->state[m][i] == PLAYER_DONE;
    bench_facts_claim(&p->f, sent || player_lies(p));
}

static struct player *player_new(const struct bench_scenario *sc, enum bench_policy policy, enum player_way way,
                                 const char *bad)
{
    struct player *p = mem_alloc(sizeof *p);
    struct err e;

    p->sc = sc;
    p->policy = policy;
    p->way = way;
    p->bad = bad;
    p->count = bench_count_new(1);
    while (sc->recipients[p->rcpts] && p->rcpts < PLAYER_RCPTS)
        p->rcpts++;
    for (unsigned i = 0; i < p->rcpts; i++) {
        char to[128];

        snprintf(to, sizeof to, "%s@bench.test", sc->recipients[i]);
        bench_facts_want(&p->f, to);
    }
    bench_facts_want_messages(&p->f, sc->messages);
    (void)transcript_book_open(&p->book, &(struct transcript_book_setup){.dir = NULL}, &e);
    transcript_book_listen(p->book, player_line, p);
    return p;
}

static void player_free(struct player **pp)
{
    struct player *p = *pp;

    transcript_book_close(&p->book);
    bench_count_free(&p->count);
    free(p);
    *pp = NULL;
}

/* The facts are there until player_free(). */
static struct player *player_play(const struct bench_scenario *sc, enum bench_policy policy, enum player_way way,
                                  const char *bad)
{
    struct player *p = player_new(sc, policy, way, bad);

    player_run(p);
    if (!player_is(p, "false-success") || !bench_facts_has(&p->f, BENCH_F_DELIVERED))
        return p;
    player_free(&p); /* this server takes it at once, so it is not even asked */
    p = player_new(sc, policy, way, bad);
    (void)player_connect(p);
    player_leave(p);
    bench_facts_claim(&p->f, true);
    return p;
}

#endif
