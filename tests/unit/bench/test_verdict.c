#include <string.h>

#include "bench/scenario_file.h"
#include "bench/verdict.h"
#include "unit/suite.h"

/* Lines of transcripts, and what they show: facts in the order of the enumeration. */
static const struct {
    const char *lines, *facts;
} rows[] = {
    {"", ""},
    {"{\"ev\":\"session_start\"}", "session "},
    {"{\"ev\":\"recv\",\"text\":\"MAIL FROM:<>\",\"tls\":false}", "mail mail-in-clear "},
    {"{\"ev\":\"recv\",\"text\":\"EHLO x\",\"tls\":true,\"sid\":\"1\"}\n"
     "{\"ev\":\"recv\",\"text\":\"mail from:<>\",\"tls\":true,\"sid\":\"1\"}",
     "mail "},
    {"{\"ev\":\"recv\",\"text\":\"EHLO x\",\"tls\":true,\"sid\":\"1\"}\n"
     "{\"ev\":\"recv\",\"text\":\"MAIL FROM:<>\",\"tls\":true,\"sid\":\"2\"}",
     "mail no-ehlo-after-tls "},
    {"{\"ev\":\"recv\",\"text\":\"AUTH PLAIN\",\"tls\":false}", "auth auth-in-clear "},
    {"{\"ev\":\"recv\",\"text\":\"STARTTLS\",\"tls\":true}", "starttls-in-tls "},
    {"{\"ev\":\"recv\",\"text\":\"NOOP\",\"pipelined\":true}", "pipelined "},
    {"{\"ev\":\"message\",\"accepted\":true}", "delivered "},
    {"{\"ev\":\"message\",\"accepted\":false}", ""},
    {"{\"ev\":\"message\",\"accepted\":true}\n{\"ev\":\"message\",\"accepted\":true}", "delivered duplicate "},
    {"{\"ev\":\"body\",\"bytes\":3}", ""},
    {"{\"ev\":\"body\",\"bytes\":40,\"bare_lf\":1}", "content bare-lf "},
    {"{\"ev\":\"lint\",\"id\":\"early-talker\"}", "early-talker "},
    {"{\"ev\":\"recv\",\"text\":\"MAIL FROM:<>\",\"tls\":false,\"sid\":\"1\"}\n{\"ev\":\"send\",\"text\":\"550 "
     "no\",\"sid\":\"1\"}\n"
     "{\"ev\":\"recv\",\"text\":\"MAIL FROM:<>\",\"tls\":false,\"sid\":\"1\"}",
     "mail mail-in-clear "}, /* the same session: perhaps another message */
    {"{\"ev\":\"recv\",\"text\":\"MAIL FROM:<>\",\"tls\":false,\"sid\":\"1\"}\n{\"ev\":\"send\",\"text\":\"550 "
     "no\",\"sid\":\"1\"}\n"
     "{\"ev\":\"recv\",\"text\":\"MAIL FROM:<>\",\"tls\":false,\"sid\":\"2\"}",
     "mail mail-in-clear retried "},
    {"{\"ev\":\"recv\",\"text\":\"MAIL FROM:<>\",\"tls\":false,\"sid\":\"1\"}\n{\"ev\":\"send\",\"text\":\"450 "
     "no\",\"sid\":\"1\"}\n"
     "{\"ev\":\"recv\",\"text\":\"MAIL FROM:<>\",\"tls\":false,\"sid\":\"2\"}",
     "mail mail-in-clear "},
};

static void feed(struct bench_facts *f, const char *lines)
{
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        json_t *o = json_loadb(lines, n, 0, NULL);

        ck_assert_msg(o != NULL, "%s", lines);
        bench_facts_take(f, o);
        json_decref(o);
        lines += n + (lines[n] == '\n');
    }
}

START_TEST(facts)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench_facts f = {0};
        char got[300] = "";

        feed(&f, rows[i].lines);
        for (int k = 0; k < BENCH_FACTS; k++)
            if (f.fact[k].seen) {
                strcat(got, bench_fact_name((enum bench_fact)k));
                strcat(got, " ");
            }
        ck_assert_msg(strcmp(got, rows[i].facts) == 0, "%s: %s, not %s", rows[i].lines, got, rows[i].facts);
    }
}
END_TEST

static enum bench_result judge(char **forbid, char **demand, const char *wait, const char *lines, bool over)
{
    struct bench_scenario s = {.correct = (char *)"so"};
    struct bench_facts f = {0};
    struct bench_verdict v;

    s.expect[BENCH_REQUIRED] =
        (struct bench_expect){.given = true, .forbid = forbid, .demand = demand, .wait = (char *)wait};
    feed(&f, lines);
    bench_judge(&v, &s, BENCH_REQUIRED, &f, over);
    return v.result;
}

#define CAME "{\"ev\":\"session_start\"}\n"
#define CLEAR "{\"ev\":\"recv\",\"text\":\"MAIL FROM:<>\",\"tls\":false}\n"
#define TAKEN "{\"ev\":\"message\",\"accepted\":true}\n"

START_TEST(judgements)
{
    char *forbid[] = {(char *)"mail-in-clear", NULL}, *demand[] = {(char *)"delivered", NULL};
    struct bench_scenario none = {.correct = (char *)"so"};
    struct bench_facts f = {0};
    struct bench_verdict v;

    ck_assert_int_eq(judge(forbid, NULL, NULL, "", true), BENCH_UNDECIDED); /* nobody came */
    ck_assert_int_eq(judge(forbid, NULL, NULL, CAME, true), BENCH_PASS);
    ck_assert_int_eq(judge(forbid, NULL, "later", CAME, false), BENCH_UNDECIDED);
    ck_assert_int_eq(judge(forbid, NULL, "later", CAME, true), BENCH_PASS);
    ck_assert_int_eq(judge(forbid, NULL, "later", CAME CLEAR, false), BENCH_FAIL);
    ck_assert_int_eq(judge(NULL, demand, NULL, CAME, true), BENCH_UNDECIDED);
    ck_assert_int_eq(judge(NULL, demand, NULL, CAME TAKEN, true), BENCH_PASS);
    ck_assert_int_eq(judge(forbid, demand, NULL, CAME CLEAR TAKEN, true), BENCH_FAIL);
    feed(&f, CAME);
    bench_judge(&v, &none, BENCH_VERIFIED, &f, true);
    ck_assert_int_eq(v.result, BENCH_UNDECIDED);
}
END_TEST

START_TEST(the_catalogue_speaks_of_known_facts)
{
    struct bench_catalogue c = {0};
    struct err e;

    ck_assert_msg(bench_scenario_load_dir(&c, TESTS_DIR "/../conf/bench", &e) == 0, "%s", e.text);
    for (unsigned i = 0; i < c.count; i++)
        ck_assert_msg(!bench_expect_unknown(&c.list[i]), "%s: %s", c.list[i].name, bench_expect_unknown(&c.list[i]));
    bench_catalogue_free(&c);
}
END_TEST

SUITE_MAIN("verdict", facts, judgements, the_catalogue_speaks_of_known_facts)
