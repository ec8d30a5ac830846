/* The bench's law: however a sender's bytes are cut, and whether anybody listens or not, what is sent is the same. The first
 * four bytes of the input choose the scenario and the cuts, the rest is what the sender says. Transcript, lint and facts see
 * it all, and no secret of AUTH comes out of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "bench/bench_facts.h"
#include "bench/transcript.h"

#define HEAD 4
#define TRACE_MAX ((size_t)4 * 1024 * 1024)

enum cut { CUT_WHOLE, CUT_UNHEARD, CUT_BYTES, CUT_CHANCE, CUTS };

struct play {
    const uint8_t *head;
    struct bench_session *s;
    struct transcript_book *book;
    struct transcript *t;
    struct bench_facts *facts;
    unsigned seq;
    struct buf sent;
    uint32_t chance;
    bool over;
};

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#define BYTES(lit)                                                                                                     \
    {                                                                                                                  \
        (char *)(lit), sizeof(lit) - 1                                                                                 \
    }
#define ALWAYS .chance = 1000

static struct bench_bytes pieces[] = {BYTES("250-a\r\n25"), BYTES("0 b\r\n")};
static struct bench_step faults[] = {
    {ALWAYS, .at = BENCH_RCPT, .rcpt = (char *)"b*", .reply = BYTES("550 5.1.1 no\r\n")},
    {ALWAYS, .at = BENCH_RCPT, .rcpt = (char *)"l*", .times = 1, .per = BENCH_RCPTS, .reply = BYTES("451 later\r\n")},
    {ALWAYS, .at = BENCH_DATA_END, .times = 1, .per = BENCH_SESSION, .reply = BYTES("451 4.3.0 later\r\n")},
    {ALWAYS, .at = BENCH_STARTTLS, .inject = BYTES("250-x\r\n250 AUTH PLAIN\r\n")},
    {ALWAYS, .at = BENCH_AUTH, .times = 2, .per = BENCH_SESSION, .reply = BYTES("334 eA==\r\n")},
};
static struct bench_step manners[] = {
    {ALWAYS, .at = BENCH_EHLO, .pieces = pieces, .piece_count = 2},
    {ALWAYS, .at = BENCH_NOOP, .hold = true},
    {ALWAYS, .at = BENCH_RSET, .drip_ms = 1, .split = 3},
    {ALWAYS, .at = BENCH_HELO, .then = BENCH_EXTRA_REPLY},
    {ALWAYS, .at = BENCH_MAIL, .times = 1, .per = BENCH_SESSION, .then = BENCH_SWALLOW},
    {ALWAYS, .at = BENCH_BDAT, .times = 1, .per = BENCH_SESSION, .reply = BYTES("451 no\r\n")},
    {ALWAYS, .at = BENCH_BODY, .bytes = 5, .reply = BYTES("250 soon\r\n")},
    {ALWAYS, .at = BENCH_QUIT, .flood = BYTES("221-x\r\n"), .flood_times = 9},
};
static struct bench_step ends[] = {
    {ALWAYS, .at = BENCH_BODY, .bytes = 7, .reply = BYTES("421 no\r\n"), .then = BENCH_CLOSE},
    {ALWAYS, .at = BENCH_STARTTLS, .then = BENCH_PLAIN},
    {ALWAYS, .at = BENCH_RCPT, .after = 2, .per = BENCH_SESSION, .reply = BYTES("550 no\r\n"),
     .then = BENCH_HALF_CLOSE},
    {ALWAYS, .at = BENCH_NOOP, .reply = BYTES("\0\xff \r\n250"), .then = BENCH_CONTINUE},
};

static char *words[] = {(char *)"AUTH PLAIN LOGIN", (char *)"DSN", NULL};
static const struct bench_scenario scenarios[] = {
    {.name = (char *)"good", .ehlo = {.add = words}},
    {.name = (char *)"faults", .ehlo = {.add = words}, .steps = faults, .step_count = sizeof faults / sizeof *faults},
    {.name = (char *)"manners", .steps = manners, .step_count = sizeof manners / sizeof *manners},
    {.name = (char *)"ends", .steps = ends, .step_count = sizeof ends / sizeof *ends, .also_ends = BYTES("\n.\n")},
    {.name = (char *)"split", .ehlo = {.split = true}, .also_ends = BYTES("\r\n.\r")},
};
#define SCENARIOS (sizeof scenarios / sizeof *scenarios)

static uint32_t next_chance(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

/* What every line of a transcript is, whoever made it. */
static void on_line(void *arg, const json_t *line)
{
    struct play *p = arg;
    const json_t *raw = json_object_get(line, "raw");

    MUST(json_integer_value(json_object_get(line, "seq")) == ++p->seq);
    MUST(json_string_value(json_object_get(line, "ev")));
    if (raw && json_is_true(json_object_get(line, "redacted")))
        MUST(json_string_length(raw) < 60); /* AUTH and a mechanism at most, and blanks of the sender's */
    bench_facts_take(p->facts, line);
}

static void on_event(void *arg, const struct bench_event *ev)
{
    struct play *p = arg;

    transcript_event(p->t, ev);
}

/* How many of what was fed came too soon: behind STARTTLS in clear. */
static size_t drain(struct play *p)
{
    struct bench_do d;

    for (;;) {
        bench_session_next(p->s, &d);
        if (d.kind == BENCH_DO_WAIT)
            return 0;
        if (d.kind == BENCH_DO_SEND) {
            MUST(d.bytes.n);
            buf_append(&p->sent, d.bytes.p, d.bytes.n);
        }
        if (d.kind == BENCH_DO_END)
            p->over = true;
        if (d.kind == BENCH_DO_START_TLS) {
            size_t behind = d.bytes.n;

            buf_append(&p->sent, "[tls]", 5);
            bench_session_tls_done(p->s);
            return behind;
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

static void begin(struct play *p, enum cut cut, struct bench_count *count)
{
    struct addr a;
    struct err e;
    struct transcript_start t = {.scenario = "x", .lease = "", .listener = "x", .peer = &a, .local = &a};
    struct bench_session_setup s = {.scenario = &scenarios[p->head[0] % SCENARIOS],
                                    .count = count,
                                    .hostname = "mx.bench.test",
                                    .client = "c",
                                    .lease = "",
                                    .implicit = p->head[1] & 1,
                                    .tls_possible = !(p->head[1] & 2),
                                    .size_most = 1000,
                                    .event = cut == CUT_UNHEARD ? NULL : on_event,
                                    .arg = p};

    MUST(addr_parse(&a, "127.0.0.1:25", &e) == 0);
    if (s.event) {
        MUST(transcript_book_open(&p->book, &(struct transcript_book_setup){.keep_auth = p->head[1] & 4}, &e) == 0);
        p->facts = mem_alloc(sizeof *p->facts);
        transcript_book_listen(p->book, on_line, p);
        p->t = transcript_begin(p->book, &t);
    }
    p->s = bench_session_new(&s, 0);
    if (s.implicit)
        bench_session_tls_done(p->s);
    (void)drain(p);
}

/* Each piece is fed from memory of its own size, so that a byte read behind it is seen. */
static void play(struct play *p, const uint8_t *bytes, size_t n, enum cut cut)
{
    struct bench_count *count = bench_count_new(1);

    p->head = bytes;
    p->chance = (uint32_t)bytes[2] << 8 | bytes[3];
    begin(p, cut, count);
    for (size_t at = HEAD; at < n && !p->over && p->sent.len < TRACE_MAX;) {
        size_t len = piece(p, cut, n - at), behind;
        char *copy = mem_alloc(len);

        memcpy(copy, bytes + at, len);
        bench_session_feed(p->s, copy, len, 0);
        free(copy);
        at += len;
        do {
            behind = drain(p);
            at -= behind;
        } while (behind);
        (void)drain(p);
    }
    bench_session_gone(p->s);
    transcript_end(&p->t, "client", "closed");
    transcript_book_close(&p->book);
    bench_session_free(&p->s);
    bench_count_free(&count);
    free(p->facts);
}

static void compare(const struct play *a, const struct play *b)
{
    if (a->sent.len == b->sent.len && memcmp(buf_data(&a->sent), buf_data(&b->sent), a->sent.len) == 0)
        return;
    fprintf(stderr, "---- one\n%.*s\n---- other\n%.*s\n", (int)a->sent.len, buf_data(&a->sent), (int)b->sent.len,
            buf_data(&b->sent));
    MUST(false && "what is sent depends on how the bytes were cut, or on who listens");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play whole = {0};

    if (size < HEAD)
        return 0;
    play(&whole, data, size, CUT_WHOLE);
    for (int cut = CUT_UNHEARD; cut < CUTS; cut++) {
        struct play other = {0};

        play(&other, data, size, (enum cut)cut);
        compare(&whole, &other);
        buf_clear(&other.sent);
    }
    buf_clear(&whole.sent);
    return 0;
}
