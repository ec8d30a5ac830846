#include "sink/queue_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const word[QUEUE_ENTRIES] = {
    [QUEUE_ENTRY_DEFERRED] = "deferred", [QUEUE_ENTRY_DELIVERED] = "delivered",
    [QUEUE_ENTRY_RELAYED] = "relayed",   [QUEUE_ENTRY_FAILED] = "failed",
    [QUEUE_ENTRY_EXPIRED] = "expired",   [QUEUE_ENTRY_DELAY_NOTICE] = "delay-notice",
    [QUEUE_ENTRY_REPORTED] = "reported", [QUEUE_ENTRY_HELD] = "held",
    [QUEUE_ENTRY_RELEASED] = "released", [QUEUE_ENTRY_RETRY] = "retry",
};
static const char *const said_word[] = {"by", "at", "here"};

const char *queue_rcpt_state_name(enum queue_rcpt_state s)
{
    static const char *const name[] = {"waiting", "delivered", "relayed", "failed", "expired"};

    return name[s];
}

/* ---- writing */

static struct peer_text cut(struct peer_text t)
{
    if (t.n > QUEUE_FILE_TEXT_MOST)
        t.n = QUEUE_FILE_TEXT_MOST;
    return t;
}

static void put_quoted(struct buf *out, const char *before, struct peer_text t)
{
    buf_append(out, before, strlen(before));
    queue_file_escape(out, cut(t), true);
    buf_append(out, "\"", 1);
}

static void put_reply(struct buf *out, const struct queue_reply *r)
{
    buf_printf(out, " %u %s %s", r->code, r->enhanced, said_word[r->said]);
    if (r->said != QUEUE_SAID_HERE) {
        buf_append(out, " ", 1);
        queue_file_escape(out, cut(r->remote), false);
    }
    put_quoted(out, " \"", r->text);
    if (r->tls.p)
        put_quoted(out, " tls \"", r->tls);
}

void queue_log_write(struct buf *out, const struct queue_entry *en)
{
    char time[QUEUE_FILE_TIME];

    queue_file_time(time, en->at_us);
    buf_append(out, time, strlen(time));
    if (en->kind <= QUEUE_ENTRY_FAILED)
        buf_printf(out, " try %u", en->try);
    if (en->kind <= QUEUE_ENTRY_REPORTED)
        buf_printf(out, " rcpt %u", en->rcpt);
    buf_printf(out, " %s", word[en->kind]);
    if (en->kind <= QUEUE_ENTRY_FAILED)
        put_reply(out, &en->reply);
    else if (en->kind == QUEUE_ENTRY_DELAY_NOTICE || en->kind == QUEUE_ENTRY_REPORTED)
        buf_printf(out, " %s", *en->report ? en->report : "-");
    else if (en->kind == QUEUE_ENTRY_HELD)
        put_quoted(out, " \"", en->text);
    buf_append(out, "\n", 1);
}

/* ---- reading a line */

struct words {
    struct span rest;
    char *room;
};

static bool take(struct words *w, const char *literal)
{
    size_t n = strlen(literal);

    if (w->rest.n < n || memcmp(w->rest.p, literal, n) != 0)
        return false;
    w->rest.p += n;
    w->rest.n -= n;
    return true;
}

/* Up to the next blank, which goes, too. */
static struct span next_word(struct words *w)
{
    const char *blank = memchr(w->rest.p, ' ', w->rest.n);
    struct span s = {w->rest.p, blank ? (size_t)(blank - w->rest.p) : w->rest.n};
    size_t n = s.n + (blank != NULL);

    w->rest.p += n;
    w->rest.n -= n;
    return s;
}

static bool take_u32(struct words *w, uint32_t *out)
{
    struct span s = next_word(w);
    uint64_t v;

    if (!text_u64(s, &v) || v > UINT32_MAX || (s.n > 1 && s.p[0] == '0'))
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool decode(struct words *w, struct span s, bool quoted, struct peer_text *out)
{
    size_t len;

    if (!queue_file_unescape(w->room, &len, s, quoted) || len > QUEUE_FILE_TEXT_MOST)
        return false;
    *out = (struct peer_text){w->room, len};
    w->room += len;
    return true;
}

/* The rest of a quoted text; its closing " goes. */
static bool take_quoted(struct words *w, struct peer_text *out)
{
    const char *quote = memchr(w->rest.p, '"', w->rest.n);
    size_t n;

    if (!quote)
        return false;
    n = (size_t)(quote - w->rest.p);
    if (!decode(w, (struct span){w->rest.p, n}, true, out))
        return false;
    w->rest.p += n + 1;
    w->rest.n -= n + 1;
    return true;
}

/* class "." subject "." detail, RFC 3463 2: up to three digits each. */
static bool is_enhanced(struct span s)
{
    unsigned dots = 0, digits = 0;

    if (s.n < 5 || s.n > 9 || !(s.p[0] == '2' || s.p[0] == '4' || s.p[0] == '5') || s.p[1] != '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.') {
            dots++;
            if (digits == 0)
                return false;
            digits = 0;
        } else if (s.p[i] < '0' || s.p[i] > '9' || ++digits > 3) {
            return false;
        }
    }
    return dots == 2 && digits > 0;
}

static bool take_said(struct words *w, struct queue_reply *r)
{
    struct span s = next_word(w);

    for (r->said = QUEUE_SAID_BY; r->said <= QUEUE_SAID_HERE; r->said++)
        if (span_is(s, said_word[r->said]))
            break;
    if (r->said == QUEUE_SAID_HERE)
        return true;
    return r->said < QUEUE_SAID_HERE && decode(w, next_word(w), false, &r->remote);
}

static bool take_reply(struct words *w, struct queue_reply *r)
{
    struct span enhanced;
    uint32_t code;

    if (!take_u32(w, &code) || code < 200 || code > 599)
        return false;
    r->code = (uint16_t)code;
    enhanced = next_word(w);
    if (!is_enhanced(enhanced))
        return false;
    memcpy(r->enhanced, enhanced.p, enhanced.n);
    if (!take_said(w, r) || !take(w, "\"") || !take_quoted(w, &r->text))
        return false;
    return !take(w, " tls \"") || take_quoted(w, &r->tls);
}

/* The class of a reply is that of its outcome; a server may well refuse for ever with 4.x.x inside a 5yz, so the code
 * alone is looked at. */
static bool code_fits(const struct queue_entry *en)
{
    unsigned class = en->reply.code / 100;

    return en->kind == QUEUE_ENTRY_DEFERRED ? class == 4 : en->kind == QUEUE_ENTRY_FAILED ? class == 5 : class == 2;
}

static bool take_report(struct words *w, struct queue_entry *en)
{
    struct span s = w->rest;

    w->rest.n = 0;
    if (span_is(s, "-"))
        return true;
    if (!queue_file_is_id(s))
        return false;
    memcpy(en->report, s.p, s.n);
    return true;
}

static bool take_kind(struct words *w, struct queue_entry *en)
{
    struct span s = next_word(w);

    for (unsigned i = 0; i < QUEUE_ENTRIES; i++) {
        if (span_is(s, word[i])) {
            en->kind = (enum queue_entry_kind)i;
            return true;
        }
    }
    return false;
}

bool queue_log_parse(struct queue_entry *en, const char *line, size_t n, char *room)
{
    struct words w = {{line, n}, room};
    bool tried, of_rcpt;

    *en = (struct queue_entry){0};
    if (n == 0 || line[n - 1] == ' ' || !queue_file_time_parse(next_word(&w), &en->at_us))
        return false;
    tried = take(&w, "try ");
    if (tried && (!take_u32(&w, &en->try) || en->try == 0))
        return false;
    of_rcpt = take(&w, "rcpt ");
    if (of_rcpt && !take_u32(&w, &en->rcpt))
        return false;
    if (!take_kind(&w, en) || tried != (en->kind <= QUEUE_ENTRY_FAILED) ||
        of_rcpt != (en->kind <= QUEUE_ENTRY_REPORTED))
        return false;
    if (tried && (!take_reply(&w, &en->reply) || !code_fits(en)))
        return false;
    if ((en->kind == QUEUE_ENTRY_DELAY_NOTICE || en->kind == QUEUE_ENTRY_REPORTED) && !take_report(&w, en))
        return false;
    if (en->kind == QUEUE_ENTRY_HELD && (!take(&w, "\"") || !take_quoted(&w, &en->text)))
        return false;
    return w.rest.n == 0;
}

/* ---- what follows from it */

struct queue_state *queue_state_new(uint32_t rcpt_count)
{
    struct queue_state *s = mem_alloc(sizeof *s);

    s->rcpts = mem_alloc(rcpt_count * sizeof *s->rcpts);
    s->rcpt_count = rcpt_count;
    return s;
}

static void free_reply(struct queue_reply *r)
{
    free((void *)(uintptr_t)r->remote.p);
    free((void *)(uintptr_t)r->text.p);
    free((void *)(uintptr_t)r->tls.p);
    *r = (struct queue_reply){0};
}

void queue_state_free(struct queue_state **s)
{
    if (!*s)
        return;
    for (uint32_t i = 0; i < (*s)->rcpt_count; i++)
        free_reply(&(*s)->rcpts[i].reply);
    free((*s)->rcpts);
    free(*s);
    *s = NULL;
}

static struct peer_text copy(struct peer_text t)
{
    return t.p ? (struct peer_text){mem_strn(t.p, t.n), t.n} : t;
}

static void take_try(struct queue_rcpt_log *r, const struct queue_entry *en)
{
    static const enum queue_rcpt_state next[] = {QUEUE_WAITING, QUEUE_DELIVERED, QUEUE_RELAYED, QUEUE_FAILED};

    r->state = next[en->kind];
    r->tries = en->try;
    r->last_try_us = en->at_us;
    free_reply(&r->reply);
    r->reply = en->reply;
    r->reply.remote = copy(en->reply.remote);
    r->reply.text = copy(en->reply.text);
    r->reply.tls = copy(en->reply.tls);
}

static bool take_of_rcpt(struct queue_rcpt_log *r, const struct queue_entry *en)
{
    if (en->kind == QUEUE_ENTRY_REPORTED) {
        if (r->state == QUEUE_WAITING || r->reported)
            return false;
        r->reported = true;
        return true;
    }
    if (r->state != QUEUE_WAITING)
        return false;
    if (en->kind <= QUEUE_ENTRY_FAILED) {
        if (en->try != r->tries + 1)
            return false;
        take_try(r, en);
    } else if (en->kind == QUEUE_ENTRY_EXPIRED) {
        r->state = QUEUE_EXPIRED;
    } else {
        r->delay_noticed = true;
    }
    return true;
}

bool queue_state_take(struct queue_state *s, const struct queue_entry *en)
{
    if (en->kind <= QUEUE_ENTRY_REPORTED)
        return en->rcpt < s->rcpt_count && take_of_rcpt(&s->rcpts[en->rcpt], en);
    s->held = en->kind == QUEUE_ENTRY_HELD || (s->held && en->kind == QUEUE_ENTRY_RETRY);
    if (en->kind != QUEUE_ENTRY_HELD)
        s->retry_us = en->at_us;
    return true;
}

int queue_state_read(struct queue_state *s, const char *p, size_t n, struct err *e)
{
    char room[QUEUE_LOG_LINE_MOST];
    const char *at = p, *end = p + n, *newline;
    unsigned line = 0;

    while (at < end && (newline = memchr(at, '\n', (size_t)(end - at)))) {
        struct queue_entry en;
        size_t len = (size_t)(newline - at);

        line++;
        if (len > QUEUE_LOG_LINE_MOST)
            return err_set(e, "log line %u: too long", line);
        if (!queue_log_parse(&en, at, len, room))
            return err_set(e, "log line %u: not what stands there in a queued message", line);
        if (!queue_state_take(s, &en))
            return err_set(e, "log line %u: cannot follow what stands before it", line);
        at = newline + 1;
    }
    s->whole = (uint64_t)(at - p);
    return 0;
}

bool queue_state_is_finished(const struct queue_state *s)
{
    for (uint32_t i = 0; i < s->rcpt_count; i++)
        if (!s->rcpts[i].reported)
            return false;
    return true;
}
