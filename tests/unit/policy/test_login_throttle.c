#include "policy/login_throttle.h"

#include <stdio.h>
#include <string.h>

#include "unit/suite.h"

#define SECOND INT64_C(1000000)

static int64_t delay(const struct login_throttle *t, enum login_kind kind, const char *key, int64_t now)
{
    return login_throttle_delay(t, kind, key, strlen(key), now, NULL);
}

static bool one_failure(struct login_throttle *t, enum login_kind kind, const char *key, int64_t now)
{
    return login_throttle_failed(t, kind, key, strlen(key), now);
}

START_TEST(guessing_gets_slower)
{
    static const int64_t want[] = {0, 0, 0, 500, 1000, 2000, 4000, 8000, 15000, 15000};
    struct login_throttle *t = login_throttle_new(100);
    int64_t now = SECOND;

    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        one_failure(t, LOGIN_NAME, "alice@example.org", now);
        ck_assert_int_eq(delay(t, LOGIN_NAME, "alice@example.org", now), want[i] * 1000);
    }
    ck_assert_int_eq(delay(t, LOGIN_NAME, "bob@example.org", now), 0);
    ck_assert_int_eq(delay(t, LOGIN_CLIENT, "alice@example.org", now), 0); /* another kind of key */
    now += 7 * LOGIN_FORGET_US;
    ck_assert_int_eq(delay(t, LOGIN_NAME, "alice@example.org", now), 0);
    login_throttle_free(&t);
}
END_TEST

START_TEST(too_many_is_said_once_and_for_clients_alone)
{
    struct login_throttle *t = login_throttle_new(100);
    unsigned said = 0;
    bool many = true;

    login_throttle_delay(t, LOGIN_CLIENT, "c", 1, 0, &many);
    ck_assert(!many);
    for (unsigned i = 0; i < 200; i++)
        said += one_failure(t, LOGIN_CLIENT, "c", SECOND);
    ck_assert_uint_eq(said, 1);
    login_throttle_delay(t, LOGIN_CLIENT, "c", 1, SECOND, &many);
    ck_assert(many);
    /* it is bounded: somebody who stops is heard again */
    login_throttle_delay(t, LOGIN_CLIENT, "c", 1, SECOND + (LOGIN_TOO_MANY + 1) * LOGIN_FORGET_US, &many);
    ck_assert(!many);
    for (unsigned i = 0; i < 200; i++)
        one_failure(t, LOGIN_NAME, "n", SECOND);
    login_throttle_delay(t, LOGIN_NAME, "n", 1, SECOND, &many);
    ck_assert(!many);
    login_throttle_free(&t);
}
END_TEST

START_TEST(who_remembers_the_password_is_forgiven)
{
    struct login_throttle *t = login_throttle_new(100);

    for (unsigned i = 0; i < 8; i++) {
        one_failure(t, LOGIN_NAME, "alice", SECOND);
        one_failure(t, LOGIN_CLIENT, "net", SECOND);
    }
    login_throttle_worked(t, LOGIN_NAME, "alice", 5, SECOND);
    login_throttle_worked(t, LOGIN_CLIENT, "net", 3, SECOND);
    ck_assert_int_eq(delay(t, LOGIN_NAME, "alice", SECOND), 0);
    ck_assert_int_eq(delay(t, LOGIN_CLIENT, "net", SECOND), 4 * SECOND * 2 / 2);
    login_throttle_worked(t, LOGIN_CLIENT, "nobody", 6, SECOND);
    login_throttle_free(&t);
}
END_TEST

/* Many others do not push the table's size, and the one that goes on failing stays in it. */
START_TEST(a_flood_of_names)
{
    struct login_throttle *t = login_throttle_new(64);
    char name[32];

    for (unsigned i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "user%u", i);
        one_failure(t, LOGIN_NAME, name, SECOND + i);
        if (i % 4 == 0)
            one_failure(t, LOGIN_CLIENT, "net", SECOND + i);
    }
    ck_assert_int_gt(delay(t, LOGIN_CLIENT, "net", SECOND + 100000), 0);
    login_throttle_free(&t);
}
END_TEST

SUITE_MAIN("login_throttle", guessing_gets_slower, too_many_is_said_once_and_for_clients_alone,
           who_remembers_the_password_is_forgiven, a_flood_of_names)
