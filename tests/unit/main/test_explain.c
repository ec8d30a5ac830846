#include <ctype.h>
#include <glob.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "main/explain.h"
#include "unit/suite.h"

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text;
    long n;

    ck_assert_msg(f != NULL, "%s", path);
    fseek(f, 0, SEEK_END);
    n = ftell(f);
    rewind(f);
    text = mem_alloc((size_t)n + 1);
    ck_assert_uint_eq(fread(text, 1, (size_t)n, f), (size_t)n);
    fclose(f);
    return text;
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    for (size_t n = strlen(s); n && isspace((unsigned char)s[n - 1]); n--)
        s[n - 1] = '\0';
    return s;
}

START_TEST(the_table)
{
    FILE *f = fopen(TESTS_DIR "/tables/explain.txt", "re");
    char line[512];
    unsigned rows = 0;

    ck_assert(f != NULL);
    while (fgets(line, sizeof line, f)) {
        char *who = strchr(line, '|'), *next = who ? strrchr(line, '|') : NULL;
        const struct explanation *x;
        bool general;

        if (line[0] == '#' || !who)
            continue;
        *who = *next = '\0';
        x = explain_find(trim(line), &general);
        ck_assert_msg(x && !general, "nothing explains: %s", line);
        ck_assert_msg(strstr(x->who, trim(who + 1)) != NULL, "%s: said by %s", line, x->who);
        ck_assert_msg(strstr(x->next, trim(next + 1)) != NULL, "%s: next %s", line, x->next);
        rows++;
    }
    fclose(f);
    ck_assert_uint_ge(rows, 25);
}
END_TEST

/* "code enhanced text" of every refusal in one source file. Returns how many there were. */
static unsigned check_file(const char *path, regex_t *refusal, regex_t *closing)
{
    char *text = slurp(path);
    unsigned found = 0;

    for (int kind = 0; kind < 2; kind++) {
        regmatch_t m[4];
        const char *p = text;

        while (regexec(kind ? closing : refusal, p, 4, m, 0) == 0) {
            char reply[512];
            const struct explanation *x;
            bool general;

            if (kind)
                snprintf(reply, sizeof reply, "421 %.*s %.*s", (int)(m[1].rm_eo - m[1].rm_so), p + m[1].rm_so,
                         (int)(m[2].rm_eo - m[2].rm_so), p + m[2].rm_so);
            else
                snprintf(reply, sizeof reply, "%.*s %.*s %.*s", (int)(m[1].rm_eo - m[1].rm_so), p + m[1].rm_so,
                         (int)(m[2].rm_eo - m[2].rm_so), p + m[2].rm_so, (int)(m[3].rm_eo - m[3].rm_so), p + m[3].rm_so);
            p += m[0].rm_eo;
            if (reply[0] != '4' && reply[0] != '5')
                continue;
            x = explain_find(reply, &general);
            ck_assert_msg(x && !general && strncmp(x->who, "postern", 7) == 0, "%s: no row of explain_replies for: %s", path, reply);
            found++;
        }
    }
    free(text);
    return found;
}

/* Whatever postern refuses, postern explains: the replies are taken out of the source. */
START_TEST(every_reply_of_ours)
{
    static const char *const rooms[] = {"smtp", "policy", "session"};
    regex_t refusal, closing;
    unsigned found = 0;

    /* 503, "5.5.1", "Say MAIL first" in a call or an initializer; engine_close(g, "4.7.0", "too many errors" */
    ck_assert_int_eq(regcomp(&refusal, "([245][0-9][0-9]),[[:space:]]*\"([245][.][0-9]+[.][0-9]+)\",[[:space:]]*\"([^\"]*)\"", REG_EXTENDED), 0);
    ck_assert_int_eq(regcomp(&closing, "close[(][^\"]*\"(4[.][0-9]+[.][0-9]+)\",[[:space:]]*\"([^\"]*)\"", REG_EXTENDED), 0);
    for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++) {
        char pattern[512];
        glob_t g;

        snprintf(pattern, sizeof pattern, "%s/../src/%s/*.c", TESTS_DIR, rooms[r]);
        if (glob(pattern, 0, NULL, &g) != 0)
            continue;
        for (size_t i = 0; i < g.gl_pathc; i++)
            found += check_file(g.gl_pathv[i], &refusal, &closing);
        globfree(&g);
    }
    regfree(&refusal);
    regfree(&closing);
    ck_assert_uint_ge(found, 30);
}
END_TEST

START_TEST(codes_are_whole)
{
    bool general;

    ck_assert_ptr_null(explain_find("order 10451 of 2026", &general));
    ck_assert_ptr_null(explain_find("4.7.3210 something", &general));
    ck_assert_ptr_nonnull(explain_find("the answer was 451.", &general));
    ck_assert(general);
    ck_assert_ptr_nonnull(explain_find("(4.7.321)", &general));
    ck_assert(!general);
}
END_TEST

START_TEST(unknown_has_neighbours)
{
    const struct explanation *near[EXPLAIN_NEAREST];
    bool general;

    ck_assert_ptr_null(explain_find("quite unknown words", &general));
    ck_assert_uint_eq(explain_nearest("zzz", near), 0);
    ck_assert_ptr_null(explain_find("the certificate was not nice, said the handshake", &general));
    ck_assert_uint_eq(explain_nearest("the certificate was not nice, said the handshake", near), EXPLAIN_NEAREST);
    ck_assert_ptr_null(explain_find("", &general));
}
END_TEST

/* Rows that can never win, or say nothing, are mistakes. */
START_TEST(rows_are_sound)
{
    const struct explanation *const tables[] = {explain_peers, explain_replies, explain_codes};

    for (size_t t = 0; t < 3; t++)
        for (const struct explanation *x = tables[t]; x->parts; x++) {
            bool general;

            for (const char *p = x->parts; *p; p++)
                ck_assert_msg(!isupper((unsigned char)*p), "%s: parts are lower case", x->parts);
            ck_assert(*x->who && *x->means && *x->side && *x->next);
            ck_assert_msg(explain_find(x->parts, &general) == x, "%s: another row is found instead", x->parts);
        }
}
END_TEST

SUITE_MAIN("explain", the_table, every_reply_of_ours, codes_are_whole, unknown_has_neighbours, rows_are_sound)
