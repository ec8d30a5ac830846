#include "sink/names.h"

#include <string.h>

#include "unit/suite.h"

START_TEST(a_name_has_its_parts)
{
    char name[NAMES_MOST];

    names_make(name, INT64_C(1700000000123456), 42, 7, "mx.example.org", 1234);
    ck_assert_str_eq(name, "1700000000.M123456P42Q7.mx.example.org,S=1234");
}
END_TEST

START_TEST(a_host_is_one_component)
{
    char host[NAMES_HOST_MOST];

    names_host(host, "a/b:c");
    ck_assert_str_eq(host, "a\\057b\\072c");
    names_host(host, "");
    ck_assert_str_eq(host, "");
}
END_TEST

START_TEST(the_longest_name_fits)
{
    char host[NAMES_HOST_MOST], name[NAMES_MOST], far[400];

    memset(far, '/', sizeof far - 1);
    far[sizeof far - 1] = '\0';
    names_host(host, far);
    ck_assert_uint_lt(strlen(host), NAMES_HOST_MOST);
    ck_assert_uint_eq(strlen(host) % 4, 0); /* no escape is cut */
    names_make(name, INT64_MAX, INT32_MAX, UINT64_MAX, host, UINT64_MAX);
    ck_assert_uint_le(strlen(name), 255);
    ck_assert_ptr_nonnull(strstr(name, ",S=18446744073709551615"));
    ck_assert_ptr_null(strchr(name, '/'));
}
END_TEST

SUITE_MAIN("names", a_name_has_its_parts, a_host_is_one_component, the_longest_name_fits)
