/* tests/tables/retry.txt, row by row, and the bounds of the gaps. */
#include "policy/retry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/suite.h"

#define S INT64_C(1000000)
#define ARRIVED (1795417200 * S)
#define COLUMNS 9

static int64_t time_of(const char *s)
{
    char *end;
    int64_t v = strtoll(s, &end, 10);

    return v * S * (*end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 1);
}

static void near(unsigned line, const char *what, int64_t have, const char *column)
{
    int64_t want = strcmp(column, "-") ? ARRIVED + time_of(column) : 0;

    /* a random number has 65536 steps here: two parts in 65536 of three hours are a third of a second */
    if (llabs(have - want) > S)
        ck_abort_msg("retry.txt:%u: %s is %" PRId64 " s, not %s", line, what, (have - ARRIVED) / S, column);
}

static void row(unsigned line, char *const c[COLUMNS])
{
    uint32_t random = !strcmp(c[3], "max") ? UINT32_MAX : !strcmp(c[3], "mid") ? UINT32_C(1) << 31 : 0;
    struct retry_facts f = {
        .arrived_us = ARRIVED,
        .tries = (uint32_t)strtoul(c[0], NULL, 10),
        .last_try_us = strcmp(c[1], "-") ? ARRIVED + time_of(c[1]) : 0,
        .now_us = ARRIVED + time_of(c[2]),
        .noticed = !strcmp(c[4], "yes"),
    };
    struct retry_verdict v;

    retry_judge(&v, &retry_plan_default, &f, random);
    if ((v.what == RETRY_EXPIRE) != !strcmp(c[5], "expire") || v.notice != !strcmp(c[7], "yes"))
        ck_abort_msg("retry.txt:%u: what %d, notice %d", line, v.what, v.notice);
    near(line, "next", v.next_us, c[6]);
    near(line, "notice-at", v.notice_us, c[8]);
    near(line, "give up", v.give_up_us, "5d");
}

START_TEST(table)
{
    FILE *f = fopen(TESTS_DIR "/tables/retry.txt", "r");
    char text[512], *c[COLUMNS];
    unsigned line = 0, rows = 0;

    ck_assert_ptr_nonnull(f);
    while (fgets(text, sizeof text, f)) {
        unsigned n = 0;

        line++;
        if (*text == '#' || *text == '\n')
            continue;
        text[strcspn(text, "\n")] = '\0';
        for (char *p = strtok(text, "\t"); p && n < COLUMNS; p = strtok(NULL, "\t"))
            c[n++] = p;
        ck_assert_uint_eq(n, COLUMNS);
        row(line, c);
        rows++;
    }
    fclose(f);
    ck_assert_uint_gt(rows, 25);
}
END_TEST

START_TEST(gaps_stay_within_a_fifth)
{
    for (uint32_t tries = 1; tries < 100; tries++) {
        int64_t low = retry_gap_us(&retry_plan_default, tries, 0),
                high = retry_gap_us(&retry_plan_default, tries, UINT32_MAX);

        ck_assert_int_lt(low, high);
        ck_assert_int_ge(low, 48 * S);
        ck_assert_int_le(high, 3 * 3600 * S / 5 * 6);
        ck_assert_int_le(high, low / 4 * 6 + S);
    }
    ck_assert_int_eq(retry_back_off_us(0, 7), 0);
    ck_assert_int_ge(retry_back_off_us(1, 0), 4 * S);
    ck_assert_int_le(retry_back_off_us(UINT32_MAX, UINT32_MAX), 720 * S);
}
END_TEST

/* A message that never gets through: how often, and when it comes back. */
START_TEST(a_life)
{
    struct retry_facts f = {.arrived_us = ARRIVED, .now_us = ARRIVED};
    struct retry_verdict v;
    unsigned notices = 0, quick = 0;

    for (;;) {
        retry_judge(&v, &retry_plan_default, &f, f.tries * 2654435761u);
        notices += v.notice;
        f.noticed |= v.notice;
        if (v.what == RETRY_EXPIRE)
            break;
        ck_assert_int_ge(v.next_us, f.now_us);
        f.now_us = f.last_try_us = v.next_us;
        f.tries++;
        quick += f.now_us < ARRIVED + 3600 * S;
        ck_assert_uint_lt(f.tries, 100);
    }
    ck_assert_uint_eq(notices, 1);
    ck_assert_uint_ge(quick, 5);
    ck_assert_uint_ge(f.tries, 40);
    ck_assert_int_ge(f.now_us, ARRIVED + 5 * 86400 * S);
    ck_assert_int_le(f.now_us, ARRIVED + 5 * 86400 * S + 4 * 3600 * S);
}
END_TEST

SUITE_MAIN("retry", table, gaps_stay_within_a_fifth, a_life)
