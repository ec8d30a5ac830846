/* The table of broken configurations: tests/tables/conf_errors/<name>.conf, and beside it
 * <name>.problems with what must be said about it, line by line, as conf_problem_text() writes it
 * without the directory. Nothing else may be said, nor anything be written to standard error: the
 * library underneath likes to. */
#include "conf/conf.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "unit/suite.h"

#define TABLE TESTS_DIR "/tables/conf_errors"

static char *read_all(const char *name)
{
    char *path = mem_printf(TABLE "/%s", name), *text = NULL;
    size_t len;
    struct err e;

    if (conf_read_disk(NULL, path, &text, &len, &e))
        ck_abort_msg("%s", e.text);
    free(path);
    return text;
}

/* Takes the directory away wherever it stands. */
static void short_text(struct buf *out, const char *text)
{
    static const char dir[] = TABLE "/";
    const char *at;

    while ((at = strstr(text, dir)) != NULL) {
        buf_append(out, text, (size_t)(at - text));
        text = at + sizeof dir - 1;
    }
    buf_printf(out, "%s\n", text);
}

static void said_about(struct buf *out, const char *name, const char *text)
{
    const struct conf_reader disk = {conf_read_disk, NULL};
    char *path = mem_printf(TABLE "/%s.conf", name);
    struct conf_problems p = {0};
    struct conf *c = NULL;
    unsigned errors = 0;
    int rc = conf_load(&c, path, text, &disk, &p);

    for (unsigned i = 0; i < p.count; i++) {
        char *line = conf_problem_text(&p.list[i]);

        short_text(out, line);
        errors += !p.list[i].warning;
        free(line);
    }
    ck_assert_uint_eq(errors, p.errors);
    ck_assert_msg((rc == 0) == (errors == 0), "%s: %d with %u errors", name, rc, errors);
    ck_assert((rc == 0) == (c != NULL));
    conf_free(&c);
    conf_problems_free(&p);
    free(path);
}

static off_t size_of(int fd)
{
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    return st.st_size;
}

static void check_case(const char *name, int err_file)
{
    char *file = mem_printf("%s.conf", name), *expected_name = mem_printf("%s.problems", name);
    char *text = read_all(file), *expected = read_all(expected_name);
    struct buf said = {0};
    off_t before = size_of(err_file);

    said_about(&said, name, text);
    ck_assert_msg(strcmp(buf_str(&said), expected) == 0, "%s: expected\n%sbut it said\n%s", name, expected,
                  buf_str(&said));
    ck_assert_msg(size_of(err_file) == before, "%s: something was written to standard error", name);
    buf_clear(&said);
    free(text);
    free(expected);
    free(file);
    free(expected_name);
}

START_TEST(each_broken_configuration_is_told_what_is_wrong)
{
    DIR *d = opendir(TABLE);
    FILE *err = tmpfile();
    struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(d);
    ck_assert_ptr_nonnull(err);
    setenv("POSTERN_TEST_HOST", "mx.example.org", 1);
    unsetenv("POSTERN_TEST_UNSET");
    ck_assert_int_ge(dup2(fileno(err), 2), 0);
    while ((entry = readdir(d)) != NULL) {
        size_t n = strlen(entry->d_name);
        char *name;

        if (n < 6 || strcmp(entry->d_name + n - 5, ".conf") != 0)
            continue;
        name = mem_strn(entry->d_name, n - 5);
        check_case(name, fileno(err));
        free(name);
        count++;
    }
    ck_assert_uint_ge(count, 35);
    closedir(d);
    fclose(err);
}
END_TEST

SUITE_MAIN("conf_errors", each_broken_configuration_is_told_what_is_wrong)
