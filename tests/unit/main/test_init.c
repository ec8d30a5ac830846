#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "main/init.h"
#include "proc/generation.h"
#include "proc/report.h"
#include "unit/suite.h"

static char top[64];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *w)
{
    (void)st;
    (void)kind;
    (void)w;
    return remove(path);
}

static void set_up(void)
{
    snprintf(top, sizeof top, "/tmp/postern-init-XXXXXX");
    ck_assert(mkdtemp(top) != NULL);
    chmod(top, 0755);
}

static void tear_down(void)
{
    nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct init_set set_in(const char *name)
{
    return (struct init_set){.dir = mem_printf("%s/%s", top, name), .domain = "example.test", .port = 2525};
}

static bool is_there(const char *dir, const char *name, mode_t mode)
{
    char *path = mem_printf("%s/%s", dir, name);
    struct stat st;
    bool ok = stat(path, &st) == 0 && (st.st_mode & 0777) == mode;

    free(path);
    return ok;
}

START_TEST(a_whole_set)
{
    struct init_set s;
    struct conf_problems p = {0};
    struct generation *g = NULL;
    char *conf, *text;
    json_t *report;
    struct err e;

    set_up();
    s = set_in("demo");
    ck_assert_msg(init_write(&s, &e) == 0, "%s", e.text);
    ck_assert(is_there(s.dir, "postern.conf", 0644) && is_there(s.dir, "key.pem", 0600) &&
              is_there(s.dir, "users", 0600) && is_there(s.dir, "alice-password", 0600) &&
              is_there(s.dir, "mail", 0700));
    /* what run and check would make of it */
    conf = mem_printf("%s/postern.conf", s.dir);
    ck_assert_int_eq(generation_build(&g, GENERATION_FULL, conf, NULL, &p), 0);
    ck_assert_uint_eq(p.count, 0);
    ck_assert_uint_eq(g->conf->listener_count, 3);
    ck_assert_uint_eq(g->conf->mailbox_count, 2);
    ck_assert_uint_eq(addr_port(&g->conf->listeners[0].addresses[0]), 2525);
    ck_assert_uint_eq(addr_port(&g->conf->listeners[1].addresses[0]), 2587);
    ck_assert_uint_eq(addr_port(&g->conf->listeners[2].addresses[0]), 2465);
    ck_assert_int_eq(g->conf->listeners[0].role, CONF_ROLE_MX);
    ck_assert_int_eq(g->conf->listeners[1].role, CONF_ROLE_SUBMISSION);
    ck_assert_int_eq(g->conf->listeners[2].role, CONF_ROLE_SUBMISSION);
    report = report_listeners(g, g->loaded_at);
    ck_assert_int_eq(report_exit_code(report), 0);
    json_decref(report);
    generation_free(&g);
    conf_problems_free(&p);
    text = init_show("build/postern", s.dir, &e);
    ck_assert_ptr_nonnull(text);
    ck_assert(strstr(text, "swaks --server 127.0.0.1:2525 --to alice@example.test"));
    ck_assert(strstr(text, "openssl s_client -connect 127.0.0.1:2525 -starttls smtp"));
    ck_assert(strstr(text, "build/postern why -c "));
    free(text);
    free(conf);
    free((char *)s.dir);
    tear_down();
}
END_TEST

START_TEST(not_over_another)
{
    struct init_set s;
    char *mail;
    struct err e;

    set_up();
    s = set_in("demo");
    ck_assert_int_eq(init_write(&s, &e), 0);
    mail = mem_printf("%s/mail/kept", s.dir);
    ck_assert_int_eq(mkdir(mail, 0700), 0);
    ck_assert_int_lt(init_write(&s, &e), 0);
    ck_assert(strstr(e.text, "--force"));
    s.force = true;
    s.port = 3525;
    ck_assert_int_eq(init_write(&s, &e), 0);
    ck_assert_int_eq(access(mail, F_OK), 0);
    free(mail);
    {
        char *text = init_show("postern", s.dir, &e);

        ck_assert(text && strstr(text, "127.0.0.1:3525"));
        free(text);
    }
    free((char *)s.dir);
    tear_down();
}
END_TEST

START_TEST(what_cannot_be)
{
    struct init_set s;
    struct err e;

    set_up();
    s = set_in("no/such/parent");
    ck_assert_int_lt(init_write(&s, &e), 0);
    ck_assert(strstr(e.text, "no/such/parent"));
    free((char *)s.dir);
    s = set_in("a\"quote");
    ck_assert_int_lt(init_write(&s, &e), 0);
    free((char *)s.dir);
    s = set_in("empty");
    ck_assert_ptr_null(init_show("postern", s.dir, &e));
    ck_assert(strstr(e.text, "postern init --dir"));
    free((char *)s.dir);
    tear_down();
}
END_TEST

START_TEST(domains)
{
    static const char *const good[] = {"example.test", "a.b", "xn--bcher-kva.example", "1.example", "a-b.example"};
    static const char *const bad[] = {"",           "example", ".test",    "example.", "a..b",
                                      "-a.test",    "a-.test", "a b.test", "a\".test", "b\303\274cher.example",
                                      "a/../b.test"};
    char label[80];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(init_is_domain(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!init_is_domain(bad[i]), "%s", bad[i]);
    memset(label, 'a', 64);
    memcpy(label + 64, ".test", 6);
    ck_assert(!init_is_domain(label));
    ck_assert(init_is_domain(label + 1));
}
END_TEST

/* As root: the mail belongs to the account. */
START_TEST(as_root)
{
    struct init_set s;
    struct stat st;
    char *path;
    struct err e;

    if (geteuid() != 0 || !getpwnam("daemon")) {
        printf("SKIP as_root: not root, or no account \"daemon\"\n");
        return;
    }
    set_up();
    s = set_in("demo");
    s.user = "daemon";
    ck_assert_int_eq(init_write(&s, &e), 0);
    path = mem_printf("%s/mail", s.dir);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, getpwnam("daemon")->pw_uid);
    free(path);
    free((char *)s.dir);
    tear_down();
}
END_TEST

SUITE_MAIN("init", a_whole_set, not_over_another, what_cannot_be, domains, as_root)
