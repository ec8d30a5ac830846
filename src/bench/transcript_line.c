#include "bench/transcript_line.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

/* Valid UTF-8 without control characters; NULL: it is not. */
static json_t *clean(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return NULL;
    }
    return json_stringn(s.n ? s.p : "", s.n);
}

static json_t *in_base64(struct span s)
{
    char *text = mem_alloc(s.n / 3 * 4 + 8);
    json_t *o;

    base64_encode(text, s.p, s.n);
    o = json_string(text);
    free(text);
    return o;
}

json_t *transcript_line_text(struct span s)
{
    json_t *o = clean(s);
    char *text;

    if (o)
        return o;
    text = mem_alloc(4 * s.n + 8);
    text_escape(text, 4 * s.n + 8, (struct peer_text){s.p, s.n});
    o = json_string(text);
    free(text);
    return o;
}

/* ---- recv */

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The first word, if it could be a command's. */
static struct span verb_of(struct span line)
{
    size_t n = 0;

    while (n < line.n && is_letter(line.p[n]))
        n++;
    if (n > 16 || (n < line.n && line.p[n] != ' ' && line.p[n] != '\t'))
        n = 0;
    return (struct span){line.p, n};
}

static struct span skip_blanks(struct span s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    return s;
}

static struct span first_word(struct span s)
{
    size_t n = 0;

    while (n < s.n && s.p[n] != ' ' && s.p[n] != '\t')
        n++;
    return (struct span){s.p, n};
}

bool transcript_line_is_auth(struct span line)
{
    return span_starts_nocase(skip_blanks(line), "AUTH");
}

static bool is_known(struct span verb)
{
    static const char *const all[] = {"EHLO", "HELO", "LHLO", "MAIL", "RCPT",     "DATA", "BDAT", "RSET", "NOOP",
                                      "QUIT", "VRFY", "EXPN", "HELP", "STARTTLS", "TURN", "ETRN", "ATRN"};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (span_is_nocase(verb, all[i]))
            return true;
    return false;
}

enum transcript_secret transcript_line_secret(const struct bench_event *ev, bool after_auth)
{
    if (ev->secret)
        return span_is(ev->text, "*") ? TRANSCRIPT_OPEN : TRANSCRIPT_WHOLE;
    if (transcript_line_is_auth(ev->text))
        return TRANSCRIPT_ARGUMENT;
    return after_auth && !is_known(verb_of(ev->text)) ? TRANSCRIPT_WHOLE : TRANSCRIPT_OPEN;
}

/* AUTH and its mechanism: of those that there are, since whatever stands there may be a password. */
static struct span without_secret(struct span line)
{
    static const char *const mechanisms[] = {"PLAIN",       "LOGIN",         "CRAM-MD5",           "XOAUTH2",
                                             "OAUTHBEARER", "SCRAM-SHA-1",   "SCRAM-SHA-1-PLUS",   "SCRAM-SHA-256",
                                             "DIGEST-MD5",  "SCRAM-SHA-512", "SCRAM-SHA-256-PLUS", "NTLM",
                                             "GSSAPI",      "EXTERNAL",      "ANONYMOUS"};
    struct span auth, mechanism;

    line = skip_blanks(line);
    auth = (struct span){line.p, 4};
    if (first_word(line).n != 4)
        return auth;
    mechanism = first_word(skip_blanks((struct span){line.p + 4, line.n - 4}));
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (span_is_nocase(mechanism, mechanisms[i]))
            return (struct span){line.p, (size_t)(mechanism.p + mechanism.n - line.p)};
    return auth;
}

static json_t *upper(struct span s)
{
    char word[32];
    size_t n = s.n < sizeof word ? s.n : sizeof word - 1;

    for (size_t i = 0; i < n; i++)
        word[i] = (char)(s.p[i] >= 'a' && s.p[i] <= 'z' ? s.p[i] - 32 : s.p[i]);
    return json_stringn(word, n);
}

json_t *transcript_line_recv(const struct bench_event *ev, enum transcript_secret secret, int64_t gap_ms)
{
    static const char *const ends[] = {"crlf", "lf", "cr", "none"};
    struct span text = secret == TRANSCRIPT_WHOLE      ? (struct span){"", 0}
                       : secret == TRANSCRIPT_ARGUMENT ? without_secret(ev->text)
                                                       : ev->text,
                verb = verb_of(text), arg = skip_blanks((struct span){text.p + verb.n, text.n - verb.n});
    json_t *o = json_object(), *raw = clean(text);

    json_object_set_new(o, "verb", upper(verb));
    if (raw) {
        json_object_set_new(o, "arg", json_stringn(arg.n ? arg.p : "", arg.n));
        json_object_set_new(o, "raw", raw);
    } else {
        json_object_set_new(o, "raw_b64", in_base64(text));
    }
    if (text.n != ev->text.n)
        json_object_set_new(o, "redacted", json_true());
    json_object_set_new(o, "eol", json_string(ends[ev->eol]));
    json_object_set_new(o, "len", json_integer((json_int_t)ev->text.n));
    json_object_set_new(o, "pipelined", json_boolean(ev->pipelined));
    json_object_set_new(o, "gap_ms", json_integer((json_int_t)gap_ms));
    if (ev->early)
        json_object_set_new(o, "early", json_true());
    if (ev->dropped)
        json_object_set_new(o, "dropped", json_true());
    return o;
}

/* ---- send */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static unsigned code_of(struct span s)
{
    if (s.n < 3 || !is_digit(s.p[0]) || !is_digit(s.p[1]) || !is_digit(s.p[2]) || (s.n > 3 && is_digit(s.p[3])))
        return 0;
    return (unsigned)((s.p[0] - '0') * 100 + (s.p[1] - '0') * 10 + s.p[2] - '0');
}

/* The texts of the lines of one reply (RFC 5321 4.2.1). NULL: it is not one, whole and alone. */
static json_t *lines_of(struct span s, unsigned code)
{
    json_t *lines = json_array(), *text = NULL;
    bool more = true;

    while (s.n && more && code >= 200 && code < 600) {
        const char *lf = memchr(s.p, '\n', s.n);
        size_t n = lf ? (size_t)(lf - s.p) + 1 : 0;

        if (n < 5 || s.p[n - 2] != '\r' || code_of((struct span){s.p, n}) != code)
            break;
        more = s.p[3] == '-';
        if (n > 5 && !more && s.p[3] != ' ')
            break;
        text = clean((struct span){s.p + 3 + (n > 5), n - 5 - (n > 5)});
        if (!text)
            break;
        json_array_append_new(lines, text);
        s = (struct span){s.p + n, s.n - n};
    }
    if (!s.n && !more)
        return lines;
    json_decref(lines);
    return NULL;
}

/* "2.1.0" in front of a text (RFC 3463 2). NULL: there is none. */
static json_t *enhanced(const char *text)
{
    size_t n = strspn(text, "0123456789."), dots = 0;

    for (size_t i = 0; i < n; i++)
        dots += text[i] == '.';
    if (dots != 2 || n < 5 || n > 9 || text[1] != '.' || text[n - 1] == '.' || !strchr("245", text[0]) ||
        (text[n] && text[n] != ' '))
        return json_null();
    return json_stringn(text, n);
}

json_t *transcript_line_send(const struct bench_event *ev)
{
    unsigned code = code_of(ev->text);
    json_t *o = json_object(), *lines = lines_of(ev->text, code);

    json_object_set_new(o, "code", code ? json_integer(code) : json_null());
    if (lines) {
        json_object_set_new(o, "enh", enhanced(json_string_value(json_array_get(lines, 0))));
        json_object_set_new(o, "lines", lines);
    } else {
        json_object_set_new(o, "raw_b64", in_base64(ev->text));
    }
    json_object_set_new(o, "bytes", json_integer((json_int_t)ev->text.n));
    json_object_set_new(o, "delay_ms", json_integer(ev->delay_ms));
    json_object_set_new(o, "writes", json_integer(ev->writes));
    if (ev->held)
        json_object_set_new(o, "held", json_true());
    if (ev->times > 1)
        json_object_set_new(o, "times", json_integer(ev->times));
    if (ev->injected)
        json_object_set_new(o, "injected", json_integer(ev->injected));
    return o;
}

/* ---- the others */

static void add_effect(struct buf *b, bool there, const char *word)
{
    if (there)
        buf_printf(b, "%s%s", b->len ? "+" : "", word);
}

json_t *transcript_line_fault(const struct bench_event *ev, uint64_t seed)
{
    const struct bench_step *step = ev->step;
    struct buf effect = {0};
    json_t *o;

    add_effect(&effect, step->unread_ms, "unread");
    add_effect(&effect, step->delay_ms, "delay");
    add_effect(&effect, step->reply.p && !step->reply.n, "silence");
    add_effect(&effect, step->reply.n, "reply");
    add_effect(&effect, step->inject.p, "inject");
    add_effect(&effect, step->hold, "hold");
    add_effect(&effect, step->drip_ms, "drip");
    add_effect(&effect, step->split, "split");
    add_effect(&effect, step->piece_count, "pieces");
    add_effect(&effect, step->flood.n, "flood");
    add_effect(&effect, step->stored, "stored");
    add_effect(&effect, step->then != BENCH_CONTINUE, bench_then_names()[step->then]);
    o = json_pack("{s:s,s:I,s:I,s:s,s:s,s:I,s:I}", "scenario", ev->scenario->name, "step", (json_int_t)ev->number,
                  "line", (json_int_t)step->line, "at", bench_at_name(step->at), "effect",
                  effect.len ? buf_str(&effect) : "none", "count", (json_int_t)ev->count, "seed", (json_int_t)seed);
    buf_clear(&effect);
    return o;
}

json_t *transcript_line_body(const struct bench_event *ev)
{
    const struct bench_body *b = ev->body;
    json_t *near = json_array();

    for (unsigned i = 0; i < BENCH_NEAR_ENDS; i++)
        if (b->near & 1u << i)
            json_array_append_new(near, json_string(bench_near_end[i].name));
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:s?,s:o,s:b,s:b}", "bytes", (json_int_t)b->bytes, "max_line",
                     (json_int_t)b->max_line, "bare_lf", (json_int_t)b->bare_lf, "bare_cr", (json_int_t)b->bare_cr,
                     "nul", (json_int_t)b->nul, "eight_bit", (json_int_t)b->eight_bit, "dot_stuffed", b->dots_stuffed,
                     "eod_seq", b->eod, "near_eod", near, "pipelined", ev->pipelined, "chunked", ev->chunked);
}

static json_t *text_of(const char *s)
{
    return s ? transcript_line_text(span_str(s)) : json_null();
}

json_t *transcript_line_message(const struct bench_event *ev, const struct message_digest_result *d, const char *mid,
                                const char *dup_of)
{
    const struct bench_envelope *e = ev->envelope;
    json_t *rcpts = json_array(), *o;

    for (unsigned i = 0; i < e->rcpt_count; i++)
        json_array_append_new(rcpts, json_pack("{s:o,s:o,s:I}", "addr", text_of(e->rcpts[i].addr), "params",
                                               text_of(e->rcpts[i].params), "code", (json_int_t)e->rcpts[i].code));
    o = json_pack("{s:s,s:o,s:o,s:o,s:o,s:I,s:s,s:o,s:b,s:s?}", "mid", mid, "from", text_of(e->from), "params",
                  text_of(e->params), "rcpts", rcpts, "size_declared",
                  e->size_given ? json_integer((json_int_t)e->size_declared) : json_null(), "size", (json_int_t)d->size,
                  "sha256", d->sha256, "message_id", *d->id ? text_of(d->id) : json_null(), "accepted", ev->accepted,
                  "dup_of", dup_of);
    if (e->rcpts_more)
        json_object_set_new(o, "rcpts_more", json_integer(e->rcpts_more));
    return o;
}
