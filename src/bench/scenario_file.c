#include "bench/scenario_file.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "bench/bench_facts.h"
#include "bench/scenario_cfg.h"
#include "bench/scenario_text.h"

static int complain(cfg_t *sec, const char *option, const char *what)
{
    return scenario_cfg_complain(sec, option, what);
}

/* ---- values */

static char *text_of(cfg_t *sec, const char *option)
{
    const char *s = cfg_getstr(sec, option);

    return s ? mem_str(s) : NULL;
}

static char **list_of(cfg_t *sec, const char *option)
{
    unsigned n = cfg_size(sec, option);
    char **list = mem_alloc((n + 1) * sizeof *list);

    for (unsigned i = 0; i < n; i++)
        list[i] = mem_str(cfg_getnstr(sec, option, i));
    return list;
}

static int word_of(cfg_t *sec, const char *option, const char *const *words, const char *fallback)
{
    const char *s = cfg_getstr(sec, option);

    if (!s)
        s = fallback;
    for (int i = 0; words[i]; i++)
        if (bench_word_is(words[i], s))
            return i;
    return scenario_cfg_unknown(sec, option, s, words);
}

static int number_of(cfg_t *sec, const char *option, unsigned most, unsigned *out)
{
    long n = cfg_getint(sec, option);

    char what[60];

    if (n < 0 || n > (long)most) {
        snprintf(what, sizeof what, "a number from 0 to %u", most);
        return complain(sec, option, what);
    }
    *out = (unsigned)n;
    return 0;
}

/* As a ClientHello writes it. */
static int version_of(cfg_t *sec, const char *option, uint16_t *out)
{
    static const char *const words[] = {"any", "1.0", "1.1", "1.2", "1.3", NULL};
    int v = word_of(sec, option, words, "any");

    *out = v > 0 ? (uint16_t)(0x0300 + v) : 0;
    return v < 0 ? -1 : 0;
}

static int bytes_of(cfg_t *sec, const char *option, const char *text, struct bench_bytes *out)
{
    struct err e;

    return bench_bytes_parse(out, text, &e) < 0 ? complain(sec, option, e.text) : 0;
}

/* Lines with their ends; an empty list is an empty answer, and none at all is the right one. */
static int reply_of(cfg_t *sec, struct bench_bytes *out)
{
    struct buf b = {0};
    const char *raw = cfg_getstr(sec, "raw");

    if (raw && cfg_opt_size(cfg_getopt(sec, "reply")))
        return complain(sec, "raw", "reply stands there, too; remove one");
    if (raw)
        return bytes_of(sec, "raw", raw, out);
    if (!(cfg_getopt(sec, "reply")->flags & CFGF_MODIFIED))
        return 0;
    for (unsigned i = 0; i < cfg_size(sec, "reply"); i++) {
        struct bench_bytes line;

        if (bytes_of(sec, "reply", cfg_getnstr(sec, "reply", i), &line) < 0) {
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

/* ---- sections */

static int pieces_of(cfg_t *sec, struct bench_step *s)
{
    unsigned n = cfg_size(sec, "pieces");

    s->pieces = mem_alloc((n + 1) * sizeof *s->pieces);
    for (; s->piece_count < n; s->piece_count++)
        if (bytes_of(sec, "pieces", cfg_getnstr(sec, "pieces", s->piece_count), &s->pieces[s->piece_count]) < 0)
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
        return complain(sec, "rate", "how many in how many seconds: \"10/60\"");
    s->rate_count = (unsigned)count;
    s->rate_s = (unsigned)seconds;
    return 0;
}

static int conditions_of(cfg_t *sec, struct bench_step *s)
{
    static const char *const per[] = {"global", "client", "triple", "rcpt", "lease", "session", NULL};
    static const char *const tls[] = {"any", "clear", "tls", NULL};
    unsigned bytes = 0;
    int p = word_of(sec, "per", per, "lease"), t = word_of(sec, "in", tls, "any");

    if (p < 0 || t < 0 || number_of(sec, "after", 1000000, &s->after) < 0 ||
        number_of(sec, "times", 1000000, &s->times) < 0 || number_of(sec, "every", 1000000, &s->every) < 0 ||
        number_of(sec, "until_s", 86400, &s->until_s) < 0 || number_of(sec, "bytes", 1u << 30, &bytes) < 0 ||
        number_of(sec, "ms", 3600000, &s->ms) < 0 || number_of(sec, "chance", 1000, &s->chance) < 0 ||
        version_of(sec, "offers", &s->offers) < 0 || number_of(sec, "over", 100000, &s->over) < 0 ||
        rate_of(sec, s) < 0)
        return -1;
    s->per = (enum bench_per)p;
    s->tls = (enum bench_tls_state)t;
    s->bytes = bytes;
    s->rcpt = text_of(sec, "rcpt");
    s->also = cfg_getbool(sec, "also");
    return 0;
}

static int paces_of(cfg_t *sec, struct bench_step *s)
{
    return number_of(sec, "delay_ms", 3600000, &s->delay_ms) < 0 || number_of(sec, "drip_ms", 60000, &s->drip_ms) < 0 ||
                   number_of(sec, "unread_ms", 3600000, &s->unread_ms) < 0 ||
                   number_of(sec, "split", 65536, &s->split) < 0 ||
                   number_of(sec, "flood_times", BENCH_FLOOD_MOST, &s->flood_times) < 0
               ? -1
               : 0;
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
            return complain(sec, wrong[i].option, wrong[i].what);
    return 0;
}

static int step_of(cfg_t *sec, struct bench_step *s)
{
    static const char *const then[] = {"continue", "close",   "cut",         "rst",       "half-close",  "hang",
                                       "plain",    "swallow", "extra-reply", "keyupdate", "renegotiate", NULL};
    const char *at = cfg_getstr(sec, "at"), *inject = cfg_getstr(sec, "inject"), *flood = cfg_getstr(sec, "flood");
    int t = word_of(sec, "then", then, "continue"), point = at ? bench_at_find(at) : -1;

    s->line = scenario_cfg_line(sec);
    if (!at)
        return complain(sec, "at", "it must be said at which point");
    if (point < 0)
        return scenario_cfg_unknown(sec, "at", at, bench_at_names());
    s->at = (enum bench_at)point;
    if (t < 0 || conditions_of(sec, s) < 0 || reply_of(sec, &s->reply) < 0 || pieces_of(sec, s) < 0 ||
        (inject && bytes_of(sec, "inject", inject, &s->inject) < 0) ||
        (flood && bytes_of(sec, "flood", flood, &s->flood) < 0) || paces_of(sec, s) < 0)
        return -1;
    s->then = (enum bench_then)t;
    s->hold = cfg_getbool(sec, "hold");
    s->stored = cfg_getbool(sec, "stored");
    return contradictions(sec, s);
}

/* `any` and the policy's own add up, in whichever order they stand. */
static void more_words(char ***list, cfg_t *sec, const char *option)
{
    unsigned have = 0, n = cfg_size(sec, option);

    while (*list && (*list)[have])
        have++;
    *list = mem_grow(*list, (have + n + 1) * sizeof **list);
    for (unsigned i = 0; i < n; i++)
        (*list)[have + i] = mem_str(cfg_getnstr(sec, option, i));
    (*list)[have + n] = NULL;
}

static void one_text(char **text, cfg_t *sec, const char *option)
{
    if (!cfg_getstr(sec, option))
        return;
    free(*text);
    *text = text_of(sec, option);
}

/* Facts that nobody sees would never be there. */
static int are_facts(cfg_t *sec, const char *option)
{
    static const char *names[BENCH_FACTS + 1];

    for (unsigned i = 0; i < BENCH_FACTS; i++)
        names[i] = bench_fact_name((enum bench_fact)i);
    for (unsigned i = 0; i < cfg_size(sec, option); i++)
        if (bench_fact_find(cfg_getnstr(sec, option, i)) < 0)
            return scenario_cfg_unknown(sec, option, cfg_getnstr(sec, option, i), names);
    return 0;
}

static int expect_of(cfg_t *sec, struct bench_scenario *s)
{
    bool any = strcmp(cfg_title(sec), "any") == 0;
    int only = bench_policy_find(cfg_title(sec));

    if (only < 0 && !any)
        return complain(sec, "expect", "opportunistic, required, verified or any");
    if (are_facts(sec, "forbid") < 0 || are_facts(sec, "demand") < 0)
        return -1;
    for (int p = 0; p < BENCH_POLICIES; p++) {
        struct bench_expect *x = &s->expect[p];

        if (!any && p != only)
            continue;
        x->given = true;
        more_words(&x->forbid, sec, "forbid");
        more_words(&x->demand, sec, "demand");
        one_text(&x->wait, sec, "wait");
        one_text(&x->undecided, sec, "undecided");
    }
    return 0;
}

static int ehlo_of(cfg_t *sec, struct bench_ehlo *h)
{
    static const char *const places[] = {"first", "middle", "last", "lower", "param", "none", NULL};

    if (word_of(sec, "starttls", places, "last") < 0)
        return -1;
    if (cfg_size(sec, "add"))
        h->add = list_of(sec, "add");
    if (cfg_size(sec, "drop"))
        h->drop = list_of(sec, "drop");
    if (cfg_size(sec, "add_clear"))
        h->add_clear = list_of(sec, "add_clear");
    if (cfg_size(sec, "add_tls"))
        h->add_tls = list_of(sec, "add_tls");
    h->starttls = text_of(sec, "starttls");
    h->split = cfg_getbool(sec, "split");
    h->own_name = cfg_getbool(sec, "own_name");
    return 0;
}

static int tls_of(cfg_t *sec, struct bench_tls *t)
{
    static const char *const told[] = {"truth", "implicit", "starttls", NULL};

    t->cert = text_of(sec, "cert");
    t->sni_cert = text_of(sec, "sni_cert");
    t->rotate = cfg_size(sec, "rotate") ? list_of(sec, "rotate") : NULL;
    t->ocsp = text_of(sec, "ocsp");
    t->min = text_of(sec, "min");
    t->max = text_of(sec, "max");
    t->ciphers = text_of(sec, "ciphers");
    t->groups = text_of(sec, "groups");
    t->sigalgs = text_of(sec, "sigalgs");
    t->client_cert = text_of(sec, "client_cert");
    t->tickets = text_of(sec, "tickets");
    t->told = text_of(sec, "told");
    t->need_sni = cfg_getbool(sec, "need_sni");
    t->implicit = cfg_getbool(sec, "implicit");
    t->no_resume = cfg_getbool(sec, "no_resume");
    return word_of(sec, "told", told, "truth") < 0 || number_of(sec, "rotate_every", 1000000, &t->rotate_every) < 0 ||
                   number_of(sec, "dh_bits", 8192, &t->dh_bits) < 0 ||
                   number_of(sec, "record", 16384, &t->record) < 0 ||
                   number_of(sec, "record_ms", 60000, &t->record_ms) < 0
               ? -1
               : 0;
}

static int recipients_of(cfg_t *sec, struct bench_scenario *s)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+=";
    unsigned n = cfg_size(sec, "recipients");
    uint64_t many = 0;

    if (n == 0)
        many = 1;
    else if (n == 1 && text_u64(span_str(cfg_getstr(sec, "recipients")), &many) &&
             (many < 1 || many > BENCH_RCPTS_MOST))
        return complain(sec, "recipients", "out of range");
    if (n > BENCH_RCPTS_MOST)
        return complain(sec, "recipients", "too many");
    if (!many) {
        s->recipients = list_of(sec, "recipients");
    } else {
        s->recipients = mem_alloc((many + 1) * sizeof *s->recipients);
        for (unsigned i = 0; i < many; i++)
            s->recipients[i] = i ? mem_printf("rcpt-%u", i + 1) : mem_str("rcpt");
    }
    for (char **r = s->recipients; *r; r++)
        if (!**r || (*r)[strspn(*r, safe)])
            return complain(sec, "recipients", "local parts of letters, digits and . - _ + =");
    return 0;
}

static char **patterns_of(cfg_t *sec, const char *option)
{
    return cfg_size(sec, option) ? list_of(sec, option) : NULL;
}

static int select_of(cfg_t *sec, struct bench_choice *c)
{
    unsigned n = cfg_size(sec, "client");
    struct err e;

    c->sni = patterns_of(sec, "sni");
    c->helo = patterns_of(sec, "helo");
    c->mail = patterns_of(sec, "mail");
    c->rcpt = patterns_of(sec, "rcpt");
    c->client = n ? mem_alloc(n * sizeof *c->client) : NULL;
    for (; c->client_count < n; c->client_count++)
        if (net_parse(&c->client[c->client_count], cfg_getnstr(sec, "client", c->client_count), &e) < 0)
            return complain(sec, "client", e.text);
    return 0;
}

static int scenario_of(cfg_t *sec, struct bench_scenario *s)
{
    static const char *const listen[] = {"accept", "refuse", "blackhole", NULL};
    unsigned steps = cfg_size(sec, "step");
    int how = word_of(sec, "listen", listen, "accept");

    s->name = mem_str(cfg_title(sec));
    s->section = text_of(sec, "section");
    s->doc = text_of(sec, "doc");
    s->correct = text_of(sec, "correct");
    s->source = text_of(sec, "source");
    s->why_not = text_of(sec, "unavailable");
    s->file = mem_str(scenario_cfg_file(sec));
    s->line = scenario_cfg_line(sec);
    if (how < 0 || number_of(sec, "receive_buffer", 1u << 30, &s->receive_buffer) < 0)
        return -1;
    s->listen = (enum bench_listen)how;
    if (select_of(cfg_getsec(sec, "select"), &s->select) < 0)
        return -1;
    if (cfg_getstr(sec, "also_ends") && bytes_of(sec, "also_ends", cfg_getstr(sec, "also_ends"), &s->also_ends) < 0)
        return -1;
    if (recipients_of(sec, s) < 0 || number_of(sec, "messages", BENCH_MESSAGES_MOST, &s->messages) < 0)
        return -1;
    s->eight_bit = cfg_getbool(sec, "eight_bit");
    if (number_of(sec, "octets", BENCH_OCTETS_MOST, &s->octets) < 0)
        return -1;
    if (!s->messages)
        return complain(sec, "messages", "at least one");
    if (ehlo_of(cfg_getsec(sec, "ehlo"), &s->ehlo) < 0 || tls_of(cfg_getsec(sec, "tls"), &s->tls) < 0)
        return -1;
    s->steps = mem_alloc((steps + 1) * sizeof *s->steps);
    for (; s->step_count < steps; s->step_count++)
        if (step_of(cfg_getnsec(sec, "step", s->step_count), &s->steps[s->step_count]) < 0) {
            s->step_count++;
            return -1;
        }
    for (unsigned i = 0; i < cfg_size(sec, "expect"); i++)
        if (expect_of(cfg_getnsec(sec, "expect", i), s) < 0)
            return -1;
    return 0;
}

/* ---- a file */

static cfg_opt_t step_options[] = {
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
static cfg_opt_t ehlo_options[] = {
    CFG_STR_LIST("add", NULL, CFGF_NODEFAULT),     CFG_STR_LIST("drop", NULL, CFGF_NODEFAULT),
    CFG_STR("starttls", NULL, CFGF_NODEFAULT),     CFG_STR_LIST("add_clear", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("add_tls", NULL, CFGF_NODEFAULT), CFG_BOOL("split", cfg_false, CFGF_NONE),
    CFG_BOOL("own_name", cfg_false, CFGF_NONE),    CFG_END(),
};
static cfg_opt_t tls_options[] = {
    CFG_STR("cert", NULL, CFGF_NODEFAULT),
    CFG_STR("min", NULL, CFGF_NODEFAULT),
    CFG_STR("max", NULL, CFGF_NODEFAULT),
    CFG_STR("ciphers", NULL, CFGF_NODEFAULT),
    CFG_STR("groups", NULL, CFGF_NODEFAULT),
    CFG_STR("client_cert", NULL, CFGF_NODEFAULT),
    CFG_BOOL("need_sni", cfg_false, CFGF_NONE),
    CFG_BOOL("implicit", cfg_false, CFGF_NONE),
    CFG_BOOL("no_resume", cfg_false, CFGF_NONE),
    CFG_STR("sni_cert", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("rotate", NULL, CFGF_NODEFAULT),
    CFG_INT("rotate_every", 1, CFGF_NONE),
    CFG_STR("ocsp", NULL, CFGF_NODEFAULT),
    CFG_STR("sigalgs", NULL, CFGF_NODEFAULT),
    CFG_INT("dh_bits", 0, CFGF_NONE),
    CFG_STR("tickets", NULL, CFGF_NODEFAULT),
    CFG_STR("told", NULL, CFGF_NODEFAULT),
    CFG_INT("record", 0, CFGF_NONE),
    CFG_INT("record_ms", 0, CFGF_NONE),
    CFG_END(),
};
static cfg_opt_t expect_options[] = {
    CFG_STR_LIST("forbid", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("demand", NULL, CFGF_NODEFAULT),
    CFG_STR("wait", NULL, CFGF_NODEFAULT),
    CFG_STR("undecided", NULL, CFGF_NODEFAULT),
    CFG_END(),
};
static cfg_opt_t select_options[] = {
    CFG_STR_LIST("client", NULL, CFGF_NODEFAULT), CFG_STR_LIST("sni", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("helo", NULL, CFGF_NODEFAULT),   CFG_STR_LIST("mail", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("rcpt", NULL, CFGF_NODEFAULT),   CFG_END(),
};
static cfg_opt_t scenario_options[] = {
    CFG_STR("section", "", CFGF_NONE),
    CFG_STR("doc", "", CFGF_NONE),
    CFG_STR("correct", "", CFGF_NONE),
    CFG_STR("source", "", CFGF_NONE),
    CFG_STR("unavailable", NULL, CFGF_NODEFAULT),
    CFG_STR("listen", NULL, CFGF_NODEFAULT),
    CFG_INT("receive_buffer", 0, CFGF_NONE),
    CFG_INT("octets", 0, CFGF_NONE),
    CFG_BOOL("eight_bit", cfg_false, CFGF_NONE),
    CFG_STR("also_ends", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("recipients", NULL, CFGF_NODEFAULT),
    CFG_INT("messages", 1, CFGF_NONE),
    CFG_SEC("select", select_options, CFGF_NONE),
    CFG_SEC("ehlo", ehlo_options, CFGF_NONE),
    CFG_SEC("tls", tls_options, CFGF_NONE),
    CFG_SEC("step", step_options, CFGF_MULTI),
    CFG_SEC("expect", expect_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_END(),
};
static cfg_opt_t file_options[] = {
    CFG_SEC("scenario", scenario_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_FUNC("include", scenario_cfg_include),
    CFG_END(),
};

/* Of a text that somebody brings: it reads no files. */
static cfg_opt_t text_options[] = {
    CFG_SEC("scenario", scenario_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_END(),
};

static int add(struct bench_catalogue *c, cfg_t *sec)
{
    struct bench_scenario s = {0};

    if (!bench_scenario_is_name(cfg_title(sec)))
        return complain(sec, "scenario", "its name: letters, digits, dot, minus, underscore; at most 64");
    if (bench_catalogue_find(c, cfg_title(sec)))
        return complain(sec, cfg_title(sec), "a scenario of that name is there already");
    if (scenario_of(sec, &s) < 0) {
        bench_scenario_free(&s);
        return -1;
    }
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->list = mem_grow(c->list, c->cap * sizeof *c->list);
    }
    c->list[c->count++] = s;
    return 0;
}

int scenario_cfg_take(struct bench_catalogue *c, cfg_t *cfg)
{
    unsigned before = c->count;
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < cfg_size(cfg, "scenario"); i++)
        rc = add(c, cfg_getnsec(cfg, "scenario", i));
    while (rc < 0 && c->count > before)
        bench_scenario_free(&c->list[--c->count]);
    return rc;
}

/* What stands in cfg, which is freed, if it could be parsed. */
static int take_all(struct bench_catalogue *c, cfg_t *cfg, int parsed)
{
    int rc = parsed == 0 ? scenario_cfg_take(c, cfg) : -1;

    cfg_free(cfg);
    return rc;
}

cfg_opt_t *scenario_cfg_options(void)
{
    return scenario_options;
}

int bench_scenario_load(struct bench_catalogue *c, const char *path, struct err *e)
{
    cfg_t *cfg = cfg_init(file_options, CFGF_NONE);

    return take_all(c, cfg, scenario_cfg_parse(cfg, path, e));
}

int bench_scenario_load_text(struct bench_catalogue *c, const char *name, const char *text, struct err *e)
{
    cfg_t *cfg = cfg_init(text_options, CFGF_NONE);

    return take_all(c, cfg, scenario_cfg_parse_text(cfg, name, text, e));
}

int bench_scenario_load_dir(struct bench_catalogue *c, const char *dir, struct err *e)
{
    char *pattern = mem_printf("%s/*.conf", dir);
    glob_t g;
    int rc = glob(pattern, 0, NULL, &g) == 0
                 ? 0
                 : err_set(e, "%s: no file there ends with .conf; --catalogue DIR names another one", dir);

    free(pattern);
    if (rc < 0)
        return -1;
    for (size_t i = 0; i < g.gl_pathc && rc == 0; i++)
        rc = bench_scenario_load(c, g.gl_pathv[i], e);
    globfree(&g);
    return rc;
}

void bench_catalogue_free(struct bench_catalogue *c)
{
    for (unsigned i = 0; i < c->count; i++)
        bench_scenario_free(&c->list[i]);
    free(c->list);
    memset(c, 0, sizeof *c);
}

const struct bench_scenario *bench_catalogue_find(const struct bench_catalogue *c, const char *name)
{
    for (unsigned i = 0; i < c->count; i++)
        if (strcmp(c->list[i].name, name) == 0)
            return &c->list[i];
    return NULL;
}
