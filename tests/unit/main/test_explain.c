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

/* What a refusal looks like in the source; the groups are code, enhanced code and text. */
static const struct {
    const char *pattern;
    const char *code; /* where the pattern has none */
} forms[] = {
    /* 503, "5.5.1", "Say MAIL first" in a call or an initializer */
    {"([245][0-9][0-9]),[[:space:]]*\"([245][.][0-9]+[.][0-9]+)\",[[:space:]]*\"([^\"]*)\"", NULL},
    /* engine_close(g, "4.7.0", "too many errors" */
    {"close[(]([^\"]*)\"(4[.][0-9]+[.][0-9]+)\",[[:space:]]*\"([^\"]*)\"", "421"},
    /* "421 4.7.0 %s you spoke before the greeting\r\n" */
    {"\"([45][0-9][0-9]) ([45][.][0-9]+[.][0-9]+) (%s[^\"\\]*)", NULL},
};

static void part(char *dst, size_t cap, const char *text, const regmatch_t *m)
{
    snprintf(dst, cap, "%.*s", (int)(m->rm_eo - m->rm_so), text + m->rm_so);
}

static void must_be_explained(const char *path, const char *reply)
{
    const struct explanation *x;
    bool general;

    if (reply[0] != '4' && reply[0] != '5')
        return;
    x = explain_find(reply, &general);
    ck_assert_msg(x && !general && strncmp(x->who, "postern", 7) == 0, "%s: no row of explain_replies for: %s", path,
                  reply);
}

/* Returns how many refusals there were. */
static unsigned check_file(const char *path)
{
    char *text = slurp(path);
    unsigned found = 0;

    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        const char *p = text;
        regmatch_t m[4];
        regex_t re;

        ck_assert_int_eq(regcomp(&re, forms[f].pattern, REG_EXTENDED), 0);
        for (; regexec(&re, p, 4, m, 0) == 0; p += m[0].rm_eo, found++) {
            char code[8], enhanced[16], words[300], reply[340];

            part(code, sizeof code, p, &m[1]);
            part(enhanced, sizeof enhanced, p, &m[2]);
            part(words, sizeof words, p, &m[3]);
            snprintf(reply, sizeof reply, "%s %s %s", forms[f].code ? forms[f].code : code, enhanced, words);
            if (strcmp(words, "%s") != 0 && strncmp(words, "%s (", 4) != 0) /* words of somebody else */
                must_be_explained(path, reply);
        }
        regfree(&re);
    }
    free(text);
    return found;
}

/* Whatever postern refuses, postern explains: the replies are taken out of the source. */
START_TEST(every_reply_of_ours)
{
    static const char *const rooms[] = {"smtp", "policy", "session"};
    unsigned found = 0;

    for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++) {
        char pattern[512];
        glob_t g;

        snprintf(pattern, sizeof pattern, "%s/../src/%s/*.c", TESTS_DIR, rooms[r]);
        ck_assert_int_eq(glob(pattern, 0, NULL, &g), 0);
        for (size_t i = 0; i < g.gl_pathc; i++)
            if (!strstr(g.gl_pathv[i], "/smtp/client") &&
                !strstr(g.gl_pathv[i], "/smtp/dsn")) /* they judge others' servers */
                found += check_file(g.gl_pathv[i]);
        globfree(&g);
    }
    ck_assert_uint_ge(found, 45);
}
END_TEST

/* And so are its judgements on other people's servers. */
START_TEST(what_the_relay_says)
{
    static const char *const rooms[] = {"smtp/client*", "relay/relay_*"};
    unsigned found = 0;

    for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++) {
        char pattern[512];
        glob_t g;

        snprintf(pattern, sizeof pattern, "%s/../src/%s.c", TESTS_DIR, rooms[r]);
        ck_assert_int_eq(glob(pattern, 0, NULL, &g), 0);
        for (size_t i = 0; i < g.gl_pathc; i++)
            found += check_file(g.gl_pathv[i]);
        globfree(&g);
    }
    ck_assert_uint_ge(found, 25);
}
END_TEST

/* Those that the source puts together from parts. */
START_TEST(replies_in_parts)
{
    static const char *const replies[] = {
        "451 4.3.0 the message cannot be stored now (x)",
        "452 4.3.1 insufficient system storage (x)",
        "452 4.2.2 mailbox over quota (x)",
        "421 4.3.2 too many connections, try again later",
        "421 4.7.0 too many connections from your network, try again later",
    };

    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        must_be_explained("replies_in_parts", replies[i]);
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
    const struct explanation *const tables[] = {explain_peers, explain_replies, explain_relay, explain_codes};

    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct explanation *x = tables[t]; x->parts; x++) {
            bool general;

            for (const char *p = x->parts; *p; p++)
                ck_assert_msg(!isupper((unsigned char)*p), "%s: parts are lower case", x->parts);
            ck_assert(*x->who && *x->means && *x->side && *x->next);
            ck_assert_msg(explain_find(x->parts, &general) == x, "%s: another row is found instead", x->parts);
        }
}
END_TEST

SUITE_MAIN("explain", the_table, every_reply_of_ours, what_the_relay_says, replies_in_parts, codes_are_whole,
           unknown_has_neighbours, rows_are_sound)
