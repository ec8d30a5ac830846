/* The engine's law: however the bytes are cut, the actions are equal after joining CHUNKs. The
 * first four bytes of the input choose profile, TLS view, answers and cuts; the rest is what the
 * client says. It is played whole, byte by byte, and cut by chance, and what the engine did must be
 * the same each time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/engine.h"

#define HEAD 4
#define MEMORY_MAX ((size_t)256 * 1024)
#define TRACE_MAX ((size_t)8 * 1024 * 1024)

enum cut { CUT_WHOLE, CUT_BYTES, CUT_CHANCE };

struct play {
    const uint8_t *head;
    struct smtp_profile profile;
    bool authenticating;
    struct smtp_engine *g;
    struct buf trace;
    uint32_t chance;  /* of the cuts */
    uint32_t actions; /* so far, CHUNKs not counted: they depend on the cuts */
    uint64_t content; /* bytes of the open message */
    bool in_chunk, open, closed;
};

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static uint32_t next_chance(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

/* The same in every play: it depends on the input and on how many actions there were. */
static uint32_t decide(const struct play *p)
{
    uint32_t s = p->head[1] * 2654435761u ^ p->actions * 40503u;

    return next_chance(&s);
}

static void set_profile(struct play *p)
{
    unsigned h = p->head[0];

    p->profile = (struct smtp_profile){
        .hostname = "mx.example.test",
        .banner = "ESMTP postern",
        .max_message_size = h & 1 ? 300 : 0,
        .max_recipients = h & 2 ? 100 : 0,
        .max_messages = h & 4 ? 2 : 0,
        .max_errors = h & 8 ? 5 : 0,
        .max_line = 512,
        .max_hops = h & 16 ? 2 : 30,
        .max_body_line = h & 32 ? 60 : 0,
        .smtputf8 = h & 64,
        .normalize_newlines = h & 128,
        .help_shows_reason = h & 1,
        .auth = p->head[2] & 16,
        .dsn = p->head[2] & 32,
        .requiretls = p->head[2] & 64,
    };
}

static void answer_tls(struct play *p)
{
    unsigned d = p->head[2];
    struct smtp_tls_view v = {.code = 454, .enhanced = "4.7.0", .text = "No TLS", .reason = "no-certificate"};

    v.advertise = d & 1;
    v.accept = v.advertise && d & 2;
    v.require = d & 4;
    v.require_broken = v.require && !v.accept;
    v.auth = d & 128 ? NULL : "PLAIN LOGIN";
    smtp_engine_answer_tls(p->g, &v);
}

static void answer(struct play *p, enum smtp_action_kind kind)
{
    static const uint16_t codes[] = {0, 0, 0, 0, 0, 0, 250, 0, 0, 451, 550, 0, 0, 0, 421, 0};
    uint32_t d = decide(p), ids[3] = {d >> 4 & 7, d >> 7 & 7, d >> 10};
    struct smtp_verdict v = {.code = codes[d & 15], .enhanced = "4.3.0", .text = "Words"};

    if (p->head[1] == 0)
        v.code = 0; /* the friendly server: most inputs should get deep */
    v.rcpt_ids = ids;
    v.rcpt_id_count = d % 4 % 3 + 1;
    if (kind == SMTP_OPEN_MESSAGE) {
        MUST(!p->open);
        p->open = v.code < 300;
        p->content = 0;
    } else if (kind == SMTP_COMMIT) {
        MUST(p->open);
        p->open = false;
        MUST(smtp_engine_rcpt_count(p->g) > 0);
    }
    smtp_engine_answer(p->g, &v);
}

static void answer_auth(struct play *p, const struct smtp_action *a)
{
    static const enum smtp_auth_kind kinds[] = {SMTP_AUTH_CONTINUE, SMTP_AUTH_OK,          SMTP_AUTH_CONTINUE,
                                                SMTP_AUTH_FAILED,   SMTP_AUTH_UNAVAILABLE, SMTP_AUTH_MALFORMED,
                                                SMTP_AUTH_UNKNOWN,  SMTP_AUTH_TOO_MANY};
    struct smtp_auth_answer v = {.kind = kinds[decide(p) & 7], .challenge = "eA==", .identity = "alice@example.test"};

    MUST(a->text.n % 4 == 0 && a->text.n <= 12288);
    MUST(p->authenticating == (a->mechanism.n == 0));
    p->authenticating = v.kind == SMTP_AUTH_CONTINUE;
    smtp_engine_answer_auth(p->g, &v);
}

static void check_reply(struct span s)
{
    size_t line = 0;

    MUST(s.n >= 6 && s.p[s.n - 2] == '\r' && s.p[s.n - 1] == '\n');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        MUST((c >= 0x20 && c < 0x7f) || c == '\r' || c == '\n');
        MUST(c != '\n' || (i && s.p[i - 1] == '\r'));
        MUST(c != '\r' || s.p[i + 1] == '\n');
        line = c == '\n' ? 0 : line + 1;
        MUST(line < 512);
    }
}

static void check_chunk(struct play *p, struct span s)
{
    MUST(p->open && s.n);
    MUST(smtp_engine_phase(p->g) == SMTP_PHASE_DATA);
    MUST(!memchr(s.p, '\r', s.n) && !memchr(s.p, '\0', s.n));
    p->content += s.n;
    MUST(!p->profile.max_message_size || p->content <= p->profile.max_message_size);
    MUST(p->content <= smtp_engine_message_size(p->g));
}

static void note(struct play *p, const struct smtp_action *a)
{
    if (a->kind == SMTP_CHUNK) {
        if (!p->in_chunk)
            buf_append(&p->trace, "chunk:", 6);
        p->in_chunk = true;
        buf_append(&p->trace, a->bytes.p, a->bytes.n);
        return;
    }
    p->in_chunk = false;
    p->actions++;
    buf_printf(&p->trace, "\n%d %d %u %d %d %" PRIu64 " %d%d%d phase %d rcpts %u ids %u size %" PRIu64 ":", a->kind,
               a->event, a->code, a->flag, a->close, a->params.size, a->params.size_given, a->params.body_8bit,
               a->params.smtputf8, smtp_engine_phase(p->g), smtp_engine_rcpt_count(p->g),
               smtp_engine_rcpt_id_count(p->g), smtp_engine_message_size(p->g));
    buf_append(&p->trace, a->bytes.p, a->bytes.n);
    buf_append(&p->trace, a->sender.p, a->sender.n);
    buf_append(&p->trace, a->rcpt_local.p, a->rcpt_local.n);
    buf_append(&p->trace, "@", 1);
    buf_append(&p->trace, a->rcpt_domain.p, a->rcpt_domain.n);
    buf_append(&p->trace, a->text.p, a->text.n);
}

static void act(struct play *p, const struct smtp_action *a)
{
    MUST(!p->closed);
    note(p, a);
    switch (a->kind) {
    case SMTP_REPLY:
        check_reply(a->bytes);
        break;
    case SMTP_CHUNK:
        check_chunk(p, a->bytes);
        break;
    case SMTP_ABORT:
        MUST(p->open);
        p->open = false;
        break;
    case SMTP_CLOSE:
        MUST(!p->open);
        p->closed = true;
        break;
    case SMTP_ASK_TLS:
        answer_tls(p);
        break;
    case SMTP_START_TLS:
        check_reply(a->bytes);
        if (decide(p) % 8 == 0)
            smtp_engine_tls_injected(p->g);
        else
            smtp_engine_tls_done(p->g, &(struct smtp_tls_facts){.ok = decide(p) % 8 != 1});
        break;
    case SMTP_ASK_AUTH:
        answer_auth(p, a);
        break;
    case SMTP_CANCEL_AUTH:
        MUST(p->authenticating);
        p->authenticating = false;
        break;
    case SMTP_ASK_SENDER:
        MUST(!p->profile.auth || smtp_engine_identity(p->g).n);
        answer(p, a->kind);
        break;
    case SMTP_ASK_RCPT:
    case SMTP_OPEN_MESSAGE:
    case SMTP_COMMIT:
        answer(p, a->kind);
        break;
    case SMTP_EVENT:
        if (p->head[3] >= 0xf0 && p->actions % 7 == 0)
            smtp_engine_shutdown(p->g, p->head[3] & 1);
        break;
    default:
        break;
    }
}

static void drain(struct play *p)
{
    struct smtp_action a;

    for (;;) {
        smtp_engine_next(p->g, &a);
        MUST(a.kind != SMTP_WAIT);
        if (a.kind == SMTP_NEED_INPUT)
            return;
        act(p, &a);
        MUST(smtp_engine_memory(p->g) < MEMORY_MAX);
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

/* Each piece is fed from memory of its own size, so that a byte read behind it is seen. */
static void play(struct play *p, const uint8_t *bytes, size_t n, enum cut cut)
{
    p->head = bytes;
    p->chance = (uint32_t)bytes[3] << 8 | bytes[1];
    set_profile(p);
    p->g = smtp_engine_new(&p->profile, bytes[2] & 8);
    if (bytes[2] & 16)
        smtp_engine_talked_early(p->g);
    drain(p);
    for (size_t at = HEAD; at < n && !p->closed && p->trace.len < TRACE_MAX;) {
        size_t len = piece(p, cut, n - at), took;
        char *copy = mem_alloc(len);

        memcpy(copy, bytes + at, len);
        took = smtp_engine_feed(p->g, copy, len);
        MUST(took > 0 && took <= len);
        drain(p);
        free(copy);
        at += took;
    }
    smtp_engine_free(&p->g);
}

static void compare(const struct play *a, const struct play *b)
{
    if (a->trace.len == b->trace.len && memcmp(buf_data(&a->trace), buf_data(&b->trace), a->trace.len) == 0)
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
