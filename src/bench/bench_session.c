#include <stdlib.h>
#include <string.h>

#include "bench/bench_session_own.h"

#define WAITING_MOST 1000u
#define HURRIED_MOST 100u /* answers at once: 64 KiB of EHLO would be answered by more than a megabyte */
#define FLOOD_WRITE 65536u
#define FLOOD_BREATH_MS 1u
#define LINE_MOST 65536u   /* longer ones are cut off: a sender that writes them is not a sender any more */
#define FULL 262144u       /* waits for its turn, and then the sender waits, too */
#define DROPPED_MOST 4096u /* octets of what nobody obeys are told */

/* ---- what is to be done */

struct bench_todo *bench_session_push(struct bench_session *s, enum bench_do_kind kind)
{
    struct bench_todo *t = mem_alloc(sizeof *t);

    t->kind = kind;
    *s->last = t;
    s->last = &t->next;
    s->waiting++;
    return t;
}

void bench_session_tell(struct bench_session *s, struct bench_event *ev)
{
    ev->in_tls = s->in_tls;
    if (s->setup.event)
        s->setup.event(s->setup.arg, ev);
}

/* What was held goes out in front of it, and was told when it was held. */
void bench_session_part(struct bench_session *s, const char *p, size_t n)
{
    struct bench_todo *t;

    if (!n)
        return;
    t = bench_session_push(s, BENCH_DO_SEND);
    t->bytes = s->held;
    t->told = s->held.len;
    s->held = (struct buf){0};
    buf_append(&t->bytes, p, n);
    s->part = t;
}

void bench_session_answered(struct bench_session *s, unsigned delay_ms, size_t injected)
{
    if (!s->part)
        return;
    s->part->whole = true;
    s->part->delay_ms = delay_ms;
    s->part->injected = (unsigned)injected;
    s->part = NULL;
}

void bench_session_send(struct bench_session *s, const char *p, size_t n)
{
    bench_session_part(s, p, n);
    bench_session_answered(s, 0, 0);
}

static void send_held(struct bench_session *s)
{
    struct bench_todo *t;

    if (!s->held.len)
        return;
    t = bench_session_push(s, BENCH_DO_SEND);
    t->bytes = s->held;
    t->told = s->held.len;
    s->held = (struct buf){0};
}

void bench_session_hold(struct bench_session *s, const char *p, size_t n)
{
    buf_append(&s->held, p, n);
    bench_session_tell(
        s, &(struct bench_event){.kind = BENCH_EV_SEND, .text = {p, n}, .writes = 1, .times = 1, .held = true});
}

/* As often in one write as FLOOD_WRITE holds. */
void bench_session_flood(struct bench_session *s, const struct bench_bytes *bytes, unsigned times)
{
    unsigned most = (unsigned)(BENCH_FLOOD_MOST / bytes->n) + 1;
    struct bench_todo *t = bench_session_push(s, BENCH_DO_SEND);

    t->flood = true;
    t->flood_left = times && times < most ? times : most;
    for (unsigned i = 0; i < t->flood_left && (i == 0 || t->bytes.len + bytes->n <= FLOOD_WRITE); i++)
        buf_append(&t->bytes, bytes->p, bytes->n);
    t->flood_one = bytes->n;
    bench_session_tell(s,
                       &(struct bench_event){
                           .kind = BENCH_EV_SEND, .text = {bytes->p, bytes->n}, .writes = 1, .times = t->flood_left});
}

void bench_session_pause(struct bench_session *s, unsigned ms)
{
    if (ms)
        bench_session_push(s, BENCH_DO_PAUSE)->ms = ms;
}

void bench_session_end(struct bench_session *s, enum bench_then then)
{
    if (s->mode == BENCH_CONTENT || s->mode == BENCH_CHUNK)
        bench_mail_body_over(s);
    send_held(s);
    bench_session_push(s, BENCH_DO_END)->then = then;
    s->mode = BENCH_DEAF;
}

/* What was given to be sent is out. */
static void tell_answer(struct bench_session *s, const struct bench_todo *last)
{
    if (!s->writes)
        return;
    bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_SEND,
                                                .text = {buf_data(&s->outgoing), s->outgoing.len},
                                                .writes = s->writes,
                                                .times = 1,
                                                .delay_ms = last ? last->delay_ms : 0,
                                                .injected = last ? last->injected : 0});
    buf_clear(&s->outgoing);
    s->writes = 0;
}

/* ---- lines */

static void tell_line(struct bench_session *s, struct span line, enum bench_eol eol, bool dropped)
{
    bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_RECV,
                                                .text = line,
                                                .eol = eol,
                                                .pipelined = s->pushed || (dropped && s->mode == BENCH_TLS_NEXT),
                                                .early = s->early,
                                                .secret = s->mode == BENCH_AUTH_LINES,
                                                .dropped = dropped});
    s->early = false;
}

/* The line that p begins with. Returns its length with its end, 0: it has none. */
static size_t cut_line(const char *p, size_t n, struct span *line, enum bench_eol *eol)
{
    const char *lf = memchr(p, '\n', n);
    size_t whole = lf ? (size_t)(lf - p) + 1 : 0, text = lf ? whole - 1 : n;
    bool cr = text && p[text - 1] == '\r';

    *eol = lf && cr ? BENCH_EOL_CRLF : lf ? BENCH_EOL_LF : cr ? BENCH_EOL_CR : BENCH_EOL_NONE;
    *line = (struct span){p, text - cr};
    return whole;
}

/* Nobody obeys it, but it was sent: whole lines, and in the end the rest. Returns how many octets are done with. A line is
 * never told in pieces: its beginning says whether there is a secret in it. */
static size_t tell_dropped(struct bench_session *s, const char *p, size_t n, bool all)
{
    size_t at = 0;

    while (at < n) {
        enum bench_eol eol;
        struct span line;
        size_t whole = cut_line(p + at, n - at, &line, &eol);

        if (!whole && !all)
            break;
        whole = whole ? whole : n - at;
        if (s->dropped < DROPPED_MOST)
            tell_line(s, line, eol, true);
        s->dropped += whole;
        at += whole;
    }
    return at;
}

/* After the end: what comes is told, up to a bound. */
static void drop(struct bench_session *s, bool all)
{
    if (!s->in.len)
        return;
    buf_consume(&s->in, tell_dropped(s, buf_data(&s->in), s->in.len, all));
    if (s->in.len > DROPPED_MOST || all)
        buf_clear(&s->in);
    s->pushed = 0;
}

static size_t one_line(struct bench_session *s)
{
    enum bench_eol eol;
    struct span line;
    size_t n = cut_line(buf_data(&s->in), s->in.len, &line, &eol);

    if (!n && s->in.len > LINE_MOST)
        bench_session_end(s, BENCH_CLOSE);
    if (!n)
        return 0;
    tell_line(s, line, eol, false);
    if (s->mode == BENCH_AUTH_LINES)
        bench_auth_line(s, line);
    else
        bench_verb_run(s, line);
    return n;
}

/* ---- from outside */

struct bench_session *bench_session_new(const struct bench_session_setup *setup, int64_t now_s)
{
    struct bench_session *s = mem_alloc(sizeof *s);

    s->setup = *setup;
    s->last = &s->first;
    s->now_s = now_s;
    s->number = bench_count_session(setup->count);
    bench_choose(s, BENCH_AT_CONNECT);
    bench_ehlo_begin(s);
    bench_step_answer(s, BENCH_ACCEPT, NULL);
    if (!setup->implicit)
        bench_verb_greet(s);
    return s;
}

static void free_todo(struct bench_todo *t)
{
    buf_clear(&t->bytes);
    free(t);
}

void bench_session_free(struct bench_session **sp)
{
    struct bench_session *s = *sp;

    if (!s)
        return;
    for (struct bench_todo *t = s->first, *next; t; t = next) {
        next = t->next;
        free_todo(t);
    }
    if (s->given)
        free_todo(s->given);
    bench_envelope_clear(&s->envelope);
    buf_clear(&s->outgoing);
    buf_clear(&s->in);
    bench_choose_forget(s);
    free(s->sni);
    free(s->helo);
    buf_clear(&s->held);
    buf_clear(&s->said);
    free(s->offer);
    free(s->sender);
    free(s->last_rcpt);
    free(s);
    *sp = NULL;
}

/* Nobody looks: no step may want a say, and nobody is told in which order things happen. */
static bool is_hurried(const struct bench_session *s)
{
    return !s->setup.event && !s->setup.scenario->step_count && !s->setup.scenario->ehlo.split;
}

/* Something is to be done for what was before, or being done; where nobody looks: a lot of it. */
static bool is_busy(const struct bench_session *s)
{
    return is_hurried(s) ? s->waiting >= HURRIED_MOST : s->first || s->given;
}

enum is_hello { HELLO_NO, HELLO_MAYBE, HELLO_YES };

/* A handshake that nobody agreed to, where a line could begin: none of SMTP begins like its record. */
static enum is_hello is_client_hello(const struct bench_session *s)
{
    const unsigned char *p = (const unsigned char *)buf_data(&s->in);

    if (s->mode != BENCH_LINES || s->in_tls || p[0] != 0x16 || (s->in.len > 1 && p[1] != 3))
        return HELLO_NO;
    return s->in.len < 5 ? HELLO_MAYBE : HELLO_YES;
}

/* It is passed over, as much of it as is there. */
static size_t pass_client_hello(struct bench_session *s)
{
    const unsigned char *p = (const unsigned char *)buf_data(&s->in);
    size_t n;

    if (!s->hello_left) {
        s->hello_left = 5u + (size_t)(p[3] << 8 | p[4]);
        bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_HELLO});
    }
    n = s->in.len < s->hello_left ? s->in.len : s->hello_left;
    s->hello_left -= n;
    return n;
}

/* How many octets of what has come are done with; 0: more must come. */
static size_t work_once(struct bench_session *s)
{
    enum is_hello hello = s->hello_left ? HELLO_YES : is_client_hello(s);

    if (hello != HELLO_NO)
        return hello == HELLO_YES ? pass_client_hello(s) : 0;
    return s->mode == BENCH_CONTENT ? bench_mail_content(s, buf_data(&s->in), s->in.len)
           : s->mode == BENCH_CHUNK ? bench_mail_chunk(s, buf_data(&s->in), s->in.len)
                                    : one_line(s);
}

/* One thing after the other: what comes is looked at when there is nothing left to do for what was before it. */
static void work(struct bench_session *s)
{
    size_t n = 1;

    while (n && s->in.len && !is_busy(s) && s->mode != BENCH_DEAF && s->mode != BENCH_TLS_NEXT) {
        n = work_once(s);
        buf_consume(&s->in, n);
        if (n)
            s->pushed = s->in.len;
    }
    if (!is_busy(s))
        send_held(s);
    if (s->mode == BENCH_DEAF)
        drop(s, false);
}

void bench_session_feed(struct bench_session *s, const void *p, size_t n, int64_t now_s)
{
    s->now_s = now_s;
    s->early = s->early || (!s->welcomed && !s->early_said);
    s->early_said = s->early_said || s->early;
    buf_append(&s->in, p, n);
    work(s);
}

/* Answers to commands that came together leave together, as a correct server's do, where no step of the scenario wants
 * a say in it. */
static void take_along(struct bench_session *s, struct bench_todo *t)
{
    while (is_hurried(s) && s->first && s->first->kind == BENCH_DO_SEND) {
        struct bench_todo *more = s->first;

        buf_append(&t->bytes, buf_data(&more->bytes), more->bytes.len);
        s->first = more->next;
        s->waiting--;
        free_todo(more);
    }
    if (!s->first)
        s->last = &s->first;
}

/* The next part of a flood, and a pause behind it. False: there is nothing left of it. */
static bool flood(struct bench_todo *t, struct bench_do *out)
{
    size_t one = t->flood_one;
    unsigned times = (unsigned)(t->bytes.len / one);

    if (t->breathe && t->flood_left) {
        *out = (struct bench_do){.kind = BENCH_DO_PAUSE, .ms = FLOOD_BREATH_MS};
        t->breathe = false;
        return true;
    }
    if (!t->flood_left)
        return false;
    if (times > t->flood_left)
        times = t->flood_left;
    *out = (struct bench_do){.kind = BENCH_DO_SEND, .flood = true, .bytes = {buf_data(&t->bytes), times * one}};
    t->flood_left -= times;
    t->breathe = true;
    return true;
}

/* What was given last is done. */
static void finish(struct bench_session *s)
{
    struct bench_todo *t = s->given;

    s->given = NULL;
    if (!t)
        return;
    if (t->kind == BENCH_DO_SEND && t->whole) {
        tell_answer(s, t);
        s->pushed = s->in.len;
        s->body_pushed = s->body_pushed || (s->mode == BENCH_CONTENT && s->in.len && !s->content.body.bytes);
    }
    free_todo(t);
}

static struct bench_todo *pop(struct bench_session *s)
{
    struct bench_todo *t = s->first;

    s->given = t;
    if (!t)
        return NULL;
    s->first = t->next;
    s->waiting--;
    if (!s->first)
        s->last = &s->first;
    t->next = NULL;
    return t;
}

static void give(struct bench_session *s, struct bench_todo *t, struct bench_do *out)
{
    *out = (struct bench_do){.kind = t->kind, .ms = t->ms, .unread = t->unread, .then = t->then};
    if (t->kind == BENCH_DO_SEND) {
        s->welcomed = true;
        take_along(s, t);
        out->bytes = (struct span){buf_data(&t->bytes), t->bytes.len};
        s->writes += t->bytes.len > t->told;
        if (s->setup.event)
            buf_append(&s->outgoing, out->bytes.p + t->told, out->bytes.n - t->told);
    }
    if (t->kind == BENCH_DO_START_TLS) { /* what the sender put behind STARTTLS in clear */
        out->bytes = (struct span){s->in.len ? buf_data(&s->in) : "", s->in.len};
        tell_dropped(s, out->bytes.p, out->bytes.n, true);
    }
}

void bench_session_next(struct bench_session *s, struct bench_do *out)
{
    struct bench_todo *t;

    finish(s);
    if (!s->first)
        work(s);
    *out = (struct bench_do){.kind = BENCH_DO_WAIT};
    while (s->first && s->first->flood) {
        s->welcomed = true;
        if (flood(s->first, out))
            return;
        (void)pop(s);
        finish(s);
    }
    t = pop(s);
    if (t)
        give(s, t, out);
}

void bench_session_gone(struct bench_session *s)
{
    tell_answer(s, NULL);
    if (s->mode == BENCH_CONTENT || s->mode == BENCH_CHUNK)
        bench_mail_body_over(s);
    else if (s->mode != BENCH_TLS_NEXT)
        drop(s, true);
    s->mode = BENCH_DEAF;
    buf_clear(&s->in);
}

const struct bench_scenario *bench_session_scenario(const struct bench_session *s)
{
    return s->setup.scenario;
}

bool bench_session_tls_is_next(const struct bench_session *s)
{
    return s->mode == BENCH_TLS_NEXT;
}

bool bench_session_is_full(const struct bench_session *s)
{
    return s->waiting > WAITING_MOST || s->in.len >= FULL;
}

static void choose_by_sni(struct bench_session *s, const char *name)
{
    free(s->sni);
    s->sni = mem_str(name);
    bench_choose(s, BENCH_AT_SNI);
}

enum bench_hello bench_session_client_hello(struct bench_session *s, const struct client_hello *h, int64_t now_s)
{
    struct bench_todo **before;

    s->now_s = now_s;
    s->hello = h;
    if (h)
        choose_by_sni(s, h->sni);
    before = s->last;
    bench_step_answer(s, BENCH_CLIENT_HELLO, NULL);
    s->hello = NULL;
    if (s->mode == BENCH_DEAF)
        return BENCH_HELLO_ANSWERED;
    if (s->last == before)
        return BENCH_HELLO_GO_ON;
    bench_session_push(s, BENCH_DO_START_TLS);
    return BENCH_HELLO_HELD;
}

void bench_session_tls_done(struct bench_session *s)
{
    s->in_tls = true;
    s->mail = s->authed = s->chunking = s->chunk_failed = false;
    s->mode = BENCH_LINES;
    buf_clear(&s->in);
    bench_ehlo_begin(s);
    bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_TLS});
    bench_step_answer(s, BENCH_TLS_DONE, NULL);
    if (s->setup.implicit)
        bench_verb_greet(s);
}

bool bench_session_idle(struct bench_session *s, int64_t now_s)
{
    struct bench_todo **before = s->last;

    s->now_s = now_s;
    if (s->mode != BENCH_DEAF)
        bench_step_answer(s, BENCH_IDLE, NULL);
    return s->last != before;
}
