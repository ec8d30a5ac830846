/* Command lines: what is taken, and what is said of the others. */
#include <stdio.h>
#include <string.h>

#include "bench/bench_options.h"
#include "unit/suite.h"

static struct bench_options o;
static struct err e;

static int parse(const char *command, const char *words)
{
    static char line[512];
    char *argv[64];
    int argc = 0;

    memset(&o, 0, sizeof o);
    snprintf(line, sizeof line, "%s", words);
    for (char *w = strtok(line, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    argv[argc] = NULL;
    return bench_options_parse(&o, command, argc, argv, &e);
}

START_TEST(taken)
{
    ck_assert_int_eq(parse("run", "--only a,b --only=c --jobs 3 --seed 18446744073709551615 --tap -- cmd --jobs x"), 0);
    ck_assert_uint_eq(o.only_count, 2);
    ck_assert_str_eq(o.only[0], "a,b");
    ck_assert_str_eq(o.only[1], "c");
    ck_assert_uint_eq(o.jobs, 3);
    ck_assert_uint_eq(o.seed, UINT64_MAX);
    ck_assert(o.tap && !o.queue);
    ck_assert_str_eq(o.command[0], "cmd");
    ck_assert_str_eq(o.command[1], "--jobs");
    ck_assert_int_eq(parse("transcript", "-"), 0);
    ck_assert_str_eq(o.word, "-");
    ck_assert_int_eq(parse("run", "--"), 0);
    ck_assert_ptr_null(o.command);
}
END_TEST

static const struct {
    const char *command, *words, *error;
} wrong[] = {
    {"run", "--onyl x", "--onyl: unknown option; did you mean --only?"},
    {"run", "--nothing-like-it", "--nothing-like-it: unknown option"},
    {"serve", "--tap", "serve takes no --tap"},
    {"run", "--tap=yes", "--tap takes no value"},
    {"run", "--only", "--only GLOB,...: what stands for GLOB,... is missing"},
    {"run", "--only -- cmd", "--only GLOB,...: what stands for GLOB,... is missing"},
    {"run", "--jobs 0", "--jobs 0: a number from 1 to 256 is wanted"},
    {"run", "--jobs -1", "--jobs -1: a number from 1 to 256 is wanted"},
    {"run", "--jobs=", "--jobs : a number from 1 to 256 is wanted"},
    {"run", "--seed x", "--seed x: a number is wanted"},
    {"show", "a b", "b: a is there already"},
};

START_TEST(refused)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(parse(wrong[i].command, wrong[i].words) == -1, "%s", wrong[i].words);
        ck_assert_str_eq(e.text, wrong[i].error);
    }
}
END_TEST

START_TEST(not_without_bound)
{
    char words[512] = "";

    for (unsigned i = 0; i <= BENCH_FILES && strlen(words) < sizeof words - 16; i++)
        strcat(words, "--scenario=x ");
    ck_assert_int_eq(parse("list", words), -1);
    ck_assert_str_eq(e.text, "--scenario: more than 32 of them");
}
END_TEST

SUITE_MAIN("options", taken, refused, not_without_bound)
