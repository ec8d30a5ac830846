#include "bench/transcript.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/lint.h"
#include "bench/seen.h"
#include "bench/transcript_files.h"
#include "bench/transcript_line.h"

#define VERSION 1
#define MANY 65536u /* octets of lines that wait to be written */
#define MESSAGES 4096u

struct transcript_book {
    struct transcript_files *files; /* NULL: none */
    struct transcript *open;
    struct seen *messages;
    struct lint_book *lint;
    uint64_t run, sessions;
    bool keep_auth;
    void (*fn)(void *arg, const json_t *line);
    void *arg;
};

struct transcript {
    struct transcript *next, **link;
    struct transcript_book *book;
    struct transcript_file *file;
    struct buf lines; /* to be written */
    char id[24];
    char *lease;
    unsigned seq, commands, messages;
    uint64_t received, sent, seed;
    int64_t begun_us, last_us; /* last: when something was sent or came */
    bool in_tls, after_auth, quit;
    struct message_digest *digest; /* of the content that is coming */
    struct lint *lint;
};

/* ---- the book */

int transcript_book_open(struct transcript_book **out, const struct transcript_book_setup *s, struct err *e)
{
    struct transcript_book *b = mem_alloc(sizeof *b);
    struct transcript_files_setup files = {
        .dir = s->dir, .max_sessions = s->max_sessions, .max_bytes = (uint64_t)s->max_mib << 20};

    *out = NULL;
    b->keep_auth = s->keep_auth;
    b->messages = seen_new(MESSAGES);
    b->lint = lint_book_new();
    if (s->dir && transcript_files_open(&b->files, &files, e) < 0) {
        transcript_book_close(&b);
        return -1;
    }
    b->run = b->files ? transcript_files_run(b->files) : (uint64_t)(clock_now().real_us / 1000000);
    *out = b;
    return 0;
}

void transcript_book_close(struct transcript_book **bp)
{
    struct transcript_book *b = *bp;

    if (!b)
        return;
    transcript_files_close(&b->files);
    seen_free(&b->messages);
    lint_book_free(&b->lint);
    free(b);
    *bp = NULL;
}

void transcript_book_listen(struct transcript_book *b, void (*fn)(void *arg, const json_t *line), void *arg)
{
    b->fn = fn;
    b->arg = arg;
}

static void flush(struct transcript *t)
{
    if (t->file)
        transcript_files_write(t->book->files, t->file, buf_data(&t->lines), t->lines.len);
    buf_clear(&t->lines);
}

void transcript_book_flush(struct transcript_book *b)
{
    for (struct transcript *t = b->open; t; t = t->next)
        flush(t);
}

/* ---- lines */

static int append(const char *p, size_t n, void *arg)
{
    buf_append(arg, p, n);
    return 0;
}

static void write_line(struct buf *to, const json_t *o)
{
    (void)json_dump_callback(o, append, to, JSON_COMPACT | JSON_ENSURE_ASCII);
    buf_append(to, "\n", 1);
}

/* What every line begins with, then fields, which are stolen. */
static json_t *whole(const char *sid, unsigned seq, int64_t us, const char *event, bool tls, json_t *fields)
{
    json_t *o = json_pack("{s:i,s:s,s:I,s:I,s:s,s:b}", "v", VERSION, "sid", sid, "seq", (json_int_t)seq, "mono_us",
                          (json_int_t)us, "ev", event, "tls", tls);

    json_object_update_missing(o, fields);
    json_decref(fields);
    return o;
}

/* Steals fields. */
static void line(struct transcript *t, const char *event, json_t *fields)
{
    json_t *o = whole(t->id, ++t->seq, clock_now().mono_us - t->begun_us, event, t->in_tls, fields);

    if (t->book->fn)
        t->book->fn(t->book->arg, o);
    if (t->file)
        write_line(&t->lines, o);
    json_decref(o);
    if (t->lines.len >= MANY)
        flush(t);
}

/* ---- a session */

static json_t *address(const struct addr *a)
{
    char text[ADDR_TEXT];

    return json_pack("{s:s,s:i}", "ip", addr_ip_text(a, text), "port", (int)addr_port(a));
}

static void on_lint(void *arg, enum lint_id id, const char *detail, unsigned seq)
{
    line(arg, "lint", json_pack("{s:s,s:s,s:I}", "id", lint_name(id), "detail", detail, "shown_by", (json_int_t)seq));
}

struct transcript *transcript_begin(struct transcript_book *b, const struct transcript_start *s)
{
    struct transcript *t;
    char client[ADDR_TEXT];
    struct lint_setup lint = {.book = b->lint, .lease = s->lease, .scenario = s->scenario, .fn = on_lint};
    struct now now;

    if (!b->files && !b->fn)
        return NULL;
    t = mem_alloc(sizeof *t);
    now = clock_now();
    t->book = b;
    t->begun_us = t->last_us = now.mono_us;
    t->seed = s->seed;
    t->lease = mem_str(s->lease);
    snprintf(t->id, sizeof t->id, "%" PRIx64 "-%" PRIx64, b->run, ++b->sessions);
    t->file = b->files ? transcript_files_begin(b->files, t->id) : NULL;
    t->next = b->open;
    t->link = &b->open;
    if (t->next)
        t->next->link = &t->next;
    b->open = t;
    lint.client = addr_ip_text(s->peer, client);
    lint.arg = t;
    t->lint = lint_new(&lint);
    line(t, "session_start",
         json_pack("{s:I,s:s,s:s,s:s,s:o,s:o,s:I}", "ts", (json_int_t)now.real_us, "scenario", s->scenario, "lease",
                   s->lease, "listener", s->listener, "peer", address(s->peer), "local", address(s->local), "seed",
                   (json_int_t)s->seed));
    return t;
}

const char *transcript_id(const struct transcript *t)
{
    return t ? t->id : "";
}

/* ---- what happens in it */

static int64_t gap_ms(struct transcript *t)
{
    int64_t now = clock_now().mono_us, gap = now - t->last_us;

    t->last_us = now;
    return gap / 1000;
}

static void received(struct transcript *t, const struct bench_event *ev)
{
    enum transcript_secret secret = t->book->keep_auth ? TRANSCRIPT_OPEN : transcript_line_secret(ev, t->after_auth);

    t->commands += !ev->dropped;
    t->received += ev->text.n + (ev->eol == BENCH_EOL_CRLF ? 2 : ev->eol != BENCH_EOL_NONE);
    line(t, "recv", transcript_line_recv(ev, secret, gap_ms(t)));
    t->quit = !ev->dropped && span_is_nocase(ev->text, "QUIT");
    t->after_auth = t->after_auth || transcript_line_is_auth(ev->text);
}

static void content(struct transcript *t, const struct bench_event *ev)
{
    if (!t->digest)
        t->digest = message_digest_new(ev->chunked);
    if (t->digest)
        message_digest_take(t->digest, ev->text.p, ev->text.n);
}

/* Who it repeats, of those that were taken (same lease, Message-ID and content); it is one of them from now on. NULL: none. */
static const char *known(struct transcript *t, const struct message_digest_result *d, const char *mid, bool accepted,
                         char room[SEEN_TEXT])
{
    char *key;
    struct seen_thing *before;

    if (!accepted || !*d->id)
        return NULL;
    key = mem_printf("%s\n%s\n%s", t->lease, d->sha256, d->id);
    before = seen_get(t->book->messages, key, strlen(key));
    if (before)
        memcpy(room, before->text, SEEN_TEXT);
    else
        snprintf(seen_put(t->book->messages, key, strlen(key))->text, SEEN_TEXT, "%s", mid);
    free(key);
    return before ? room : NULL;
}

static void message(struct transcript *t, const struct bench_event *ev)
{
    struct message_digest_result d = {.size = 0};
    struct lint_message m = {.declared = ev->envelope->size_declared, .given = ev->envelope->size_given};
    char mid[SEEN_TEXT], before[SEEN_TEXT];

    if (!t->digest)
        t->digest = message_digest_new(ev->chunked); /* an empty one */
    if (t->digest)
        message_digest_end(t->digest, ev->body->eod_octets, &d);
    message_digest_free(&t->digest);
    snprintf(mid, sizeof mid, "%s.%u", t->id, ++t->messages);
    m.before = known(t, &d, mid, ev->accepted, before);
    m.size = d.size;
    line(t, "message", transcript_line_message(ev, &d, mid, m.before));
    lint_message(t->lint, &m, t->seq);
}

/* The line that the event makes. */
static void tell(struct transcript *t, const struct bench_event *ev)
{
    switch (ev->kind) {
    case BENCH_EV_RECV:
        received(t, ev);
        break;
    case BENCH_EV_SEND:
        t->sent += ev->text.n * ev->times;
        (void)gap_ms(t);
        line(t, "send", transcript_line_send(ev));
        break;
    case BENCH_EV_HELLO:
        break;
    case BENCH_EV_FAULT:
        line(t, "fault", transcript_line_fault(ev, t->seed));
        break;
    case BENCH_EV_TLS:
        t->in_tls = true;
        (void)gap_ms(t);
        break;
    case BENCH_EV_CONTENT:
        t->received += ev->text.n;
        content(t, ev);
        break;
    case BENCH_EV_BODY:
        (void)gap_ms(t);
        line(t, "body", transcript_line_body(ev));
        if (!ev->body->eod)
            message_digest_free(&t->digest);
        break;
    case BENCH_EV_MESSAGE:
        message(t, ev);
        break;
    case BENCH_EV_SELECT:
        line(t, "select", json_pack("{s:s,s:s}", "scenario", ev->scenario->name, "by", ev->stage));
        break;
    }
}

static int64_t now_s(void)
{
    return clock_now().mono_us / 1000000;
}

/* What no line was made for is shown by the line of the lint itself. */
void transcript_event(struct transcript *t, const struct bench_event *ev)
{
    if (!t)
        return;
    tell(t, ev);
    lint_event(t->lint, ev, t->seq + (ev->kind == BENCH_EV_HELLO), now_s());
}

static void lint_hello(struct transcript *t, const json_t *hello)
{
    const char *versions[16] = {NULL}, *sni = json_string_value(json_object_get(hello, "sni"));
    const json_t *list = json_object_get(hello, "versions");

    for (size_t i = 0; i < json_array_size(list) && i < 15; i++)
        versions[i] = json_string_value(json_array_get(list, i));
    lint_client_hello(t->lint, sni ? sni : "", versions, t->seq);
}

void transcript_note(struct transcript *t, const char *event, json_t *fields)
{
    if (t) {
        json_incref(fields);
        line(t, event, fields);
        if (strcmp(event, "client_hello") == 0)
            lint_hello(t, fields);
    }
    json_decref(fields);
}

void transcript_end(struct transcript **tp, const char *by, const char *reason)
{
    struct transcript *t = *tp;

    if (!t)
        return;
    lint_end(t->lint, strcmp(by, "client") == 0 && (!reason || strcmp(reason, "tls") != 0), t->seq, now_s());
    line(t, "session_end",
         json_pack("{s:s,s:s,s:I,s:I,s:I,s:I}", "by", by, "reason",
                   reason    ? reason
                   : t->quit ? "quit"
                             : "scenario",
                   "cmds", (json_int_t)t->commands, "rx", (json_int_t)t->received, "tx", (json_int_t)t->sent, "ms",
                   (json_int_t)((clock_now().mono_us - t->begun_us) / 1000)));
    flush(t);
    if (t->file)
        transcript_files_end(t->book->files, t->file);
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    message_digest_free(&t->digest);
    lint_free(&t->lint);
    free(t->lease);
    free(t);
    *tp = NULL;
}

/* ---- verdicts */

void transcript_verdict(struct transcript_book *b, const char *lease, json_t *fields)
{
    struct buf text = {0};
    json_t *o;

    json_object_set_new(fields, "lease", json_string(lease));
    o = whole("", 0, 0, "verdict", false, fields);
    if (b->fn)
        b->fn(b->arg, o);
    if (b->files) {
        write_line(&text, o);
        transcript_files_write(b->files, NULL, buf_data(&text), text.len);
    }
    buf_clear(&text);
    json_decref(o);
}
