/* The log's way out: a reader that is slow loses lines, never half of one. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "proc/logpipe.h"
#include "unit/suite.h"

#define LINES 6000
#define LINE_LEN 701 /* no divisor of any buffer's size */

static void make_line(char *line, unsigned number)
{
    int n = snprintf(line, LINE_LEN, "number=%05u text=\"", number);

    memset(line + n, 'a' + (int)(number % 26), (size_t)(LINE_LEN - 2 - n));
    memcpy(line + LINE_LEN - 2, "\"\n", 2);
}

static void read_some(int fd, struct buf *got)
{
    ssize_t n;

    while ((n = read(fd, buf_space(got, 65536), 65536)) > 0)
        buf_added(got, (size_t)n);
}

/* How many lines there are, all of them as they were written or our own. */
static unsigned whole_lines(struct buf *got)
{
    const char *p = buf_data(got), *end = p + got->len;
    unsigned count = 0;

    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        char want[LINE_LEN];
        unsigned number;

        ck_assert_ptr_nonnull(lf);
        if (sscanf(p, "number=%5u", &number) == 1) {
            make_line(want, number);
            ck_assert_msg((size_t)(lf - p) == LINE_LEN - 1 && memcmp(p, want, LINE_LEN) == 0, "%.*s", (int)(lf - p), p);
            count++;
        } else {
            ck_assert_msg(memcmp(p, "level=warn event=log.lines-lost ", 32) == 0, "%.*s", (int)(lf - p), p);
        }
        p = lf + 1;
    }
    return count;
}

START_TEST(a_slow_reader_loses_whole_lines)
{
    char dir[] = "/tmp/postern-logpipe-XXXXXX", path[64], line[LINE_LEN];
    struct buf got = {0};
    struct logpipe *l;
    struct err e;
    unsigned count;
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/log", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(logpipe_new(&l, &e), 0);
    ck_assert_msg(logpipe_target(l, CONF_LOG_FILE, path, &e) == 0, "%s", e.text);
    for (unsigned i = 0; i < LINES; i++) {
        make_line(line, i);
        while (write(logpipe_write_end(l), line, LINE_LEN) != LINE_LEN)
            logpipe_pump(l);
        if (i % 1500 == 1499) { /* it wakes up now and then */
            logpipe_pump(l);
            read_some(fd, &got);
        }
    }
    for (int i = 0; i < 200; i++) {
        logpipe_pump(l);
        read_some(fd, &got);
    }
    count = whole_lines(&got);
    ck_assert_uint_gt(logpipe_lost(l), 0);
    ck_assert_uint_eq(count + logpipe_lost(l), LINES);
    buf_clear(&got);
    logpipe_free(&l);
    close(fd);
    unlink(path);
    rmdir(dir);
}
END_TEST

static void one_line(struct logpipe *l, unsigned number)
{
    char line[LINE_LEN];

    make_line(line, number);
    ck_assert_int_eq(write(logpipe_write_end(l), line, LINE_LEN), LINE_LEN);
    logpipe_pump(l);
}

START_TEST(a_full_disk_breaks_no_later_line)
{
    char dir[] = "/tmp/postern-logpipe-XXXXXX", path[64], want[LINE_LEN];
    struct rlimit all, few;
    struct buf got = {0};
    struct logpipe *l;
    struct err e;
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/log", dir);
    ck_assert_int_eq(logpipe_new(&l, &e), 0);
    ck_assert_msg(logpipe_target(l, CONF_LOG_FILE, path, &e) == 0, "%s", e.text);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
    few = (struct rlimit){.rlim_cur = LINE_LEN + 200, .rlim_max = all.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &few), 0);
    one_line(l, 1);
    one_line(l, 2);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
    one_line(l, 3);
    ck_assert_uint_eq(logpipe_lost(l), 1);
    fd = open(path, O_RDONLY);
    read_some(fd, &got);
    make_line(want, 3);
    ck_assert_uint_gt(got.len, 2 * LINE_LEN + 200);
    ck_assert_int_eq(buf_data(&got)[LINE_LEN + 200], '\n');
    ck_assert_int_eq(memcmp(buf_data(&got) + got.len - LINE_LEN - 1, "\n", 1), 0);
    ck_assert_int_eq(memcmp(buf_data(&got) + got.len - LINE_LEN, want, LINE_LEN), 0);
    buf_clear(&got);
    logpipe_free(&l);
    close(fd);
    unlink(path);
    rmdir(dir);
}
END_TEST

SUITE_MAIN("proc/logpipe", a_slow_reader_loses_whole_lines, a_full_disk_breaks_no_later_line)
