#include "conf/conf_users.h"

#include <stdio.h>
#include <string.h>

#include "unit/suite.h"

#define HASH "$y$j9T$9HLb/eChSmMakbC8o8Ph30$9/3QFODr28gffZsiI2GIi7k4NUAWxUKDKDkq4QFZxl4"
#define SCRAM                                                                                                          \
    "SCRAM-SHA-256,4096,MumqSuI4egEi2w0NzZTN1w==,e5/ZbMgu7IE2AAcpryWuJT02YiGwq8Pev3bAwW2NOdo=,"                        \
    "tFReNx/tq/CmeiyvA4Q6HY84XaYjlXfxstzsfgalylY="

static char said[2000];

static void say(void *arg, unsigned line, const char *text)
{
    size_t n = strlen(said);

    (void)arg;
    snprintf(said + n, sizeof said - n, "%u: %s\n", line, text);
}

static struct conf_users *parse(const char *text)
{
    said[0] = '\0';
    return conf_users_parse(text, strlen(text), say, NULL);
}

START_TEST(good_files)
{
    struct conf_users *u =
        parse("# who\n\n  Carol@EXAMPLE.org:" HASH "  \r\nalice@example.org:" HASH ":" SCRAM "\nb\xc3\xb6@B\xc3\x9c"
              "CHER.example:" HASH);
    const struct conf_user *one;

    ck_assert_msg(u != NULL, "%s", said);
    ck_assert_uint_eq(u->count, 3);
    ck_assert(!u->scram); /* not everybody could use it */
    one = conf_users_find(u, SPAN("ALICE@Example.ORG"));
    ck_assert_ptr_nonnull(one);
    ck_assert_str_eq(one->hash, HASH);
    ck_assert_uint_eq(one->iterations, 4096);
    ck_assert_str_eq(one->salt, "MumqSuI4egEi2w0NzZTN1w==");
    one = conf_users_find(u, SPAN("carol@example.org"));
    ck_assert(one && !one->salt && one->line == 3);
    ck_assert_ptr_null(conf_users_find(u, SPAN("alice")));
    ck_assert_ptr_null(conf_users_find(u, SPAN("alice@example.com")));
    ck_assert_ptr_null(conf_users_find(u, SPAN("")));
    ck_assert_ptr_nonnull(conf_users_find(u, SPAN("b\xc3\xb6@xn--bcher-kva.example")));
    conf_users_free(&u);
    u = parse("");
    ck_assert(u && u->count == 0 && !u->scram);
    ck_assert_ptr_null(conf_users_find(u, SPAN("alice@example.org")));
    conf_users_free(&u);
    u = parse("alice@example.org:" HASH ":" SCRAM "\n");
    ck_assert(u && u->scram);
    conf_users_free(&u);
}
END_TEST

START_TEST(bad_lines)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"alice:" HASH, "1: \"alice\" is not a full address"},
        {"@example.org:" HASH, "is not a full address"},
        {"a b@example.org:" HASH, "a character that cannot"},
        {"alice@-x:" HASH, "1: "},
        {"\nalice@example.org", "2: alice@example.org has no hash"},
        {"alice@example.org:", "has no hash"},
        {"alice@example.org:secret", "no hash of crypt(3)"},
        {"alice@example.org:{PLAIN}secret-secret", "no hash of crypt(3)"},
        {"alice@example.org:a-password-in-clear", "no hash of crypt(3)"},
        {"alice@example.org:apasswordinclear", "no hash of crypt(3)"},
        {"alice@example.org:$9$nobody$knows.this.method", "no hash of crypt(3)"},
        {"alice@example.org:*LOCKED*$y$j9T$", "no hash of crypt(3)"},
        {"alice@example.org:" HASH ":more", "only SCRAM-SHA-256"},
        {"alice@example.org:" HASH ":SCRAM-SHA-256,1,c2FsdA==,eA==,eA==", "iterations"},
        {"alice@example.org:" HASH ":SCRAM-SHA-256,4096,c2FsdA==,eA==,eA==", "base64"},
        {"alice@example.org:" HASH "\nbob@example.org:" HASH "\nALICE@example.org:" HASH,
         "3: alice@example.org stands there twice, in lines 1 and 3"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct conf_users *u = parse(rows[i].text);

        ck_assert_msg(!u, "%s", rows[i].text);
        ck_assert_msg(strstr(said, rows[i].says) != NULL ||
                          (strstr(rows[i].says, "stands there") && strstr(said, "stands there twice")),
                      "%s: %s", rows[i].text, said);
    }
}
END_TEST

SUITE_MAIN("conf_users", good_files, bad_lines)
