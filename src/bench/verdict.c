#include "bench/verdict.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const names[BENCH_FACTS] = {
    [BENCH_F_SESSION] = "session",
    [BENCH_F_EARLY] = "early-talker",
    [BENCH_F_MAIL] = "mail",
    [BENCH_F_MAIL_CLEAR] = "mail-in-clear",
    [BENCH_F_AUTH] = "auth",
    [BENCH_F_AUTH_CLEAR] = "auth-in-clear",
    [BENCH_F_TLS] = "tls",
    [BENCH_F_STARTTLS_TLS] = "starttls-in-tls",
    [BENCH_F_NO_EHLO] = "no-ehlo-after-tls",
    [BENCH_F_PIPELINED] = "pipelined",
    [BENCH_F_CONTENT] = "content",
    [BENCH_F_DELIVERED] = "delivered",
    [BENCH_F_DUPLICATE] = "duplicate",
    [BENCH_F_RETRIED] = "retried",
    [BENCH_F_BARE_LF] = "bare-lf",
    [BENCH_F_BARE_CR] = "bare-cr",
    [BENCH_F_NEAR_END] = "near-end",
    [BENCH_F_UNSTUFFED] = "unstuffed",
    [BENCH_F_SMUGGLED] = "smuggled",
};

const char *bench_fact_name(enum bench_fact f)
{
    return names[f];
}

static int find(const char *name)
{
    for (int i = 0; i < BENCH_FACTS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

/* ---- facts */

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static void see(struct bench_facts *f, enum bench_fact fact, const json_t *line)
{
    if (f->fact[fact].seen)
        return;
    f->fact[fact].seen = true;
    f->fact[fact].seq = (unsigned)json_integer_value(json_object_get(line, "seq"));
    snprintf(f->fact[fact].sid, sizeof f->fact[fact].sid, "%s", str(line, "sid"));
}

static bool is_verb(const char *text, const char *verb)
{
    size_t n = strlen(verb);

    return strncasecmp(text, verb, n) == 0 && (text[n] == '\0' || text[n] == ' ');
}

static void command(struct bench_facts *f, const json_t *line)
{
    const char *text = str(line, "text"), *sid = str(line, "sid");
    bool tls = json_is_true(json_object_get(line, "tls"));
    bool mail = is_verb(text, "MAIL"), auth = is_verb(text, "AUTH");

    if (json_is_true(json_object_get(line, "pipelined")))
        see(f, BENCH_F_PIPELINED, line);
    if (is_verb(text, "EHLO") && tls)
        snprintf(f->ehlo_sid, sizeof f->ehlo_sid, "%s", sid);
    if (is_verb(text, "STARTTLS") && tls)
        see(f, BENCH_F_STARTTLS_TLS, line);
    if (mail)
        see(f, BENCH_F_MAIL, line);
    if (auth)
        see(f, BENCH_F_AUTH, line);
    if (mail && strcasestr(text, "<smuggled@"))
        see(f, BENCH_F_SMUGGLED, line);
    if (mail && !tls)
        see(f, BENCH_F_MAIL_CLEAR, line);
    if (auth && !tls)
        see(f, BENCH_F_AUTH_CLEAR, line);
    if ((mail || auth) && tls && strcmp(f->ehlo_sid, sid) != 0)
        see(f, BENCH_F_NO_EHLO, line);
    if (mail && f->refused && strcmp(f->refused_sid, sid) != 0)
        see(f, BENCH_F_RETRIED, line);
}

/* A 5yz to MAIL, RCPT or the message; greetings and the like are about the server. */
static void reply(struct bench_facts *f, const json_t *line)
{
    if (*str(line, "text") != '5' || !f->fact[BENCH_F_MAIL].seen)
        return;
    f->refused = true;
    snprintf(f->refused_sid, sizeof f->refused_sid, "%s", str(line, "sid"));
}

static void body(struct bench_facts *f, const json_t *line)
{
    if (json_integer_value(json_object_get(line, "bytes")) > 3) /* the dot and its line end */
        see(f, BENCH_F_CONTENT, line);
    if (json_integer_value(json_object_get(line, "bare_lf")))
        see(f, BENCH_F_BARE_LF, line);
    if (json_integer_value(json_object_get(line, "bare_cr")))
        see(f, BENCH_F_BARE_CR, line);
    if (json_array_size(json_object_get(line, "near_eod")))
        see(f, BENCH_F_NEAR_END, line);
    if (json_is_false(json_object_get(line, "dot_stuffed")))
        see(f, BENCH_F_UNSTUFFED, line);
}

void bench_facts_take(struct bench_facts *f, const json_t *line)
{
    const char *ev = str(line, "ev");

    if (strcmp(ev, "session_start") == 0) {
        see(f, BENCH_F_SESSION, line);
    } else if (strcmp(ev, "recv") == 0) {
        command(f, line);
    } else if (strcmp(ev, "send") == 0) {
        reply(f, line);
    } else if (strcmp(ev, "tls_done") == 0) {
        see(f, BENCH_F_TLS, line);
    } else if (strcmp(ev, "body") == 0) {
        body(f, line);
    } else if (strcmp(ev, "message") == 0 && json_is_true(json_object_get(line, "accepted"))) {
        see(f, f->accepted++ ? BENCH_F_DUPLICATE : BENCH_F_DELIVERED, line);
    } else if (strcmp(ev, "lint") == 0) {
        int fact = find(str(line, "id"));

        if (fact >= 0)
            see(f, (enum bench_fact)fact, line);
    }
}

/* ---- the judgement */

const char *bench_expect_unknown(const struct bench_scenario *s)
{
    for (unsigned p = 0; p < BENCH_POLICIES; p++) {
        char **const lists[] = {s->expect[p].forbid, s->expect[p].demand};

        for (unsigned l = 0; l < 2; l++)
            for (char **w = lists[l]; w && *w; w++)
                if (find(*w) < 0)
                    return *w;
    }
    return NULL;
}

void bench_judge(struct bench_verdict *out, const struct bench_scenario *s, enum bench_policy p,
                 const struct bench_facts *f, bool over)
{
    const struct bench_expect *x = &s->expect[p];
    const char *wait = over ? NULL : x->wait;

    *out = (struct bench_verdict){.result = BENCH_UNDECIDED};
    for (char **w = x->forbid; w && *w; w++) {
        int i = find(*w);

        if (i < 0 || !f->fact[i].seen)
            continue;
        out->result = BENCH_FAIL;
        snprintf(out->why, sizeof out->why, "%s: line %u of %s", *w, f->fact[i].seq, f->fact[i].sid);
        memcpy(out->sid, f->fact[i].sid, sizeof out->sid);
        return;
    }
    if (!f->fact[BENCH_F_SESSION].seen) {
        snprintf(out->why, sizeof out->why, "nobody came");
        return;
    }
    if (!x->given) {
        snprintf(out->why, sizeof out->why, "nothing is expected of this policy here: %.200s", s->correct);
        return;
    }
    for (char **w = x->demand; w && *w; w++) {
        int i = find(*w);

        if (i >= 0 && f->fact[i].seen)
            continue;
        snprintf(out->why, sizeof out->why, "%s was not seen so far%s%.200s", *w, wait ? "; wait for " : "",
                 wait ? wait : "");
        return;
    }
    if (wait) {
        snprintf(out->why, sizeof out->why, "nothing wrong so far; wait for %.200s", wait);
        return;
    }
    out->result = BENCH_PASS;
    snprintf(out->why, sizeof out->why, "%s", s->correct);
}
