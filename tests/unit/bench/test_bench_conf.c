/* bench.conf: the sample is right, and tests/tables/bench_conf_errors: each .conf is wrong, and .problem is what is said. */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/bench_conf.h"
#include "unit/suite.h"

#define BUILTIN TESTS_DIR "/../conf/bench"
#define FEW TESTS_DIR "/tables/bench_conf_catalogue" /* of which the errors need no more */

START_TEST(the_sample)
{
    struct bench_conf c;
    const struct bench_scenario *s;
    struct err e;

    ck_assert_msg(bench_conf_load(&c, TESTS_DIR "/../conf/bench.conf", BUILTIN, &e) == 0, "%s", e.text);
    ck_assert_str_eq(c.hostname, "mx.bench.test");
    ck_assert_str_eq(c.pki, TESTS_DIR "/../conf/bench-pki");
    ck_assert(c.each && c.pool == 65534 && addr_port(&c.each_at) == 2525);
    ck_assert(c.capture.body && !c.capture.keep_auth && c.capture.max_mib == 512 && c.capture.max_sessions == 20000);
    ck_assert(c.api.on && c.api.write && addr_port(&c.api.listen) == 8026);
    ck_assert_str_eq(c.api.token_file, TESTS_DIR "/../conf/bench-out/api.token");
    ck_assert_uint_eq(c.listener_count, 2);
    ck_assert_uint_eq(c.listeners[0].address_count, 2);
    ck_assert(c.listeners[0].select && !c.listeners[0].implicit && c.listeners[1].implicit);
    s = bench_catalogue_find(&c.scenarios, "acme-exchange");
    ck_assert(s && s->step_count == 2 && strcmp(s->select.rcpt[0], "*@acme.test") == 0);
    ck_assert_ptr_nonnull(bench_catalogue_find(&c.scenarios, "starttls.absent"));
    bench_conf_free(&c);
}
END_TEST

START_TEST(an_empty_file)
{
    char path[] = "/tmp/postern-bench-conf-XXXXXX";
    struct bench_conf c;
    struct err e;
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_msg(bench_conf_load(&c, path, BUILTIN, &e) == 0, "%s", e.text);
    ck_assert(c.each && !c.pool && addr_port(&c.each_at) == 0 && !c.api.on && !c.expose);
    ck_assert_str_eq(c.capture.dir, "bench-out");
    bench_conf_free(&c);
    unlink(path);
}
END_TEST

/* What is to be said, without the directory; where there is no file, anything that names the .conf and a line. */
static void check(const char *path)
{
    char wanted[600] = "", *beside = mem_strn(path, strlen(path) - strlen("conf")), *problem;
    const char *base = strrchr(path, '/') + 1;
    struct bench_conf c;
    struct err e;
    FILE *f;

    problem = mem_printf("%sproblem", beside);
    ck_assert_msg(bench_conf_load(&c, path, FEW, &e) < 0, "%s: nothing is wrong with it", base);
    f = fopen(problem, "r");
    if (f) {
        ck_assert_ptr_nonnull(fgets(wanted, sizeof wanted, f));
        fclose(f);
        wanted[strcspn(wanted, "\n")] = '\0';
        ck_assert_msg(strstr(e.text, wanted) && strlen(strstr(e.text, wanted)) == strlen(wanted), "%s: %s, not %s",
                      base, e.text, wanted);
    } else {
        ck_assert_msg(strstr(e.text, base) || strstr(e.text, "nowhere"), "%s: %s", base, e.text);
    }
    free(beside);
    free(problem);
}

START_TEST(what_is_wrong)
{
    glob_t g;

    ck_assert_int_eq(glob(TESTS_DIR "/tables/bench_conf_errors/*.conf", 0, NULL, &g), 0);
    ck_assert_uint_gt(g.gl_pathc, 30);
    for (size_t i = 0; i < g.gl_pathc; i++)
        check(g.gl_pathv[i]);
    globfree(&g);
}
END_TEST

SUITE_MAIN("bench_conf", the_sample, an_empty_file, what_is_wrong)
