/* tests/tables/fixup/NAME.in and .out; and the law: the output is the same however the input is cut. */
#include "smtp/fixup.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "unit/suite.h"

#define DATE "Mon, 23 Nov 2026 07:00:00 +0000"
#define ID "<made@mail.example.org>"

static void slurp(struct buf *out, const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    size_t n;

    ck_assert_msg(f != NULL, "%s", path);
    do {
        n = fread(buf_space(out, 65536), 1, 65536, f);
        buf_added(out, n);
    } while (n);
    fclose(f);
    free(path);
}

/* Pieces of `size` bytes, the first of `first`; each copied to its exact length. */
static void run(struct buf *out, const char *p, size_t n, size_t first, size_t size)
{
    struct fixup x;

    fixup_begin(&x, DATE, ID);
    while (n) {
        size_t take = first ? first : size;
        char *exact;

        take = take < n ? take : n;
        exact = mem_strn(p, take);
        fixup_feed(&x, out, exact, take);
        free(exact);
        p += take;
        n -= take;
        first = 0;
    }
    fixup_end(&x, out);
}

static void same(const char *name, const struct buf *want, const struct buf *have)
{
    if (want->len != have->len || (want->len && memcmp(buf_data(want), buf_data(have), want->len) != 0))
        ck_abort_msg("%s:\n%.*s", name, (int)have->len, have->len ? buf_data(have) : "");
}

static void check(const char *dir, const char *in, struct buf *want)
{
    struct buf text = {0}, out = {0};

    slurp(&text, dir, in);
    for (size_t cut = 0; cut <= text.len; cut++) {
        run(&out, buf_data(&text), text.len, cut, text.len + 1);
        same(in, want, &out);
        buf_clear(&out);
    }
    run(&out, buf_data(&text), text.len, 0, 1);
    same(in, want, &out);
    buf_clear(&out);
    buf_clear(&text);
}

START_TEST(files)
{
    const char *dir = TESTS_DIR "/tables/fixup";
    DIR *d = opendir(dir);
    const struct dirent *de;
    unsigned count = 0;

    ck_assert_ptr_nonnull(d);
    while ((de = readdir(d))) {
        const char *dot = strrchr(de->d_name, '.');
        struct buf want = {0};
        char *out;

        if (!dot || strcmp(dot, ".in") != 0)
            continue;
        out = mem_printf("%.*s.out", (int)(dot - de->d_name), de->d_name);
        slurp(&want, dir, out);
        check(dir, de->d_name, &want);
        buf_clear(&want);
        free(out);
        count++;
    }
    closedir(d);
    ck_assert_uint_ge(count, 12);
}
END_TEST

static void is(const char *text, const char *want)
{
    struct buf out = {0}, w = {0};

    buf_append(&w, want, strlen(want));
    run(&out, text, strlen(text), 0, 3);
    same(text, &w, &out);
    buf_clear(&out);
    buf_clear(&w);
}

/* What a text file cannot hold: no newline at the end. */
START_TEST(the_last_line_may_have_no_end)
{
    is("", "Date: " DATE "\nMessage-ID: " ID "\n");
    is("A: b", "A: b\nDate: " DATE "\nMessage-ID: " ID "\n");
    is("A: b\nBcc: c", "A: b\nDate: " DATE "\nMessage-ID: " ID "\n");
    is("A: b\nBcc", "A: b\nBcc\nDate: " DATE "\nMessage-ID: " ID "\n");
    is("Bcc", "Date: " DATE "\nMessage-ID: " ID "\n\nBcc");
    is("A: b\n ", "A: b\n \nDate: " DATE "\nMessage-ID: " ID "\n");
}
END_TEST

START_TEST(nothing_is_held_without_bound)
{
    struct fixup x;
    struct buf out = {0};
    static char line[100000];

    memset(line, 'a', sizeof line);
    fixup_begin(&x, DATE, ID);
    fixup_feed(&x, &out, "A: b\n", 5);
    fixup_feed(&x, &out, line, sizeof line);
    ck_assert_uint_ge(out.len, sizeof line - FIXUP_HOLD);
    fixup_feed(&x, &out, "\nDate: 1\nmessage-id: 2\n\nBcc: stays\n", 36);
    fixup_end(&x, &out);
    ck_assert_uint_eq(out.len, 5 + sizeof line + 36);
    ck_assert(!x.changed);
    buf_clear(&out);
}
END_TEST

SUITE_MAIN("fixup", files, the_last_line_may_have_no_end, nothing_is_held_without_bound)
