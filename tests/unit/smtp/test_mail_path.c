/* tests/tables/smtp_paths.txt, row by row. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/mail_path.h"
#include "unit/suite.h"

#define COLUMNS 6

/* "" is nothing, \xHH a byte, \\ a backslash, {a*64} sixty-four of them. */
static void expand(struct buf *out, const char *s)
{
    unsigned n;
    int used;
    char c;

    if (!strcmp(s, "\"\""))
        return;
    while (*s) {
        if (sscanf(s, "\\x%2x%n", &n, &used) == 1) {
            c = (char)n;
            n = 1;
        } else if (sscanf(s, "{%c*%u}%n", &c, &n, &used) == 2) {
            ck_assert_uint_lt(n, 1000);
        } else {
            used = s[0] == '\\' && s[1] == '\\' ? 2 : 1;
            c = *s;
            n = 1;
        }
        for (; n; n--)
            buf_append(out, &c, 1);
        s += used;
    }
}

static void same(unsigned line, const char *what, struct span have, const char *column)
{
    struct buf want = {0};

    expand(&want, column);
    if (have.n != want.len || (want.len && memcmp(have.p, buf_data(&want), want.len) != 0))
        ck_abort_msg("smtp_paths.txt:%u: %s is \"%.*s\", not \"%s\"", line, what, (int)have.n, have.p, column);
    buf_clear(&want);
}

static unsigned split(char *line, char *columns[COLUMNS])
{
    unsigned n = 0;

    line[strcspn(line, "\n")] = '\0';
    for (char *p = strtok(line, "\t"); p && n < COLUMNS; p = strtok(NULL, "\t"))
        columns[n++] = p;
    return n;
}

/* The text is copied to its exact size, so that a byte read behind it is seen by the sanitizers. */
static void check_row(unsigned line, char *const c[COLUMNS], unsigned n)
{
    enum mail_path_kind kind = strcmp(c[0], "mail") ? MAIL_PATH_FORWARD : MAIL_PATH_REVERSE;
    struct buf text = {0};
    struct mail_path path;
    enum mail_path_fault fault;
    char *exact, local[300];

    expand(&text, c[2]);
    exact = mem_alloc(text.len);
    if (text.len)
        memcpy(exact, buf_data(&text), text.len);
    fault = mail_path_parse(&path, (struct span){exact, text.len}, kind);
    if (strcmp(mail_path_fault_name(fault), c[1]) != 0)
        ck_abort_msg("smtp_paths.txt:%u: %s %s: %s", line, c[0], c[2], mail_path_fault_name(fault));
    ck_assert_uint_eq(n, fault == MAIL_PATH_OK ? COLUMNS : 3);
    if (fault == MAIL_PATH_OK) {
        size_t len = mail_path_unquote(local, path.local);

        same(line, "the mailbox", path.mailbox, c[3]);
        same(line, "the local part", (struct span){local, len}, c[4]);
        same(line, "the domain", path.domain, c[5]);
        ck_assert_uint_le(path.used, text.len);
        ck_assert_int_eq(exact[path.used - 1], '>');
    }
    free(exact);
    buf_clear(&text);
}

START_TEST(table)
{
    FILE *f = fopen(TESTS_DIR "/tables/smtp_paths.txt", "r");
    char line[4096], *columns[COLUMNS];
    unsigned number = 0, rows = 0;

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        unsigned n;

        number++;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        n = split(line, columns);
        ck_assert_uint_ge(n, 3);
        check_row(number, columns, n);
        rows++;
    }
    fclose(f);
    ck_assert_uint_gt(rows, 150);
}
END_TEST

START_TEST(non_ascii_is_told)
{
    struct mail_path p;

    ck_assert_int_eq(mail_path_parse(&p, SPAN("<a@b.example>"), MAIL_PATH_REVERSE), MAIL_PATH_OK);
    ck_assert(!p.non_ascii);
    ck_assert_int_eq(mail_path_parse(&p, SPAN("<\xc3\xa9@b.example>"), MAIL_PATH_REVERSE), MAIL_PATH_OK);
    ck_assert(p.non_ascii);
    ck_assert_int_eq(mail_path_parse(&p, SPAN("<a@b.example> \xc3\xa9"), MAIL_PATH_REVERSE), MAIL_PATH_OK);
    ck_assert(!p.non_ascii);
    ck_assert_int_eq(mail_path_parse(&p, SPAN("<\xe9@b.example>"), MAIL_PATH_REVERSE), MAIL_PATH_NOT_UTF8);
    ck_assert(p.non_ascii);
}
END_TEST

SUITE_MAIN("mail_path", table, non_ascii_is_told)
