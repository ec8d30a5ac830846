#include "base/share.h"

#include <string.h>

#include "unit/suite.h"

static struct addr_key key(unsigned n)
{
    struct addr_key k = {.bits = 128};

    memcpy(k.b, &n, sizeof n);
    return k;
}

START_TEST(counts_add_up_over_slots_and_die_with_them)
{
    struct share *s;
    struct err e;
    struct addr_key k = key(1);
    int a, b;

    ck_assert_int_eq(share_new(&s, 100, &e), 0);
    a = share_take(s, 1);
    b = share_take(s, 1);
    ck_assert_int_ne(a, b);
    share_key_add(s, a, &k);
    share_key_add(s, a, &k);
    share_key_add(s, b, &k);
    ck_assert_uint_eq(share_key_count(s, &k), 3);
    share_key_drop(s, a, &k);
    ck_assert_uint_eq(share_key_count(s, &k), 2);
    share_release(s, a);
    ck_assert_uint_eq(share_key_count(s, &k), 1);
}
END_TEST

START_TEST(totals_survive_a_slot_levels_do_not)
{
    struct share *s;
    struct err e;
    int a;

    ck_assert_int_eq(share_new(&s, 100, &e), 0);
    a = share_take(s, 1);
    share_add(s, a, SHARE_MESSAGES, 5);
    share_add(s, a, SHARE_CONNECTIONS_NOW, 5);
    share_release(s, a);
    ck_assert_int_eq(share_total(s, SHARE_MESSAGES), 5);
    ck_assert_int_eq(share_total(s, SHARE_CONNECTIONS_NOW), 0);
}
END_TEST

START_TEST(many_keys_come_and_go_in_a_small_table)
{
    struct share *s;
    struct err e;
    int a;

    ck_assert_int_eq(share_new(&s, 128, &e), 0);
    a = share_take(s, 1);
    for (unsigned i = 0; i < 100000; i++) {
        struct addr_key k = key(i), old = key(i - 40);

        ck_assert_int_eq(share_key_add(s, a, &k), 0);
        ck_assert_uint_eq(share_key_count(s, &k), 1);
        if (i >= 40) {
            share_key_drop(s, a, &old);
            ck_assert_uint_eq(share_key_count(s, &old), 0);
        }
        if (i >= 20) {
            old = key(i - 20);
            ck_assert_uint_eq(share_key_count(s, &old), 1);
        }
    }
}
END_TEST

START_TEST(a_full_table_says_so)
{
    struct share *s;
    struct err e;
    int a;
    unsigned i;

    ck_assert_int_eq(share_new(&s, 64, &e), 0);
    a = share_take(s, 1);
    for (i = 0; i < 65; i++) {
        struct addr_key k = key(i);

        if (share_key_add(s, a, &k) < 0)
            break;
    }
    ck_assert_uint_lt(i, 65);
    for (unsigned j = 0; j < i; j++) {
        struct addr_key k = key(j);

        ck_assert_uint_eq(share_key_count(s, &k), 1);
    }
}
END_TEST

START_TEST(slots_run_out_politely)
{
    struct share *s;
    struct err e;

    ck_assert_int_eq(share_new(&s, 64, &e), 0);
    for (int i = 0; i < SHARE_SLOTS; i++)
        ck_assert_int_ge(share_take(s, 1), 0);
    ck_assert_int_eq(share_take(s, 1), -1);
    share_release(s, 5);
    ck_assert_int_eq(share_take(s, 1), 5);
}
END_TEST

START_TEST(a_generation_lets_go_of_all_it_held)
{
    struct share *s;
    struct err e;
    int a, b;

    ck_assert_int_eq(share_new(&s, 64, &e), 0);
    a = share_take(s, 7);
    b = share_take(s, 8);
    share_add(s, a, SHARE_CONNECTIONS_NOW, 3);
    share_add(s, b, SHARE_CONNECTIONS_NOW, 2);
    share_release_all(s, 7);
    ck_assert_int_eq(share_total(s, SHARE_CONNECTIONS_NOW), 2);
    ck_assert_int_eq(share_take(s, 9), a);
}
END_TEST

SUITE_MAIN("share", a_generation_lets_go_of_all_it_held, counts_add_up_over_slots_and_die_with_them,
           totals_survive_a_slot_levels_do_not, many_keys_come_and_go_in_a_small_table, a_full_table_says_so,
           slots_run_out_politely)
