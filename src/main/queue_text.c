#include "main/queue_text.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static long long num(const json_t *o, const char *key)
{
    return (long long)json_integer_value(json_object_get(o, key));
}

static bool yes(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

/* The length of a letter that a terminal takes for what it is: printable ASCII, or UTF-8 (jansson has checked it) that is
 * neither a control character (U+0080 to U+009F) nor turns the direction of what follows (CVE-2021-42574). Else 0. */
static size_t harmless(const unsigned char *p)
{
    if (*p < 0x80)
        return *p >= 0x20 && *p != 0x7f;
    if (p[0] == 0xc2 && p[1] < 0xa0)
        return 0;
    if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] >= 0xaa || p[2] == 0x8e || p[2] == 0x8f))
        return 0;
    if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)
        return 0;
    return *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
}

void queue_text_put(FILE *f, const char *utf8)
{
    const unsigned char *p = (const unsigned char *)utf8;

    while (*p) {
        size_t n = harmless(p);

        if (n) {
            fwrite(p, 1, n, f);
            p += n;
        } else {
            fprintf(f, "\\x%02x", *p++);
            while (*p >= 0x80 && *p < 0xc0)
                fprintf(f, "\\x%02x", *p++);
        }
    }
}

/* "4.1K": four places at most. */
static void put_size(FILE *f, long long n)
{
    static const char unit[] = "BKMGT";
    double v = (double)n;
    unsigned i = 0;

    for (; v >= 1000 && i < 4; i++)
        v /= 1024;
    fprintf(f, i && v < 10 ? "%.1f%c" : "%.0f%c", v, unit[i]);
}

static void put_age(FILE *f, long long s)
{
    if (s < 120)
        fprintf(f, "%llds", s);
    else if (s < 7200)
        fprintf(f, "%lldm", s / 60);
    else if (s < 172800)
        fprintf(f, "%lldh", s / 3600);
    else
        fprintf(f, "%lldd", s / 86400);
}

/* Seconds from now until a time like 2026-11-23T07:00:00Z. */
static long long until(const char *time)
{
    struct tm tm = {0};

    if (!strptime(time, "%Y-%m-%dT%H:%M:%S", &tm))
        return 0;
    return (long long)timegm(&tm) - clock_now().real_us / 1000000;
}

static void put_next(FILE *f, const json_t *m)
{
    const char *next = str(m, "next");

    if (yes(m, "held"))
        fprintf(f, "held");
    else if (yes(m, "running"))
        fprintf(f, "on its way");
    else if (*next && until(next) > 0) {
        fprintf(f, "next try in ");
        put_age(f, until(next));
    } else {
        fprintf(f, "due");
    }
}

static void put_from(FILE *f, const json_t *m)
{
    fprintf(f, "<");
    queue_text_put(f, str(m, "from"));
    fprintf(f, ">");
}

void queue_text_line(FILE *f, const json_t *m)
{
    const json_t *d;
    size_t i;

    fprintf(f, "%-22s ", str(m, "id"));
    put_age(f, num(m, "age"));
    fprintf(f, " ");
    put_size(f, num(m, "size"));
    fprintf(f, "  ");
    put_from(f, m);
    fprintf(f, " to %lld of %lld", num(m, "waiting"), num(m, "rcpts"));
    json_array_foreach(json_object_get(m, "destinations"), i, d)
    {
        fprintf(f, "%s", i ? ", " : " at ");
        queue_text_put(f, json_string_value(d));
    }
    fprintf(f, ", %lld %s, ", num(m, "tries"), num(m, "tries") == 1 ? "try" : "tries");
    put_next(f, m);
    fprintf(f, "\n");
    if (*str(m, "reason")) {
        fprintf(f, "    ");
        queue_text_put(f, str(m, "reason"));
        fprintf(f, "\n");
    }
}

static void put_row(FILE *f, const char *name, const char *value)
{
    if (!*value)
        return;
    fprintf(f, "  %-11s", name);
    queue_text_put(f, value);
    fprintf(f, "\n");
}

static void put_reply(FILE *f, const json_t *r)
{
    if (!num(r, "code"))
        return;
    fprintf(f, "    %s: %lld %s ", *str(r, "lastTry") ? str(r, "lastTry") : "last", num(r, "code"), str(r, "enhanced"));
    if (*str(r, "server")) {
        queue_text_put(f, str(r, "server"));
        fprintf(f, yes(r, "ours") ? ": " : " said: ");
    }
    queue_text_put(f, str(r, "text"));
    if (*str(r, "tls")) {
        fprintf(f, " (");
        queue_text_put(f, str(r, "tls"));
        fprintf(f, ")");
    }
    fprintf(f, "\n");
}

static void put_rcpt(FILE *f, const json_t *r)
{
    const json_t *n;
    size_t i;

    fprintf(f, "  <");
    queue_text_put(f, str(r, "address"));
    fprintf(f, "> by ");
    queue_text_put(f, str(r, "route"));
    fprintf(f, ": %s, %lld %s", str(r, "state"), num(r, "tries"), num(r, "tries") == 1 ? "try" : "tries");
    json_array_foreach(json_object_get(r, "notify"), i, n)
        fprintf(f, "%s%s", i ? "," : ", notify ", json_string_value(n));
    fprintf(f, "\n");
    put_reply(f, r);
}

void queue_text_whole(FILE *f, const json_t *m)
{
    const json_t *r;
    size_t i;

    fprintf(f, "%s\n  %-11s", str(m, "id"), "from");
    put_from(f, m);
    fprintf(f, "\n");
    put_row(f, "logged in", str(m, "auth"));
    put_row(f, "client", str(m, "clientIp"));
    put_row(f, "  its name", str(m, "clientName"));
    put_row(f, "envelope id", str(m, "envid"));
    fprintf(f, "  %-11s%s, ", "arrived", str(m, "arrived"));
    put_age(f, num(m, "age"));
    fprintf(f, " ago, ");
    put_size(f, num(m, "size"));
    fprintf(f, "%s%s%s\n", yes(m, "requiretls") ? ", REQUIRETLS" : "", yes(m, "smtputf8") ? ", SMTPUTF8" : "",
            yes(m, "body8bit") ? ", 8BITMIME" : "");
    fprintf(f, "  %-11s", "now");
    put_next(f, m);
    fprintf(f, "; given up at %s\n", str(m, "until"));
    json_array_foreach(json_object_get(m, "recipients"), i, r) put_rcpt(f, r);
}

void queue_text_status(FILE *f, const json_t *s)
{
    fprintf(f, "%lld %s, ", num(s, "messages"), num(s, "messages") == 1 ? "message" : "messages");
    put_size(f, num(s, "bytes"));
    fprintf(f, "; %lld held, %lld on their way; destinations that do not answer: %lld; damaged files: %lld%s\n",
            num(s, "held"), num(s, "running"), num(s, "destinationsDown"), num(s, "damaged"),
            yes(s, "scanning") ? "; the directory is still being read" : "");
}
