#include <stdlib.h>
#include <string.h>

#include "bench/bench_session_own.h"

#define WAITING_MOST 1000u
#define FLOOD_WRITE 65536u
#define FLOOD_BREATH_MS 1u
#define LINE_MOST 65536u /* longer ones are cut off: a sender that writes them is not a sender any more */

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

static void send_held(struct bench_session *s)
{
    if (!s->held.len)
        return;
    bench_session_push(s, BENCH_DO_SEND)->bytes = s->held;
    s->held = (struct buf){0};
}

/* Told where it is said, so that answers stand behind their commands; .held: it goes out with the next one. */
void bench_session_hold(struct bench_session *s, const char *p, size_t n)
{
    buf_append(&s->held, p, n);
    bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_SEND, .text = {p, n}, .times = 1, .held = true});
}

void bench_session_send(struct bench_session *s, const char *p, size_t n)
{
    if (!n)
        return;
    buf_append(&s->held, p, n);
    bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_SEND, .text = {p, n}, .times = 1});
    send_held(s);
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
    bench_session_tell(
        s, &(struct bench_event){.kind = BENCH_EV_SEND, .text = {bytes->p, bytes->n}, .times = t->flood_left});
}

void bench_session_pause(struct bench_session *s, unsigned ms)
{
    if (ms)
        bench_session_push(s, BENCH_DO_PAUSE)->ms = ms;
}

void bench_session_end(struct bench_session *s, enum bench_then then)
{
    send_held(s);
    bench_session_push(s, BENCH_DO_END)->then = then;
    s->mode = BENCH_DEAF;
}

/* ---- lines */

static void command(struct bench_session *s, struct span line, bool more)
{
    bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_RECV, .text = line, .pipelined = more});
    bench_verb_run(s, line);
}

static size_t one_line(struct bench_session *s)
{
    const char *p = buf_data(&s->in), *lf = memchr(p, '\n', s->in.len);
    size_t n = lf ? (size_t)(lf - p) + 1 : 0, text = n ? n - 1 : 0;

    if (!lf && s->in.len > LINE_MOST)
        bench_session_end(s, BENCH_CLOSE);
    if (!lf)
        return 0;
    if (text && p[text - 1] == '\r')
        text--;
    else
        bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_LINT, .text = SPAN("bare-lf")});
    if (s->mode == BENCH_AUTH_LINES)
        bench_auth_line(s, (struct span){p, text});
    else
        command(s, (struct span){p, text}, n < s->in.len);
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

static void work(struct bench_session *s)
{
    size_t n = 1;

    while (n && s->in.len && s->mode != BENCH_DEAF && s->mode != BENCH_TLS_NEXT) {
        n = s->mode == BENCH_CONTENT ? bench_mail_content(s, buf_data(&s->in), s->in.len)
            : s->mode == BENCH_CHUNK ? bench_mail_chunk(s, buf_data(&s->in), s->in.len)
                                     : one_line(s);
        buf_consume(&s->in, n);
    }
    send_held(s);
    if (s->mode == BENCH_DEAF)
        buf_clear(&s->in);
}

/* A handshake that nobody agreed to: no line of SMTP begins like its record, which is dropped. */
static void drop_client_hello(struct bench_session *s)
{
    const unsigned char *p = (const unsigned char *)buf_data(&s->in);
    size_t n = s->in.len;

    if (n >= 5 && p[0] == 0x16 && p[1] == 3 && s->mode == BENCH_LINES && !s->in_tls && !s->hello_left) {
        s->hello_left = 5u + (size_t)(p[3] << 8 | p[4]);
        bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_LINT, .text = SPAN("client-hello-in-clear")});
    }
    n = n < s->hello_left ? n : s->hello_left;
    s->hello_left -= n;
    buf_consume(&s->in, n);
}

void bench_session_feed(struct bench_session *s, const void *p, size_t n, int64_t now_s)
{
    s->now_s = now_s;
    if (!s->welcomed && !s->early_said) {
        s->early_said = true;
        bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_LINT, .text = SPAN("early-talker")});
    }
    buf_append(&s->in, p, n);
    drop_client_hello(s);
    work(s);
}

/* Answers to commands that came together leave together, as a correct server's do, where no step of the scenario wants
 * a say in it. */
static void take_along(struct bench_session *s, struct bench_todo *t)
{
    const struct bench_scenario *sc = s->setup.scenario;

    while (!sc->step_count && !sc->ehlo.split && s->first && s->first->kind == BENCH_DO_SEND) {
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

static struct bench_todo *pop(struct bench_session *s)
{
    struct bench_todo *t = s->first;

    if (s->given)
        free_todo(s->given);
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

void bench_session_next(struct bench_session *s, struct bench_do *out)
{
    struct bench_todo *t;

    *out = (struct bench_do){.kind = BENCH_DO_WAIT};
    while (s->first && s->first->flood) {
        s->welcomed = true;
        if (flood(s->first, out))
            return;
        (void)pop(s);
    }
    t = pop(s);
    if (!t)
        return;
    *out = (struct bench_do){.kind = t->kind, .ms = t->ms, .unread = t->unread, .then = t->then};
    if (t->kind == BENCH_DO_SEND) {
        s->welcomed = true;
        take_along(s, t);
        out->bytes = (struct span){buf_data(&t->bytes), t->bytes.len};
    }
    if (t->kind == BENCH_DO_START_TLS) /* what the sender put behind STARTTLS in clear */
        out->bytes = (struct span){s->in.len ? buf_data(&s->in) : "", s->in.len};
}

const struct bench_scenario *bench_session_scenario(const struct bench_session *s)
{
    return s->setup.scenario;
}

bool bench_session_is_full(const struct bench_session *s)
{
    return s->waiting > WAITING_MOST;
}

void bench_session_sni(struct bench_session *s, const char *name)
{
    free(s->sni);
    s->sni = mem_str(name);
    bench_choose(s, BENCH_AT_SNI);
}

bool bench_session_client_hello(struct bench_session *s, int64_t now_s)
{
    struct bench_todo **before = s->last;

    s->now_s = now_s;
    bench_step_answer(s, BENCH_CLIENT_HELLO, NULL);
    return s->last != before || s->mode == BENCH_DEAF;
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

void bench_session_idle(struct bench_session *s, int64_t now_s)
{
    s->now_s = now_s;
    if (s->mode != BENCH_DEAF)
        bench_step_answer(s, BENCH_IDLE, NULL);
}
