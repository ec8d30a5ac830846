/* tests/tables/verify_cache.txt, row by row; and many entries. */
#include "relay/verify_cache.h"

#include <stdio.h>
#include <string.h>

#include "unit/suite.h"

#define S INT64_C(1000000)
#define MOST 3
#define COLUMNS 5

static void words(char out[700], const struct verify_answer *a)
{
    if (!a)
        snprintf(out, 700, "-");
    else
        snprintf(out, 700, "%s %u %s %.*s", verify_verdict_name(a->verdict), a->code, a->enhanced, (int)a->text.n,
                 a->text.p);
}

static struct verify_answer answer_of(const char *s)
{
    struct verify_answer a = {.verdict = VERIFY_UNKNOWN};
    char verdict[16], enhanced[12];
    unsigned code;
    int used = 0;

    ck_assert_int_eq(sscanf(s, "%15s %u %11s %n", verdict, &code, enhanced, &used), 3);
    for (unsigned v = 0; v <= VERIFY_UNKNOWN; v++)
        if (strcmp(verdict, verify_verdict_name((enum verify_verdict)v)) == 0)
            a.verdict = (enum verify_verdict)v;
    a.code = (uint16_t)code;
    if (a.verdict != VERIFY_UNKNOWN)
        snprintf(a.enhanced, sizeof a.enhanced, "%s", enhanced);
    a.text = (struct peer_text){s + used, strlen(s + used)};
    return a;
}

static void row(unsigned line, struct verify_cache *c, char *const col[COLUMNS])
{
    int64_t now = strtoll(col[0], NULL, 10) * S;
    struct verify_answer a;
    char have[700];

    if (!strcmp(col[1], "put")) {
        a = answer_of(col[4]);
        verify_cache_put(c, col[2], col[3], &a, now);
        return;
    }
    if (!strcmp(col[1], "count"))
        snprintf(have, sizeof have, "%u", verify_cache_count(c));
    else
        words(have, verify_cache_find(c, col[2], col[3], now));
    ck_assert_msg(!strcmp(have, col[4]), "verify_cache.txt:%u: %s, not %s", line, have, col[4]);
}

START_TEST(table)
{
    FILE *f = fopen(TESTS_DIR "/tables/verify_cache.txt", "r");
    struct verify_cache *c = verify_cache_new(MOST);
    char text[512], *col[COLUMNS];
    unsigned line = 0, rows = 0;

    ck_assert_ptr_nonnull(f);
    while (fgets(text, sizeof text, f)) {
        unsigned n = 0;

        line++;
        if (*text == '#' || *text == '\n')
            continue;
        text[strcspn(text, "\n")] = '\0';
        if (!strcmp(text, "new")) {
            verify_cache_free(&c);
            c = verify_cache_new(MOST);
            continue;
        }
        for (char *p = strtok(text, "\t"); p && n < COLUMNS; p = strtok(NULL, "\t"))
            col[n++] = p;
        ck_assert_uint_eq(n, COLUMNS);
        row(line, c, col);
        rows++;
    }
    fclose(f);
    verify_cache_free(&c);
    ck_assert_uint_gt(rows, 50);
}
END_TEST

START_TEST(bounded)
{
    struct verify_cache *c = verify_cache_new(1000);
    struct verify_answer a = {.verdict = VERIFY_NO, .code = 550, .enhanced = "5.1.1", .text = {"no", 2}};
    char address[40];

    for (unsigned i = 0; i < 20000; i++) {
        a.verdict = i % 2 ? VERIFY_YES : VERIFY_NO;
        snprintf(address, sizeof address, "%u@example.org", i * 2654435761u % 7000);
        verify_cache_put(c, "a", address, &a, i);
        ck_assert_uint_le(verify_cache_count(c), 2000);
        ck_assert_int_eq(verify_cache_find(c, "a", address, i)->verdict, a.verdict);
    }
    ck_assert_uint_eq(verify_cache_count(c), 2000);
    verify_cache_free(&c);
    ck_assert_ptr_null(c);
}
END_TEST

SUITE_MAIN("verify_cache", table, bounded)
