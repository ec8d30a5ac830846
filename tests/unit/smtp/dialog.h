/* Reads tests/dialogs/ (the format is told in its README) and drives an engine with it. Every
 * action goes into a trace with CHUNKs joined, so that two ways to cut the same bytes can be
 * compared. */
#ifndef TESTS_UNIT_SMTP_DIALOG_H
#define TESTS_UNIT_SMTP_DIALOG_H

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "smtp/engine.h"

enum dialog_mode { DIALOG_PLAIN, DIALOG_STARTTLS, DIALOG_IMPLICIT, DIALOG_MODES };
enum dialog_cut { DIALOG_WHOLE, DIALOG_BYTES, DIALOG_RANDOM, DIALOG_BLAST, DIALOG_CUTS };
static const char *const dialog_mode_names[] = {"plain", "starttls", "implicit"};
static const char *const dialog_cut_names[] = {"whole", "byte by byte", "at random", "without waiting"};

struct dialog_verdict {
    char who[80], enhanced[16], text[200];
    unsigned code;
};

struct dialog {
    const char *path;
    char *text; /* the file, lines cut with NUL */
    char **lines;
    unsigned count, at; /* at: the line in hand */
    bool mode[DIALOG_MODES];

    enum dialog_mode run_mode;
    enum dialog_cut cut;
    unsigned random;
    struct smtp_profile profile;
    char tls[16];
    bool in_tls, closed, aborted, skip_banner, cancelled, no_mechanisms;
    unsigned auth_step; /* of LOGIN; 0: PLAIN */
    enum smtp_close why;
    struct dialog_verdict verdicts[16];
    unsigned verdict_count;
    bool start_tls; /* START_TLS was said, and waits for a handshake line */
    struct smtp_engine *g;
    struct buf send;              /* client's bytes not fed yet */
    struct buf replies;           /* server's bytes no line has asked for yet */
    struct buf trace, chunk;      /* chunk: of the run of CHUNKs in hand */
    struct buf message, accepted; /* content of the open, of the last committed message */
    char events[64][160];
    unsigned event_count;
    bool in_chunk;
};

static void dialog_fail(const struct dialog *d, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
static void dialog_fail(const struct dialog *d, const char *fmt, ...)
{
    char text[2000];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ck_abort_msg("%s:%u (%s, %s): %s", d->path, d->at + 1, dialog_mode_names[d->run_mode], dialog_cut_names[d->cut],
                 text);
    abort();
}

static const char *dialog_event_name(enum smtp_event e)
{
    static const char *const names[] = {"ehlo",
                                        "invalid-ehlo",
                                        "mail-accepted",
                                        "rcpt-refused",
                                        "refused",
                                        "start-tls-already",
                                        "start-tls-unavailable",
                                        "ehlo-without-starttls",
                                        "mangled-starttls",
                                        "line-too-long",
                                        "bare-newline",
                                        "message-refused",
                                        "http",
                                        "client-hello",
                                        "talked-early"};

    return names[e];
}

static const char *dialog_close_name(enum smtp_close c)
{
    static const char *const names[] = {"quit",       "errors",   "messages",  "shutdown",
                                        "tls-failed", "protocol", "injection", "verdict"};

    return names[c];
}

/* ---- the server's side: actions */

static void dialog_tls_view(const struct dialog *d, struct smtp_tls_view *v)
{
    *v = (struct smtp_tls_view){.code = 454,
                                .enhanced = "4.7.0",
                                .text = "TLS not available",
                                .auth = d->no_mechanisms ? NULL : "PLAIN LOGIN",
                                .reason = "no-certificate"};
    if (d->in_tls) {
        v->code = 503;
        v->enhanced = "5.5.1";
        v->text = "TLS is active already";
        v->reason = "already-tls";
    } else if (!strcmp(d->tls, "offered") || !strcmp(d->tls, "require")) {
        v->advertise = v->accept = true;
        v->require = d->tls[0] == 'r';
        v->reason = "ok";
    } else if (!strcmp(d->tls, "off") || !strcmp(d->tls, "withheld")) {
        v->code = 502;
        v->enhanced = "5.5.1";
        v->text = "STARTTLS is not offered";
        v->reason = d->tls[0] == 'o' ? "off-by-config" : "withheld-from-client";
    } else if (!strcmp(d->tls, "tempfail")) {
        v->advertise = true;
    } else if (!strcmp(d->tls, "broken")) {
        v->require = v->require_broken = true;
    } else if (strcmp(d->tls, "none") != 0) {
        dialog_fail(d, "unknown tls state %s", d->tls);
    }
}

static bool dialog_override(struct dialog *d, const char *who, struct smtp_verdict *v)
{
    for (unsigned i = d->verdict_count; i-- > 0;) {
        if (strcasecmp(d->verdicts[i].who, who) != 0)
            continue;
        v->code = (uint16_t)d->verdicts[i].code;
        v->enhanced = d->verdicts[i].enhanced;
        v->text = d->verdicts[i].text;
        return v->code >= 300;
    }
    return false;
}

static void dialog_rcpt(struct dialog *d, const struct smtp_action *a, struct smtp_verdict *v)
{
    static const uint32_t ids[] = {1, 2};
    struct span local = {a->rcpt_local.p, a->rcpt_local.n};
    struct span domain = {a->rcpt_domain.p, a->rcpt_domain.n};
    const char *plus = memchr(local.p, '+', local.n);
    char who[80];

    snprintf(who, sizeof who, "%.*s", (int)local.n, local.p);
    if (dialog_override(d, who, v))
        return;
    if (plus)
        local.n = (size_t)(plus - local.p);
    if (domain.n && !span_is_nocase(domain, "example.test"))
        *v = (struct smtp_verdict){.code = 550, .enhanced = "5.7.1", .text = "Not ours"};
    else if (span_is_nocase(local, "alice") || span_is_nocase(local, "postmaster"))
        v->rcpt_ids = &ids[0];
    else if (span_is_nocase(local, "bob"))
        v->rcpt_ids = &ids[1];
    else
        *v = (struct smtp_verdict){.code = 550, .enhanced = "5.1.1", .text = "No such mailbox"};
    v->rcpt_id_count = v->rcpt_ids ? 1 : 0;
}

/* alice's password is "secret". Verdicts for "auth" go first: 454, 421, 501. */
static void dialog_auth(struct dialog *d, const struct smtp_action *a)
{
    static const char plain[] = "AGFsaWNlAHNlY3JldA==", user[] = "YWxpY2U=", password[] = "c2VjcmV0";
    struct span text = {a->text.p, a->text.n};
    struct smtp_auth_answer yes = {.kind = SMTP_AUTH_OK, .identity = "alice@example.test"},
                            more = {.kind = SMTP_AUTH_CONTINUE, .challenge = ""}, no = {.kind = SMTP_AUTH_FAILED};
    struct smtp_verdict v = {0};

    if (a->mechanism.n)
        d->auth_step = span_is_nocase((struct span){a->mechanism.p, a->mechanism.n}, "LOGIN");
    if (dialog_override(d, "auth", &v)) {
        no.kind = v.code == 454 ? SMTP_AUTH_UNAVAILABLE : v.code == 421 ? SMTP_AUTH_TOO_MANY : SMTP_AUTH_MALFORMED;
        smtp_engine_answer_auth(d->g, &no);
    } else if (!a->flag) {
        more.challenge = d->auth_step ? "VXNlcm5hbWU6" : NULL;
        smtp_engine_answer_auth(d->g, &more);
    } else if (d->auth_step == 1 && span_is(text, user)) {
        d->auth_step++;
        more.challenge = "UGFzc3dvcmQ6";
        smtp_engine_answer_auth(d->g, &more);
    } else {
        smtp_engine_answer_auth(d->g, span_is(text, d->auth_step ? password : plain) ? &yes : &no);
    }
}

static void dialog_answer(struct dialog *d, const struct smtp_action *a)
{
    struct smtp_verdict v = {0};
    struct smtp_tls_view tls;
    char list[] = "PLAIN LOGIN"; /* a worker's list changes under its sessions */

    switch (a->kind) {
    case SMTP_ASK_AUTH:
        dialog_auth(d, a);
        return;
    case SMTP_CANCEL_AUTH:
        d->cancelled = true;
        return;
    case SMTP_ASK_TLS:
        dialog_tls_view(d, &tls);
        if (tls.auth)
            tls.auth = list;
        smtp_engine_answer_tls(d->g, &tls);
        memset(list, 'x', sizeof list - 1);
        return;
    case SMTP_ASK_RCPT:
        dialog_rcpt(d, a, &v);
        break;
    case SMTP_ASK_SENDER:
        dialog_override(d, "sender", &v);
        break;
    case SMTP_OPEN_MESSAGE:
        buf_clear(&d->message);
        dialog_override(d, "open", &v);
        break;
    case SMTP_COMMIT:
        if (!dialog_override(d, "commit", &v)) {
            buf_clear(&d->accepted);
            buf_append(&d->accepted, buf_data(&d->message), d->message.len);
        }
        break;
    default:
        return;
    }
    smtp_engine_answer(d->g, &v);
}

static void dialog_trace(struct dialog *d, const struct smtp_action *a)
{
    static const char *const names[] = {"",           "",         "reply",    "ask-tls",     "start-tls",
                                        "ask-sender", "ask-rcpt", "ask-auth", "cancel-auth", "open",
                                        "chunk",      "commit",   "abort",    "event",       "close"};

    if (a->kind == SMTP_CHUNK) {
        if (!d->in_chunk)
            buf_printf(&d->trace, "chunk ");
        d->in_chunk = true;
        buf_append(&d->trace, a->bytes.p, a->bytes.n);
        return;
    }
    if (d->in_chunk)
        buf_printf(&d->trace, "\n");
    d->in_chunk = false;
    buf_printf(&d->trace, "%s ", names[a->kind]);
    buf_append(&d->trace, a->bytes.p, a->bytes.n);
    buf_append(&d->trace, a->sender.p, a->sender.n);
    buf_append(&d->trace, a->rcpt_local.p, a->rcpt_local.n);
    buf_append(&d->trace, "|", 1);
    buf_append(&d->trace, a->rcpt_domain.p, a->rcpt_domain.n);
    buf_append(&d->trace, a->text.p, a->text.n);
    buf_append(&d->trace, a->mechanism.p, a->mechanism.n);
    buf_append(&d->trace, a->params.envid.p, a->params.envid.n);
    buf_append(&d->trace, a->rcpt_params.orcpt.p, a->rcpt_params.orcpt.n);
    buf_printf(&d->trace, " dsn %u %d %d", a->rcpt_params.notify, a->params.ret, a->params.requiretls);
    buf_printf(&d->trace, " %d %u %d %d size %llu %d %d %d\n", a->event, a->code, a->flag, a->close,
               (unsigned long long)a->params.size, a->params.size_given, a->params.body_8bit, a->params.smtputf8);
}

static bool dialog_injected_next(const struct dialog *d)
{
    for (unsigned i = d->at; i < d->count; i++)
        if (!strncmp(d->lines[i], "@ handshake", 11))
            return !strcmp(d->lines[i], "@ handshake injected");
    return false;
}

static void dialog_event(struct dialog *d, const struct smtp_action *a)
{
    char text[100];

    text_escape(text, sizeof text, a->text);
    ck_assert_uint_lt(d->event_count, 64);
    snprintf(d->events[d->event_count++], sizeof d->events[0], "%s%s%s", dialog_event_name(a->event), *text ? " " : "",
             text);
}

static void dialog_action(struct dialog *d, const struct smtp_action *a)
{
    dialog_trace(d, a);
    if (d->closed)
        dialog_fail(d, "action %d after CLOSE", a->kind);
    switch (a->kind) {
    case SMTP_REPLY:
        if (a->bytes.n < 2 || memcmp(a->bytes.p + a->bytes.n - 2, "\r\n", 2) != 0)
            dialog_fail(d, "a REPLY is not whole lines");
        buf_append(&d->replies, a->bytes.p, a->bytes.n);
        break;
    case SMTP_START_TLS:
        if (!dialog_injected_next(d))
            buf_append(&d->replies, a->bytes.p, a->bytes.n);
        d->start_tls = true;
        break;
    case SMTP_CHUNK:
        if (smtp_engine_phase(d->g) != SMTP_PHASE_DATA)
            dialog_fail(d, "CHUNK outside of a message");
        buf_append(&d->message, a->bytes.p, a->bytes.n);
        break;
    case SMTP_ABORT:
        d->aborted = true;
        break;
    case SMTP_EVENT:
        dialog_event(d, a);
        break;
    case SMTP_CLOSE:
        d->closed = true;
        d->why = a->close;
        break;
    default:
        dialog_answer(d, a);
        break;
    }
}

static void dialog_drain(struct dialog *d)
{
    struct smtp_action a;

    while (smtp_engine_next(d->g, &a), a.kind != SMTP_NEED_INPUT && a.kind != SMTP_WAIT)
        dialog_action(d, &a);
    if (a.kind == SMTP_WAIT && !d->start_tls)
        dialog_fail(d, "the engine waits for an answer it got");
}

static size_t dialog_piece(struct dialog *d)
{
    if (d->cut == DIALOG_BYTES)
        return 1;
    if (d->cut != DIALOG_RANDOM)
        return d->send.len;
    d->random = d->random * 1103515245u + 12345u;
    return 1 + (d->random >> 16) % ((d->random >> 8 & 7) ? 9 : 2000);
}

/* The client's bytes go in: a copy of exact size each time, so that reading past it is seen by
 * ASan. */
static void dialog_flush(struct dialog *d)
{
    dialog_drain(d);
    while (d->send.len && !d->closed && !d->start_tls) {
        size_t n = dialog_piece(d), took;
        char *copy;

        if (n > d->send.len)
            n = d->send.len;
        copy = mem_alloc(n);
        memcpy(copy, buf_data(&d->send), n);
        took = smtp_engine_feed(d->g, copy, n);
        if (took == 0 || took > n)
            dialog_fail(d, "feed took %zu of %zu", took, n);
        buf_consume(&d->send, took);
        dialog_drain(d);
        free(copy);
    }
    if (d->closed)
        buf_clear(&d->send);
}

/* ---- the file's side: lines */

static void dialog_unescape(struct dialog *d, struct buf *out, const char *s)
{
    for (; *s; s++) {
        static const char from[] = "rn0t\\", to[] = "\r\n\0\t\\";
        const char *hit;
        unsigned x;
        char c = *s;

        if (c == '\\') {
            s++;
            if (*s == 'x' && sscanf(s + 1, "%2x", &x) == 1) {
                c = (char)x;
                s += 2;
            } else if (*s && (hit = strchr(from, *s))) {
                c = to[hit - from];
            } else {
                dialog_fail(d, "unknown escape");
            }
        }
        buf_append(out, &c, 1);
    }
}

/* Does text begin with pattern? * stands for any run of bytes. */
static bool dialog_match(const char *pattern, const char *text)
{
    if (*pattern == '\0')
        return true;
    if (*pattern == '*') {
        do
            if (dialog_match(pattern + 1, text))
                return true;
        while (*text++);
        return false;
    }
    return *pattern == *text && dialog_match(pattern + 1, text + 1);
}

static void dialog_reply_line(struct dialog *d, char *line, size_t cap)
{
    const char *end = d->replies.len ? memchr(buf_data(&d->replies), '\n', d->replies.len) : NULL;
    size_t n;

    if (!end)
        dialog_fail(d, "no reply came for: %s", d->lines[d->at]);
    n = (size_t)(end - buf_data(&d->replies)) + 1;
    if (n < 2 || n > 512 || n > cap || end[-1] != '\r') /* RFC 5321 4.5.3.1.5 */
        dialog_fail(d, "a reply line of %zu bytes", n);
    memcpy(line, buf_data(&d->replies), n - 2);
    line[n - 2] = '\0';
    buf_consume(&d->replies, n);
}

static void dialog_expect_line(struct dialog *d, const char *pattern)
{
    char line[600];

    if (d->skip_banner) {
        d->skip_banner = false;
        return;
    }
    dialog_reply_line(d, line, sizeof line);
    if (!dialog_match(pattern, line))
        dialog_fail(d, "expected %s, got %s", pattern, line);
}

static void dialog_expect_reply(struct dialog *d, const char *code)
{
    char line[600];

    do {
        dialog_reply_line(d, line, sizeof line);
        if (strncmp(line, code, 3) != 0)
            dialog_fail(d, "expected %s, got %s", code, line);
    } while (line[3] == '-');
}

static void dialog_expect_ehlo(struct dialog *d, const char *wants)
{
    char lines[30][600], want[100];
    unsigned n = 0;
    int used;

    do {
        dialog_reply_line(d, lines[n], sizeof lines[n]);
        if (strncmp(lines[n], "250", 3) != 0)
            dialog_fail(d, "EHLO got %s", lines[n]);
    } while (lines[n++][3] == '-' && n < 30);
    for (; sscanf(wants, " %99s%n", want, &used) == 1; wants += used) {
        bool found = false;

        for (unsigned i = 1; i < n; i++)
            found |= dialog_match(want + 1, lines[i] + 4);
        if (found != (want[0] == '+'))
            dialog_fail(d, "EHLO reply: %s", want);
    }
}

static void dialog_expect_message(struct dialog *d)
{
    struct buf want = {0};

    for (; d->at < d->count && d->lines[d->at][0] == 'B'; d->at++) {
        if (d->lines[d->at][2])
            dialog_unescape(d, &want, d->lines[d->at] + 3);
        if (d->lines[d->at][1] == ':')
            buf_append(&want, "\n", 1);
    }
    d->at--;
    if (want.len != d->accepted.len || memcmp(buf_data(&want), buf_data(&d->accepted), want.len) != 0)
        dialog_fail(d, "the message is \"%.*s\"", (int)d->accepted.len, buf_data(&d->accepted));
    buf_clear(&want);
}

static bool dialog_yes(const char *v)
{
    return !strcmp(v, "yes");
}

static void dialog_set(struct dialog *d, const char *args)
{
    char name[40], value[40];
    unsigned long n;

    if (sscanf(args, "%39s %39s", name, value) != 2)
        dialog_fail(d, "@ set NAME VALUE");
    n = strtoul(value, NULL, 10);
    if (!strcmp(name, "max-message-size"))
        d->profile.max_message_size = n;
    else if (!strcmp(name, "max-recipients"))
        d->profile.max_recipients = (uint32_t)n;
    else if (!strcmp(name, "max-messages"))
        d->profile.max_messages = (uint32_t)n;
    else if (!strcmp(name, "max-errors"))
        d->profile.max_errors = (uint32_t)n;
    else if (!strcmp(name, "max-line"))
        d->profile.max_line = (uint32_t)n;
    else if (!strcmp(name, "max-hops"))
        d->profile.max_hops = (uint32_t)n;
    else if (!strcmp(name, "max-body-line"))
        d->profile.max_body_line = (uint32_t)n;
    else if (!strcmp(name, "smtputf8"))
        d->profile.smtputf8 = dialog_yes(value);
    else if (!strcmp(name, "normalize-newlines"))
        d->profile.normalize_newlines = dialog_yes(value);
    else if (!strcmp(name, "auth"))
        d->profile.auth = dialog_yes(value);
    else if (!strcmp(name, "mechanisms"))
        d->no_mechanisms = !dialog_yes(value);
    else if (!strcmp(name, "dsn"))
        d->profile.dsn = dialog_yes(value);
    else if (!strcmp(name, "requiretls"))
        d->profile.requiretls = dialog_yes(value);
    else if (!strcmp(name, "help-shows-reason"))
        d->profile.help_shows_reason = dialog_yes(value);
    else
        dialog_fail(d, "unknown setting %s", name);
}

static void dialog_handshake(struct dialog *d, const char *how)
{
    if (!d->start_tls)
        dialog_fail(d, "the engine did not say START_TLS");
    d->start_tls = false;
    if (!strcmp(how, "injected")) {
        if (d->cut != DIALOG_BYTES && d->send.len == 0)
            dialog_fail(d, "nothing was left behind STARTTLS");
        smtp_engine_tls_injected(d->g);
    } else {
        if (d->send.len)
            dialog_fail(d, "%zu bytes are left behind STARTTLS", d->send.len);
        d->in_tls = strcmp(how, "fail") != 0;
        smtp_engine_tls_done(d->g, &(struct smtp_tls_facts){.ok = d->in_tls});
    }
    dialog_flush(d);
}

static bool dialog_take_event(struct dialog *d, const char *want)
{
    for (unsigned i = 0; i < d->event_count; i++) {
        if (!dialog_match(want, d->events[i]))
            continue;
        memmove(d->events[0], d->events[i + 1], (d->event_count - i - 1) * sizeof d->events[0]);
        d->event_count -= i + 1;
        return true;
    }
    return false;
}

static void dialog_ids(struct dialog *d, const char *want)
{
    char have[100] = "";
    size_t n = 0;

    for (uint32_t i = 0; i < smtp_engine_rcpt_id_count(d->g); i++)
        n += (size_t)snprintf(have + n, sizeof have - n, "%s%u", i ? " " : "", smtp_engine_rcpt_ids(d->g)[i]);
    if (strcmp(have, want) != 0)
        dialog_fail(d, "mailboxes %s", have);
}

static void dialog_verdict_line(struct dialog *d, const char *args)
{
    struct dialog_verdict *v = &d->verdicts[d->verdict_count++];

    ck_assert_uint_le(d->verdict_count, 16);
    if (sscanf(args, "%79s %u %15s %199[^\n]", v->who, &v->code, v->enhanced, v->text) != 4)
        dialog_fail(d, "@ verdict WHO CODE ENHANCED TEXT");
}

static void dialog_expect_closed(struct dialog *d, const char *why)
{
    if (!d->closed)
        dialog_fail(d, "the server did not close");
    if (*why && strcmp(why, dialog_close_name(d->why)) != 0)
        dialog_fail(d, "closed because of %s", dialog_close_name(d->why));
}

static const char *dialog_after(const char *line, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(line, word, n) != 0 || (line[n] && line[n] != ' '))
        return NULL;
    return line + n + (line[n] == ' ');
}

/* Lines that change something; the others only look. */
static bool dialog_does(struct dialog *d, const char *line)
{
    const char *a;

    if ((a = dialog_after(line, "set"))) {
        dialog_set(d, a);
    } else if ((a = dialog_after(line, "tls"))) {
        snprintf(d->tls, sizeof d->tls, "%s", a);
    } else if ((a = dialog_after(line, "verdict"))) {
        dialog_verdict_line(d, a);
    } else if ((a = dialog_after(line, "handshake"))) {
        dialog_handshake(d, a);
    } else if (dialog_after(line, "early")) {
        smtp_engine_talked_early(d->g);
        dialog_drain(d);
    } else if ((a = dialog_after(line, "shutdown"))) {
        smtp_engine_shutdown(d->g, !strcmp(a, "now"));
        dialog_drain(d);
    } else {
        return false;
    }
    return true;
}

static void dialog_directive(struct dialog *d, const char *line)
{
    const char *a;

    if (dialog_does(d, line) || d->cut == DIALOG_BLAST)
        return;
    if ((a = dialog_after(line, "closed"))) {
        dialog_expect_closed(d, a);
    } else if ((a = dialog_after(line, "event"))) {
        if (!dialog_take_event(d, a))
            dialog_fail(d, "no event %s", a);
    } else if ((a = dialog_after(line, "no-event"))) {
        if (dialog_take_event(d, a))
            dialog_fail(d, "there was an event %s", a);
    } else if (dialog_after(line, "cancelled")) {
        if (!d->cancelled)
            dialog_fail(d, "no AUTH was cancelled");
        d->cancelled = false;
    } else if (dialog_after(line, "abort") || dialog_after(line, "no-abort")) {
        if (d->aborted != (line[0] == 'a'))
            dialog_fail(d, "%s", line);
        d->aborted = false;
    } else if ((a = dialog_after(line, "ids"))) {
        dialog_ids(d, a);
    } else {
        dialog_fail(d, "unknown directive %s", line);
    }
}

static void dialog_repeat(struct dialog *d, const char *args)
{
    char *text;
    unsigned long n = strtoul(args, &text, 10);

    for (; n; n--)
        dialog_unescape(d, &d->send, text + 1);
}

/* Must what was sent before be seen first? Not at the top, where the engine is new. */
static bool dialog_flushes(const struct dialog *d, const char *line)
{
    if (line[0] == '@')
        return strncmp(line, "@ set", 5) != 0 && (d->trace.len || d->send.len);
    return d->cut != DIALOG_BLAST;
}

static void dialog_line(struct dialog *d, const char *line)
{
    if (line[0] == '\0' || line[0] == '#')
        return;
    if (strlen(line) < 2 || (line[2] != ' ' && line[2] != '\0' && line[0] != '@'))
        dialog_fail(d, "what is this? %s", line);
    if (line[0] == 'C') {
        if (line[1] == '*') {
            dialog_repeat(d, line + 3);
            return;
        }
        dialog_unescape(d, &d->send, line[2] ? line + 3 : "");
        if (line[1] == ':')
            buf_append(&d->send, "\r\n", 2);
        return;
    }
    if (dialog_flushes(d, line))
        dialog_flush(d);
    if (line[0] == '@')
        dialog_directive(d, line + 2);
    else if (d->cut == DIALOG_BLAST)
        return;
    else if (line[0] == 'S')
        dialog_expect_line(d, line + 3);
    else if (line[0] == 'R')
        dialog_expect_reply(d, line + 3);
    else if (line[0] == 'E')
        dialog_expect_ehlo(d, line[2] ? line + 3 : "");
    else if (line[0] == 'B')
        dialog_expect_message(d);
    else
        dialog_fail(d, "what is this? %s", line);
}

/* What the driver says before a dialog in mode starttls begins. */
static void dialog_prelude(struct dialog *d)
{
    char tls[16];

    memcpy(tls, d->tls, sizeof tls);
    snprintf(d->tls, sizeof d->tls, "offered");
    buf_printf(&d->send, "EHLO prelude.example\r\nSTARTTLS\r\n");
    dialog_flush(d);
    ck_assert(d->start_tls);
    d->start_tls = false;
    d->in_tls = d->skip_banner = true;
    smtp_engine_tls_done(d->g, &(struct smtp_tls_facts){.ok = true});
    dialog_drain(d);
    buf_clear(&d->replies);
    buf_clear(&d->trace);
    d->event_count = 0;
    memcpy(d->tls, tls, sizeof tls);
}

static void dialog_forget(struct dialog *d)
{
    smtp_engine_free(&d->g);
    buf_clear(&d->send);
    buf_clear(&d->replies);
    buf_clear(&d->trace);
    buf_clear(&d->message);
    buf_clear(&d->accepted);
}

/* Plays the whole file; afterwards d->trace tells what the engine did. */
static void dialog_run(struct dialog *d, enum dialog_mode mode, enum dialog_cut cut, unsigned seed)
{
    static const struct smtp_profile usual = {.hostname = "mx.example.test",
                                              .banner = "ESMTP postern",
                                              .max_message_size = 1000000,
                                              .max_recipients = 1000,
                                              .max_line = 512,
                                              .max_hops = 30,
                                              .smtputf8 = true,
                                              .requiretls = true};
    dialog_forget(d);
    d->run_mode = mode;
    d->cut = cut;
    d->random = seed;
    d->profile = usual;
    snprintf(d->tls, sizeof d->tls, "offered");
    d->in_tls = mode == DIALOG_IMPLICIT;
    d->closed = d->aborted = d->start_tls = d->in_chunk = d->skip_banner = false;
    d->event_count = d->verdict_count = 0;
    d->g = smtp_engine_new(&d->profile, d->in_tls);
    if (mode == DIALOG_STARTTLS)
        dialog_prelude(d);
    for (d->at = 0; d->at < d->count; d->at++)
        dialog_line(d, d->lines[d->at]);
    d->at = d->count - 1;
    dialog_flush(d);
    if (cut == DIALOG_BLAST)
        return;
    if (d->replies.len)
        dialog_fail(d, "a reply nobody asked for: %.*s", (int)d->replies.len, buf_data(&d->replies));
    for (unsigned i = 0; d->closed && i < d->count; i++)
        if (!strncmp(d->lines[i], "@ closed", 8) || !strncmp(d->lines[i], "@ handshake ", 12))
            return;
    if (d->closed)
        dialog_fail(d, "the server closed: %s", dialog_close_name(d->why));
}

static void dialog_head(struct dialog *d)
{
    for (int m = 0; m < DIALOG_MODES; m++)
        d->mode[m] = true;
    for (unsigned i = 0; i < d->count; i++) {
        if (strncmp(d->lines[i], "# modes:", 8) != 0)
            continue;
        for (int m = 0; m < DIALOG_MODES; m++)
            d->mode[m] = strstr(d->lines[i], dialog_mode_names[m]) != NULL;
    }
}

static void dialog_load(struct dialog *d, const char *path)
{
    FILE *f = fopen(path, "r");
    struct buf b = {0};
    size_t n;

    memset(d, 0, sizeof *d);
    d->path = path;
    ck_assert_ptr_nonnull(f);
    while ((n = fread(buf_space(&b, 4096), 1, 4096, f)) > 0)
        buf_added(&b, n);
    fclose(f);
    d->text = mem_strn(buf_data(&b), b.len);
    buf_clear(&b);
    d->lines = mem_alloc(sizeof *d->lines);
    for (char *p = d->text, *end; *p && (end = strchr(p, '\n')); p = end + 1) {
        *end = '\0';
        d->lines = mem_grow(d->lines, (d->count + 2) * sizeof *d->lines);
        d->lines[d->count++] = p;
    }
    dialog_head(d);
}

static void dialog_unload(struct dialog *d)
{
    dialog_forget(d);
    free(d->lines);
    free(d->text);
}

#endif
