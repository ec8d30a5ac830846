/* The content of a message: DATA and BDAT, and what is answered when it has come. */
#include <string.h>
#include <strings.h>

#include "bench/bench_session_own.h"

static void begin(struct bench_session *s)
{
    bench_content_begin(&s->content, s->setup.scenario->also_ends);
    s->reached = 0;
    s->stored = false;
    s->body_pushed = false;
}

void bench_mail_body_over(struct bench_session *s)
{
    bench_session_tell(
        s, &(struct bench_event){
               .kind = BENCH_EV_BODY, .body = &s->content.body, .pipelined = s->body_pushed, .chunked = s->chunking});
}

static void tell_content(struct bench_session *s, const char *p, size_t n)
{
    bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_CONTENT, .text = {p, n}, .chunked = s->chunking});
}

void bench_mail_data(struct bench_session *s)
{
    const char *right = !s->mail      ? "503 5.5.1 MAIL first\r\n"
                        : s->chunking ? "503 5.5.1 this message came by BDAT\r\n"
                        : !s->rcpts   ? "554 5.5.1 no valid recipients\r\n"
                                      : "354 go\r\n";

    if (!s->mail) {
        bench_session_send(s, right, strlen(right));
        return;
    }
    if (bench_step_answer(s, BENCH_DATA, right) != '3' || s->mode == BENCH_DEAF)
        return;
    begin(s);
    s->mode = BENCH_CONTENT;
}

/* RFC 1870 6.4: a message that turned out larger. The dot and its line end are none of it. */
static const char *right_end(const struct bench_session *s)
{
    uint64_t n = s->content.body.bytes;

    if (!s->chunking)
        n = n > 3 ? n - 3 : 0;
    return n > bench_ehlo_size(s) ? "552 5.3.4 larger than what SIZE said\r\n" : "250 2.0.0 Ok\r\n";
}

static void count(struct bench_session *s, bool accepted)
{
    struct bench_totals *t = s->setup.totals;

    if (!t)
        return;
    t->messages += accepted;
    t->refused += !accepted;
    t->octets += accepted ? s->content.body.bytes : 0;
}

/* at BDAT, where the last chunk ended it and a step acts there; else at DATA_END. */
static void message_over(struct bench_session *s)
{
    const char *right = s->chunk_bad ? s->chunk_bad : right_end(s);
    bool accepted;
    char code = 0;

    if (s->chunking)
        s->content.body.eod = "bdat-last";
    bench_mail_body_over(s);
    s->mode = BENCH_LINES;
    if (!s->chunking || !bench_step_acts(s, BENCH_BDAT, right, &code))
        code = bench_step_answer(s, BENCH_DATA_END, right);
    accepted = code == '2' || s->stored;
    count(s, accepted);
    bench_session_tell(s, &(struct bench_event){.kind = BENCH_EV_MESSAGE,
                                                .accepted = accepted,
                                                .body = &s->content.body,
                                                .envelope = &s->envelope,
                                                .chunked = s->chunking});
    s->mail = s->chunking = s->chunk_failed = false;
}

/* The next octet of the content at which a step waits; 0: none does. */
static uint64_t next_stop(const struct bench_session *s)
{
    const struct bench_scenario *sc = s->setup.scenario;
    uint64_t stop = 0;

    for (unsigned i = 0; i < sc->step_count; i++)
        if (sc->steps[i].at == BENCH_BODY && sc->steps[i].bytes > s->reached && (!stop || sc->steps[i].bytes < stop))
            stop = sc->steps[i].bytes;
    return stop;
}

static void reach(struct bench_session *s, uint64_t stop)
{
    if (!stop || s->content.body.bytes < stop)
        return;
    s->reached = stop;
    bench_step_answer(s, BENCH_BODY, NULL);
}

size_t bench_mail_content(struct bench_session *s, const char *p, size_t n)
{
    uint64_t stop = next_stop(s);
    bool ended;
    size_t taken = bench_content_data(&s->content, p, n, stop, &ended);

    tell_content(s, p, taken);
    if (ended)
        message_over(s);
    else
        reach(s, stop);
    return taken;
}

/* One answer to each BDAT (RFC 3030 2), when its octets are there; one that was refused makes the rest of the message be. */
static void chunk_over(struct bench_session *s)
{
    const char *right = s->chunk_bad ? s->chunk_bad : "250 2.0.0 Ok\r\n";

    s->mode = BENCH_LINES;
    if (s->chunk_last && s->mail && s->rcpts)
        message_over(s);
    else if (bench_step_answer(s, BENCH_BDAT, right) != '2')
        s->chunk_failed = true;
    s->chunk_bad = NULL;
}

size_t bench_mail_chunk(struct bench_session *s, const char *p, size_t n)
{
    uint64_t stop = next_stop(s);
    size_t taken = bench_content_chunk(&s->content, p, n < s->chunk_left ? n : (size_t)s->chunk_left, stop);

    tell_content(s, p, taken);
    s->chunk_left -= taken;
    reach(s, stop);
    if (s->mode == BENCH_CHUNK && !s->chunk_left)
        chunk_over(s);
    return taken;
}

static const char *bad(const struct bench_session *s)
{
    if (!bench_ehlo_has(s, "CHUNKING"))
        return "502 5.5.1 CHUNKING was not offered\r\n";
    if (!s->mail || !s->rcpts)
        return "503 5.5.1 MAIL and RCPT first\r\n";
    if (s->chunk_failed)
        return "503 5.5.1 a chunk was refused, RSET first\r\n";
    return s->chunk_left > s->setup.size_most ? "552 5.3.4 larger than what SIZE said\r\n" : NULL;
}

void bench_mail_bdat(struct bench_session *s, struct span arg)
{
    static const char what[] = "501 5.5.4 BDAT what?\r\n";
    const char *blank = memchr(arg.p, ' ', arg.n);
    struct span size = {arg.p, blank ? (size_t)(blank - arg.p) : arg.n},
                last = {blank ? blank + 1 : arg.p + arg.n, blank ? arg.n - size.n - 1 : 0};

    if (!text_u64(size, &s->chunk_left) || (blank && !span_is_nocase(last, "LAST"))) {
        bench_session_send(s, what, sizeof what - 1);
        return;
    }
    if (!s->chunking)
        begin(s);
    s->chunk_bad = bad(s);
    s->chunking = true;
    s->chunk_last = blank != NULL;
    s->mode = BENCH_CHUNK;
    if (!s->chunk_left)
        chunk_over(s);
}
