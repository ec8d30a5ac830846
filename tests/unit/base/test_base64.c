/* RFC 4648 10, and what must not be taken for base64. */
#include <string.h>

#include "base/base64.h"
#include "unit/suite.h"

static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xff\xfe\xfb", "//77"},
    {"\xfb\xf0", "+/A="},
};

START_TEST(both_ways)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const char *plain = vectors[i][0], *text = vectors[i][1];
        char out[32];
        size_t n = base64_encode(out, plain, strlen(plain));

        ck_assert_uint_eq(n, BASE64_LENGTH(strlen(plain)));
        ck_assert_uint_eq(n, strlen(text));
        ck_assert_mem_eq(out, text, n);
        ck_assert(base64_decode(out, &n, span_str(text)));
        ck_assert_uint_eq(n, strlen(plain));
        ck_assert_mem_eq(out, plain, n);
    }
}
END_TEST

START_TEST(in_place)
{
    char bytes[] = "Zm9vYmFy";
    size_t n;

    ck_assert(base64_decode(bytes, &n, (struct span){bytes, 8}));
    ck_assert_uint_eq(n, 6);
    ck_assert_mem_eq(bytes, "foobar", 6);
}
END_TEST

START_TEST(refused)
{
    static const char *const bad[] = {
        "Z",    "Zg",       "Zg=",  "Zh==", "Zm9=",  "Zg==Zg==", "====",     "Z===", "Zm9v\n",
        "Zm 9", "Zm9vYg=v", "=m9v", "Zm-_", "Zm9vZ", "Z=9v",     "Zm9v====", " Zm9", "Zm9\xff"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char out[32];
        size_t n;

        ck_assert_msg(!base64_decode(out, &n, span_str(bad[i])), "%s was taken", bad[i]);
    }
}
END_TEST

SUITE_MAIN("base64", both_ways, in_place, refused)
