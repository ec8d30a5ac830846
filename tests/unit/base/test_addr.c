#include "base/addr.h"

#include "unit/suite.h"

START_TEST(parses_and_prints)
{
    static const char *const good[] = {"127.0.0.1:25", "[::1]:2525", "0.0.0.0:0", "unix:/run/x"};
    struct err e;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct addr a;
        char text[ADDR_TEXT];

        ck_assert_int_eq(addr_parse(&a, good[i], &e), 0);
        ck_assert_str_eq(addr_text(&a, text), good[i]);
    }
}
END_TEST

START_TEST(refuses_what_is_not_numeric)
{
    static const char *const bad[] = {"localhost:25", "127.0.0.1", "::1:25", "1.2.3.4:65536", "[::1]", ""};
    struct err e;
    struct addr a;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(addr_parse(&a, bad[i], &e), -1);
        ck_assert(e.text[0]);
    }
}
END_TEST

START_TEST(networks_match_mapped_addresses)
{
    struct net n;
    struct addr a;
    struct err e;

    ck_assert_int_eq(net_parse(&n, "192.0.2.77/24", &e), 0);
    ck_assert_int_eq(addr_parse(&a, "192.0.2.1:1", &e), 0);
    ck_assert(net_has(&n, 1, &a));
    ck_assert_int_eq(addr_parse(&a, "[::ffff:192.0.2.9]:1", &e), 0);
    ck_assert(net_has(&n, 1, &a));
    ck_assert_int_eq(addr_parse(&a, "192.0.3.1:1", &e), 0);
    ck_assert(!net_has(&n, 1, &a));
    ck_assert_int_eq(net_parse(&n, "2001:db8::/33", &e), 0);
    ck_assert_int_eq(addr_parse(&a, "[2001:db8:7fff::1]:1", &e), 0);
    ck_assert(net_has(&n, 1, &a));
    ck_assert_int_eq(addr_parse(&a, "[2001:db8:8000::1]:1", &e), 0);
    ck_assert(!net_has(&n, 1, &a));
}
END_TEST

START_TEST(loopback_is_known)
{
    struct addr a;
    struct err e;

    ck_assert_int_eq(addr_parse(&a, "127.8.9.1:1", &e), 0);
    ck_assert(addr_is_loopback(&a));
    ck_assert_int_eq(addr_parse(&a, "[::1]:1", &e), 0);
    ck_assert(addr_is_loopback(&a));
    ck_assert_int_eq(addr_parse(&a, "128.0.0.1:1", &e), 0);
    ck_assert(!addr_is_loopback(&a));
}
END_TEST

SUITE_MAIN("addr", parses_and_prints, refuses_what_is_not_numeric, networks_match_mapped_addresses, loopback_is_known)
