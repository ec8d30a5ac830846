#include "bench/scenario_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "bench/scenario_value.h"

/* As a ClientHello writes it. */
static int version_of(cfg_t *sec, const char *option, uint16_t *out)
{
    static const char *const words[] = {"any", "1.0", "1.1", "1.2", "1.3", NULL};
    int v = scenario_value_word(sec, option, words, "any");

    *out = v > 0 ? (uint16_t)(0x0300 + v) : 0;
    return v < 0 ? -1 : 0;
}

/* Lines with their ends; an empty list is an empty answer, and none at all is the right one. */
static int reply_of(cfg_t *sec, struct bench_bytes *out)
{
    struct buf b = {0};
    const char *raw = cfg_getstr(sec, "raw");

    if (raw && cfg_opt_size(cfg_getopt(sec, "reply")))
        return scenario_cfg_complain(sec, "raw", "reply stands there, too; remove one");
    if (raw)
        return scenario_value_bytes(sec, "raw", raw, out);
    if (!scenario_value_given(sec, "reply"))
        return 0;
    for (unsigned i = 0; i < cfg_size(sec, "reply"); i++) {
        struct bench_bytes line;

        if (scenario_value_bytes(sec, "reply", cfg_getnstr(sec, "reply", i), &line) < 0) {
            buf_clear(&b);
            return -1;
        }
        buf_append(&b, line.p, line.n);
        buf_append(&b, "\r\n", 2);
        free(line.p);
    }
    out->n = b.len;
    out->p = mem_strn(b.len ? buf_data(&b) : "", b.len);
    buf_clear(&b);
    return 0;
}

static int pieces_of(cfg_t *sec, struct bench_step *s)
{
    unsigned n = cfg_size(sec, "pieces");

    s->pieces = mem_alloc((n + 1) * sizeof *s->pieces);
    for (; s->piece_count < n; s->piece_count++)
        if (scenario_value_bytes(sec, "pieces", cfg_getnstr(sec, "pieces", s->piece_count),
                                 &s->pieces[s->piece_count]) < 0)
            return -1;
    return 0;
}

/* "10/60": ten in a minute. */
static int rate_of(cfg_t *sec, struct bench_step *s)
{
    const char *text = cfg_getstr(sec, "rate"), *slash = text ? strchr(text, '/') : NULL;
    uint64_t count, seconds;

    if (!text)
        return 0;
    if (!slash || !text_u64((struct span){text, (size_t)(slash - text)}, &count) ||
        !text_u64(span_str(slash + 1), &seconds) || !count || !seconds || count > 1000000 || seconds > 86400)
        return scenario_cfg_complain(sec, "rate", "how many in how many seconds: \"10/60\"");
    s->rate_count = (unsigned)count;
    s->rate_s = (unsigned)seconds;
    return 0;
}

static int numbers_of(cfg_t *sec, struct bench_step *s)
{
    const struct {
        const char *option;
        unsigned most, *out;
    } numbers[] = {
        {"after", 1000000, &s->after},
        {"times", 1000000, &s->times},
        {"every", 1000000, &s->every},
        {"until_s", 86400, &s->until_s},
        {"chance", 1000, &s->chance},
        {"over", 100000, &s->over},
        {"bytes", 1u << 30, &s->bytes},
        {"ms", 3600000, &s->ms},
        {"delay_ms", 3600000, &s->delay_ms},
        {"unread_ms", 3600000, &s->unread_ms},
        {"drip_ms", 60000, &s->drip_ms},
        {"split", 65536, &s->split},
        {"flood_times", BENCH_FLOOD_MOST, &s->flood_times},
    };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (scenario_value_number(sec, numbers[i].option, 0, numbers[i].most, numbers[i].out) < 0)
            return -1;
    return 0;
}

static int conditions_of(cfg_t *sec, struct bench_step *s)
{
    static const char *const per[] = {"global", "client", "triple", "rcpt", "lease", "session", NULL};
    static const char *const tls[] = {"any", "clear", "tls", NULL};
    int p = scenario_value_word(sec, "per", per, "lease"), t = scenario_value_word(sec, "in", tls, "any");

    if (p < 0 || t < 0 || version_of(sec, "offers", &s->offers) < 0 || rate_of(sec, s) < 0)
        return -1;
    s->per = (enum bench_per)p;
    s->tls = (enum bench_tls_state)t;
    s->rcpt = scenario_value_text(sec, "rcpt");
    s->also = cfg_getbool(sec, "also");
    return 0;
}

/* What makes no sense together is a mistake of whoever wrote it, and would be played silently as something else. */
static int contradictions(cfg_t *sec, const struct bench_step *s)
{
    bool content = s->at == BENCH_DATA_END || s->at == BENCH_BDAT;
    bool envelope = content || s->at == BENCH_RCPT || s->at == BENCH_DATA || s->at == BENCH_BODY;
    bool answer = s->reply.p || s->inject.p || s->drip_ms || s->split || s->hold;
    const struct {
        bool is;
        const char *option, *what;
    } wrong[] = {
        {s->piece_count && answer, "pieces",
         "they are the whole answer; remove reply, raw, inject, split, drip_ms, hold"},
        {s->hold && (s->drip_ms || s->split), "hold", "it is for one write; remove split, drip_ms"},
        {s->then == BENCH_SWALLOW && (answer || s->piece_count || s->flood.n), "then",
         "swallow says nothing; remove the answer"},
        {s->also && s->then != BENCH_CONTINUE, "also",
         "others act after this one, so it cannot end with then; remove one"},
        {s->then == BENCH_PLAIN && s->at != BENCH_STARTTLS, "then", "plain is for at = starttls"},
        {s->bytes && s->at != BENCH_BODY && s->at != BENCH_CLIENT_HELLO, "bytes",
         "it is for at = body or client-hello"},
        {s->offers && s->at != BENCH_CLIENT_HELLO, "offers", "it is for at = client-hello"},
        {!s->bytes && s->at == BENCH_BODY, "bytes", "it must be said after how many octets of the content"},
        {s->ms && s->at != BENCH_IDLE, "ms", "it is for at = idle"},
        {!s->ms && s->at == BENCH_IDLE, "ms", "it must be said after how much silence"},
        {s->rcpt && !envelope, "rcpt", "it is for at = rcpt, and for what comes after that"},
        {s->stored && !content, "stored", "it is for at = data-end or bdat"},
        {s->flood_times && !s->flood.n, "flood_times", "it is for flood"},
        {s->flood.p && !s->flood.n, "flood", "it is empty"},
        {!s->chance, "chance", "0 of 1,000: it never acts"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (wrong[i].is)
            return scenario_cfg_complain(sec, wrong[i].option, wrong[i].what);
    return 0;
}

int scenario_step_take(cfg_t *sec, struct bench_step *s)
{
    const char *at = cfg_getstr(sec, "at"), *inject = cfg_getstr(sec, "inject"), *flood = cfg_getstr(sec, "flood");
    int t = scenario_value_word(sec, "then", bench_then_names(), "continue"), point = at ? bench_at_find(at) : -1;

    s->line = scenario_cfg_line(sec);
    if (!at)
        return scenario_cfg_complain(sec, "at", "it must be said at which point");
    if (point < 0)
        return scenario_cfg_unknown(sec, "at", at, bench_at_names());
    s->at = (enum bench_at)point;
    if (t < 0 || conditions_of(sec, s) < 0 || reply_of(sec, &s->reply) < 0 || pieces_of(sec, s) < 0 ||
        (inject && scenario_value_bytes(sec, "inject", inject, &s->inject) < 0) ||
        (flood && scenario_value_bytes(sec, "flood", flood, &s->flood) < 0) || numbers_of(sec, s) < 0)
        return -1;
    s->then = (enum bench_then)t;
    s->hold = cfg_getbool(sec, "hold");
    s->stored = cfg_getbool(sec, "stored");
    return contradictions(sec, s);
}

/* ---- its options */

cfg_opt_t scenario_step_options[] = {
    CFG_STR("at", NULL, CFGF_NODEFAULT),
    CFG_INT("after", 0, CFGF_NONE),
    CFG_INT("times", 0, CFGF_NONE),
    CFG_INT("every", 0, CFGF_NONE),
    CFG_INT("chance", 1000, CFGF_NONE),
    CFG_INT("until_s", 0, CFGF_NONE),
    CFG_STR("offers", NULL, CFGF_NODEFAULT),
    CFG_INT("bytes", 0, CFGF_NONE),
    CFG_INT("ms", 0, CFGF_NONE),
    CFG_STR("rcpt", NULL, CFGF_NODEFAULT),
    CFG_STR("per", NULL, CFGF_NODEFAULT),
    CFG_STR("in", NULL, CFGF_NODEFAULT),
    CFG_BOOL("also", cfg_false, CFGF_NONE),
    CFG_INT("delay_ms", 0, CFGF_NONE),
    CFG_STR_LIST("reply", NULL, CFGF_NODEFAULT),
    CFG_STR("raw", NULL, CFGF_NODEFAULT),
    CFG_STR("inject", NULL, CFGF_NODEFAULT),
    CFG_INT("drip_ms", 0, CFGF_NONE),
    CFG_STR_LIST("pieces", NULL, CFGF_NODEFAULT),
    CFG_STR("then", NULL, CFGF_NODEFAULT),
    CFG_STR("rate", NULL, CFGF_NODEFAULT),
    CFG_INT("over", 0, CFGF_NONE),
    CFG_INT("unread_ms", 0, CFGF_NONE),
    CFG_INT("split", 0, CFGF_NONE),
    CFG_BOOL("hold", cfg_false, CFGF_NONE),
    CFG_STR("flood", NULL, CFGF_NODEFAULT),
    CFG_INT("flood_times", 0, CFGF_NONE),
    CFG_BOOL("stored", cfg_false, CFGF_NONE),
    CFG_END(),
};
