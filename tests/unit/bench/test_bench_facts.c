#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_facts.h"
#include "bench/transcript_line.h"
#include "unit/suite.h"

/* tests/tables/bench_facts.txt: what a sender did, and what that shows. */

struct play {
    struct bench_facts f;
    unsigned line, seq;
    long long ms;
    char sent_as[64]; /* the name of the case */
};

static json_t *event(struct play *p, const char *sid, const char *ev)
{
    return json_pack("{s:s,s:s,s:i,s:I}", "ev", ev, "sid", sid, "seq", (int)++p->seq, "mono_us",
                     (json_int_t)p->ms * 1000);
}

static void give(struct play *p, json_t *o)
{
    bench_facts_take(&p->f, o);
    json_decref(o);
}

/* fields: stolen; the lines are made as they are for a transcript. */
static void give_fields(struct play *p, const char *sid, const char *ev, json_t *fields)
{
    json_t *o = event(p, sid, ev);

    json_object_update(o, fields);
    json_decref(fields);
    give(p, o);
}

static void command(struct play *p, const char *sid, char kind, const char *text)
{
    struct bench_event ev = {.kind = BENCH_EV_RECV,
                             .text = span_str(text),
                             .pipelined = kind == 'P' || kind == 'D',
                             .early = kind == 'E',
                             .dropped = kind == 'D'};

    give_fields(p, sid, "recv", transcript_line_recv(&ev, TRANSCRIPT_OPEN, 0));
}

static void answer(struct play *p, const char *sid, const char *text)
{
    struct bench_event ev = {.kind = BENCH_EV_SEND, .writes = 1};
    struct buf out = {0};

    for (; *text; text++) {
        bool end = text[0] == '\\' && text[1] == 'n';

        buf_append(&out, end ? "\r\n" : text, end ? 2 : 1);
        text += end;
    }
    buf_append(&out, "\r\n", 2);
    ev.text = (struct span){buf_data(&out), out.len};
    give_fields(p, sid, "send", transcript_line_send(&ev));
    buf_clear(&out);
}

static void body(struct play *p, const char *sid, const char *rest)
{
    json_t *o = event(p, sid, "body"), *near = json_array();

    if (strstr(rest, "near"))
        json_array_append_new(near, json_string("lf-dot-lf"));
    json_object_set_new(o, "pipelined", json_boolean(strstr(rest, "pushed") != NULL));
    json_object_set_new(o, "near_eod", near);
    json_object_set_new(o, "chunked", json_boolean(strstr(rest, "chunked") != NULL));
    json_object_set_new(o, "bytes", json_integer(atoi(rest)));
    json_object_set_new(o, "bare_lf", json_integer(strstr(rest, "bare_lf") != NULL));
    json_object_set_new(o, "bare_cr", json_integer(strstr(rest, "bare_cr") != NULL));
    json_object_set_new(o, "dot_stuffed", json_boolean(!strstr(rest, "unstuffed")));
    give(p, o);
}

static void with(struct play *p, const char *sid, const char *ev, const char *key, json_t *value)
{
    json_t *o = event(p, sid, ev);

    json_object_set_new(o, key, value);
    give(p, o);
}

static void message(struct play *p, const char *sid, const char *id, bool accepted)
{
    json_t *o = event(p, sid, "message");

    json_object_set_new(o, "message_id", json_string(id));
    json_object_set_new(o, "accepted", json_boolean(accepted));
    give(p, o);
}

static void hello(struct play *p, const char *sid, const char *sni)
{
    json_t *o = event(p, sid, "client_hello");

    json_object_set_new(o, "status", json_boolean(strstr(sni, " status") != NULL));
    json_object_set_new(o, "sni", json_stringn(sni, strcspn(sni, " ")));
    give(p, o);
}

static void one(struct play *p, const char *sid, const char *word, const char *rest)
{
    if (strcmp(word, "+") == 0)
        with(p, sid, "session_start", "ts", json_integer(INT64_C(1796000000000000)));
    else if (strcmp(word, "-") == 0)
        with(p, sid, "session_end", "by", json_string(rest));
    else if (strlen(word) == 1 && strchr("CPED", *word))
        command(p, sid, *word, rest);
    else if (strcmp(word, "S") == 0)
        answer(p, sid, rest);
    else if (strcmp(word, "TLS") == 0)
        with(p, sid, "tls_done", "cert_valid", json_boolean(strcmp(rest, "unproven") != 0));
    else if (strcmp(word, "NOTLS") == 0)
        give(p, event(p, sid, "tls_fail"));
    else if (strcmp(word, "HELLO") == 0)
        hello(p, sid, rest);
    else if (strcmp(word, "LINT") == 0)
        with(p, sid, "lint", "id", json_string(rest));
    else if (strcmp(word, "BODY") == 0)
        body(p, sid, rest);
    else if (strcmp(word, "TAKEN") == 0 || strcmp(word, "NOT") == 0)
        message(p, sid, rest, *word == 'T');
    else
        ck_abort_msg("bench_facts.txt:%u: %s?", p->line, word);
}

static void check(const struct play *p, const char *want)
{
    char padded[640];

    snprintf(padded, sizeof padded, " %.600s ", want);
    for (int i = 0; i < BENCH_FACTS; i++) {
        char word[80];

        snprintf(word, sizeof word, " %s ", bench_fact_name((enum bench_fact)i));
        if (i == BENCH_F_SESSION)
            continue;
        ck_assert_msg(bench_facts_has(&p->f, (enum bench_fact)i) == (strstr(padded, word) != NULL),
                      "bench_facts.txt:%u: [%s]: %s%s", p->line, p->sent_as, strstr(padded, word) ? "not " : "", word);
    }
}

static void take_line(struct play *p, char *text)
{
    char *word = strchr(text, ' '), *rest;

    if (*text == '[') {
        memset(p, 0, offsetof(struct play, line));
        p->seq = 0;
        p->ms = 0;
        snprintf(p->sent_as, sizeof p->sent_as, "%.*s", (int)strcspn(text + 1, "]"), text + 1);
    } else if (*text == '=') {
        check(p, text + 1);
    } else if (*text == '@') {
        p->ms += atoi(text + 1);
    } else if (strcmp(text, "sent") == 0) {
        bench_facts_claim(&p->f, true);
    } else if (strncmp(text, "messages ", 9) == 0) {
        bench_facts_want_messages(&p->f, (unsigned)atoi(text + 9));
    } else if (strncmp(text, "want ", 5) == 0) {
        bench_facts_want(&p->f, text + 5);
    } else if (word) {
        *word++ = '\0';
        rest = strchr(word, ' ');
        if (rest)
            *rest++ = '\0';
        one(p, text, word, rest ? rest : "");
    }
}

START_TEST(the_table)
{
    FILE *f = fopen(TESTS_DIR "/tables/bench_facts.txt", "re");
    struct play *p = mem_alloc(sizeof *p);
    char text[600];

    ck_assert(f != NULL);
    while (fgets(text, sizeof text, f)) {
        text[strcspn(text, "\n")] = '\0';
        p->line++;
        if (*text && *text != '#')
            take_line(p, text);
    }
    fclose(f);
    free(p);
}
END_TEST

START_TEST(the_first_line_is_cited)
{
    struct play *p = mem_alloc(sizeof *p);

    one(p, "1", "+", "");
    one(p, "1", "C", "MAIL FROM:<a@x>");
    one(p, "1", "C", "MAIL FROM:<b@x>");
    ck_assert_str_eq(p->f.fact[BENCH_F_MAIL].sid, "1");
    ck_assert_uint_eq(p->f.fact[BENCH_F_MAIL].seq, 2);
    free(p);
}
END_TEST

/* More sessions and recipients than are followed: nothing is said of the others, and nothing grows. */
START_TEST(bounds)
{
    struct play *p = mem_alloc(sizeof *p);
    char sid[16], to[64];

    for (int i = 0; i < 200; i++) {
        snprintf(sid, sizeof sid, "%d", i);
        one(p, sid, "+", "");
        one(p, sid, "TLS", "");
        one(p, sid, "C", "EHLO c");
        one(p, sid, "S", "250 x");
    }
    for (int i = 0; i < 200; i++) {
        snprintf(sid, sizeof sid, "%d", i);
        one(p, sid, "C", "MAIL FROM:<a@x>");
        one(p, sid, "S", "250 ok");
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(to, sizeof to, "RCPT TO:<r%d@x>", i);
        one(p, "1", "C", to);
        one(p, "1", "S", "250 ok");
    }
    ck_assert(bench_facts_has(&p->f, BENCH_F_MANY) && bench_facts_has(&p->f, BENCH_F_STORM));
    ck_assert(!bench_facts_has(&p->f, BENCH_F_NO_EHLO) && !bench_facts_has(&p->f, BENCH_F_MAIL_CLEAR));
    ck_assert_uint_eq(p->f.rcpts, BENCH_FACTS_RCPTS);
    free(p);
}
END_TEST

START_TEST(names)
{
    for (int i = 0; i < BENCH_FACTS; i++) {
        ck_assert(bench_fact_name((enum bench_fact)i) && bench_fact_doc((enum bench_fact)i));
        ck_assert_int_eq(bench_fact_find(bench_fact_name((enum bench_fact)i)), i);
    }
    ck_assert_int_eq(bench_fact_find("nothing"), -1);
}
END_TEST

SUITE_MAIN("bench_facts", the_table, the_first_line_is_cited, bounds, names)
