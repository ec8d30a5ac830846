#include "bench/scenario_file.h"
#include "unit/bench/bench_player.h"
#include "unit/suite.h"

/* Every rule of the catalogue is tried: a sender that is wrong in just that way must get FAIL for it, and a correct one must
 * not, in whichever way it sends. A rule that nobody can break is no rule. */

static struct bench_catalogue catalogue;
static unsigned wrong;

static void load(void)
{
    struct err e;

    ck_assert_msg(bench_scenario_load_dir(&catalogue, TESTS_DIR "/../conf/bench", &e) == 0, "%s", e.text);
    wrong = 0;
}

static void complain(const struct bench_scenario *s, int policy, const char *who, const struct bench_verdict *v)
{
    wrong++;
    fprintf(stderr, "%s, %s, %s: %s: %s\n", s->name, bench_policy_name((enum bench_policy)policy), who,
            bench_result_name(v->result), v->why);
}

static struct bench_verdict judged(const struct bench_scenario *s, int policy, enum player_way way, const char *bad)
{
    struct player *p = player_play(s, (enum bench_policy)policy, way, bad);
    struct bench_verdict v;

    bench_judge(&v, s, (enum bench_policy)policy, &p->f, true);
    player_free(&p);
    return v;
}

static bool fails_for(const struct bench_verdict *v, const char *word)
{
    for (unsigned i = 0; i < v->count; i++)
        if (v->rules[i].forbid && v->rules[i].seen.seen && strcmp(bench_fact_name(v->rules[i].fact), word) == 0)
            return v->result == BENCH_FAIL;
    return false;
}

START_TEST(correct_senders_fail_nothing)
{
    static const char *const ways[] = {"one by one", "pipelined", "in chunks"};
    unsigned passed = 0, all = 0;

    load();
    for (unsigned i = 0; i < catalogue.count; i++)
        for (int p = 0; p < BENCH_POLICIES; p++)
            for (int w = 0; w < PLAYER_WAYS; w++) {
                const struct bench_scenario *s = &catalogue.list[i];
                struct bench_verdict v = judged(s, p, (enum player_way)w, "");

                all++;
                passed += v.result == BENCH_PASS;
                if (v.result == BENCH_FAIL)
                    complain(s, p, ways[w], &v);
                if (getenv("RULES_SHOW") && v.result == BENCH_UNDECIDED)
                    complain(s, p, ways[w], &v);
            }
    bench_catalogue_free(&catalogue);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_gt(passed * 3, all * 2); /* most can be seen to be right */
}
END_TEST

START_TEST(each_rule_can_be_broken)
{
    load();
    for (unsigned i = 0; i < catalogue.count; i++)
        for (int p = 0; p < BENCH_POLICIES; p++)
            for (char **w = catalogue.list[i].expect[p].forbid; w && *w; w++) {
                const struct bench_scenario *s = &catalogue.list[i];
                struct bench_verdict v = judged(s, p, PLAYER_PLAIN, *w);

                if (!s->why_not && !fails_for(&v, *w))
                    complain(s, p, *w, &v);
            }
    bench_catalogue_free(&catalogue);
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(a_policys_own_rules_can_be_broken)
{
    const struct bench_scenario *good;
    const char *word;

    load();
    good = bench_catalogue_find(&catalogue, "good");
    for (int p = 0; p < BENCH_POLICIES; p++)
        for (unsigned i = 0; (word = bench_policy_forbids((enum bench_policy)p, i)); i++) {
            struct bench_verdict v = judged(good, p, PLAYER_PLAIN, word);

            ck_assert_msg(fails_for(&v, word), "%s: %s", word, v.why);
        }
    bench_catalogue_free(&catalogue);
}
END_TEST

/* Something is said of each policy, if only why nothing can be. */
START_TEST(nothing_is_left_unsaid)
{
    load();
    for (unsigned i = 0; i < catalogue.count; i++)
        for (int p = 0; p < BENCH_POLICIES; p++) {
            const struct bench_expect *x = &catalogue.list[i].expect[p];
            struct bench_verdict v = {.result = BENCH_UNDECIDED, .why = "nothing is said"};

            if (catalogue.list[i].why_not)
                continue;
            if (!x->given || (!x->undecided && !(x->demand && *x->demand) && !(x->forbid && *x->forbid)))
                complain(&catalogue.list[i], p, "", &v);
        }
    bench_catalogue_free(&catalogue);
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

SUITE_MAIN("rules", correct_senders_fail_nothing, each_rule_can_be_broken, a_policys_own_rules_can_be_broken,
           nothing_is_left_unsaid)
