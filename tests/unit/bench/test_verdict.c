#include <string.h>

#include "bench/scenario_file.h"
#include "bench/verdict.h"
#include "unit/suite.h"

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

static enum bench_result judge(char **forbid, char **demand, const char *wait, const char *lines, bool over)
{
    struct bench_scenario s = {.correct = (char *)"so"};
    struct bench_facts f = {0};
    struct bench_verdict v;

    s.expect[BENCH_OPPORTUNISTIC] =
        (struct bench_expect){.given = true, .forbid = forbid, .demand = demand, .wait = (char *)wait};
    feed(&f, lines);
    bench_judge(&v, &s, BENCH_OPPORTUNISTIC, &f, over);
    return v.result;
}

#define CAME "{\"ev\":\"session_start\",\"sid\":\"1\"}\n"
#define LEFT "{\"ev\":\"session_end\",\"sid\":\"1\",\"by\":\"server\"}\n"
#define CLEAR "{\"ev\":\"recv\",\"sid\":\"1\",\"seq\":4,\"verb\":\"MAIL\",\"arg\":\"FROM:<a@x>\"}\n"
#define TAKEN "{\"ev\":\"message\",\"sid\":\"1\",\"seq\":9,\"accepted\":true}\n"

START_TEST(judgements)
{
    char *forbid[] = {(char *)"mail", NULL}, *demand[] = {(char *)"delivered", NULL};
    struct bench_scenario none = {.correct = (char *)"so"};
    struct bench_facts f = {0};
    struct bench_verdict v;

    ck_assert_int_eq(judge(forbid, NULL, NULL, "", true), BENCH_UNDECIDED); /* nobody came */
    ck_assert_int_eq(judge(forbid, NULL, NULL, CAME, true), BENCH_PASS);
    ck_assert_int_eq(judge(forbid, NULL, "later", CAME, false), BENCH_UNDECIDED);
    ck_assert_int_eq(judge(forbid, NULL, "later", CAME, true), BENCH_PASS);
    ck_assert_int_eq(judge(forbid, NULL, "later", CAME LEFT CAME, false), BENCH_PASS); /* it came back */
    ck_assert_int_eq(judge(forbid, NULL, "later", CAME CLEAR, false), BENCH_FAIL);
    ck_assert_int_eq(judge(NULL, demand, NULL, CAME, true), BENCH_UNDECIDED);
    ck_assert_int_eq(judge(NULL, demand, NULL, CAME TAKEN, true), BENCH_PASS);
    ck_assert_int_eq(judge(forbid, demand, NULL, CAME CLEAR TAKEN, true), BENCH_FAIL);
    feed(&f, CAME);
    bench_judge(&v, &none, BENCH_VERIFIED, &f, true);
    ck_assert_int_eq(v.result, BENCH_UNDECIDED); /* nothing is expected */
    none.expect[BENCH_VERIFIED] = (struct bench_expect){.given = true, .undecided = (char *)"unseen"};
    bench_judge(&v, &none, BENCH_VERIFIED, &f, true);
    ck_assert_int_eq(v.result, BENCH_UNDECIDED);
    ck_assert_str_eq(v.why, "unseen");
}
END_TEST

START_TEST(a_policy_has_rules_of_its_own)
{
    struct bench_scenario s = {.correct = (char *)"so"};
    struct bench_facts f = {0};
    struct bench_verdict v;

    feed(&f, CAME CLEAR);
    bench_judge(&v, &s, BENCH_OPPORTUNISTIC, &f, true);
    ck_assert_int_eq(v.result, BENCH_UNDECIDED);
    for (int p = BENCH_REQUIRED; p <= BENCH_VERIFIED; p++) {
        bench_judge(&v, &s, (enum bench_policy)p, &f, true);
        ck_assert_int_eq(v.result, BENCH_FAIL);
        ck_assert_str_eq(v.why, "mail-in-clear: line 4 of 1");
    }
}
END_TEST

START_TEST(as_json)
{
    char *forbid[] = {(char *)"auth", NULL}, *demand[] = {(char *)"delivered", (char *)"quit", NULL};
    struct bench_scenario s = {.name = (char *)"n", .correct = (char *)"so"};
    struct bench_facts f = {0};
    struct bench_verdict v;
    json_t *got,
        *want = json_loads("{\"scenario\":\"n\",\"policy\":\"required\",\"result\":\"fail\",\"why\":\"mail-in-clear: "
                           "line 4 of 1\",\"rules\":["
                           "{\"id\":\"mail-in-clear\",\"kind\":\"forbid\",\"ok\":false,\"why\":\"MAIL outside "
                           "TLS\",\"sid\":\"1\",\"seq\":4},"
                           "{\"id\":\"auth-in-clear\",\"kind\":\"forbid\",\"ok\":true,\"why\":\"AUTH outside TLS\"},"
                           "{\"id\":\"auth\",\"kind\":\"forbid\",\"ok\":true,\"why\":\"AUTH\"},"
                           "{\"id\":\"delivered\",\"kind\":\"demand\",\"ok\":true,\"why\":\"a message was "
                           "taken\",\"sid\":\"1\",\"seq\":9},"
                           "{\"id\":\"quit\",\"kind\":\"demand\",\"ok\":null,\"why\":\"QUIT\"}]}",
                           0, NULL);

    s.expect[BENCH_REQUIRED] = (struct bench_expect){.given = true, .forbid = forbid, .demand = demand};
    feed(&f, CAME CLEAR TAKEN);
    bench_judge(&v, &s, BENCH_REQUIRED, &f, true);
    got = bench_verdict_json(&s, BENCH_REQUIRED, &v);
    ck_assert_msg(want && json_equal(got, want), "%s", json_dumps(got, 0));
    json_decref(got);
    json_decref(want);
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

SUITE_MAIN("verdict", judgements, a_policy_has_rules_of_its_own, as_json, the_catalogue_speaks_of_known_facts)
