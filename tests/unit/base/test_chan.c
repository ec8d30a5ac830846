#include "base/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "unit/suite.h"

static char room[CHAN_MAX + 4];

START_TEST(a_message_keeps_its_bounds_and_descriptors)
{
    int fd[2], p[2], got;
    struct chan_msg m;
    struct err e;
    char c = 0;

    ck_assert_int_eq(chan_pair(fd, &e), 0);
    ck_assert_int_eq(pipe(p), 0);
    ck_assert_int_eq(chan_recv(fd[1], room, sizeof room, &m, &e), 0);
    ck_assert_int_eq(chan_send(fd[0], 7, "abc", 3, p, 2, &e), 1);
    ck_assert_int_eq(chan_send(fd[0], 8, NULL, 0, NULL, 0, &e), 1);
    ck_assert_int_eq(chan_recv(fd[1], room, sizeof room, &m, &e), 1);
    ck_assert_uint_eq(m.type, 7);
    ck_assert_uint_eq(m.len, 3);
    ck_assert_mem_eq(m.data, "abc", 3);
    ck_assert_uint_eq(m.nfds, 2);
    ck_assert(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
    got = chan_msg_take(&m, 1);
    ck_assert_int_eq((int)write(got, "x", 1), 1);
    ck_assert_int_eq((int)read(p[0], &c, 1), 1);
    ck_assert_int_eq(c, 'x');
    chan_msg_close(&m);
    ck_assert_int_eq(chan_recv(fd[1], room, sizeof room, &m, &e), 1);
    ck_assert_uint_eq(m.type, 8);
    ck_assert_uint_eq(m.len, 0);
    close(fd[0]);
    ck_assert_int_eq(chan_recv(fd[1], room, sizeof room, &m, &e), -1);
    ck_assert_str_eq(e.text, "");
}
END_TEST

START_TEST(a_full_channel_says_so_and_loses_nothing)
{
    static char big[CHAN_MAX];
    int fd[2], sent = 0;
    struct chan_msg m;
    struct err e;

    ck_assert_int_eq(chan_pair(fd, &e), 0);
    while (chan_send(fd[0], 1, big, sizeof big, NULL, 0, &e) == 1)
        sent++;
    ck_assert_int_gt(sent, 0);
    ck_assert_int_eq(chan_send_wait(fd[0], 1, 1, big, sizeof big, NULL, 0, &e), 0);
    for (int i = 0; i < sent; i++) {
        ck_assert_int_eq(chan_recv(fd[1], room, sizeof room, &m, &e), 1);
        ck_assert_uint_eq(m.len, sizeof big);
    }
    ck_assert_int_eq(chan_recv(fd[1], room, sizeof room, &m, &e), 0);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_whole)
{
    int fd[2], p[2];
    struct chan_msg m;
    struct err e;
    char small[4];

    ck_assert_int_eq(chan_pair(fd, &e), 0);
    ck_assert_int_eq(pipe(p), 0);
    ck_assert_int_eq(chan_send(fd[0], 1, room, CHAN_MAX + 1, NULL, 0, &e), -1);
    ck_assert_int_eq(chan_send(fd[0], 1, "too long", 8, p, 1, &e), 1);
    ck_assert_int_eq(chan_recv(fd[1], small, sizeof small, &m, &e), -1);
    ck_assert_uint_eq(m.nfds, 0);
    close(fd[1]);
    ck_assert_int_eq(chan_send(fd[0], 1, "x", 1, NULL, 0, &e), -1);
}
END_TEST

SUITE_MAIN("chan", a_message_keeps_its_bounds_and_descriptors, a_full_channel_says_so_and_loses_nothing,
           what_does_not_fit_is_refused_whole)
