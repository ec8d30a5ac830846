#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/bench_count.h"
#include "bench/scenario_file.h"
#include "unit/suite.h"

START_TEST(bytes)
{
    struct bench_bytes b;
    struct err e;

    ck_assert_int_eq(bench_bytes_parse(&b, "a%r%n%00%fF%%z", &e), 0);
    ck_assert_uint_eq(b.n, 7);
    ck_assert_mem_eq(b.p, "a\r\n\0\xff%z", 7);
    free(b.p);
    ck_assert_int_lt(bench_bytes_parse(&b, "%4", &e), 0);
    ck_assert_int_lt(bench_bytes_parse(&b, "%", &e), 0);
    ck_assert_int_lt(bench_bytes_parse(&b, "%xy", &e), 0);
}
END_TEST

START_TEST(the_catalogue_is_whole)
{
    struct bench_catalogue c = {0};
    const struct bench_scenario *s;
    struct err e;

    ck_assert_msg(bench_scenario_load_dir(&c, TESTS_DIR "/../conf/bench", &e) == 0, "%s", e.text);
    ck_assert_uint_gt(c.count, 100);
    for (unsigned i = 0; i < c.count; i++) {
        s = &c.list[i];
        ck_assert_msg(*s->doc && *s->correct && *s->source, "%s: it must be told what, what then, and says who",
                      s->name);
    }
    s = bench_catalogue_find(&c, "starttls.inject-reply");
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->step_count, 2);
    ck_assert_ptr_null(s->steps[0].reply.p);
    ck_assert_ptr_nonnull(strstr(s->steps[0].inject.p, "AUTH PLAIN"));
    ck_assert_str_eq(s->expect[BENCH_REQUIRED].forbid[0], "forged-used");
    ck_assert_ptr_null(bench_catalogue_find(&c, "starttls"));
    bench_catalogue_free(&c);
}
END_TEST

/* tests/tables/bench_scenario_errors: each file with what is said of it, file and line first. */
START_TEST(what_is_wrong_is_told_to_the_letter)
{
    char here[4096], want[600];
    glob_t g;

    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    ck_assert_int_eq(chdir(TESTS_DIR "/tables/bench_scenario_errors"), 0);
    ck_assert_int_eq(glob("*.conf", 0, NULL, &g), 0);
    ck_assert_uint_gt(g.gl_pathc, 40);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        struct bench_catalogue c = {0};
        char *path = mem_printf("%.*s.error", (int)strlen(g.gl_pathv[i]) - 5, g.gl_pathv[i]);
        FILE *f = fopen(path, "re");
        struct err e = {"nothing"};

        ck_assert_msg(f && fgets(want, sizeof want, f), "%s", path);
        want[strcspn(want, "\n")] = '\0';
        fclose(f);
        free(path);
        ck_assert_msg(bench_scenario_load(&c, g.gl_pathv[i], &e) < 0, "%s", g.gl_pathv[i]);
        ck_assert_str_eq(e.text, want);
        ck_assert_uint_eq(c.count, 0);
        bench_catalogue_free(&c);
    }
    globfree(&g);
    ck_assert_int_eq(chdir(here), 0);
}
END_TEST

START_TEST(a_file_in_a_file)
{
    struct bench_catalogue c = {0};
    char dir[] = "/tmp/postern-scenario-XXXXXX", *main_file, *other;
    struct err e;
    FILE *f;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    main_file = mem_printf("%s/main.conf", dir);
    other = mem_printf("%s/other.inc", dir);
    f = fopen(main_file, "we");
    fputs("# one\nscenario \"a\" { doc = \"no # comment, no include(\\\"x\\\")\" } include(\"other.inc\") // two\n"
          "scenario \"b\" {\n step {\n  at = noop\n }\n}",
          f);
    fclose(f);
    f = fopen(other, "we");
    fputs("/* of\nthree */ scenario \"c\" { }", f);
    fclose(f);
    ck_assert_msg(bench_scenario_load(&c, main_file, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(c.count, 3);
    ck_assert_str_eq(c.list[0].doc, "no # comment, no include(\"x\")");
    ck_assert_str_eq(c.list[1].name, "c");
    ck_assert_str_eq(c.list[1].file, other);
    ck_assert_uint_eq(c.list[1].line, 2);
    ck_assert_str_eq(c.list[2].file, main_file);
    ck_assert_uint_eq(c.list[2].line, 3);
    ck_assert_uint_eq(c.list[2].steps[0].line, 4);
    bench_catalogue_free(&c);
    unlink(main_file);
    unlink(other);
    rmdir(dir);
    free(main_file);
    free(other);
}
END_TEST

/* A ladder of files, each with the next one inside. */
START_TEST(too_many_files_in_files)
{
    struct bench_catalogue c = {0};
    char dir[] = "/tmp/postern-scenario-XXXXXX";
    struct err e;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    for (unsigned i = 0; i < 12; i++) {
        char *path = mem_printf("%s/%u", dir, i);
        FILE *f = fopen(path, "we");

        fprintf(f, "include(\"%u\")\n", i + 1);
        fclose(f);
        free(path);
    }
    {
        char *path = mem_printf("%s/0", dir);

        ck_assert_int_lt(bench_scenario_load(&c, path, &e), 0);
        ck_assert_msg(strstr(e.text, "/10:1 (included by") && strstr(e.text, "too many files inside of files"), "%s",
                      e.text);
        free(path);
    }
    for (unsigned i = 0; i < 12; i++) {
        char *path = mem_printf("%s/%u", dir, i);

        unlink(path);
        free(path);
    }
    rmdir(dir);
    bench_catalogue_free(&c);
}
END_TEST

static const struct {
    const char *text, *says;
} wrong[] = {
    {"scenario \"x\" { step { reply = {\"220 x\"} } }", "at which point"},
    {"scenario \"x\" { step { at = lunch } }", "lunch"},
    {"scenario \"x\" { step { at = mail then = explode } }", "then"},
    {"scenario \"x\" { step { at = mail per = day } }", "per"},
    {"scenario \"x\" { step { at = mail raw = \"%0\" } }", "raw"},
    {"scenario \"x\" { step { at = mail raw = \"x\" reply = {\"250 x\"} } }", "remove one"},
    {"scenario \"x\" { step { at = mail chance = 1001 } }", "chance"},
    {"scenario \"x\" { recipients = 0 }", "recipients"},
    {"scenario \"x\" { recipients = 101 }", "recipients"},
    {"scenario \"x\" { recipients = {\"a b\"} }", "recipients"},
    {"scenario \"x\" { recipients = {\"a\", \"\"} }", "recipients"},
    {"scenario \"x\" { messages = 0 }", "messages"},
    {"scenario \"x\" { messages = 21 }", "messages"},
    {"scenario \"x\" { colour = \"red\" }", "colour"},
    {"scenario \"x\" { } scenario \"x\" { }", "second"},
    {"scenario \"x\" { expect somebody { } }", "opportunistic"},
    {"scenario \"x\" { step { at = mail", ""},
};

START_TEST(what_is_wrong_is_told)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char path[] = "/tmp/postern-scenario-XXXXXX";
        struct bench_catalogue c = {0};
        int fd = mkstemp(path);
        struct err e;

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, wrong[i].text, strlen(wrong[i].text)), (ssize_t)strlen(wrong[i].text));
        close(fd);
        ck_assert_msg(bench_scenario_load(&c, path, &e) < 0, "%s", wrong[i].text);
        ck_assert_msg(strstr(e.text, path) && strstr(e.text, wrong[i].says), "%s: %s", wrong[i].text, e.text);
        ck_assert_uint_eq(c.count, 0);
        bench_catalogue_free(&c);
        unlink(path);
    }
}
END_TEST

START_TEST(what_is_to_be_sent)
{
    static const char text[] = "scenario \"one\" { }\n"
                               "scenario \"three\" { recipients = 3 messages = 2 }\n"
                               "scenario \"named\" { recipients = {\"good\", \"bad-1\"} }\n";
    char path[] = "/tmp/postern-scenario-XXXXXX";
    struct bench_catalogue c = {0};
    int fd = mkstemp(path);
    struct err e;

    ck_assert_int_eq(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(fd);
    ck_assert_msg(bench_scenario_load(&c, path, &e) == 0, "%s", e.text);
    ck_assert_str_eq(c.list[0].recipients[0], "rcpt");
    ck_assert_ptr_null(c.list[0].recipients[1]);
    ck_assert_uint_eq(c.list[0].messages, 1);
    ck_assert_str_eq(c.list[1].recipients[0], "rcpt");
    ck_assert_str_eq(c.list[1].recipients[2], "rcpt-3");
    ck_assert_ptr_null(c.list[1].recipients[3]);
    ck_assert_uint_eq(c.list[1].messages, 2);
    ck_assert_str_eq(c.list[2].recipients[1], "bad-1");
    bench_catalogue_free(&c);
    unlink(path);
}
END_TEST

/* They mean the same however they are written, since they are compared where they are used. */
START_TEST(words_are_taken_in_any_case)
{
    static const char text[] =
        "scenario \"x\" { ehlo { starttls = FIRST } tls { told = Implicit client_cert = Required "
        "ocsp = GOOD tickets = Garbage } }";
    struct bench_catalogue c = {0};
    const struct bench_tls *t;
    struct err e;

    ck_assert_msg(bench_scenario_load_text(&c, "x", text, &e) == 0, "%s", e.text);
    t = &c.list[0].tls;
    ck_assert_str_eq(c.list[0].ehlo.starttls, "first");
    ck_assert(bench_told_implicit(&c.list[0], false));
    ck_assert_str_eq(t->client_cert, "required");
    ck_assert_str_eq(t->ocsp, "good");
    ck_assert_str_eq(t->tickets, "garbage");
    ck_assert_ptr_null(t->min);
    bench_catalogue_free(&c);
}
END_TEST

/* Which of ten times a step acts. */
static void acts(const struct bench_step *s, int64_t step_s, char out[11])
{
    struct bench_count *c = bench_count_new(7);
    unsigned count;

    for (unsigned i = 0; i < 10; i++) {
        out[i] = bench_count_acts(c, s, 1, "k", i * step_s, &count) ? 'x' : '.';
        ck_assert_uint_eq(count, i + 1);
    }
    out[10] = '\0';
    bench_count_free(&c);
}

/* `any` and a policy's own add up. */
START_TEST(what_is_expected)
{
    static const char text[] = "scenario \"x\" { expect required { forbid = {\"auth\"} wait = \"w\" } "
                               "expect any { forbid = {\"mail\"} demand = {\"tls\"} undecided = \"u\" } }";
    char path[] = "/tmp/postern-scenario-XXXXXX";
    struct bench_catalogue c = {0};
    int fd = mkstemp(path);
    const struct bench_expect *x;
    struct err e;

    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    ck_assert_msg(bench_scenario_load(&c, path, &e) == 0, "%s", e.text);
    unlink(path);
    x = c.list[0].expect;
    ck_assert_str_eq(x[BENCH_REQUIRED].forbid[0], "auth");
    ck_assert_str_eq(x[BENCH_REQUIRED].forbid[1], "mail");
    ck_assert_str_eq(x[BENCH_REQUIRED].wait, "w");
    ck_assert_str_eq(x[BENCH_VERIFIED].forbid[0], "mail");
    ck_assert_ptr_null(x[BENCH_VERIFIED].forbid[1]);
    ck_assert_str_eq(x[BENCH_VERIFIED].demand[0], "tls");
    ck_assert_ptr_null(x[BENCH_VERIFIED].wait);
    for (int p = 0; p < BENCH_POLICIES; p++)
        ck_assert(x[p].given && strcmp(x[p].undecided, "u") == 0);
    bench_catalogue_free(&c);
}
END_TEST

START_TEST(counters)
{
    static const struct {
        struct bench_step step;
        const char *acts;
    } rows[] = {
        {{.chance = 1000}, "xxxxxxxxxx"},
        {{.chance = 1000, .times = 3}, "xxx......."},
        {{.chance = 1000, .after = 2}, "..xxxxxxxx"},
        {{.chance = 1000, .after = 2, .times = 3}, "..xxx....."},
        {{.chance = 1000, .every = 3}, "..x..x..x."},
        {{.chance = 1000, .after = 1, .every = 2}, "..x.x.x.x."},
        {{.chance = 1000, .until_s = 4}, "xxxx......"},
        {{.chance = 0}, ".........."},
    };
    struct bench_step half = {.chance = 500};
    char got[11], again[11];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        acts(&rows[i].step, 1, got);
        ck_assert_msg(strcmp(got, rows[i].acts) == 0, "row %zu: %s, not %s", i, got, rows[i].acts);
    }
    acts(&half, 0, got);
    acts(&half, 0, again);
    ck_assert_str_eq(got, again); /* the same seed */
    ck_assert_ptr_nonnull(strchr(got, 'x'));
    ck_assert_ptr_nonnull(strchr(got, '.'));
}
END_TEST

START_TEST(counted_apart)
{
    struct bench_count *c = bench_count_new(1);
    struct bench_step a = {.chance = 1000, .times = 1}, b = a;
    unsigned count;

    ck_assert(bench_count_acts(c, &a, 1, "x", 0, &count));
    ck_assert(bench_count_acts(c, &b, 2, "x", 0, &count));
    ck_assert(bench_count_acts(c, &a, 1, "y", 0, &count));
    ck_assert(!bench_count_acts(c, &a, 1, "x", 0, &count));
    bench_count_free(&c);
}
END_TEST

/* What is drawn depends on seed, step and key, and not on what else was drawn. */
START_TEST(chance_is_nobody_elses)
{
    struct bench_count *c = bench_count_new(7), *d = bench_count_new(7), *other = bench_count_new(8);
    struct bench_step half = {.chance = 500};
    unsigned count, differ = 0;

    for (unsigned i = 0; i < 200; i++) {
        bool first;

        bench_count_acts(c, &half, 5, "noise", 0, &count);
        bench_count_acts(c, &half, 1, "noise", 0, &count);
        first = bench_count_acts(c, &half, 1, "k", 0, &count);
        ck_assert(first == bench_count_acts(d, &half, 1, "k", 0, &count));
        differ += first != bench_count_acts(other, &half, 1, "k", 0, &count);
    }
    ck_assert_uint_gt(differ, 50);
    bench_count_free(&c);
    bench_count_free(&d);
    bench_count_free(&other);
}
END_TEST

START_TEST(counters_are_bounded)
{
    struct bench_count *c = bench_count_new(1);
    struct bench_step once = {.chance = 1000, .times = 1};
    char key[20];
    unsigned count;

    for (unsigned i = 0; i <= BENCH_COUNT_MOST; i++) {
        snprintf(key, sizeof key, "%u", i);
        ck_assert(bench_count_acts(c, &once, 1, key, 0, &count));
    }
    ck_assert(!bench_count_acts(c, &once, 1, "1", 0, &count));
    ck_assert(bench_count_acts(c, &once, 1, "0", 0, &count)); /* the oldest is forgotten */
    bench_count_free(&c);
}
END_TEST

SUITE_MAIN("scenario", chance_is_nobody_elses, counters_are_bounded, bytes, the_catalogue_is_whole, what_is_to_be_sent,
           words_are_taken_in_any_case, what_is_wrong_is_told, what_is_wrong_is_told_to_the_letter, a_file_in_a_file,
           too_many_files_in_files, what_is_expected, counters, counted_apart)
