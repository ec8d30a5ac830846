#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"

#include <string.h>

#include "unit/suite.h"

START_TEST(numbers_have_no_surprises)
{
    uint64_t v = 7;

    ck_assert(text_u64(SPAN("0"), &v) && v == 0);
    ck_assert(text_u64(SPAN("18446744073709551615"), &v) && v == UINT64_MAX);
    ck_assert(!text_u64(SPAN("18446744073709551616"), &v));
    ck_assert(!text_u64(SPAN("-1"), &v));
    ck_assert(!text_u64(SPAN(" 1"), &v));
    ck_assert(!text_u64(SPAN(""), &v));
    ck_assert(!text_u64(SPAN("1a"), &v));
}
END_TEST

START_TEST(escape_never_overflows_and_never_lies)
{
    char out[12];
    struct peer_text t = {"a\r\nb\\\xff", 6};

    ck_assert_uint_eq(text_escape(out, 8, t), 4);
    ck_assert_str_eq(out, "a...");
    for (size_t cap = 5; cap <= sizeof out; cap++) {
        memset(out, 'Z', sizeof out);
        ck_assert_uint_lt(text_escape(out, cap, t), cap);
        ck_assert_uint_lt(strlen(out), cap);
        for (size_t i = cap; i < sizeof out; i++)
            ck_assert_int_eq(out[i], 'Z');
    }
}
END_TEST

START_TEST(escape_writes_the_usual_form)
{
    char out[64];

    text_escape(out, sizeof out, (struct peer_text){"a\r\n\\\xff", 5});
    ck_assert_str_eq(out, "a\\x0d\\x0a\\\\\\xff");
}
END_TEST

START_TEST(distance_finds_the_nearest)
{
    ck_assert_uint_eq(text_distance("starttls", "strattls"), 2);
    ck_assert_uint_eq(text_distance("", "abc"), 3);
    ck_assert_uint_eq(text_distance("same", "same"), 0);
}
END_TEST

START_TEST(buffer_keeps_order_and_gives_memory_back)
{
    struct buf b = {0};
    char want[4000];
    size_t put = 0, got = 0;

    for (size_t i = 0; i < sizeof want; i++)
        want[i] = (char)(i * 7);
    while (got < sizeof want) {
        size_t n = put + 97 <= sizeof want ? 97 : sizeof want - put;

        buf_append(&b, want + put, n);
        put += n;
        n = b.len > 61 && put < sizeof want ? 61 : b.len;
        ck_assert_mem_eq(buf_data(&b), want + got, n);
        buf_consume(&b, n);
        got += n;
    }
    ck_assert_ptr_null(b.p);
    buf_printf(&b, "%s %d", "x", 5);
    ck_assert_str_eq(buf_str(&b), "x 5");
    buf_clear(&b);
}
END_TEST

START_TEST(errors_wrap)
{
    struct err e;

    ck_assert_int_eq(err_set(&e, "no %s", "file"), -1);
    ck_assert_int_eq(err_wrap(&e, "loading %d", 3), -1);
    ck_assert_str_eq(e.text, "loading 3: no file");
    ck_assert_int_eq(err_set(NULL, "x"), -1);
}
END_TEST

START_TEST(dates_are_rfc_5322)
{
    char iso[CLOCK_ISO_LEN], date[CLOCK_RFC5322_LEN];

    setenv("TZ", "Asia/Kolkata", 1);
    clock_prepare();
    clock_iso(iso, 1700000000123456);
    clock_rfc5322(date, 1700000000123456);
    ck_assert_str_eq(iso, "2023-11-14T22:13:20.123Z");
    ck_assert_str_eq(date, "Wed, 15 Nov 2023 03:43:20 +0530");
    setenv("TZ", "XXX3:30", 1);
    clock_prepare();
    clock_rfc5322(date, 1700000000123456);
    ck_assert_str_eq(date, "Tue, 14 Nov 2023 18:43:20 -0330");
}
END_TEST

SUITE_MAIN("text", numbers_have_no_surprises, escape_never_overflows_and_never_lies, escape_writes_the_usual_form,
           distance_finds_the_nearest, buffer_keeps_order_and_gives_memory_back, errors_wrap, dates_are_rfc_5322)
