#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/text.h"
#include "bench/bench_facts_own.h"
#include "bench/bench_json.h"
#include "bench/bench_offer.h"

static const struct {
    const char *name, *doc;
} table[BENCH_FACTS] = {
    [BENCH_F_SESSION] = {"session", "somebody connected"},
    [BENCH_F_EARLY] = {"early-talker", "spoke before the greeting, and not to take its leave"},
    [BENCH_F_HELO] = {"helo", "HELO"},
    [BENCH_F_TLS] = {"tls", "a handshake was finished"},
    [BENCH_F_NO_SNI] = {"no-sni", "a ClientHello that names no host"},
    [BENCH_F_HELLO_CLEAR] = {"client-hello-in-clear", "a ClientHello where the server had not changed to TLS"},
    [BENCH_F_CLEAR_AFTER_220] = {"clear-after-220",
                                 "EHLO, HELO, AUTH or MAIL in clear on a connection whose STARTTLS got 220"},
    [BENCH_F_FELL_BACK] = {"fell-back", "MAIL in clear on a new connection, after one whose TLS failed"},
    [BENCH_F_AFTER_STARTTLS] = {"pipelined-after-starttls", "octets behind STARTTLS, in clear, before its answer"},
    [BENCH_F_STARTTLS_TLS] = {"starttls-in-tls", "STARTTLS inside TLS"},
    [BENCH_F_NO_EHLO] = {"no-ehlo-after-tls", "MAIL or AUTH inside TLS, and no EHLO since the handshake"},
    [BENCH_F_FORGED] = {"forged-used", "made use of an extension that only the injected answer offered"},
    [BENCH_F_UNOFFERED] = {"unoffered-extension",
                           "AUTH, BDAT or a parameter of MAIL or RCPT that the EHLO in force does not offer"},
    [BENCH_F_PIPELINED] = {"pipelined-unoffered",
                           "more commands before the answer, without PIPELINING or behind EHLO, DATA, STARTTLS, QUIT"},
    [BENCH_F_AUTH] = {"auth", "AUTH"},
    [BENCH_F_AUTH_CLEAR] = {"auth-in-clear", "AUTH outside TLS"},
    [BENCH_F_LOGIN_LOOP] = {"login-loop",
                            "AUTH was said more than 6 times in a session, or 20 times in all, and never taken"},
    [BENCH_F_MAIL] = {"mail", "MAIL"},
    [BENCH_F_MAIL_CLEAR] = {"mail-in-clear", "MAIL outside TLS"},
    [BENCH_F_UNPROVEN] = {"mail-unproven", "MAIL inside TLS with a certificate that is not to be trusted"},
    [BENCH_F_STATUS] = {"mail-status-asked", "MAIL inside TLS by one that had asked for a stapled OCSP response"},
    [BENCH_F_REPORT] = {"report", "MAIL FROM:<>, which counts for nothing else but mail-in-clear"},
    [BENCH_F_CONTENT] = {"content", "octets of a message, not the dot alone"},
    [BENCH_F_FOR_NOBODY] = {"content-for-nobody", "octets of a message behind DATA though no recipient was taken"},
    [BENCH_F_DELIVERED] = {"delivered", "a message was taken"},
    [BENCH_F_ALL_DELIVERED] = {"all-delivered", "each recipient was taken with a message, or refused for good"},
    [BENCH_F_DUPLICATE] = {"duplicate", "a recipient was given the same message (by Message-ID) once more"},
    [BENCH_F_RETRIED] = {"retried", "a recipient or sender that was refused for good was tried again"},
    [BENCH_F_TRIED_AGAIN] = {"tried-again", "came back after a refusal for now, or after a session that took nothing"},
    [BENCH_F_AT_ONCE] = {"retried-at-once",
                         "a recipient or sender that was refused for now was tried again within a second"},
    [BENCH_F_LOST] = {"lost-recipient",
                      "said that all was delivered, and a recipient was neither taken nor refused for good"},
    [BENCH_F_FALSE_SUCCESS] = {"false-success", "said that all was delivered, and no message was taken"},
    [BENCH_F_STORM] = {"reconnect-storm", "30 connections within ten seconds"},
    [BENCH_F_MANY] = {"many-at-once", "more than 20 connections at once"},
    [BENCH_F_QUIT] = {"quit", "QUIT"},
    [BENCH_F_NO_QUIT] = {"no-quit", "ended a session without QUIT, which nothing had gone wrong in"},
    [BENCH_F_GAVE_UP] = {"gave-up", "ended a session that waited for the server"},
    [BENCH_F_BARE_LF] = {"bare-lf", "LF without CR, in a command or in content"},
    [BENCH_F_BARE_CR] = {"bare-cr", "CR without LF in content"},
    [BENCH_F_NEAR_END] = {"near-end", "content behind DATA with something that some server takes for its end"},
    [BENCH_F_UNSTUFFED] = {"unstuffed", "a line of content began with a single dot"},
    [BENCH_F_SMUGGLED] = {"smuggled", "MAIL FROM:<smuggled@...>, which stood in the content: two messages out of one"},
};

const char *bench_fact_name(enum bench_fact f)
{
    return table[f].name;
}

const char *bench_fact_doc(enum bench_fact f)
{
    return table[f].doc;
}

int bench_fact_find(const char *name)
{
    for (int i = 0; i < BENCH_FACTS; i++)
        if (strcmp(table[i].name, name) == 0)
            return i;
    return -1;
}

bool bench_facts_has(const struct bench_facts *f, enum bench_fact fact)
{
    return f->fact[fact].seen;
}

static bool is_true(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

void bench_facts_see(struct bench_facts *f, enum bench_fact fact, const json_t *line)
{
    if (f->fact[fact].seen)
        return;
    f->fact[fact].seen = true;
    f->fact[fact].seq = (unsigned)json_integer_value(json_object_get(line, "seq"));
    snprintf(f->fact[fact].sid, sizeof f->fact[fact].sid, "%s", bench_json_str(line, "sid"));
}

/* ---- sessions */

/* NULL: not followed, so nothing can be said of it. */
static struct bench_facts_session *session_of(struct bench_facts *f, const char *sid)
{
    for (unsigned i = 0; i < BENCH_FACTS_SESSIONS; i++)
        if (f->session[i].used && strcmp(f->session[i].sid, sid) == 0)
            return &f->session[i];
    return NULL;
}

static void count_session(struct bench_facts *f, int64_t now_us, const json_t *line)
{
    int64_t *oldest = &f->begun_us[f->begun % BENCH_FACTS_STORM];

    f->begun++;
    *oldest = now_us;
    oldest = &f->begun_us[f->begun % BENCH_FACTS_STORM];
    if (f->begun >= BENCH_FACTS_STORM && now_us - *oldest <= BENCH_FACTS_STORM_S * INT64_C(1000000))
        bench_facts_see(f, BENCH_F_STORM, line);
    if (++f->sessions_open > BENCH_FACTS_AT_ONCE)
        bench_facts_see(f, BENCH_F_MANY, line);
}

static void begin(struct bench_facts *f, const json_t *line)
{
    int64_t now_us = json_integer_value(json_object_get(line, "ts"));
    unsigned i = 0;

    bench_facts_see(f, BENCH_F_SESSION, line);
    count_session(f, now_us, line);
    if (f->ended_empty)
        bench_facts_see(f, BENCH_F_TRIED_AGAIN, line);
    while (i < BENCH_FACTS_SESSIONS && f->session[i].used)
        i++;
    if (i == BENCH_FACTS_SESSIONS)
        return;
    f->session[i] = (struct bench_facts_session){.used = true, .begun_us = now_us, .rcpt = -1};
    snprintf(f->session[i].sid, sizeof f->session[i].sid, "%s", bench_json_str(line, "sid"));
}

/* RFC 5321 4.1.1.10: "The sender MUST NOT intentionally close the transmission channel until it sends a QUIT command".
 * A session that the server had ended, or in which TLS failed, is no such one. */
static void end(struct bench_facts *f, const struct bench_facts_line *l)
{
    struct bench_facts_session *s = l->s;
    bool client = strcmp(bench_json_str(l->line, "by"), "client") == 0, no_tls = s->asked_tls && !s->tls;

    bench_facts_mail_drop(f, s);
    if (client && (!s->answered || (no_tls && !s->tls_failed)))
        bench_facts_see(f, BENCH_F_GAVE_UP, l->line);
    if (client && s->answered && !s->quit && !s->ended && !no_tls && *s->reply == '2')
        bench_facts_see(f, BENCH_F_NO_QUIT, l->line);
    f->tls_failed = f->tls_failed || no_tls;
    if (!s->served)
        f->ended_empty = true;
    s->used = false;
}

/* ---- commands */

static bool is_one_of(const char *verb, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(verb, *list) == 0)
            return true;
    return false;
}

static bool is_hello(const char *verb)
{
    return strcmp(verb, "EHLO") == 0 || strcmp(verb, "LHLO") == 0;
}

/* RFC 2920 3.1: EHLO, DATA and QUIT can only be the last of a group; RFC 3207 4.2 says it of STARTTLS. What follows BDAT
 * are its octets. */
static void pipelining(struct bench_facts *f, const struct bench_facts_line *l)
{
    static const char *const last[] = {"EHLO", "LHLO", "HELO", "DATA", "STARTTLS", "QUIT", NULL};
    static const char *const any[] = {"MAIL", "RCPT", "RSET", "NOOP", "AUTH", NULL};

    if (!is_true(l->line, "pipelined")) /* behind the command before it */
        return;
    if (is_one_of(l->s->verb, last) || (is_one_of(l->s->verb, any) && !(l->s->offered & BENCH_OFFER_PIPELINING)))
        bench_facts_see(f, BENCH_F_PIPELINED, l->line);
}

static void extensions(struct bench_facts *f, const struct bench_facts_line *l)
{
    unsigned used = bench_offer_used(l->verb, l->arg) & ~l->s->offered;

    if (used)
        bench_facts_see(f, BENCH_F_UNOFFERED, l->line);
    if (used & l->s->forged)
        bench_facts_see(f, BENCH_F_FORGED, l->line);
}

static void clear_or_tls(struct bench_facts *f, const struct bench_facts_line *l)
{
    const struct bench_facts_session *s = l->s;
    bool mail = strcmp(l->verb, "MAIL") == 0, auth = strcmp(l->verb, "AUTH") == 0;

    if (strcmp(l->verb, "STARTTLS") == 0 && s->tls)
        bench_facts_see(f, BENCH_F_STARTTLS_TLS, l->line);
    if (s->asked_tls && !s->tls && (mail || auth || is_hello(l->verb) || strcmp(l->verb, "HELO") == 0))
        bench_facts_see(f, BENCH_F_CLEAR_AFTER_220, l->line);
    if (mail)
        bench_facts_see(f, BENCH_F_MAIL, l->line);
    if (auth)
        bench_facts_see(f, BENCH_F_AUTH, l->line);
    if (auth && (++l->s->logins > BENCH_FACTS_LOGINS_EACH || ++f->logins > BENCH_FACTS_LOGINS_ALL))
        bench_facts_see(f, BENCH_F_LOGIN_LOOP, l->line);
    if (mail && !s->tls)
        bench_facts_see(f, BENCH_F_MAIL_CLEAR, l->line);
    if (mail && !s->tls && f->tls_failed)
        bench_facts_see(f, BENCH_F_FELL_BACK, l->line);
    if (mail && s->tls && s->unproven)
        bench_facts_see(f, BENCH_F_UNPROVEN, l->line);
    if (mail && s->tls && s->status)
        bench_facts_see(f, BENCH_F_STATUS, l->line);
    if (auth && !s->tls)
        bench_facts_see(f, BENCH_F_AUTH_CLEAR, l->line);
    if ((mail || auth) && s->tls && !s->ehlo)
        bench_facts_see(f, BENCH_F_NO_EHLO, l->line);
}

static void command(struct bench_facts *f, struct bench_facts_line *l)
{
    struct bench_facts_session *s = l->s;

    if (is_true(l->line, "early") && strcmp(l->verb, "QUIT") != 0) /* "at any time", RFC 5321 4.1.1.10 */
        bench_facts_see(f, BENCH_F_EARLY, l->line);
    if (strcmp(bench_json_str(l->line, "eol"), "lf") == 0)
        bench_facts_see(f, BENCH_F_BARE_LF, l->line);
    if (is_true(l->line, "dropped")) {
        if (strcmp(s->verb, "STARTTLS") == 0 && is_true(l->line, "pipelined") && !s->tls)
            bench_facts_see(f, BENCH_F_AFTER_STARTTLS, l->line);
        return;
    }
    pipelining(f, l);
    extensions(f, l);
    clear_or_tls(f, l);
    bench_facts_mail_command(f, l);
    if (strcmp(l->verb, "HELO") == 0)
        bench_facts_see(f, BENCH_F_HELO, l->line);
    if (strcmp(l->verb, "QUIT") == 0)
        bench_facts_see(f, BENCH_F_QUIT, l->line);
    s->quit = s->quit || strcmp(l->verb, "QUIT") == 0;
    s->ehlo = s->ehlo || is_hello(l->verb);
    if (is_hello(l->verb) || strcmp(l->verb, "HELO") == 0)
        s->offered = 0;
    snprintf(s->verb, sizeof s->verb, "%s", l->verb);
    s->reply_len = 0;
    s->answered = s->cut = false;
}

/* ---- answers */

static void collect(struct bench_facts_session *s, const char *p, size_t n)
{
    size_t room = sizeof s->reply - s->reply_len;

    s->cut = s->cut || n > room;
    n = n < room ? n : room;
    memcpy(s->reply + s->reply_len, p, n);
    s->reply_len += (unsigned)n;
}

/* What was too long to be kept may have offered anything. */
static void offered(struct bench_facts_session *s)
{
    if (is_hello(s->verb) && strncmp(s->reply, "250", 3) == 0)
        s->offered = s->cut ? BENCH_OFFER_ALL : bench_offer_of(s->reply, s->reply_len, 1);
    if (strcmp(s->verb, "STARTTLS") == 0)
        s->forged |= bench_offer_of(s->reply, s->reply_len, 1) & ~s->offered;
}

static void answered(struct bench_facts *f, const struct bench_facts_line *l)
{
    struct bench_facts_session *s = l->s;
    char digits[4] = {s->reply[0], s->reply[1], s->reply[2], '\0'};
    int code = atoi(digits);

    s->answered = true;
    if (code == 421)
        s->ended = true;
    if (code == 235)
        s->logins = f->logins = 0;
    if (strcmp(s->verb, "STARTTLS") == 0 && code == 220)
        s->asked_tls = true;
    bench_facts_mail_reply(f, l, code);
}

static void collect_base64(struct bench_facts_session *s, const char *text)
{
    char *bytes = mem_alloc(strlen(text) + 1);
    size_t n = 0;

    if (base64_decode(bytes, &n, span_str(text)))
        collect(s, bytes, n);
    free(bytes);
}

static void reply(struct bench_facts *f, const struct bench_facts_line *l)
{
    struct bench_facts_session *s = l->s;
    const json_t *lines = json_object_get(l->line, "lines");
    int code = (int)json_integer_value(json_object_get(l->line, "code"));
    size_t count = json_array_size(lines);

    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(lines, i));
        char head[8];

        snprintf(head, sizeof head, "%03d%c", code % 1000, i + 1 < count ? '-' : ' ');
        collect(s, head, 4);
        collect(s, text ? text : "", text ? strlen(text) : 0);
        collect(s, "\r\n", 2);
    }
    if (!count)
        collect_base64(s, bench_json_str(l->line, "raw_b64"));
    offered(s);
    if (!s->answered && s->reply_len >= 3)
        answered(f, l);
    else if (strcmp(s->verb, "DATA") == 0 && code >= 400) /* while the content comes */
        bench_facts_mail_reply(f, l, code);
}

/* ---- content, and which line it is */

static void body(struct bench_facts *f, const struct bench_facts_line *l)
{
    struct bench_facts_session *s = l->s;
    bool any = json_integer_value(json_object_get(l->line, "bytes")) > 3; /* the dot and its line end */
    bool somebody = false;

    for (size_t i = 0; i < sizeof s->rcpts.bits / sizeof *s->rcpts.bits; i++)
        somebody = somebody || s->rcpts.bits[i];
    if (is_true(l->line, "pipelined"))
        bench_facts_see(f, BENCH_F_PIPELINED, l->line);
    if (any)
        bench_facts_see(f, BENCH_F_CONTENT, l->line);
    if (any && strcmp(s->verb, "DATA") == 0 && !somebody && !s->report)
        bench_facts_see(f, BENCH_F_FOR_NOBODY, l->line);
    if (json_integer_value(json_object_get(l->line, "bare_lf")))
        bench_facts_see(f, BENCH_F_BARE_LF, l->line);
    if (json_integer_value(json_object_get(l->line, "bare_cr")))
        bench_facts_see(f, BENCH_F_BARE_CR, l->line);
    if (json_array_size(json_object_get(l->line, "near_eod")) &&
        !is_true(l->line, "chunked")) /* BDAT ends by its count */
        bench_facts_see(f, BENCH_F_NEAR_END, l->line);
    if (json_is_false(json_object_get(l->line, "dot_stuffed")))
        bench_facts_see(f, BENCH_F_UNSTUFFED, l->line);
    strcpy(s->verb, ".");
    s->reply_len = 0;
    s->answered = s->cut = false;
}

static void tls_done(struct bench_facts *f, const struct bench_facts_line *l)
{
    bench_facts_see(f, BENCH_F_TLS, l->line);
    l->s->tls = true;
    l->s->unproven = json_is_false(json_object_get(l->line, "cert_valid"));
    l->s->ehlo = false;
    l->s->offered = 0; /* RFC 3207 4.2: what was said before is forgotten */
    bench_facts_mail_drop(f, l->s);
}

static void split(struct bench_facts_line *l)
{
    snprintf(l->verb, sizeof l->verb, "%s", bench_json_str(l->line, "verb"));
    snprintf(l->arg, sizeof l->arg, "%s", bench_json_str(l->line, "arg"));
}

static void in_session(struct bench_facts *f, const char *ev, struct bench_facts_line *l)
{
    if (strcmp(ev, "recv") == 0) {
        split(l);
        command(f, l);
    } else if (strcmp(ev, "send") == 0) {
        reply(f, l);
    } else if (strcmp(ev, "client_hello") == 0) {
        l->s->status = json_is_true(json_object_get(l->line, "status"));
        if (!*bench_json_str(l->line, "sni"))
            bench_facts_see(f, BENCH_F_NO_SNI, l->line);
    } else if (strcmp(ev, "tls_done") == 0) {
        tls_done(f, l);
    } else if (strcmp(ev, "tls_fail") == 0) {
        l->s->tls_failed = true;
    } else if (strcmp(ev, "body") == 0) {
        body(f, l);
    } else if (strcmp(ev, "message") == 0) {
        bench_facts_mail_message(f, l);
    } else if (strcmp(ev, "session_end") == 0) {
        end(f, l);
    } else if (strcmp(ev, "lint") == 0) {
        if (strcmp(bench_json_str(l->line, "id"), "client-hello-in-clear") == 0)
            bench_facts_see(f, BENCH_F_HELLO_CLEAR, l->line);
    }
}

void bench_facts_take(struct bench_facts *f, const json_t *line)
{
    const char *ev = bench_json_str(line, "ev");
    struct bench_facts_line l = {.line = line, .s = session_of(f, bench_json_str(line, "sid"))};

    if (strcmp(ev, "session_start") == 0)
        begin(f, line);
    if (strcmp(ev, "session_end") == 0 && f->sessions_open)
        f->sessions_open--;
    if (!l.s)
        return;
    l.now_us = l.s->begun_us + json_integer_value(json_object_get(line, "mono_us"));
    in_session(f, ev, &l);
}
