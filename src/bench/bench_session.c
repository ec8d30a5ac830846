#include "bench/bench_session.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MOST 65536u /* longer ones are cut off: a sender that writes them is not a sender any more */
#define SMALL 256u

enum mode { LINES, AUTH_LINES, CONTENT, CHUNK, TLS_NEXT, DEAF };

struct todo {
    struct todo *next;
    enum bench_do_kind kind;
    unsigned ms;
    enum bench_then then;
    struct buf bytes;
};

struct bench_session {
    struct bench_session_setup setup;
    enum mode mode;
    bool welcomed, early_said; /* the greeting went out; who spoke before it was told */
    bool in_tls, greeted, mail, tls_asked;
    unsigned auth_steps;
    uint32_t rcpts;
    char *sender, *last_rcpt;
    struct buf in;
    struct todo *first, **last, *given;
    struct bench_body body;
    uint64_t chunk_left, body_done;
    bool chunk_last, cr, at_line;
    char tail[BENCH_NEAR_MOST]; /* the last octets of the content */
    unsigned tail_len;
    unsigned line_len, dot; /* dot: what of CR LF . CR LF has been seen at the end of the content */
    int64_t now_s;
};

/* ---- what is to be done */

static struct todo *push(struct bench_session *s, enum bench_do_kind kind)
{
    struct todo *t = mem_alloc(sizeof *t);

    t->kind = kind;
    *s->last = t;
    s->last = &t->next;
    return t;
}

static void tell(struct bench_session *s, struct bench_event *ev)
{
    ev->in_tls = s->in_tls;
    if (s->setup.event)
        s->setup.event(s->setup.arg, ev);
}

static void send_bytes(struct bench_session *s, const char *p, size_t n)
{
    struct todo *t;

    if (!n)
        return;
    t = push(s, BENCH_DO_SEND);
    buf_append(&t->bytes, p, n);
    tell(s, &(struct bench_event){.kind = BENCH_EV_SEND, .text = {p, n}});
}

static void pause(struct bench_session *s, unsigned ms)
{
    if (ms)
        push(s, BENCH_DO_PAUSE)->ms = ms;
}

static void end(struct bench_session *s, enum bench_then then)
{
    push(s, BENCH_DO_END)->then = then;
    s->mode = DEAF;
}

/* ---- steps */

static void key_of(const struct bench_session *s, const struct bench_step *step, char *dst, size_t cap)
{
    const char *rcpt = s->last_rcpt ? s->last_rcpt : "", *sender = s->sender ? s->sender : "";

    switch (step->per) {
    case BENCH_GLOBAL:
        snprintf(dst, cap, "*");
        break;
    case BENCH_CLIENT:
        snprintf(dst, cap, "%s", s->setup.client);
        break;
    case BENCH_TRIPLE:
        snprintf(dst, cap, "%s %s %s", s->setup.client, sender, rcpt);
        break;
    case BENCH_RCPTS:
        snprintf(dst, cap, "%s", rcpt);
        break;
    case BENCH_LEASE:
        snprintf(dst, cap, "%s", s->setup.lease);
        break;
    case BENCH_SESSION:
        snprintf(dst, cap, "%p", (const void *)s);
        break;
    }
}

static bool fits(struct bench_session *s, const struct bench_step *step, enum bench_at at, unsigned *count)
{
    char key[1024];

    if (step->at != at || (step->tls != BENCH_ANY && (step->tls == BENCH_IN_TLS) != s->in_tls))
        return false;
    if (step->rcpt && (!s->last_rcpt || fnmatch(step->rcpt, s->last_rcpt, FNM_CASEFOLD) != 0))
        return false;
    if (at == BENCH_BODY && s->body_done < step->bytes)
        return false;
    key_of(s, step, key, sizeof key);
    return bench_count_acts(s->setup.count, step, key, s->now_s, count);
}

static void say(struct bench_session *s, const struct bench_step *step, const char *p, size_t n)
{
    struct buf all = {0};

    if (step->piece_count) {
        for (unsigned i = 0; i < step->piece_count; i++) {
            send_bytes(s, step->pieces[i].p, step->pieces[i].n);
            pause(s, 1);
        }
        return;
    }
    if (step->drip_ms) {
        for (size_t i = 0; i < n; i++) {
            send_bytes(s, p + i, 1);
            pause(s, step->drip_ms);
        }
        return;
    }
    buf_append(&all, p, n);
    if (step->inject.p)
        buf_append(&all, step->inject.p, step->inject.n);
    if (all.len)
        send_bytes(s, buf_data(&all), all.len);
    buf_clear(&all);
}

/* The answer at a point: what the first step that fits says, or what is right. NULL: nothing was right to say. Returns the
 * first octet of the answer's code, 0 where there was none. */
static char answer(struct bench_session *s, enum bench_at at, const char *right)
{
    const struct bench_scenario *sc = s->setup.scenario;
    const char *p = right ? right : "";
    size_t n = strlen(p);

    for (unsigned i = 0; i < sc->step_count && s->mode != DEAF; i++) {
        const struct bench_step *step = &sc->steps[i];
        unsigned count;

        if (!fits(s, step, at, &count))
            continue;
        tell(s, &(struct bench_event){.kind = BENCH_EV_FAULT, .step = step, .count = count});
        pause(s, step->delay_ms);
        if (step->reply.p) {
            p = step->reply.p;
            n = step->reply.n;
        }
        if (step->also && step->then == BENCH_CONTINUE && !step->reply.p)
            continue;
        say(s, step, p, n);
        if (step->then == BENCH_PLAIN)
            return 'p';
        if (step->then != BENCH_CONTINUE)
            end(s, step->then);
        return n ? *p : 0;
    }
    send_bytes(s, p, n);
    return n ? *p : 0;
}

/* ---- verbs */

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

    s->mail = false;
    add_word(&w, s->setup.hostname);
    offer(s, &w);
    for (unsigned i = 0; i < w.count; i++)
        buf_printf(&text, "250%c%s\r\n", i + 1 < w.count ? '-' : ' ', w.list[i]);
    buf_append(&text, "", 1);
    s->greeted = answer(s, s->in_tls ? BENCH_EHLO_TLS : BENCH_EHLO, buf_data(&text)) == '2';
    buf_clear(&text);
}

static void starttls(struct bench_session *s)
{
    char code;

    if (s->in_tls || !s->setup.tls_possible) {
        send_bytes(s, s->in_tls ? "503 5.5.1 in TLS already\r\n" : "502 5.5.1 not offered\r\n", s->in_tls ? 26 : 23);
        return;
    }
    code = answer(s, BENCH_STARTTLS, "220 2.0.0 go ahead\r\n");
    if (code != '2' || s->mode == DEAF)
        return;
    push(s, BENCH_DO_START_TLS);
    s->mode = TLS_NEXT;
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
        send_bytes(s, "503 5.5.1 nested MAIL\r\n", 23);
        return;
    }
    keep(&s->sender, arg);
    s->rcpts = 0;
    s->mail = answer(s, BENCH_MAIL, "250 2.1.0 Ok\r\n") == '2';
}

static void rcpt(struct bench_session *s, struct span arg)
{
    if (!s->mail) {
        send_bytes(s, "503 5.5.1 MAIL first\r\n", 22);
        return;
    }
    keep(&s->last_rcpt, arg);
    s->rcpts += answer(s, BENCH_RCPT, "250 2.1.5 Ok\r\n") == '2';
}

static void begin_content(struct bench_session *s)
{
    memset(&s->body, 0, sizeof s->body);
    s->body.dots_stuffed = true;
    s->body_done = 0;
    s->line_len = 0;
    s->cr = false;
    s->at_line = true;
    s->tail_len = 0;
    s->dot = 2; /* the CR LF of the command counts */
}

static void data(struct bench_session *s)
{
    const char *right = !s->mail ? "503 5.5.1 MAIL first\r\n" : !s->rcpts ? "554 5.5.1 no valid recipients\r\n" : NULL;

    if (!s->mail) {
        send_bytes(s, right, strlen(right));
        return;
    }
    if (answer(s, BENCH_DATA, right ? right : "354 go\r\n") != '3')
        return;
    begin_content(s);
    s->mode = CONTENT;
}

/* ---- content */

const struct bench_near bench_near_end[BENCH_NEAR_ENDS] = {
    {"lf-dot-lf", "\n.\n", 3},
    {"cr-dot-cr", "\r.\r", 3},
    {"cr-dot-lf", "\r.\n", 3},
    {"lf-dot-cr", "\n.\r", 3},
    {"lf-dot-crlf", "\n.\r\n", 4},
    {"crlf-dot-lf", "\r\n.\n", 4},
    {"cr-dot-crlf", "\r.\r\n", 4},
    {"crlf-dot-cr", "\r\n.\r", 4},
    {"crlf-nul-dot-crlf", "\r\n\0.\r\n", 6},
    {"crlf-dot-nul-crlf", "\r\n.\0\r\n", 6},
};

static bool tail_is(const struct bench_session *s, const char *p, size_t n)
{
    return n && n <= s->tail_len && memcmp(s->tail + s->tail_len - n, p, n) == 0;
}

/* What ends with CR may be the right end without its last octet, so it is known one octet later; behind the right end
 * there is none. */
static void note_near(struct bench_session *s, char next)
{
    for (unsigned i = 0; i < BENCH_NEAR_ENDS; i++) {
        const struct bench_near *near = &bench_near_end[i];
        bool part = near->bytes[near->n - 1] == '\r' && next == '\n';
        /* the LF of a CR LF: another row's, or, in BDAT, a line with a dot, which is nobody's end */
        bool whole_end = near->bytes[0] == '\n' && s->tail_len > near->n && s->tail[s->tail_len - near->n - 1] == '\r';

        if (!part && !whole_end && tail_is(s, near->bytes, near->n))
            s->body.near |= 1u << i;
    }
}

static void keep_tail(struct bench_session *s, char c)
{
    if (s->tail_len == BENCH_NEAR_MOST)
        memmove(s->tail, s->tail + 1, --s->tail_len);
    s->tail[s->tail_len++] = c;
}

static void look_at(struct bench_session *s, char c)
{
    struct bench_body *b = &s->body;

    note_near(s, c);
    keep_tail(s, c);

    b->bytes++;
    b->nul += c == '\0';
    b->bare_cr += s->cr && c != '\n';
    b->bare_lf += c == '\n' && !s->cr;
    if (c == '\n') {
        s->line_len = 0;
        s->at_line = true;
    } else if (c != '\r' && ++s->line_len > b->max_line) {
        b->max_line = s->line_len;
    }
    s->cr = c == '\r';
}

static void message_over(struct bench_session *s)
{
    char code;

    tell(s, &(struct bench_event){.kind = BENCH_EV_BODY, .body = &s->body});
    s->mode = LINES;
    code = answer(s, BENCH_DATA_END, "250 2.0.0 Ok\r\n");
    tell(s, &(struct bench_event){.kind = BENCH_EV_MESSAGE, .accepted = code == '2', .body = &s->body});
    s->mail = false;
}

/* Looks for the step that waits for so many octets. Once for each message. */
static void reach(struct bench_session *s, uint64_t n)
{
    const struct bench_scenario *sc = s->setup.scenario;
    uint64_t before = s->body_done;

    s->body_done = n;
    for (unsigned i = 0; i < sc->step_count; i++)
        if (sc->steps[i].at == BENCH_BODY && before < sc->steps[i].bytes && n >= sc->steps[i].bytes) {
            answer(s, BENCH_BODY, NULL);
            return;
        }
}

/* CR LF . CR LF, and nothing else, ends it. Returns how much was taken. */
static size_t content(struct bench_session *s, const char *p, size_t n)
{
    static const char end_of_data[] = "\r\n.\r\n";
    size_t i = 0;

    while (i < n && s->mode == CONTENT) {
        char c = p[i++];

        if (c == end_of_data[s->dot]) {
            s->dot++;
        } else {
            if (s->dot == 3 && c != '.')
                s->body.dots_stuffed = false;
            s->dot = c == '\r' ? 1 : 0;
        }
        look_at(s, c);
        if (s->dot == 5 || tail_is(s, s->setup.scenario->also_ends.p, s->setup.scenario->also_ends.n))
            message_over(s);
        else
            reach(s, s->body.bytes);
    }
    return i;
}

static void chunk_over(struct bench_session *s)
{
    s->mode = LINES;
    if (s->chunk_last) {
        message_over(s);
        return;
    }
    answer(s, BENCH_BDAT, "250 2.0.0 Ok\r\n");
}

static size_t chunk(struct bench_session *s, const char *p, size_t n)
{
    size_t take = n < s->chunk_left ? n : (size_t)s->chunk_left;

    for (size_t i = 0; i < take; i++)
        look_at(s, p[i]);
    s->chunk_left -= take;
    reach(s, s->body.bytes);
    if (s->mode == CHUNK && !s->chunk_left)
        chunk_over(s);
    return take;
}

static void bdat(struct bench_session *s, struct span arg)
{
    const char *blank = memchr(arg.p, ' ', arg.n);
    struct span size = {arg.p, blank ? (size_t)(blank - arg.p) : arg.n};

    if (!text_u64(size, &s->chunk_left) || s->chunk_left > s->setup.size_most) {
        send_bytes(s, "501 5.5.4 BDAT what?\r\n", 22);
        return;
    }
    if (!s->mail || !s->rcpts) { /* RFC 3030 2: the octets are read all the same */
        send_bytes(s, "503 5.5.1 MAIL and RCPT first\r\n", 31);
    }
    if (s->body_done == 0 || !s->mail)
        begin_content(s);
    s->chunk_last = blank && strncasecmp(blank + 1, "LAST", 4) == 0;
    s->mode = CHUNK;
    if (!s->chunk_left)
        chunk_over(s);
}

/* ---- lines */

static void auth_line(struct bench_session *s, struct span line)
{
    if (span_is(line, "*")) {
        s->mode = LINES;
        send_bytes(s, "501 5.7.0 cancelled\r\n", 21);
        return;
    }
    if (s->auth_steps && --s->auth_steps) {
        send_bytes(s, "334 UGFzc3dvcmQ6\r\n", 18);
        return;
    }
    s->mode = LINES;
    send_bytes(s, "235 2.7.0 Welcome\r\n", 19);
}

/* Whoever it is is let in: what matters is what the sender did. */
static void auth(struct bench_session *s, struct span arg)
{
    bool login = arg.n >= 5 && strncasecmp(arg.p, "LOGIN", 5) == 0, initial = memchr(arg.p, ' ', arg.n) != NULL;
    char code = answer(s, BENCH_AUTH,
                       initial && !login ? "235 2.7.0 Welcome\r\n"
                       : login           ? "334 VXNlcm5hbWU6\r\n"
                                         : "334 \r\n");

    s->auth_steps = login ? (initial ? 1 : 2) : 1;
    if (code == '3')
        s->mode = AUTH_LINES;
}

static const struct {
    const char *verb;
    void (*run)(struct bench_session *s, struct span arg);
} with_argument[] = {{"MAIL", mail}, {"RCPT", rcpt}, {"BDAT", bdat}, {"AUTH", auth}};

static void other(struct bench_session *s, struct span verb)
{
    if (span_is_nocase(verb, "EHLO") || span_is_nocase(verb, "LHLO"))
        ehlo(s);
    else if (span_is_nocase(verb, "HELO"))
        s->greeted = answer(s, BENCH_HELO, "250 bench\r\n") == '2';
    else if (span_is_nocase(verb, "STARTTLS"))
        starttls(s);
    else if (span_is_nocase(verb, "DATA"))
        data(s);
    else if (span_is_nocase(verb, "RSET")) {
        s->mail = false;
        answer(s, BENCH_RSET, "250 2.0.0 Ok\r\n");
    } else if (span_is_nocase(verb, "NOOP"))
        answer(s, BENCH_NOOP, "250 2.0.0 Ok\r\n");
    else if (span_is_nocase(verb, "QUIT")) {
        answer(s, BENCH_QUIT, "221 2.0.0 bye\r\n");
        if (s->mode != DEAF)
            end(s, BENCH_CLOSE);
    } else
        send_bytes(s, "500 5.5.1 what?\r\n", 17);
}

static void command(struct bench_session *s, struct span line, bool more)
{
    const char *blank = memchr(line.p, ' ', line.n);
    struct span verb = {line.p, blank ? (size_t)(blank - line.p) : line.n},
                arg = {blank ? blank + 1 : line.p + line.n, blank ? line.n - verb.n - 1 : 0};

    tell(s, &(struct bench_event){.kind = BENCH_EV_RECV, .text = line, .pipelined = more});
    for (size_t i = 0; i < sizeof with_argument / sizeof *with_argument; i++)
        if (span_is_nocase(verb, with_argument[i].verb)) {
            with_argument[i].run(s, arg);
            return;
        }
    other(s, verb);
}

static size_t one_line(struct bench_session *s)
{
    const char *p = buf_data(&s->in), *lf = memchr(p, '\n', s->in.len);
    size_t n = lf ? (size_t)(lf - p) + 1 : 0, text = n ? n - 1 : 0;

    if (!lf && s->in.len > LINE_MOST)
        end(s, BENCH_CLOSE);
    if (!lf)
        return 0;
    if (text && p[text - 1] == '\r')
        text--;
    else
        tell(s, &(struct bench_event){.kind = BENCH_EV_LINT, .text = SPAN("bare-lf")});
    if (s->mode == AUTH_LINES)
        auth_line(s, (struct span){p, text});
    else
        command(s, (struct span){p, text}, n < s->in.len);
    return n;
}

/* ---- from outside */

static void greet(struct bench_session *s)
{
    char greeting[SMALL];

    snprintf(greeting, sizeof greeting, "220 %s ESMTP TESTBENCH\r\n", s->setup.hostname);
    if (s->mode != DEAF)
        answer(s, BENCH_CONNECT, greeting);
}

struct bench_session *bench_session_new(const struct bench_session_setup *setup, int64_t now_s)
{
    struct bench_session *s = mem_alloc(sizeof *s);

    s->setup = *setup;
    s->last = &s->first;
    s->now_s = now_s;
    answer(s, BENCH_ACCEPT, NULL);
    if (!setup->implicit)
        greet(s);
    return s;
}

static void free_todo(struct todo *t)
{
    buf_clear(&t->bytes);
    free(t);
}

void bench_session_free(struct bench_session **sp)
{
    struct bench_session *s = *sp;

    if (!s)
        return;
    for (struct todo *t = s->first, *next; t; t = next) {
        next = t->next;
        free_todo(t);
    }
    if (s->given)
        free_todo(s->given);
    buf_clear(&s->in);
    free(s->sender);
    free(s->last_rcpt);
    free(s);
    *sp = NULL;
}

static void work(struct bench_session *s)
{
    size_t n = 1;

    while (n && s->in.len && s->mode != DEAF && s->mode != TLS_NEXT) {
        n = s->mode == CONTENT ? content(s, buf_data(&s->in), s->in.len)
            : s->mode == CHUNK ? chunk(s, buf_data(&s->in), s->in.len)
                               : one_line(s);
        buf_consume(&s->in, n);
    }
    if (s->mode == DEAF)
        buf_clear(&s->in);
}

void bench_session_feed(struct bench_session *s, const void *p, size_t n, int64_t now_s)
{
    s->now_s = now_s;
    if (!s->welcomed && !s->early_said) {
        s->early_said = true;
        tell(s, &(struct bench_event){.kind = BENCH_EV_LINT, .text = SPAN("early-talker")});
    }
    buf_append(&s->in, p, n);
    work(s);
}

void bench_session_next(struct bench_session *s, struct bench_do *out)
{
    struct todo *t = s->first;

    if (s->given)
        free_todo(s->given);
    s->given = t;
    *out = (struct bench_do){.kind = BENCH_DO_WAIT};
    if (!t)
        return;
    s->first = t->next;
    if (!s->first)
        s->last = &s->first;
    t->next = NULL;
    *out = (struct bench_do){.kind = t->kind, .ms = t->ms, .then = t->then};
    if (t->kind == BENCH_DO_SEND)
        s->welcomed = true;
    if (t->kind == BENCH_DO_SEND)
        out->bytes = (struct span){buf_data(&t->bytes), t->bytes.len};
    if (t->kind == BENCH_DO_START_TLS) /* what the sender put behind STARTTLS in clear */
        out->bytes = (struct span){s->in.len ? buf_data(&s->in) : "", s->in.len};
}

bool bench_session_client_hello(struct bench_session *s, int64_t now_s)
{
    struct todo **before = s->last;

    s->now_s = now_s;
    answer(s, BENCH_CLIENT_HELLO, NULL);
    return s->last != before || s->mode == DEAF;
}

void bench_session_tls_done(struct bench_session *s)
{
    s->in_tls = true;
    s->greeted = s->mail = false;
    s->mode = LINES;
    buf_clear(&s->in);
    tell(s, &(struct bench_event){.kind = BENCH_EV_TLS});
    answer(s, BENCH_TLS_DONE, NULL);
    if (s->setup.implicit)
        greet(s);
}

void bench_session_idle(struct bench_session *s, int64_t now_s)
{
    s->now_s = now_s;
    if (s->mode != DEAF)
        answer(s, BENCH_IDLE, NULL);
}
