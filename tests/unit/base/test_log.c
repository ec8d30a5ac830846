#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "unit/suite.h"

static int pipe_fd[2];

static void log_to_pipe(enum log_format f, enum log_level level)
{
    ck_assert_int_eq(pipe2(pipe_fd, O_NONBLOCK), 0);
    log_open(pipe_fd[1], f, level);
}

static const char *line(void)
{
    static char text[LOG_LINE_MAX + 1];
    ssize_t n = read(pipe_fd[0], text, sizeof text - 1);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

START_TEST(peer_bytes_cannot_forge_a_line)
{
    struct log_line l;
    const char *t;

    log_to_pipe(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    log_begin(&l, LOG_LEVEL_INFO, "smtp.ehlo");
    log_peer(&l, "hostname", (struct peer_text){"a\nlevel=error \"x\" \x01\xc3", 20});
    log_end(&l);
    t = line();
    ck_assert_ptr_nonnull(strstr(t, "hostname=\"a\\x0alevel=error \\\"x\\\" \\x01\\xc3\"\n"));
    ck_assert_ptr_eq(strchr(t, '\n'), t + strlen(t) - 1);
}
END_TEST

START_TEST(json_is_closed_even_when_cut)
{
    struct log_line l;
    static char big[9000];
    const char *t;

    memset(big, '"', sizeof big);
    log_to_pipe(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    log_begin(&l, LOG_LEVEL_INFO, "x");
    log_peer(&l, "a", (struct peer_text){big, sizeof big});
    log_int(&l, "b", 5);
    log_end(&l);
    t = line();
    ck_assert_uint_le(strlen(t), LOG_LINE_MAX);
    ck_assert_str_eq(t + strlen(t) - 3, "\"}\n");
    ck_assert_ptr_nonnull(strstr(t, "{\"time\":\""));
}
END_TEST

START_TEST(levels_filter)
{
    log_to_pipe(LOG_FORMAT_LOGFMT, LOG_LEVEL_WARN);
    log_event(LOG_LEVEL_INFO, "no", "nothing");
    ck_assert_str_eq(line(), "");
    log_event(LOG_LEVEL_ERROR, "yes", "it is %d", 3);
    ck_assert_ptr_nonnull(strstr(line(), "level=error event=yes details=\"it is 3\"\n"));
}
END_TEST

START_TEST(lost_lines_are_counted_and_said)
{
    char sink[65536];

    log_to_pipe(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    while (write(pipe_fd[1], sink, sizeof sink) > 0)
        ;
    log_event(LOG_LEVEL_INFO, "lost", "one");
    log_event(LOG_LEVEL_INFO, "lost", "two");
    while (read(pipe_fd[0], sink, sizeof sink) > 0)
        ;
    log_event(LOG_LEVEL_INFO, "kept", "three");
    ck_assert_ptr_nonnull(strstr(line(), "logLinesLost=2\n"));
    ck_assert_uint_eq(log_lost(), 2);
}
END_TEST

SUITE_MAIN("log", peer_bytes_cannot_forge_a_line, json_is_closed_even_when_cut, levels_filter,
           lost_lines_are_counted_and_said)
