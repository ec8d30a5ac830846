#include "bench/transcript.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/text.h"

#define VERSION 1

struct transcript_book {
    char *dir;
    FILE *all;
    uint64_t sessions;
    void (*fn)(void *arg, const json_t *line);
    void *arg;
};

struct transcript {
    struct transcript_book *book;
    FILE *f;
    char id[24];
    char *scenario, *lease;
    unsigned seq, commands;
    uint64_t received, sent;
    int64_t begun_us;
    bool in_tls, secret; /* secret: what comes next answers AUTH */
};

int transcript_book_open(struct transcript_book **out, const char *dir, struct err *e)
{
    struct transcript_book *b = mem_alloc(sizeof *b);
    char *path;

    *out = NULL;
    if (dir && mkdir(dir, 0700) < 0 && errno != EEXIST) {
        free(b);
        return err_set(e, "%s: %s", dir, strerror(errno));
    }
    if (dir) {
        b->dir = mem_str(dir);
        path = mem_printf("%s/all.jsonl", dir);
        b->all = fopen(path, "ae");
        if (!b->all)
            err_set(e, "%s: %s", path, strerror(errno));
        free(path);
        if (!b->all) {
            transcript_book_close(&b);
            return -1;
        }
    }
    *out = b;
    return 0;
}

void transcript_book_close(struct transcript_book **bp)
{
    struct transcript_book *b = *bp;

    if (!b)
        return;
    if (b->all)
        fclose(b->all);
    free(b->dir);
    free(b);
    *bp = NULL;
}

void transcript_book_listen(struct transcript_book *b, void (*fn)(void *arg, const json_t *line), void *arg)
{
    b->fn = fn;
    b->arg = arg;
}

static void put(FILE *f, const char *text)
{
    if (!f)
        return;
    fputs(text, f);
    putc('\n', f);
}

/* Steals o. */
static void line(struct transcript *t, const char *event, json_t *o)
{
    char *text;

    json_object_set_new(o, "v", json_integer(VERSION));
    json_object_set_new(o, "sid", json_string(t->id));
    json_object_set_new(o, "seq", json_integer(++t->seq));
    json_object_set_new(o, "mono_us", json_integer(clock_now().mono_us - t->begun_us));
    json_object_set_new(o, "ev", json_string(event));
    json_object_set_new(o, "tls", json_boolean(t->in_tls));
    if (t->book->fn)
        t->book->fn(t->book->arg, o);
    if (t->f || t->book->all) {
        text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
        put(t->f, text);
        put(t->book->all, text);
        free(text);
    }
    json_decref(o);
}

/* Bytes that are no UTF-8 are given as Latin-1, and said to be: "raw" is true. */
static void set_bytes(json_t *o, const char *key, struct span b)
{
    json_t *s = json_stringn(b.p, b.n);
    struct buf wide = {0};

    if (!s) {
        for (size_t i = 0; i < b.n; i++) {
            unsigned char c = (unsigned char)b.p[i];

            if (c < 0x80)
                buf_append(&wide, &b.p[i], 1);
            else
                buf_append(&wide, (char[]){(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))}, 2);
        }
        s = json_stringn_nocheck(wide.len ? buf_data(&wide) : "", wide.len);
        json_object_set_new(o, "raw", json_true());
        buf_clear(&wide);
    }
    json_object_set_new(o, key, s);
}

struct transcript *transcript_begin(struct transcript_book *b, const struct transcript_start *s)
{
    struct transcript *t;
    struct now now;
    char peer[ADDR_TEXT], local[ADDR_TEXT];

    if (!b->all && !b->fn)
        return NULL;
    t = mem_alloc(sizeof *t);
    now = clock_now();
    t->book = b;
    t->begun_us = now.mono_us;
    snprintf(t->id, sizeof t->id, "%" PRIx64 "-%" PRIx64, (uint64_t)(now.real_us / 1000000), ++b->sessions);
    t->scenario = mem_str(s->scenario);
    t->lease = mem_str(s->lease);
    if (b->dir) {
        char *path = mem_printf("%s/%s.jsonl", b->dir, t->id);

        t->f = fopen(path, "we");
        free(path);
    }
    line(t, "session_start",
         json_pack("{s:I,s:s,s:s,s:s,s:s,s:I}", "ts", (json_int_t)now.real_us, "scenario", t->scenario, "lease",
                   t->lease, "peer", addr_text(s->peer, peer), "local", addr_text(s->local, local), "seed",
                   (json_int_t)s->seed));
    return t;
}

const char *transcript_id(const struct transcript *t)
{
    return t->id;
}

static bool begins_auth(struct span text)
{
    return text.n >= 5 && strncasecmp(text.p, "AUTH ", 5) == 0;
}

static void received(struct transcript *t, const struct bench_event *ev)
{
    struct span text = ev->text;
    json_t *o = json_object();

    t->commands++;
    t->received += text.n + 2;
    if (begins_auth(text)) { /* AUTH MECHANISM and nothing of what follows */
        const char *blank = memchr(text.p + 5, ' ', text.n - 5);

        text.n = blank ? (size_t)(blank - text.p) : text.n;
        json_object_set_new(o, "redacted", json_boolean(blank != NULL));
    }
    set_bytes(o, "text", text);
    json_object_set_new(o, "len", json_integer((json_int_t)ev->text.n));
    json_object_set_new(o, "pipelined", json_boolean(ev->pipelined));
    line(t, "recv", o);
}

static json_t *body_of(const struct bench_body *b)
{
    json_t *near = json_array();

    for (unsigned i = 0; i < BENCH_NEAR_ENDS; i++)
        if (b->near & 1u << i)
            json_array_append_new(near, json_string(bench_near_end[i].name));
    return json_pack("{s:o,s:I,s:i,s:i,s:i,s:i,s:b}", "near_eod", near, "bytes", (json_int_t)b->bytes, "max_line",
                     (int)b->max_line, "bare_lf", (int)b->bare_lf, "bare_cr", (int)b->bare_cr, "nul", (int)b->nul,
                     "dot_stuffed", b->dots_stuffed);
}

void transcript_event(struct transcript *t, const struct bench_event *ev)
{
    json_t *o;

    switch (ev->kind) {
    case BENCH_EV_RECV:
        received(t, ev);
        break;
    case BENCH_EV_SEND:
        o = json_object();
        t->sent += ev->text.n * ev->times;
        set_bytes(o, "text", ev->text);
        if (ev->held)
            json_object_set_new(o, "held", json_true());
        if (ev->times > 1)
            json_object_set_new(o, "times", json_integer(ev->times));
        json_object_set_new(o, "bytes", json_integer((json_int_t)ev->text.n));
        line(t, "send", o);
        break;
    case BENCH_EV_FAULT:
        line(t, "fault",
             json_pack("{s:s,s:s,s:i,s:i}", "scenario", t->scenario, "at", bench_at_name(ev->step->at), "line",
                       (int)ev->step->line, "count", (int)ev->count));
        break;
    case BENCH_EV_TLS:
        t->in_tls = true;
        break;
    case BENCH_EV_BODY:
        t->received += ev->body->bytes;
        line(t, "body", body_of(ev->body));
        break;
    case BENCH_EV_MESSAGE:
        line(t, "message", json_pack("{s:b,s:I}", "accepted", ev->accepted, "size", (json_int_t)ev->body->bytes));
        break;
    case BENCH_EV_SELECT:
        free(t->scenario);
        t->scenario = mem_strn(ev->text.p, ev->text.n);
        line(t, "select", json_pack("{s:s,s:s}", "scenario", t->scenario, "by", ev->verb));
        break;
    case BENCH_EV_LINT:
        o = json_object();
        set_bytes(o, "id", ev->text);
        line(t, "lint", o);
        break;
    }
}

void transcript_note(struct transcript *t, const char *event, json_t *fields)
{
    line(t, event, fields);
}

void transcript_end(struct transcript **tp, const char *by)
{
    struct transcript *t = *tp;

    if (!t)
        return;
    line(t, "session_end",
         json_pack("{s:s,s:i,s:I,s:I,s:I}", "by", by, "cmds", (int)t->commands, "rx", (json_int_t)t->received, "tx",
                   (json_int_t)t->sent, "ms", (json_int_t)((clock_now().mono_us - t->begun_us) / 1000)));
    if (t->f)
        fclose(t->f);
    if (t->book->all)
        fflush(t->book->all);
    free(t->scenario);
    free(t->lease);
    free(t);
    *tp = NULL;
}
