/* The law of the sending engine: however the server's bytes are cut, the actions are equal after
 * joining SENDs. The first four bytes of the input choose profile, message, answers and cuts; the
 * rest is what the server says. It is played whole, byte by byte, and cut by chance; what the
 * engine did must be the same each time. Beside that: every recipient gets one result, nothing is
 * said in clear that must not be, and content on the wire is the content. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/client.h"

#define HEAD 4
#define MEMORY_MAX ((size_t)512 * 1024)
#define RCPTS 6
#define MESSAGES 3

enum cut { CUT_WHOLE, CUT_BYTES, CUT_CHANCE };

struct play {
    const uint8_t *head;
    struct smtp_client_profile profile;
    struct smtp_client_message message;
    struct smtp_client *c;
    struct buf trace, wire;
    uint32_t chance;  /* of the cuts */
    uint32_t actions; /* so far */
    unsigned messages;
    unsigned results[RCPTS];
    bool in_message, in_content, content_whole, last_piece, by_bdat, in_send;
    bool failed, closed;
};

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static const char content[] = ".\n..\nline\n\n.dot\nabc.\n.\n\n\nwithout line feed .";
static const struct smtp_client_rcpt rcpts[RCPTS] = {
    {.address = "b@example.test"},
    {.address = "c@example.test", .orcpt = "rfc822;c@example.test", .notify = 2},
    {.address = "j\xc3\xbcrgen@example.test"},
    {.address = "d@other.example.test", .notify = 1},
    {.address = "\"e e\"@example.test"},
    {.address = "broken\r\nRCPT TO:<x@y.example>"},
};

static uint32_t next_chance(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

/* The same in every play: it depends on the input and on how many actions there were. */
static uint32_t decide(const struct play *p)
{
    uint32_t s = p->head[1] * 2654435761u ^ p->actions * 40503u;

    return p->head[1] ? next_chance(&s) : 0; /* 0: the friendly caller */
}

static void set_profile(struct play *p)
{
    unsigned h = p->head[0];

    p->profile = (struct smtp_client_profile){
        .hostname = "relay.example.test",
        .lmtp = h & 1,
        .tls = (enum smtp_client_tls_policy)((h >> 1 & 3) % 3),
        .implicit_tls = h & 8,
        .tls_verified = h & 8,
        .sasl = h & 16,
        .sasl_in_clear = h & 32,
        .detect_loop = h & 64,
        .no_chunking = h & 128,
    };
}

static void give_message(struct play *p)
{
    unsigned h = p->head[2];
    bool first = p->messages++ == 0, probe = first ? (h & 14) == 14 : (h & 12) == 4;

    p->message = (struct smtp_client_message){
        .sender = h & 1 ? "" : "a@example.org",
        .rcpts = rcpts,
        .rcpt_count = first ? 1 + (h >> 5) % RCPTS : 2,
        .size = probe || (first && h & 2) ? 0 : sizeof content - 1,
        .lines = !probe && h & 4 ? 8 : 0,
        .content_8bit = !probe && h & 8,
        .smtputf8 = first && h & 16,
        .requiretls = !first && h & 16,
        .ret = SMTP_CLIENT_RET_HDRS,
        .envid = "q+2B",
        .probe = probe,
    };
    memset(p->results, 0, sizeof p->results);
    p->in_message = true;
    p->content_whole = p->message.size == 0 && !probe;
    smtp_client_message(p->c, &p->message);
}

/* ---- what may be sent */

static bool starts(struct span s, const char *with)
{
    return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

static void check_command(const struct play *p, struct span line)
{
    bool in_tls = smtp_client_in_tls(p->c);

    for (size_t i = 0; i < line.n; i++)
        MUST((unsigned char)line.p[i] >= 0x20 && line.p[i] != 0x7f);
    if (starts(line, "AUTH "))
        MUST(p->profile.sasl && (in_tls || p->profile.sasl_in_clear));
    if (starts(line, "MAIL ") || starts(line, "RCPT ") || starts(line, "BDAT "))
        MUST(in_tls || p->profile.tls != SMTP_CLIENT_TLS_REQUIRED);
    if (starts(line, "HELO ") || starts(line, "MAIL "))
        MUST(in_tls || p->profile.tls != SMTP_CLIENT_TLS_REQUIRED);
    if (starts(line, "STARTTLS"))
        MUST(!in_tls && p->profile.tls != SMTP_CLIENT_TLS_NONE && line.n == 8);
    if (p->in_message && p->message.probe)
        MUST(!starts(line, "DATA") && !starts(line, "BDAT"));
    if (starts(line, "RCPT "))
        MUST(!memmem(line.p, line.n, "x@y.example", 11));
}

static void check_commands(const struct play *p, struct span s)
{
    while (s.n) {
        const char *lf = memchr(s.p, '\n', s.n);
        size_t n;

        MUST(lf && lf > s.p && lf[-1] == '\r');
        n = (size_t)(lf - s.p) + 1;
        check_command(p, (struct span){s.p, n - 2});
        s.p += n;
        s.n -= n;
    }
}

/* Undoes BDAT frames or dots, and CRLF: what is left is the content. */
static void check_wire(const struct play *p)
{
    const char *s = buf_data(&p->wire), *end = s + p->wire.len;
    struct buf out = {0};

    while (p->by_bdat && s < end) {
        char *rest;
        size_t n = strtoull(s + 5, &rest, 10);

        MUST(starts((struct span){s, (size_t)(end - s)}, "BDAT "));
        s = (const char *)memchr(rest, '\n', (size_t)(end - rest)) + 1;
        MUST(starts((struct span){rest, (size_t)(end - rest)}, " LAST\r\n") == (s + n == end));
        buf_append(&out, s, n);
        s += n;
    }
    while (!p->by_bdat) {
        const char *lf = memchr(s, '\n', (size_t)(end - s));

        MUST(lf && lf[-1] == '\r');
        if (lf == s + 2 && *s == '.') {
            MUST(lf + 1 == end);
            break;
        }
        s += *s == '.';
        buf_append(&out, s, (size_t)(lf - s) + 1);
        s = lf + 1;
    }
    s = content;
    for (size_t i = 0; i < out.len; i++) {
        if (buf_data(&out)[i] == '\r')
            continue;
        if (*s == '\0') { /* by DATA the last line gets its end */
            MUST(!p->by_bdat && i + 1 == out.len);
            break;
        }
        MUST(buf_data(&out)[i] == *s++);
    }
    MUST(*s == '\0');
    buf_clear(&out);
}

static void check_send(struct play *p, const struct smtp_client_action *a)
{
    MUST(a->bytes.n && !p->closed);
    if (p->in_content && p->wire.len == 0)
        p->by_bdat = starts(a->bytes, "BDAT ");
    if (p->in_content)
        buf_append(&p->wire, a->bytes.p, a->bytes.n);
    else
        check_commands(p, a->bytes);
    if (p->in_content && p->last_piece)
        check_wire(p);
    p->in_content = false;
}

static void check_result(struct play *p, const struct smtp_client_action *a)
{
    const char *e = a->reply.enhanced;

    MUST(p->in_message && a->index < p->message.rcpt_count);
    MUST(p->results[a->index]++ == 0);
    MUST(a->reply.code >= 200 && a->reply.code < 600 && a->reply.text.n <= 1000);
    MUST(e[0] == '0' + a->reply.code / 100 && e[1] == '.' && memchr(e, '\0', sizeof a->reply.enhanced));
    if (a->outcome == SMTP_CLIENT_OK && p->message.probe)
        MUST(a->reply.code < 300 && a->stage == SMTP_CLIENT_AT_RCPT && !a->relayed && !a->reply.local);
    else if (a->outcome == SMTP_CLIENT_OK)
        MUST(p->content_whole && a->reply.code < 300 && a->stage == SMTP_CLIENT_AT_END);
    if (a->outcome == SMTP_CLIENT_PERMANENT)
        MUST(a->reply.code >= 500);
    if (a->in_doubt)
        MUST(p->content_whole && a->outcome == SMTP_CLIENT_TEMPORARY);
    if (a->outcome == SMTP_CLIENT_UNTRIED)
        MUST(smtp_client_transactions(p->c) > 0);
}

static void check_done(struct play *p)
{
    MUST(p->in_message);
    for (uint32_t i = 0; i < p->message.rcpt_count; i++)
        MUST(p->results[i] == 1);
    p->in_message = false;
}

/* ---- playing */

static void note(struct play *p, const struct smtp_client_action *a)
{
    if (a->kind == SMTP_CLIENT_SEND) {
        if (!p->in_send)
            buf_append(&p->trace, "send:", 5);
        buf_append(&p->trace, a->bytes.p, a->bytes.n);
        p->in_send = true;
        return;
    }
    p->in_send = false;
    buf_printf(&p->trace, "\n%d %d %d %d %d %u %u %s %d%d%d stage %d timeout %u progress %u:", a->kind, a->event,
               a->failure, a->outcome, a->stage, a->index, a->reply.code, a->reply.enhanced, a->reply.local, a->relayed,
               a->in_doubt, smtp_client_stage(p->c), smtp_client_timeout(p->c), smtp_client_progress(p->c));
    buf_append(&p->trace, a->bytes.p, a->bytes.n);
    buf_append(&p->trace, a->text.p, a->text.n);
    buf_append(&p->trace, a->reply.text.p, a->reply.text.n);
    buf_append(&p->trace, a->said.p, a->said.n);
}

static void start_tls(struct play *p)
{
    uint32_t d = decide(p) % 8;
    struct smtp_client_tls_facts f = {.ok = d != 1, .verified = d & 2};

    if (d == 5)
        smtp_client_tls_injected(p->c);
    else
        smtp_client_tls_done(p->c, &f);
}

static void start_sasl(struct play *p)
{
    static const char long_response[700] = "long";
    uint32_t d = decide(p) % 8;

    if (d == 1)
        smtp_client_sasl_none(p->c);
    else if (d == 2)
        smtp_client_sasl_start(p->c, "LOGIN", NULL, 0, false);
    else if (d == 3)
        smtp_client_sasl_start(p->c, "X", long_response, sizeof long_response, true);
    else
        smtp_client_sasl_start(p->c, "PLAIN", "\0user\0secret", d == 4 ? 0 : 12, true);
}

static void answer_challenge(struct play *p)
{
    uint32_t d = decide(p) % 8;

    if (d == 1)
        smtp_client_sasl_cancel(p->c);
    else
        smtp_client_sasl_respond(p->c, "response", d, d != 2);
}

static void act(struct play *p, const struct smtp_client_action *a)
{
    note(p, a);
    p->actions++;
    MUST(smtp_client_timeout(p->c) <= 600);
    switch (a->kind) {
    case SMTP_CLIENT_SEND:
        check_send(p, a);
        break;
    case SMTP_CLIENT_START_TLS:
        start_tls(p);
        break;
    case SMTP_CLIENT_ASK_SASL:
        start_sasl(p);
        break;
    case SMTP_CLIENT_SASL_CHALLENGE:
        answer_challenge(p);
        break;
    case SMTP_CLIENT_RCPT_RESULT:
        MUST(!p->failed);
        check_result(p, a);
        break;
    case SMTP_CLIENT_MESSAGE_DONE:
        check_done(p);
        break;
    case SMTP_CLIENT_FAILED:
        MUST(!p->failed && !p->in_message && a->said.n <= 1000);
        p->failed = true;
        break;
    case SMTP_CLIENT_EVENT:
        break;
    default:
        MUST(false && "an action that cannot be");
    }
}

/* The caller's turn. False: it waits for the server instead. */
static bool turn(struct play *p, const struct smtp_client_action *a)
{
    uint32_t d = decide(p) % 16;
    size_t n = 1 + p->head[3] % 60;

    if (a->kind == SMTP_CLIENT_READY) {
        MUST(!p->in_message && !p->failed);
        if (d == 1)
            return false;
        if (p->messages < MESSAGES)
            give_message(p);
        else
            smtp_client_quit(p->c);
        return true;
    }
    MUST(a->want && a->want <= p->message.size - a->offset);
    if (d == 2)
        return false;
    if (d == 3 && p->head[3] & 128) {
        smtp_client_content_failed(p->c, "no file");
        return true;
    }
    if (n > a->want)
        n = a->want;
    if (a->offset == 0)
        buf_clear(&p->wire);
    p->in_content = true;
    p->last_piece = a->offset + n == p->message.size;
    p->content_whole |= p->last_piece;
    smtp_client_content(p->c, content + a->offset, n);
    return true;
}

/* Until the server's bytes are needed. */
static void drain(struct play *p)
{
    struct smtp_client_action a;

    for (;;) {
        smtp_client_next(p->c, &a);
        MUST(smtp_client_memory(p->c) < MEMORY_MAX);
        switch (a.kind) {
        case SMTP_CLIENT_WAIT:
            MUST(false && "nothing is owed");
            break;
        case SMTP_CLIENT_NEED_INPUT:
            return;
        case SMTP_CLIENT_CLOSE:
            p->closed = true;
            MUST(!p->in_message);
            return;
        case SMTP_CLIENT_READY:
        case SMTP_CLIENT_NEED_CONTENT:
            if (!turn(p, &a))
                return;
            break;
        default:
            act(p, &a);
        }
    }
}

static size_t piece(struct play *p, enum cut cut, size_t left)
{
    size_t n = left;

    if (cut == CUT_BYTES)
        n = 1;
    else if (cut == CUT_CHANCE)
        n = 1 + next_chance(&p->chance) % (next_chance(&p->chance) % 4 ? 5 : 600);
    return n < left ? n : left;
}

static void finish(struct play *p)
{
    if (p->closed)
        return;
    if (p->head[3] & 64)
        smtp_client_timed_out(p->c);
    else
        smtp_client_lost(p->c, "end");
    drain(p);
    MUST(p->closed);
}

/* Each piece is fed from memory of its own size, so that a byte read behind it is seen. */
static void play(struct play *p, const uint8_t *bytes, size_t n, enum cut cut)
{
    p->head = bytes;
    p->chance = (uint32_t)bytes[3] << 8 | bytes[1];
    set_profile(p);
    p->c = smtp_client_new(&p->profile);
    drain(p);
    for (size_t at = HEAD; at < n && !p->closed;) {
        size_t len = piece(p, cut, n - at), took;
        char *copy = mem_alloc(len);

        memcpy(copy, bytes + at, len);
        took = smtp_client_feed(p->c, copy, len);
        MUST(took > 0 && took <= len);
        drain(p);
        free(copy);
        at += took;
    }
    if (bytes[3] & 32)
        finish(p);
    smtp_client_free(&p->c);
    buf_clear(&p->wire);
}

static void compare(const struct play *a, const struct play *b)
{
    if (a->trace.len == b->trace.len &&
        (a->trace.len == 0 || memcmp(buf_data(&a->trace), buf_data(&b->trace), a->trace.len) == 0))
        return;
    fprintf(stderr, "---- one\n%.*s\n---- other\n%.*s\n", (int)a->trace.len, buf_data(&a->trace), (int)b->trace.len,
            buf_data(&b->trace));
    MUST(false && "the actions depend on how the bytes were cut");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play whole = {0};

    if (size < HEAD)
        return 0;
    play(&whole, data, size, CUT_WHOLE);
    for (int cut = CUT_BYTES; cut <= CUT_CHANCE; cut++) {
        struct play other = {0};

        play(&other, data, size, (enum cut)cut);
        compare(&whole, &other);
        buf_clear(&other.trace);
    }
    buf_clear(&whole.trace);
    return 0;
}
