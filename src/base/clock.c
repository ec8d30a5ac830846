#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct now clock_now(void)
{
    struct timespec m, r;

    clock_gettime(CLOCK_MONOTONIC, &m);
    clock_gettime(CLOCK_REALTIME, &r);
    return (struct now){
        .mono_us = (int64_t)m.tv_sec * 1000000 + m.tv_nsec / 1000,
        .real_us = (int64_t)r.tv_sec * 1000000 + r.tv_nsec / 1000,
    };
}

void clock_prepare(void)
{
    tzset();
}

void clock_iso(char dst[CLOCK_ISO_LEN], int64_t real_us)
{
    time_t t = (time_t)(real_us / 1000000);
    struct tm tm;
    char day[24];

    gmtime_r(&t, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(dst, CLOCK_ISO_LEN, "%s.%03dZ", day, (int)(real_us / 1000 % 1000));
}

void clock_rfc5322(char dst[CLOCK_RFC5322_LEN], int64_t real_us)
{
    static const char day[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char month[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)(real_us / 1000000);
    struct tm tm;
    long off;

    localtime_r(&t, &tm);
    off = tm.tm_gmtoff / 60;
    snprintf(dst, CLOCK_RFC5322_LEN, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld", day[tm.tm_wday], tm.tm_mday,
             month[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, off < 0 ? '-' : '+',
             labs(off) / 60 % 24, labs(off) % 60);
}
