/* How texts and times stand in a queue file: queue_file.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/queue_file.h"
#include "smtp/mail_path.h"

/* C1 controls are UTF-8 and steer a terminal all the same. */
static bool is_readable_utf8(struct peer_text t)
{
    bool high = false;

    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];

        high |= c >= 0x80;
        if (c == 0xc2 && i + 1 < t.n && (unsigned char)t.p[i + 1] < 0xa0)
            return false;
    }
    return high && mail_path_is_utf8((struct span){t.p, t.n});
}

static bool is_plain(unsigned char c, bool quoted, bool utf8)
{
    if (c >= 0x80)
        return utf8;
    if (c < 0x20 || c == 0x7f || c == '\\')
        return false;
    return quoted ? c != '"' : c != ' ' && c != '<' && c != '>';
}

void queue_file_escape(struct buf *out, struct peer_text t, bool quoted)
{
    static const char hex[] = "0123456789abcdef";
    bool utf8 = is_readable_utf8(t);

    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        const char escaped[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};

        if (is_plain(c, quoted, utf8))
            buf_append(out, t.p + i, 1);
        else
            buf_append(out, escaped, 4);
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool queue_file_unescape(char *dst, size_t *len, struct span s, bool quoted)
{
    struct buf again = {0};
    bool same, escaped = false;
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\\') {
            if (!is_plain((unsigned char)s.p[i], quoted, true))
                return false;
            escaped |= (unsigned char)s.p[i] >= 0x80;
            dst[n++] = s.p[i];
            continue;
        }
        if (s.n - i < 4 || s.p[i + 1] != 'x' || hex_digit(s.p[i + 2]) < 0 || hex_digit(s.p[i + 3]) < 0)
            return false;
        dst[n++] = (char)(hex_digit(s.p[i + 2]) << 4 | hex_digit(s.p[i + 3]));
        escaped = true;
        i += 3;
    }
    *len = n;
    if (!escaped)
        return true;
    /* one way to write a text: what is read is what would be written */
    queue_file_escape(&again, (struct peer_text){dst, n}, quoted);
    same = again.len == s.n && memcmp(buf_data(&again), s.p, s.n) == 0;
    buf_clear(&again);
    return same;
}

bool queue_file_is_id(struct span s)
{
    if (s.n == 0 || s.n > QUEUE_FILE_ID_MOST)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = (char)(s.p[i] | 0x20);

        if (!(c >= 'a' && c <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-')
            return false;
    }
    return true;
}

void queue_file_size_text(char dst[QUEUE_FILE_SIZE_DIGITS + 1], uint64_t size)
{
    snprintf(dst, QUEUE_FILE_SIZE_DIGITS + 1, "%020llu", (unsigned long long)size);
}

#define LAST_SECOND INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

void queue_file_time(char dst[QUEUE_FILE_TIME], int64_t us)
{
    int64_t s = us < 0 ? 0 : us / 1000000;
    time_t t = (time_t)(s > LAST_SECOND ? LAST_SECOND : s);
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(dst, QUEUE_FILE_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int two(const char *p)
{
    return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' ? (p[0] - '0') * 10 + p[1] - '0' : -1;
}

bool queue_file_time_parse(struct span s, int64_t *us)
{
    char again[QUEUE_FILE_TIME];
    struct tm tm = {0};
    int64_t t;

    if (s.n != 20 || two(s.p) < 0 || two(s.p + 2) < 0)
        return false;
    tm.tm_year = two(s.p) * 100 + two(s.p + 2) - 1900;
    tm.tm_mon = two(s.p + 5) - 1;
    tm.tm_mday = two(s.p + 8);
    tm.tm_hour = two(s.p + 11);
    tm.tm_min = two(s.p + 14);
    tm.tm_sec = two(s.p + 17);
    t = timegm(&tm); /* takes the 40th of March, too: what comes back must be what was there */
    if (t < 0 || t > LAST_SECOND)
        return false;
    *us = t * 1000000;
    queue_file_time(again, *us);
    return memcmp(again, s.p, s.n) == 0;
}
