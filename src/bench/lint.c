#include "bench/lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_offer.h"
#include "bench/seen.h"

#define REMEMBERED 4096u
#define RCPTS 32u /* of a transaction, whose retry is looked for */

static const char *const names[LINT_IDS] = {
    [LINT_EARLY_TALKER] = "early-talker",
    [LINT_PIPELINED] = "pipelined-unadvertised",
    [LINT_AFTER_STARTTLS] = "pipelined-after-starttls",
    [LINT_AFTER_EHLO] = "pipelined-after-ehlo",
    [LINT_AFTER_DATA] = "pipelined-after-data",
    [LINT_NO_EHLO] = "no-ehlo-after-tls",
    [LINT_NO_SNI] = "no-sni",
    [LINT_OLD_TLS] = "old-tls-versions",
    [LINT_AUTH_CLEAR] = "auth-in-clear",
    [LINT_HELO] = "helo-not-fqdn",
    [LINT_SPACE] = "space-after-colon",
    [LINT_NO_BRACKETS] = "no-angle-brackets",
    [LINT_PARAMETER] = "unadvertised-parameter",
    [LINT_SIZE] = "size-lie",
    [LINT_EIGHT_BIT] = "8bit-without-8bitmime",
    [LINT_LONG_LINE] = "line-over-998",
    [LINT_BARE_LF] = "bare-lf",
    [LINT_BARE_CR] = "bare-cr",
    [LINT_NUL] = "nul",
    [LINT_DOT] = "missing-dot-stuffing",
    [LINT_NO_QUIT] = "no-quit",
    [LINT_RETRY] = "retry-too-soon",
    [LINT_DUPLICATE] = "duplicate",
    [LINT_STORM] = "reconnect-storm",
    [LINT_HELLO_CLEAR] = "client-hello-in-clear",
};

enum mime { MIME_7BIT, MIME_8BIT, MIME_BINARY };

struct lint_book {
    struct seen *refused;   /* for now, when: number */
    struct seen *fruitless; /* since when: number; how many in a row: text */
};

struct lint {
    struct lint_book *book;
    lint_fn *fn;
    void *arg;
    char *who; /* client, lease, scenario */
    unsigned said;
    char verb[12]; /* of the last command, "." for content; what an answer answers */
    unsigned offered;
    bool ehlo_in_tls, quit, commands;
    bool ended, waiting; /* by a 421; for an answer */
    unsigned accepted;
    enum mime mime;
    char *from, *rcpts[RCPTS];
    unsigned rcpt_count;
};

const char *lint_name(enum lint_id id)
{
    return names[id];
}

/* ---- what is kept */

struct lint_book *lint_book_new(void)
{
    struct lint_book *b = mem_alloc(sizeof *b);

    b->refused = seen_new(REMEMBERED);
    b->fruitless = seen_new(REMEMBERED);
    return b;
}

void lint_book_free(struct lint_book **bp)
{
    struct lint_book *b = *bp;

    if (!b)
        return;
    seen_free(&b->refused);
    seen_free(&b->fruitless);
    free(b);
    *bp = NULL;
}

struct lint *lint_new(const struct lint_setup *s)
{
    struct lint *l = mem_alloc(sizeof *l);

    l->book = s->book;
    l->fn = s->fn;
    l->arg = s->arg;
    l->who = mem_printf("%s\n%s\n%s", s->client, s->lease, s->scenario);
    l->from = mem_str("");
    return l;
}

static void forget_rcpts(struct lint *l)
{
    while (l->rcpt_count)
        free(l->rcpts[--l->rcpt_count]);
}

void lint_free(struct lint **lp)
{
    struct lint *l = *lp;

    if (!l)
        return;
    forget_rcpts(l);
    free(l->from);
    free(l->who);
    free(l);
    *lp = NULL;
}

static void say(struct lint *l, enum lint_id id, const char *detail, unsigned seq)
{
    if (l->said & 1u << id)
        return;
    l->said |= 1u << id;
    l->fn(l->arg, id, detail, seq);
}

/* The same, with what the sender wrote. */
static void quote(struct lint *l, enum lint_id id, struct span s, unsigned seq)
{
    char text[LINT_DETAIL];

    text_escape(text, sizeof text, (struct peer_text){s.p, s.n});
    say(l, id, text, seq);
}

static void count(struct lint *l, enum lint_id id, const char *what, unsigned long long n, unsigned seq)
{
    char text[LINT_DETAIL];

    snprintf(text, sizeof text, "%s: %llu", what, n);
    say(l, id, text, seq);
}

/* ---- tries */

/* RFC 5321 4.5.4.1. The same sender to the same recipient, of the same client. */
static char *try_of(const struct lint *l, const char *rcpt)
{
    return mem_printf("%s\n%s\n%s", l->who, l->from, rcpt);
}

static void refused_for_now(struct lint *l, const char *rcpt, int64_t now_s)
{
    char *key = try_of(l, rcpt);

    seen_put(l->book->refused, key, strlen(key))->number = now_s;
    free(key);
}

static void tries(struct lint *l, const char *rcpt, unsigned seq, int64_t now_s)
{
    char *key = try_of(l, rcpt);
    struct seen_thing *before = seen_get(l->book->refused, key, strlen(key));

    if (before && now_s - before->number < LINT_RETRY_S)
        count(l, LINT_RETRY, "seconds since it was refused for now", (unsigned long long)(now_s - before->number), seq);
    free(key);
}

/* ---- commands */

static bool is(const char *verb, const char *list)
{
    size_t n = strlen(verb);

    for (const char *p = n ? strstr(list, verb) : NULL; p; p = strstr(p + 1, verb))
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

/* RFC 2920 3.1, RFC 3207 4. Without a command before it, it is early. */
static void pipelined(struct lint *l, const struct bench_event *ev, unsigned seq)
{
    if (is(l->verb, "STARTTLS"))
        say(l, LINT_AFTER_STARTTLS, "more octets in clear, before the answer", seq);
    else if (ev->dropped || !*l->verb)
        return;
    else if (is(l->verb, "EHLO HELO LHLO"))
        say(l, LINT_AFTER_EHLO, "before the answer that says what is offered", seq);
    else if (is(l->verb, "DATA"))
        say(l, LINT_AFTER_DATA, "before the answer that asks for it", seq);
    else if (!(l->offered & BENCH_OFFER_PIPELINING))
        quote(l, LINT_PIPELINED, span_str(l->verb), seq);
}

static void octets(struct lint *l, const struct bench_event *ev, unsigned seq)
{
    if (ev->eol == BENCH_EOL_LF)
        say(l, LINT_BARE_LF, "at the end of a command", seq);
    if (memchr(ev->text.p, '\r', ev->text.n) || ev->eol == BENCH_EOL_CR)
        say(l, LINT_BARE_CR, "in a command", seq);
    if (memchr(ev->text.p, '\0', ev->text.n))
        say(l, LINT_NUL, "in a command", seq);
}

static bool is_name_octet(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* RFC 5321 4.1.1.1: a name of at least two labels whose last is no number, or an address in brackets. */
static bool is_fqdn(struct span s)
{
    size_t dot = 0;
    bool letter = false;

    if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        return true;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_name_octet(s.p[i]))
            return false;
        if (s.p[i] == '.') {
            if (i == dot)
                return false; /* an empty label; at the beginning, dot is 0 */
            dot = i + 1;
            letter = false;
        }
        letter = letter || (s.p[i] != '.' && (s.p[i] < '0' || s.p[i] > '9'));
    }
    return dot && dot < s.n && letter;
}

static void parameters(struct lint *l, struct bench_path p, unsigned seq)
{
    struct span rest = p.params;

    while (rest.n) {
        char word[LINT_DETAIL];
        size_t n = 0;
        unsigned used;

        while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != '\t')
            n++;
        snprintf(word, sizeof word, "<> %.*s", (int)(n < 100 ? n : 100), rest.p);
        used = bench_offer_used(l->verb, word);
        if (n && (!used || used & ~l->offered))
            quote(l, LINT_PARAMETER, (struct span){rest.p, n}, seq);
        n += n < rest.n;
        rest = (struct span){rest.p + n, rest.n - n};
    }
}

static void path(struct lint *l, struct span arg, unsigned seq, int64_t now_s)
{
    struct bench_path p = bench_path_split(arg);
    struct span body = bench_path_param(p.params, "BODY");

    if (p.spaced)
        quote(l, LINT_SPACE, arg, seq);
    if (!p.bracketed)
        quote(l, LINT_NO_BRACKETS, arg, seq);
    parameters(l, p, seq);
    if (is(l->verb, "MAIL")) {
        forget_rcpts(l);
        free(l->from);
        l->from = mem_strn(p.addr.n ? p.addr.p : "", p.addr.n < BENCH_PATH_MOST ? p.addr.n : BENCH_PATH_MOST);
        l->mime = bench_path_param(p.params, "SMTPUTF8").p || span_is_nocase(body, "8BITMIME") ? MIME_8BIT
                  : span_is_nocase(body, "BINARYMIME")                                         ? MIME_BINARY
                                                                                               : MIME_7BIT;
    } else if (l->rcpt_count < RCPTS) {
        l->rcpts[l->rcpt_count++] =
            mem_strn(p.addr.n ? p.addr.p : "", p.addr.n < BENCH_PATH_MOST ? p.addr.n : BENCH_PATH_MOST);
        tries(l, l->rcpts[l->rcpt_count - 1], seq, now_s);
    }
}

static void command(struct lint *l, const struct bench_event *ev, unsigned seq, int64_t now_s)
{
    const char *blank = memchr(ev->text.p, ' ', ev->text.n);
    size_t n = blank ? (size_t)(blank - ev->text.p) : ev->text.n;
    struct span arg = {ev->text.p + n + (blank != NULL), ev->text.n - n - (blank != NULL)};

    snprintf(l->verb, sizeof l->verb, "%.*s", n < sizeof l->verb ? (int)n : 0, ev->text.p);
    for (char *p = l->verb; *p; p++)
        *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
    l->commands = true;
    l->quit = l->quit || is(l->verb, "QUIT");
    if (is(l->verb, "EHLO HELO LHLO")) {
        l->offered = 0;
        l->ehlo_in_tls = ev->in_tls;
        if (!is_fqdn(arg))
            quote(l, LINT_HELO, ev->text, seq);
    }
    if (ev->in_tls && !l->ehlo_in_tls && is(l->verb, "MAIL RCPT DATA BDAT AUTH VRFY"))
        quote(l, LINT_NO_EHLO, span_str(l->verb), seq);
    if (is(l->verb, "AUTH") && !ev->in_tls)
        say(l, LINT_AUTH_CLEAR, "AUTH outside TLS", seq);
    if (is(l->verb, "MAIL RCPT"))
        path(l, arg, seq, now_s);
}

static void received(struct lint *l, const struct bench_event *ev, unsigned seq, int64_t now_s)
{
    if (ev->early && !span_is_nocase(ev->text, "QUIT")) /* "at any time", RFC 5321 4.1.1.10 */
        say(l, LINT_EARLY_TALKER, "spoke before the greeting", seq);
    if (ev->pipelined)
        pipelined(l, ev, seq);
    if (ev->dropped) {
        l->quit = l->quit || span_is_nocase(ev->text, "QUIT");
        return;
    }
    l->waiting = true;
    octets(l, ev, seq);
    if (!ev->secret)
        command(l, ev, seq, now_s);
}

/* ---- answers and content */

static int code_of(struct span s)
{
    for (size_t i = 0; i < 3; i++)
        if (i >= s.n || s.p[i] < '0' || s.p[i] > '9')
            return 0;
    return (s.p[0] - '0') * 100 + (s.p[1] - '0') * 10 + s.p[2] - '0';
}

/* RFC 5321 4.5.3.1.10: 452 to RCPT is "too many", and the rest is sent at once. */
static void answered(struct lint *l, const struct bench_event *ev, int64_t now_s)
{
    int code = code_of(ev->text);

    l->waiting = false;
    if (code == 421)
        l->ended = true;
    if (is(l->verb, "EHLO LHLO") && code == 250)
        l->offered = bench_offer_of(ev->text.p, ev->text.n, 1);
    if (code / 100 != 4 || code == 421)
        return;
    if (is(l->verb, "RCPT") && code != 452 && l->rcpt_count)
        refused_for_now(l, l->rcpts[l->rcpt_count - 1], now_s);
    if (is(l->verb, "DATA BDAT ."))
        for (unsigned i = 0; i < l->rcpt_count; i++)
            refused_for_now(l, l->rcpts[i], now_s);
}

static void body(struct lint *l, const struct bench_event *ev, unsigned seq)
{
    const struct bench_body *b = ev->body;
    bool binary = ev->chunked && l->mime == MIME_BINARY; /* RFC 3030 3: nothing in it means anything */

    if (ev->pipelined && !ev->chunked)
        say(l, LINT_AFTER_DATA, "before the answer that asks for it", seq);
    if (b->eight_bit && l->mime == MIME_7BIT)
        count(l, LINT_EIGHT_BIT, "octets above 127", b->eight_bit, seq);
    if (!ev->chunked && !b->dots_stuffed)
        say(l, LINT_DOT, "a line begins with a single dot", seq);
    if (!binary && b->max_line > 998)
        count(l, LINT_LONG_LINE, "octets of the longest line", b->max_line, seq);
    if (!binary && b->bare_lf)
        count(l, LINT_BARE_LF, "in content", b->bare_lf, seq);
    if (!binary && b->bare_cr)
        count(l, LINT_BARE_CR, "in content", b->bare_cr, seq);
    if (!binary && b->nul)
        count(l, LINT_NUL, "in content", b->nul, seq);
    snprintf(l->verb, sizeof l->verb, ".");
    l->waiting = true;
}

static void message(struct lint *l, const struct bench_event *ev)
{
    l->accepted += ev->accepted;
}

/* ---- from outside */

void lint_event(struct lint *l, const struct bench_event *ev, unsigned seq, int64_t now_s)
{
    switch (ev->kind) {
    case BENCH_EV_RECV:
        received(l, ev, seq, now_s);
        break;
    case BENCH_EV_SEND:
        answered(l, ev, now_s);
        break;
    case BENCH_EV_HELLO:
        say(l, LINT_HELLO_CLEAR, "nobody had agreed to TLS", seq);
        break;
    case BENCH_EV_TLS:
        l->ehlo_in_tls = false;
        l->offered = 0; /* RFC 3207 4.2 */
        break;
    case BENCH_EV_BODY:
        body(l, ev, seq);
        break;
    case BENCH_EV_MESSAGE:
        message(l, ev);
        break;
    default:
        break;
    }
}

void lint_client_hello(struct lint *l, const char *sni, const char *const *versions, unsigned seq)
{
    char old[LINT_DETAIL] = "";
    size_t n = 0;

    if (!*sni)
        say(l, LINT_NO_SNI, "the ClientHello names no host", seq);
    for (; *versions; versions++)
        if (is(*versions, "1.0 1.1 SSLv3") && n + 10 < sizeof old)
            n += (size_t)snprintf(old + n, sizeof old - n, "%s%s", n ? ", " : "", *versions);
    if (n)
        say(l, LINT_OLD_TLS, old, seq);
}

/* RFC 1870 5: the declared size is "a client's estimate"; with which a server may do what it likes when it was wrong.
 * More than an eighth above it, or less than half of it, is none. */
void lint_message(struct lint *l, const struct lint_message *m, unsigned seq)
{
    char text[LINT_DETAIL];
    uint64_t more = m->declared + m->declared / 8 + 64, less = 2 * m->size + 1024;

    if (m->given && (m->size > more || m->declared > less)) {
        snprintf(text, sizeof text, "declared %llu, sent %llu", (unsigned long long)m->declared,
                 (unsigned long long)m->size);
        say(l, LINT_SIZE, text, seq);
    }
    if (m->before)
        quote(l, LINT_DUPLICATE, span_str(m->before), seq);
}

/* Sessions of this client that brought nothing, one after the other. */
static void fruitless(struct lint *l, unsigned seq, int64_t now_s)
{
    struct seen_thing *t = seen_put(l->book->fruitless, l->who, strlen(l->who));
    unsigned run;

    memcpy(&run, t->text, sizeof run);
    if (l->accepted || !run || now_s - t->number > LINT_STORM_S) {
        run = 0;
        t->number = now_s;
    }
    run = l->accepted ? 0 : run + 1;
    if (run >= LINT_STORM_MANY)
        count(l, LINT_STORM, "sessions within ten seconds that brought no message", run, seq);
    memcpy(t->text, &run, sizeof run);
}

/* RFC 5321 4.1.1.10: "MUST NOT intentionally close the transmission channel until it sends a QUIT command". Who has waited
 * in vain may. */
void lint_end(struct lint *l, bool left, unsigned seq, int64_t now_s)
{
    if (left && l->commands && !l->quit && !l->ended && !l->waiting)
        say(l, LINT_NO_QUIT, "the connection was closed without QUIT", seq);
    fruitless(l, 1, now_s);
}
