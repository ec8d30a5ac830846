#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static struct {
    int fd;
    enum log_format format;
    enum log_level level;
    char role[32];
    unsigned generation;
    uint64_t lost, lost_said;
} lg = {.fd = 2, .level = LOG_LEVEL_INFO};

/* What stays free for the end of a line: closing quote, brace, newline. */
#define TAIL 8

void log_open(int fd, enum log_format format, enum log_level level)
{
    lg.fd = fd;
    lg.format = format;
    lg.level = level;
}

void log_identity(const char *role, unsigned generation)
{
    snprintf(lg.role, sizeof lg.role, "%s", role);
    lg.generation = generation;
}

bool log_wants(enum log_level level)
{
    return level <= lg.level;
}

uint64_t log_lost(void)
{
    return lg.lost;
}

const char *log_level_name(enum log_level level)
{
    static const char *const name[] = {"error", "warn", "info", "debug", "trace"};

    return name[level];
}

static void raw(struct log_line *l, const char *p, size_t n)
{
    size_t room = sizeof l->text - TAIL - l->len;

    if (n > room)
        n = room;
    memcpy(l->text + l->len, p, n);
    l->len += n;
}

static void rawz(struct log_line *l, const char *s)
{
    raw(l, s, strlen(s));
}

/* One byte of a value in quotes: JSON's rules, which logfmt readers share, except that logfmt keeps
 * bytes above ASCII as \xNN. JSON has no \x, so there a lone byte becomes \u00NN. */
static void quoted_byte(struct log_line *l, unsigned char c)
{
    char esc[8];

    if (c == '"' || c == '\\') {
        esc[0] = '\\';
        esc[1] = (char)c;
        raw(l, esc, 2);
    } else if (c >= 0x20 && c < 0x7f) {
        raw(l, (const char *)&c, 1);
    } else {
        int n = snprintf(esc, sizeof esc, lg.format == LOG_FORMAT_JSON ? "\\u%04x" : "\\x%02x", c);

        if (l->len + (size_t)n <= sizeof l->text - TAIL) /* never half an escape */
            raw(l, esc, (size_t)n);
    }
}

static bool is_bare(struct peer_text v)
{
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];

        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return v.n > 0;
}

static void key_out(struct log_line *l, const char *key)
{
    if (lg.format == LOG_FORMAT_JSON) {
        rawz(l, l->len > 1 ? ",\"" : "\"");
        rawz(l, key);
        rawz(l, "\":");
    } else {
        if (l->len)
            rawz(l, " ");
        rawz(l, key);
        rawz(l, "=");
    }
}

void log_peer(struct log_line *l, const char *key, struct peer_text value)
{
    if (!l->on)
        return;
    if (l->len + strlen(key) + 8 > sizeof l->text - TAIL)
        return; /* the line is full: whole pairs are left out, never half of a key */
    key_out(l, key);
    if (lg.format == LOG_FORMAT_LOGFMT && is_bare(value)) {
        raw(l, value.p, value.n);
        return;
    }
    rawz(l, "\"");
    for (size_t i = 0; i < value.n && l->len + 12 < sizeof l->text - TAIL; i++)
        quoted_byte(l, (unsigned char)value.p[i]);
    rawz(l, "\"");
}

void log_str(struct log_line *l, const char *key, const char *value)
{
    if (value)
        log_peer(l, key, (struct peer_text){value, strlen(value)});
}

void log_int(struct log_line *l, const char *key, int64_t value)
{
    char num[24];

    if (!l->on || l->len + strlen(key) + 32 > sizeof l->text - TAIL)
        return;
    key_out(l, key);
    snprintf(num, sizeof num, "%lld", (long long)value);
    rawz(l, num);
}

void log_bool(struct log_line *l, const char *key, bool value)
{
    if (!l->on || l->len + strlen(key) + 16 > sizeof l->text - TAIL)
        return;
    key_out(l, key);
    rawz(l, value ? "true" : "false");
}

void log_ip(struct log_line *l, const char *ip_key, const char *port_key, const struct addr *a)
{
    char ip[ADDR_TEXT];

    if (!l->on)
        return;
    log_str(l, ip_key, addr_ip_text(a, ip));
    if (port_key)
        log_int(l, port_key, addr_port(a));
}

void log_begin(struct log_line *l, enum log_level level, const char *event)
{
    char ts[CLOCK_ISO_LEN];

    l->len = 0;
    l->on = log_wants(level);
    if (!l->on)
        return;
    clock_iso(ts, clock_now().real_us);
    if (lg.format == LOG_FORMAT_JSON)
        rawz(l, "{");
    log_str(l, "time", ts);
    log_str(l, "level", log_level_name(level));
    log_str(l, "event", event);
    if (lg.role[0])
        log_str(l, "role", lg.role);
    if (lg.generation)
        log_int(l, "generation", lg.generation);
}

static int write_line(struct log_line *l)
{
    ssize_t n;

    do
        n = write(lg.fd, l->text, l->len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

void log_end(struct log_line *l)
{
    uint64_t lost = lg.lost - lg.lost_said;

    if (!l->on)
        return;
    if (lost)
        log_int(l, "logLinesLost", (int64_t)lost);
    memcpy(l->text + l->len, lg.format == LOG_FORMAT_JSON ? "}\n" : "\n", lg.format == LOG_FORMAT_JSON ? 2 : 1);
    l->len += lg.format == LOG_FORMAT_JSON ? 2 : 1;
    if (write_line(l) < 0)
        lg.lost++;
    else
        lg.lost_said += lost; /* only now is it said */
    l->on = false;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    struct log_line l;
    char text[1500];
    va_list ap;

    if (!log_wants(level))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_begin(&l, level, event);
    log_str(&l, "details", text);
    log_end(&l);
}
