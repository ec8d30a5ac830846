/* What lines say of what came and went, and which message it was. */
#include <stdio.h>
#include <string.h>

#include "bench/message_digest.h"
#include "bench/seen.h"
#include "bench/transcript_line.h"
#include "unit/suite.h"

#define S(lit)                                                                                                         \
    {                                                                                                                  \
        (lit), sizeof(lit) - 1                                                                                         \
    }

static const char *dump(json_t *o)
{
    static char text[2000];
    char *s = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);

    snprintf(text, sizeof text, "%s", s);
    free(s);
    json_decref(o);
    return text;
}

/* An answer, and what is said of it. */
static const struct {
    struct span bytes;
    const char *code, *enh, *lines;
} answers[] = {
    {S("250 2.1.0 Ok\r\n"), "250", "\"2.1.0\"", "[\"2.1.0 Ok\"]"},
    {S("250-a\r\n250-b\r\n250 c\r\n"), "250", "null", "[\"a\",\"b\",\"c\"]"},
    {S("451\r\n"), "451", "null", "[\"\"]"},
    {S("550 5.1 no\r\n"), "550", "null", "[\"5.1 no\"]"},
    {S("550 1.1.1 no\r\n"), "550", "null", "[\"1.1.1 no\"]"},
    /* no well-formed reply, whole and alone */
    {S("220 go\r\n250 forged\r\n"), "220", NULL, NULL},
    {S("220 go\r\n250-half"), "220", NULL, NULL},
    {S("250-a\r\n251 b\r\n"), "250", NULL, NULL},
    {S("250-a\r\n"), "250", NULL, NULL},
    {S("250 a\n"), "250", NULL, NULL},
    {S("250 a\0b\r\n"), "250", NULL, NULL},
    {S("250 \xff\r\n"), "250", NULL, NULL},
    {S("150 what\r\n"), "150", NULL, NULL},
    {S("2200 go\r\n"), "null", NULL, NULL},
    {S("HTTP/1.1 400\r\n"), "null", NULL, NULL},
    {S("22"), "null", NULL, NULL},
};

START_TEST(what_goes)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct bench_event ev = {
            .kind = BENCH_EV_SEND, .text = answers[i].bytes, .writes = 2, .delay_ms = 3, .times = 1};
        json_t *o = transcript_line_send(&ev), *code = json_object_get(o, "code");
        char want[64];

        snprintf(want, sizeof want, "%lld", (long long)json_integer_value(code));
        ck_assert_str_eq(json_is_null(code) ? "null" : want, answers[i].code);
        ck_assert_msg(!json_object_get(o, "lines") == !answers[i].lines, "%zu", i);
        ck_assert_msg(!json_object_get(o, "raw_b64") != !answers[i].lines, "%zu", i);
        if (answers[i].lines) {
            ck_assert_str_eq(dump(json_incref(json_object_get(o, "lines"))), answers[i].lines);
            snprintf(want, sizeof want, "[%s]", answers[i].enh);
            ck_assert_str_eq(dump(json_pack("[O]", json_object_get(o, "enh"))), want);
        }
        json_decref(o);
    }
}
END_TEST

/* A line, what else is known, and what stays of it. */
static const struct {
    struct span bytes;
    bool secret, after_auth;
    const char *verb, *raw;
    bool redacted;
} lines[] = {
    {S("mail FROM:<a@b>"), false, false, "MAIL", "mail FROM:<a@b>", false},
    {S("NOOP"), false, true, "NOOP", "NOOP", false},
    {S("AUTH PLAIN c2VjcmV0"), false, false, "AUTH", "AUTH PLAIN", true},
    {S("auth login"), false, false, "AUTH", "auth login", false},
    {S("AUTH  \t XOAUTH2 c2VjcmV0"), false, false, "AUTH", "AUTH  \t XOAUTH2", true},
    {S("AUTH c2VjcmV0"), false, false, "AUTH", "AUTH", true}, /* no mechanism that there is */
    {S("AUTHPLAIN c2VjcmV0"), false, false, "AUTH", "AUTH", true},
    {S(" AUTH PLAIN c2VjcmV0"), false, false, "AUTH", "AUTH PLAIN", true},
    {S("AUTH PLAIN c2VjcmV0\0"), false, false, "AUTH", "AUTH PLAIN", true},
    {S("c2VjcmV0"), true, true, "", "", true},
    {S("DATA"), true, true, "", "", true}, /* who knows */
    {S("*"), true, true, "", "*", false},
    {S("c2VjcmV0"), false, true, "", "", true}, /* AUTH was refused, and it goes on */
    {S("XYZZY"), false, false, "XYZZY", "XYZZY", false},
    {S("XYZZY"), false, true, "", "", true},
    {S("\xc3\xbc"), false, false, "", "\xc3\xbc", false},
    {S("\xff"), false, false, "", NULL, false},
    {S("NOOP \1"), false, false, "NOOP", NULL, false},
};

START_TEST(what_comes)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct bench_event ev = {.kind = BENCH_EV_RECV, .text = lines[i].bytes, .secret = lines[i].secret};
        json_t *o = transcript_line_recv(&ev, transcript_line_secret(&ev, lines[i].after_auth), 0);
        const char *raw = json_string_value(json_object_get(o, "raw"));

        ck_assert_msg(!raw == !lines[i].raw, "%zu", i);
        if (raw)
            ck_assert_str_eq(raw, lines[i].raw);
        ck_assert_str_eq(json_string_value(json_object_get(o, "verb")), lines[i].verb);
        ck_assert_msg(json_is_true(json_object_get(o, "redacted")) == lines[i].redacted, "%zu", i);
        ck_assert_msg(!strstr(dump(o), "c2VjcmV0"), "%zu", i);
    }
}
END_TEST

static void digest(struct message_digest_result *r, const char *bytes, size_t n, size_t cut, bool chunked, unsigned end)
{
    struct message_digest *d = message_digest_new(chunked);

    message_digest_take(d, bytes, cut);
    message_digest_take(d, bytes + cut, n - cut);
    message_digest_end(d, end, r);
    message_digest_free(&d);
}

START_TEST(which_message_it_is)
{
    static const char data[] =
        "Subject: x\r\nMESSAGE-id :\r\n <1@x>  \r\nMessage-ID: <2@x>\r\n\r\nMessage-ID: <3@x>\r\n..dot\r\n..\r\n.\r\n";
    static const char meant[] =
        "Subject: x\r\nMESSAGE-id :\r\n <1@x>  \r\nMessage-ID: <2@x>\r\n\r\nMessage-ID: <3@x>\r\n.dot\r\n.\r\n";
    struct message_digest_result r, want;

    digest(&want, meant, sizeof meant - 1, 0, true, 0);
    ck_assert_uint_eq(want.size, sizeof meant - 1);
    for (size_t cut = 0; cut < sizeof data; cut++) {
        digest(&r, data, sizeof data - 1, cut, false, 3);
        ck_assert_str_eq(r.sha256, want.sha256);
        ck_assert_str_eq(r.id, "<1@x>");
        ck_assert_uint_eq(r.size, want.size);
    }
    digest(&r, ".\r\n", 3, 1, false, 3);
    ck_assert_uint_eq(r.size, 0);
    ck_assert_str_eq(r.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ck_assert_str_eq(r.id, "");
}
END_TEST

START_TEST(a_long_id_is_cut_off)
{
    char text[5000] = "Message-ID: ";
    struct message_digest_result r;

    memset(text + 12, 'x', sizeof text - 12);
    for (size_t i = 900; i + 3 < sizeof text; i += 900)
        memcpy(text + i, "\r\n ", 3);
    digest(&r, text, sizeof text, 17, true, 0);
    ck_assert_uint_eq(strlen(r.id), MESSAGE_DIGEST_ID - 1);
}
END_TEST

START_TEST(the_oldest_is_forgotten)
{
    struct seen *s = seen_new(64);
    char key[16];

    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%d", i);
        ck_assert_ptr_null(seen_get(s, key, strlen(key)));
        seen_put(s, key, strlen(key))->number = i;
        ck_assert_int_eq(seen_get(s, key, strlen(key))->number, i);
    }
    ck_assert_ptr_null(seen_get(s, "1", 1));
    ck_assert_int_eq(seen_put(s, "999", 3)->number, 999); /* what was there */
    seen_free(&s);
}
END_TEST

SUITE_MAIN("transcript", what_goes, what_comes, which_message_it_is, a_long_id_is_cut_off, the_oldest_is_forgotten)
