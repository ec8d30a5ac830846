/* AUTH (RFC 4954), where it was offered. Whoever it is is let in: what matters is what the sender did. */
#include <string.h>
#include <strings.h>

#include "bench/bench_session_own.h"

static void reply(struct bench_session *s, const char *text)
{
    bench_session_send(s, text, strlen(text));
}

static bool is_offered(const struct bench_session *s, struct span mechanism)
{
    struct span words = bench_ehlo_words(s, "AUTH");

    for (size_t i = 0; i < words.n; i++) {
        size_t n = 0;

        while (i + n < words.n && words.p[i + n] != ' ' && words.p[i + n] != '=')
            n++;
        if (n && n == mechanism.n && strncasecmp(words.p + i, mechanism.p, n) == 0)
            return true;
        i += n;
    }
    return false;
}

static void let_in(struct bench_session *s)
{
    s->mode = BENCH_LINES;
    s->authed = true;
    reply(s, "235 2.7.0 Welcome\r\n");
}

void bench_auth_line(struct bench_session *s, struct span line)
{
    if (span_is(line, "*")) {
        s->mode = BENCH_LINES;
        reply(s, "501 5.7.0 cancelled\r\n");
    } else if (s->auth_steps && --s->auth_steps) {
        reply(s, "334 UGFzc3dvcmQ6\r\n");
    } else {
        let_in(s);
    }
}

static const char *right(struct bench_session *s, struct span mechanism, bool initial)
{
    bool login = span_is_nocase(mechanism, "LOGIN");

    if (!bench_ehlo_has(s, "AUTH"))
        return "503 5.5.1 AUTH was not offered\r\n";
    if (s->authed || s->mail)
        return s->authed ? "503 5.5.1 once is enough\r\n" : "503 5.5.1 not in a transaction\r\n";
    if (!is_offered(s, mechanism))
        return "504 5.5.4 that mechanism was not offered\r\n";
    if (login)
        return initial ? "334 UGFzc3dvcmQ6\r\n" : "334 VXNlcm5hbWU6\r\n";
    return initial ? "235 2.7.0 Welcome\r\n" : "334 \r\n";
}

void bench_auth_run(struct bench_session *s, struct span arg)
{
    const char *blank = memchr(arg.p, ' ', arg.n);
    struct span mechanism = {arg.p, blank ? (size_t)(blank - arg.p) : arg.n};
    char code = bench_step_answer(s, BENCH_AUTH, right(s, mechanism, blank != NULL));

    s->auth_steps = span_is_nocase(mechanism, "LOGIN") && !blank ? 2 : 1;
    s->authed = s->authed || code == '2';
    if (code == '3' && s->mode != BENCH_DEAF)
        s->mode = BENCH_AUTH_LINES;
}
