/* Questions and answers between worker and relay: there and back, and what must not be believed. */
#include <string.h>

#include "relay/verify_msg.h"
#include "unit/suite.h"

/* Decoded from memory of its own size, so that a byte read behind it is seen. */
static int ask_of(struct verify_ask *out, const void *p, size_t n, char **copy)
{
    *copy = mem_alloc(n ? n : 1);
    memcpy(*copy, p, n);
    return verify_ask_decode(out, *copy, n);
}

static bool is_ask(const void *p, size_t n)
{
    struct verify_ask a;
    char *copy;
    int r = ask_of(&a, p, n, &copy);

    free(copy);
    return r == 0;
}

START_TEST(a_question)
{
    struct verify_ask a = {.number = 7, .route = "dovecot", .address = "j\xc3\xbcrgen@example.org"}, b;
    struct buf out = {0};
    char *copy;

    verify_ask_encode(&out, &a);
    ck_assert_int_eq(ask_of(&b, buf_data(&out), out.len, &copy), 0);
    ck_assert_uint_eq(b.number, 7);
    ck_assert_str_eq(b.route, a.route);
    ck_assert_str_eq(b.address, a.address);
    free(copy);
    for (size_t n = 0; n < out.len; n++)
        ck_assert_msg(!is_ask(buf_data(&out), n), "%zu bytes of a question are none", n);
    buf_append(&out, "", 1);
    ck_assert(!is_ask(buf_data(&out), out.len));
    buf_clear(&out);
}
END_TEST

START_TEST(questions_that_are_none)
{
    char long_title[VERIFY_TITLE_MOST + 2], long_address[VERIFY_ADDRESS_MOST + 2];
    struct verify_ask a = {.number = 1, .route = long_title, .address = "x@example.org"};
    struct buf out = {0};

    memset(long_title, 'a', sizeof long_title - 1);
    memset(long_address, 'a', sizeof long_address - 1);
    long_title[sizeof long_title - 1] = long_address[sizeof long_address - 1] = '\0';
    ck_assert(!is_ask("\1\0\0\0\0x@y", 9));
    ck_assert(!is_ask("\1\0\0\0r\0\0", 7));
    ck_assert(!verify_ask_fits(long_title, "x@example.org") && !verify_ask_fits("r", long_address));
    ck_assert(!verify_ask_fits("", "x@example.org") && !verify_ask_fits("r", ""));
    verify_ask_encode(&out, &a);
    ck_assert(!is_ask(buf_data(&out), out.len));
    buf_clear(&out);
    a.route = "r";
    a.address = long_address;
    verify_ask_encode(&out, &a);
    ck_assert(!is_ask(buf_data(&out), out.len));
    buf_clear(&out);
    ck_assert(verify_ask_fits(long_title + 1, long_address + 1));
}
END_TEST

static bool is_answer(const struct verify_answer *a)
{
    struct buf out = {0};
    struct verify_answer b;
    uint32_t number;
    char *copy;
    int r;

    verify_answer_encode(&out, 9, a);
    copy = mem_alloc(out.len);
    memcpy(copy, buf_data(&out), out.len);
    r = verify_answer_decode(&number, &b, copy, out.len);
    if (r == 0) {
        ck_assert_uint_eq(number, 9);
        ck_assert_int_eq(b.verdict, a->verdict);
        ck_assert_uint_eq(b.code, a->code);
        ck_assert_str_eq(b.enhanced, a->enhanced);
        ck_assert_uint_eq(b.text.n, a->text.n < VERIFY_TEXT_MOST ? a->text.n : VERIFY_TEXT_MOST);
        ck_assert(b.text.n == 0 || memcmp(b.text.p, a->text.p, b.text.n) == 0);
        for (size_t n = 0; n + b.text.n < out.len; n++)
            ck_assert_int_eq(verify_answer_decode(&number, &b, copy, n), -1);
    }
    free(copy);
    buf_clear(&out);
    return r == 0;
}

START_TEST(answers)
{
    static const struct {
        bool good;
        struct verify_answer answer;
    } rows[] = {
        {true, {VERIFY_YES, 250, "2.1.5", {"fine", 4}}},
        {true, {VERIFY_YES, 299, "2.0.0", {"", 0}}},
        {true, {VERIFY_NO, 550, "5.1.1", {"no\0\r\n250 yes", 12}}},
        {true, {VERIFY_NO, 599, "5.999.999", {"", 0}}},
        {true, {VERIFY_UNKNOWN, 0, "", {"why", 3}}},
        {false, {VERIFY_YES, 550, "5.1.1", {"", 0}}},
        {false, {VERIFY_YES, 250, "5.1.1", {"", 0}}},
        {false, {VERIFY_NO, 250, "2.1.5", {"", 0}}},
        {false, {VERIFY_NO, 450, "4.2.1", {"", 0}}},
        {false, {VERIFY_NO, 600, "5.1.1", {"", 0}}},
        {false, {VERIFY_NO, 550, "", {"", 0}}},
        {false, {VERIFY_NO, 550, "5.1", {"", 0}}},
        {false, {VERIFY_NO, 550, "5.1.1 ", {"", 0}}},
        {false, {VERIFY_NO, 550, "5. 1.1", {"", 0}}},
        {false, {VERIFY_NO, 550, "5.01.1", {"", 0}}},
        {false, {VERIFY_NO, 550, "5.1.1\r\n250", {"", 0}}},
        {false, {VERIFY_UNKNOWN, 450, "", {"", 0}}},
        {false, {VERIFY_UNKNOWN, 0, "4.2.1", {"", 0}}},
        {false, {(enum verify_verdict)3, 550, "5.1.1", {"", 0}}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(is_answer(&rows[i].answer) == rows[i].good, "row %zu", i);
}
END_TEST

START_TEST(a_long_text_is_cut)
{
    char text[VERIFY_TEXT_MOST * 2];
    struct verify_answer a = {VERIFY_NO, 550, "5.1.1", {text, sizeof text}};

    memset(text, 'x', sizeof text);
    ck_assert(is_answer(&a));
}
END_TEST

SUITE_MAIN("verify_msg", a_question, questions_that_are_none, answers, a_long_text_is_cut)
