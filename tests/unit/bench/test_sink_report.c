#include <stdio.h>
#include <string.h>

#include "bench/sink_report.h"
#include "unit/suite.h"

static const struct sink_moment begin = {.mono_us = 5000000, .user_s = 1, .system_s = 2};
static const struct sink_moment end = {.mono_us = 7000000,
                                       .user_s = 1.25,
                                       .system_s = 2.75,
                                       .totals = {.sessions = 30,
                                                  .messages = 4000,
                                                  .octets = 4000 * 4096,
                                                  .handshakes = 20,
                                                  .resumed = 15,
                                                  .broken = 1,
                                                  .refused = 2,
                                                  .open = 3}};

START_TEST(a_line)
{
    struct buf b = {0};

    sink_report_line(&b, &begin, &end, 4000000);
    ck_assert_str_eq(buf_str(&b),
                     "     3 s       4000 messages     2000/s     7.8 MiB/s     10 handshakes/s      3 open   "
                     "50 % CPU\n");
    buf_clear(&b);
    sink_report_line(&b, &begin, &begin, 5000000); /* no time has gone by */
    ck_assert_ptr_nonnull(strstr(buf_str(&b), "       0/s"));
    buf_clear(&b);
}
END_TEST

START_TEST(all_of_it)
{
    struct buf b = {0};

    sink_report_all(&b, &begin, &end, 2, 0);
    ck_assert_str_eq(buf_str(&b), "messages    4000 in 2.00 s: 2000/s, 7.8 MiB/s; 2 refused\n"
                                  "sessions    30\n"
                                  "handshakes  20, 15 of them resumed; 1 failed; 10/s\n"
                                  "CPU         0.25 s user, 0.75 s system: 0.2500 s per 1,000 messages\n");
    buf_clear(&b);
    sink_report_all(&b, &begin, &end, 2, 1);
    ck_assert_str_eq(buf_str(&b),
                     "{\"messages\":4000,\"octets\":16384000,\"sessions\":30,\"refused\":2,\"handshakes\":20,"
                     "\"resumed\":15,\"broken\":1,\"seconds\":2.000,\"rate\":2000.0,\"user\":0.250,\"system\":0.750,"
                     "\"cpu_per_1000\":0.2500}\n");
    buf_clear(&b);
}
END_TEST

START_TEST(nobody_came)
{
    struct buf b = {0};

    sink_report_all(&b, &begin, &begin, 0, 0);
    ck_assert_str_eq(buf_str(&b), "messages    0 in 0.00 s: 0/s, 0.0 MiB/s\nsessions    0\n"
                                  "CPU         0.00 s user, 0.00 s system\n");
    buf_clear(&b);
}
END_TEST

SUITE_MAIN("sink_report", a_line, all_of_it, nobody_came)
