/* Reads tests/dialogs/client/ (the format is told in its README) and drives a sending engine with
 * it. Every action goes into a trace with SENDs joined, so that two ways to cut the same bytes can
 * be compared. */
#ifndef TESTS_UNIT_SMTP_CLIENT_DIALOG_H
#define TESTS_UNIT_SMTP_CLIENT_DIALOG_H

#include <check.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/client.h"

enum talk_cut { TALK_WHOLE, TALK_BYTES, TALK_RANDOM };
static const char *const talk_cut_names[] = {"whole", "byte by byte", "at random"};

#define TALK_RCPTS 300

struct talk {
    const char *path;
    char *text; /* the file, lines cut with NUL */
    char **lines;
    unsigned count, at; /* at: the line in hand */

    enum talk_cut cut;
    unsigned random;
    struct smtp_client_profile profile;
    struct smtp_client_message message;
    struct smtp_client_rcpt rcpts[TALK_RCPTS];
    struct buf content;
    uint64_t hold; /* content is given up to here */
    size_t piece;  /* 0: as the cut wants it */
    struct smtp_client *c;
    struct buf server; /* server's bytes not fed yet */
    struct buf sent;   /* the engine's bytes no line has asked for yet */
    struct buf acts;   /* actions no line has asked for yet, one per line */
    struct buf trace;
    enum smtp_client_action_kind rest;
    bool reusable, in_send, waiting;
};

static void talk_fail(const struct talk *t, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
static void talk_fail(const struct talk *t, const char *fmt, ...)
{
    char text[3000];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ck_abort_msg("%s:%u (%s): %s", t->path, t->at + 1, talk_cut_names[t->cut], text);
    abort();
}

/* ---- reading */

static char *talk_read(const char *path)
{
    struct buf b = {0};
    FILE *f = fopen(path, "r");
    char *text;
    size_t n;

    ck_assert_ptr_nonnull(f);
    while ((n = fread(buf_space(&b, 4096), 1, 4096, f)) > 0)
        buf_added(&b, n);
    fclose(f);
    text = mem_strn(buf_data(&b), b.len);
    buf_clear(&b);
    return text;
}

static void talk_load(struct talk *t, const char *path)
{
    memset(t, 0, sizeof *t);
    t->path = path;
    t->text = talk_read(path);
    for (char *p = t->text, *next; *p; p = next) {
        next = strchr(p, '\n');
        if (next)
            *next++ = '\0';
        else
            next = p + strlen(p);
        t->lines = mem_grow(t->lines, (t->count + 1) * sizeof *t->lines);
        t->lines[t->count++] = p;
    }
}

static void talk_unload(struct talk *t)
{
    free(t->text);
    free(t->lines);
}

/* \r \n \t \0 \\ \xHH */
static void talk_unescape(struct buf *out, const char *s)
{
    for (; *s; s++) {
        char ch = *s;

        if (ch == '\\' && s[1]) {
            s++;
            ch = *s == 'r' ? '\r' : *s == 'n' ? '\n' : *s == 't' ? '\t' : *s == '0' ? '\0' : *s;
            if (*s == 'x') {
                char hex[3] = {s[1], s[1] ? s[2] : '\0', '\0'};

                ch = (char)strtoul(hex, NULL, 16);
                s += 2;
            }
        }
        buf_append(out, &ch, 1);
    }
}

/* "X: text", "X\ text", "X* N text" */
static void talk_bytes(struct buf *out, const char *line, const char *newline)
{
    unsigned long times = 1;
    const char *s = line + 3;
    char *end;

    if (line[1] == '*') {
        times = strtoul(s, &end, 10);
        s = end + 1;
    }
    while (times--)
        talk_unescape(out, s);
    if (line[1] == ':')
        buf_append(out, newline, strlen(newline));
}

/* ---- actions to words */

static void talk_escaped(struct buf *out, struct peer_text s)
{
    char *p = mem_alloc(s.n * 4 + 8);

    buf_append(out, p, text_escape(p, s.n * 4 + 8, s));
    free(p);
}

static void talk_reply(struct buf *out, const struct smtp_client_reply *r)
{
    buf_printf(out, " %u %s", r->code, r->enhanced);
    if (r->local)
        buf_printf(out, " local");
}

static void talk_say(struct buf *out, const struct smtp_client_action *a)
{
    static const char *const outcomes[] = {"ok", "temporary", "permanent", "untried"};

    switch (a->kind) {
    case SMTP_CLIENT_START_TLS:
        buf_printf(out, "start-tls");
        break;
    case SMTP_CLIENT_ASK_SASL:
        buf_printf(out, "ask-sasl ");
        talk_escaped(out, a->text);
        break;
    case SMTP_CLIENT_SASL_CHALLENGE:
        buf_printf(out, "challenge ");
        talk_escaped(out, (struct peer_text){a->bytes.p, a->bytes.n});
        break;
    case SMTP_CLIENT_RCPT_RESULT:
        buf_printf(out, "result %u %s", a->index, outcomes[a->outcome]);
        talk_reply(out, &a->reply);
        buf_printf(out, "%s%s at %s: ", a->relayed ? " relayed" : "", a->in_doubt ? " in-doubt" : "",
                   smtp_client_stage_name(a->stage));
        talk_escaped(out, a->reply.text);
        break;
    case SMTP_CLIENT_MESSAGE_DONE:
        buf_printf(out, "done");
        break;
    case SMTP_CLIENT_EVENT:
        buf_printf(out, "event %s", smtp_client_event_name(a->event));
        if (a->reply.code) {
            talk_reply(out, &a->reply);
            buf_printf(out, ": ");
            talk_escaped(out, a->reply.text);
        }
        break;
    case SMTP_CLIENT_FAILED:
        buf_printf(out, "failed %s %s", smtp_client_failure_name(a->failure), outcomes[a->outcome]);
        talk_reply(out, &a->reply);
        buf_printf(out, " at %s: ", smtp_client_stage_name(a->stage));
        talk_escaped(out, a->reply.text);
        if (a->said.n) {
            buf_printf(out, " <- ");
            talk_escaped(out, a->said);
        }
        break;
    default:
        buf_printf(out, "action %d", a->kind);
    }
    buf_printf(out, "\n");
}

/* ---- driving */

static size_t talk_piece(struct talk *t, size_t left)
{
    size_t n = left;

    if (t->cut == TALK_BYTES) {
        n = 1;
    } else if (t->cut == TALK_RANDOM) {
        t->random = t->random * 1664525u + 1013904223u;
        n = 1 + (t->random >> 8) % (t->random >> 16 & 1 ? 7 : 300);
    }
    return n < left ? n : left;
}

static void talk_feed(struct talk *t)
{
    size_t n = talk_piece(t, t->server.len), took;
    char *copy = mem_alloc(n); /* of its own size, so that a byte read behind it is seen */

    memcpy(copy, buf_data(&t->server), n);
    took = smtp_client_feed(t->c, copy, n);
    free(copy);
    if (took == 0 || took > n)
        talk_fail(t, "feed took %zu of %zu", took, n);
    buf_consume(&t->server, took);
}

static void talk_content(struct talk *t, const struct smtp_client_action *a)
{
    size_t n = a->want;

    if (a->offset + n > t->hold)
        n = (size_t)(t->hold - a->offset);
    if (t->piece && n > t->piece)
        n = t->piece;
    else if (!t->piece)
        n = talk_piece(t, n);
    smtp_client_content(t->c, buf_data(&t->content) + a->offset, n);
}

static void talk_note(struct talk *t, const struct smtp_client_action *a)
{
    if (a->kind == SMTP_CLIENT_SEND) {
        if (!t->in_send)
            buf_printf(&t->trace, "send%s:", a->secret ? " secret" : "");
        buf_append(&t->trace, a->bytes.p, a->bytes.n);
        buf_append(&t->sent, a->bytes.p, a->bytes.n);
        t->in_send = true;
    } else {
        size_t at = t->acts.len;

        t->in_send = false;
        talk_say(&t->acts, a);
        buf_append(&t->trace, buf_data(&t->acts) + at, t->acts.len - at);
        t->waiting = a->kind == SMTP_CLIENT_START_TLS || a->kind == SMTP_CLIENT_ASK_SASL ||
                     a->kind == SMTP_CLIENT_SASL_CHALLENGE;
    }
}

/* Goes on until the engine wants what the script has not given. */
static void talk_run(struct talk *t)
{
    struct smtp_client_action a;

    for (;;) {
        smtp_client_next(t->c, &a);
        if (smtp_client_memory(t->c) > (size_t)512 * 1024)
            talk_fail(t, "the engine holds %zu bytes", smtp_client_memory(t->c));
        switch (a.kind) {
        case SMTP_CLIENT_WAIT:
            t->rest = a.kind;
            if (!t->waiting)
                talk_fail(t, "WAIT, and nothing was asked");
            return;
        case SMTP_CLIENT_NEED_INPUT:
        case SMTP_CLIENT_READY:
        case SMTP_CLIENT_NEED_CONTENT:
        case SMTP_CLIENT_CLOSE:
            t->rest = a.kind;
            t->reusable = a.reusable;
            if (t->server.len) {
                talk_feed(t);
            } else if (a.kind == SMTP_CLIENT_NEED_CONTENT && a.offset < t->hold) {
                talk_content(t, &a);
            } else {
                return;
            }
            break;
        default:
            talk_note(t, &a);
        }
    }
}

/* ---- the script */

static bool talk_is(const char *line, const char *word, const char **rest)
{
    size_t n = strlen(word);

    if (strncmp(line, word, n) != 0 || (line[n] && line[n] != ' '))
        return false;
    *rest = line[n] ? line + n + 1 : line + n;
    return true;
}

/* Takes the next word of a line that is changed by it. */
static char *talk_word(char **s)
{
    char *w = *s;

    if (!*w)
        return NULL;
    *s += strcspn(w, " ");
    if (**s)
        *(*s)++ = '\0';
    return w;
}

static void talk_profile(struct talk *t, const char *words)
{
    char *copy = mem_str(words), *s = copy, *w;

    while ((w = talk_word(&s))) {
        if (!strcmp(w, "lmtp"))
            t->profile.lmtp = true;
        else if (!strcmp(w, "tls=none"))
            t->profile.tls = SMTP_CLIENT_TLS_NONE;
        else if (!strcmp(w, "tls=may"))
            t->profile.tls = SMTP_CLIENT_TLS_MAY;
        else if (!strcmp(w, "tls=required"))
            t->profile.tls = SMTP_CLIENT_TLS_REQUIRED;
        else if (!strcmp(w, "implicit"))
            t->profile.implicit_tls = true;
        else if (!strcmp(w, "verified"))
            t->profile.tls_verified = true;
        else if (!strcmp(w, "sasl"))
            t->profile.sasl = true;
        else if (!strcmp(w, "sasl-in-clear"))
            t->profile.sasl_in_clear = true;
        else if (!strcmp(w, "detect-loop"))
            t->profile.detect_loop = true;
        else if (!strcmp(w, "no-chunking"))
            t->profile.no_chunking = true;
        else
            talk_fail(t, "no such setting: %s", w);
    }
    free(copy);
}

static char *talk_keep(const char *word)
{
    struct buf b = {0};
    char *s;

    talk_unescape(&b, word);
    s = mem_strn(b.len ? buf_data(&b) : "", b.len);
    buf_clear(&b);
    return s;
}

static void talk_message_clear(struct talk *t)
{
    free((char *)(uintptr_t)t->message.sender);
    free((char *)(uintptr_t)t->message.envid);
    for (uint32_t i = 0; i < t->message.rcpt_count; i++) {
        free((char *)(uintptr_t)t->rcpts[i].address);
        free((char *)(uintptr_t)t->rcpts[i].orcpt);
    }
    memset(&t->message, 0, sizeof t->message);
    memset(t->rcpts, 0, sizeof t->rcpts);
    buf_clear(&t->content);
    t->message.rcpts = t->rcpts;
    t->hold = UINT64_MAX;
}

static char *talk_path(struct talk *t, const char *w)
{
    struct buf b = {0};
    char *s;

    if (w[0] != '<' || w[strlen(w) - 1] != '>')
        talk_fail(t, "a path has < and >: %s", w);
    talk_unescape(&b, w + 1);
    s = mem_strn(buf_data(&b), b.len - 1);
    buf_clear(&b);
    return s;
}

static void talk_message(struct talk *t, const char *words)
{
    char *copy = mem_str(words), *s = copy, *w = talk_word(&s);

    talk_message_clear(t);
    t->message.sender = talk_path(t, w);
    while ((w = talk_word(&s))) {
        if (!strcmp(w, "8bit"))
            t->message.content_8bit = true;
        else if (!strcmp(w, "utf8"))
            t->message.smtputf8 = true;
        else if (!strcmp(w, "requiretls"))
            t->message.requiretls = true;
        else if (!strcmp(w, "probe"))
            t->message.probe = true;
        else if (!strcmp(w, "ret=full"))
            t->message.ret = SMTP_CLIENT_RET_FULL;
        else if (!strcmp(w, "ret=hdrs"))
            t->message.ret = SMTP_CLIENT_RET_HDRS;
        else if (!strncmp(w, "envid=", 6))
            t->message.envid = talk_keep(w + 6);
        else if (!strncmp(w, "size=", 5))
            t->message.size = strtoull(w + 5, NULL, 10);
        else if (!strncmp(w, "lines=", 6))
            t->message.lines = strtoull(w + 6, NULL, 10);
        else
            talk_fail(t, "no such word: %s", w);
    }
    free(copy);
}

static unsigned talk_notify(const char *words)
{
    static const char *const names[] = {"never", "success", "failure", "delay"};
    unsigned n = 0;

    for (unsigned i = 0; i < 4; i++)
        if (strstr(words, names[i]))
            n |= 1u << i;
    return n;
}

/* "<a@b> notify=.. orcpt=..", or "N <prefix%@b>": that many of them, % is the number. */
static void talk_rcpt(struct talk *t, const char *words)
{
    char *copy = mem_str(words), *s = copy, *w = talk_word(&s);
    unsigned times = 1;

    if (*w != '<') {
        times = (unsigned)strtoul(w, NULL, 10);
        w = talk_word(&s);
    }
    for (unsigned i = 0; i < times; i++) {
        struct smtp_client_rcpt *r = &t->rcpts[t->message.rcpt_count++];
        char *path = talk_path(t, w), *percent = times > 1 ? strchr(path, '%') : NULL;

        r->address = path;
        if (percent) {
            *percent = '\0';
            r->address = mem_printf("%s%u%s", path, i, percent + 1);
            free(path);
        }
    }
    while ((w = talk_word(&s))) {
        struct smtp_client_rcpt *r = &t->rcpts[t->message.rcpt_count - 1];

        if (!strncmp(w, "notify=", 7))
            r->notify = talk_notify(w + 7);
        else if (!strncmp(w, "orcpt=", 6))
            r->orcpt = talk_keep(w + 6);
        else
            talk_fail(t, "no such word: %s", w);
    }
    free(copy);
}

static void talk_give(struct talk *t)
{
    talk_run(t);
    if (t->rest != SMTP_CLIENT_READY)
        talk_fail(t, "not READY for a message (%d)", t->rest);
    if (!t->message.size)
        t->message.size = t->content.len;
    smtp_client_message(t->c, &t->message);
}

static void talk_tls(struct talk *t, const char *how)
{
    struct smtp_client_tls_facts f = {.ok = strcmp(how, "fail") != 0, .verified = !strcmp(how, "verified")};

    talk_run(t);
    t->waiting = false;
    if (!strcmp(how, "injected")) {
        buf_clear(&t->server);
        smtp_client_tls_injected(t->c);
    } else {
        smtp_client_tls_done(t->c, &f);
    }
}

/* "MECHANISM - | = | text [finished]"; without a mechanism for a response */
static void talk_sasl(struct talk *t, const char *words, bool start)
{
    char *copy = mem_str(words), *s = copy, *mech = start ? talk_word(&s) : NULL;
    char *text = talk_word(&s), *last = talk_word(&s);
    bool finished = last && !strcmp(last, "finished");
    struct buf b = {0};

    talk_run(t);
    t->waiting = false;
    if (strcmp(text, "=") != 0)
        talk_unescape(&b, text);
    if (start)
        smtp_client_sasl_start(t->c, mech, strcmp(text, "-") ? buf_str(&b) : NULL, b.len, finished);
    else
        smtp_client_sasl_respond(t->c, buf_str(&b), b.len, finished);
    buf_clear(&b);
    free(copy);
}

static void talk_timeout(struct talk *t, const char *seconds)
{
    talk_run(t);
    if (*seconds && (unsigned)strtoul(seconds, NULL, 10) != smtp_client_timeout(t->c))
        talk_fail(t, "the time-out is %u", smtp_client_timeout(t->c));
    smtp_client_timed_out(t->c);
}

static void talk_directive(struct talk *t, const char *line)
{
    const char *rest;

    if (talk_is(line, "profile", &rest))
        talk_profile(t, rest);
    else if (talk_is(line, "message", &rest))
        talk_message(t, rest);
    else if (talk_is(line, "rcpt", &rest))
        talk_rcpt(t, rest);
    else if (talk_is(line, "pieces", &rest))
        t->piece = strtoul(rest, NULL, 10);
    else if (talk_is(line, "give", &rest))
        talk_give(t);
    else if (talk_is(line, "content", &rest)) {
        talk_run(t);
        t->hold = strcmp(rest, "all") ? strtoul(rest, NULL, 10) : UINT64_MAX;
    } else if (talk_is(line, "content-fails", &rest)) {
        talk_run(t);
        smtp_client_content_failed(t->c, rest);
    } else if (talk_is(line, "tls", &rest))
        talk_tls(t, rest);
    else if (talk_is(line, "sasl", &rest))
        talk_sasl(t, rest, true);
    else if (talk_is(line, "respond", &rest))
        talk_sasl(t, rest, false);
    else if (talk_is(line, "sasl-none", &rest)) {
        talk_run(t);
        smtp_client_sasl_none(t->c);
    } else if (talk_is(line, "sasl-cancel", &rest)) {
        talk_run(t);
        smtp_client_sasl_cancel(t->c);
    } else if (talk_is(line, "lost", &rest)) {
        talk_run(t);
        smtp_client_lost(t->c, *rest ? rest : NULL);
    } else if (talk_is(line, "timeout", &rest))
        talk_timeout(t, rest);
    else if (talk_is(line, "quit", &rest)) {
        talk_run(t);
        smtp_client_quit(t->c);
    } else if (talk_is(line, "ready", &rest)) {
        talk_run(t);
        if (t->rest != SMTP_CLIENT_READY || t->reusable == !strcmp(rest, "full"))
            talk_fail(t, "not READY so (%d, reusable %d)", t->rest, t->reusable);
    } else if (talk_is(line, "closed", &rest)) {
        talk_run(t);
        if (t->rest != SMTP_CLIENT_CLOSE)
            talk_fail(t, "not closed (%d)", t->rest);
    } else
        talk_fail(t, "no such directive: %s", line);
}

/* A pattern where * stands for any bytes; everything else is itself. */
static bool talk_matches(const char *pattern, const char *text)
{
    if (!*pattern)
        return !*text;
    if (*pattern == '*')
        return talk_matches(pattern + 1, text) || (*text && talk_matches(pattern, text + 1));
    return *pattern == *text && talk_matches(pattern + 1, text + 1);
}

/* The first line of b must match; it is taken. end is what ends a line. */
static void talk_expect(struct talk *t, struct buf *b, const char *end, const char *pattern, const char *what)
{
    char *have = mem_strn(b->len ? buf_str(b) : "", b->len), *stop = strstr(have, end);
    struct buf shown = {0};

    if (!stop)
        talk_fail(t, "nothing %s, or no whole line: \"%s\"", what, have);
    talk_escaped(&shown, (struct peer_text){have, (size_t)(stop - have)});
    if (b == &t->acts) { /* escaped already */
        buf_clear(&shown);
        buf_append(&shown, have, (size_t)(stop - have));
    }
    if (!talk_matches(pattern, buf_str(&shown)))
        talk_fail(t, "%s is\n  %s\nnot\n  %s", what, buf_str(&shown), pattern);
    buf_consume(b, (size_t)(stop - have) + strlen(end));
    buf_clear(&shown);
    free(have);
}

static void talk_line(struct talk *t, const char *line)
{
    switch (line[0]) {
    case '\0':
    case '#':
        break;
    case '@':
        talk_directive(t, line + 2);
        break;
    case 'S':
        talk_bytes(&t->server, line, "\r\n");
        break;
    case 'B':
        talk_bytes(&t->content, line, "\n");
        break;
    case 'C':
        talk_run(t);
        talk_expect(t, &t->sent, "\r\n", line + 3, "sent");
        break;
    case 'A':
        talk_run(t);
        talk_expect(t, &t->acts, "\n", line + 3, "done");
        break;
    default:
        talk_fail(t, "no such line");
    }
}

/* The engine is made when the profile is known: at the first line that is none of its. */
static bool talk_is_head(const char *line)
{
    return !*line || *line == '#' || !strncmp(line, "@ profile", 9) || !strncmp(line, "@ pieces", 8);
}

static void talk_run_file(struct talk *t, enum talk_cut cut, unsigned seed)
{
    t->cut = cut;
    t->random = seed;
    t->profile = (struct smtp_client_profile){.hostname = "relay.example.test", .tls = SMTP_CLIENT_TLS_MAY};
    t->piece = 0;
    t->in_send = t->waiting = false;
    buf_clear(&t->trace);
    for (t->at = 0; t->at < t->count; t->at++) {
        if (!t->c && !talk_is_head(t->lines[t->at])) {
            talk_message_clear(t);
            t->c = smtp_client_new(&t->profile);
        }
        talk_line(t, t->lines[t->at]);
    }
    t->at--;
    talk_run(t);
    if (t->sent.len || t->acts.len)
        talk_fail(t, "not asked for: sent \"%s\", done \"%s\"", t->sent.len ? buf_str(&t->sent) : "",
                  t->acts.len ? buf_str(&t->acts) : "");
    if (t->server.len)
        talk_fail(t, "%zu bytes of the server were not taken", t->server.len);
    smtp_client_free(&t->c);
    talk_message_clear(t);
}

#endif
