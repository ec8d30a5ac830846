#include "bench/bench_trigger.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Takes the word from the front of the text. */
static bool take_word(const char **p, const char *word)
{
    size_t n = strlen(word);

    if (strncasecmp(*p, word, n) != 0)
        return false;
    *p += n;
    return true;
}

/* One to four digits. */
static bool take_number(const char **p, unsigned most, unsigned *out)
{
    unsigned digits = 0;

    for (*out = 0; digits < 5 && isdigit((unsigned char)**p); digits++)
        *out = *out * 10 + (unsigned)(*(*p)++ - '0');
    return digits > 0 && digits < 5 && *out <= most;
}

static bool take_point(const char **p, enum bench_at *at)
{
    static const struct {
        const char *word;
        enum bench_at at;
    } points[] = {{"mail", BENCH_MAIL}, {"rcpt", BENCH_RCPT}, {"data", BENCH_DATA}, {"dot", BENCH_DATA_END},
                  {"bdat", BENCH_BDAT}, {"rset", BENCH_RSET}, {"quit", BENCH_QUIT}};

    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        if (take_word(p, points[i].word)) {
            *at = points[i].at;
            return true;
        }
    return false;
}

static bool take_action(const char **p, struct bench_step *s)
{
    static const struct {
        const char *word;
        enum bench_then then;
        bool silent;
    } actions[] = {{"drop", BENCH_CLOSE, true},
                   {"rst", BENCH_RST, true},
                   {"hang", BENCH_HANG, true},
                   {"close", BENCH_CLOSE, false}};

    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (take_word(p, actions[i].word)) {
            s->then = actions[i].then;
            if (actions[i].silent)
                s->reply = (struct bench_bytes){.p = (char *)"", .n = 0};
            return true;
        }
    return false;
}

/* "450", "450-4.2.1" */
static bool take_code(const char **p, struct bench_trigger *t)
{
    unsigned code, class, subject, detail;

    if (!take_number(p, 599, &code) || code < 200)
        return false;
    if (**p == '-') {
        ++*p;
        if (!take_number(p, 5, &class) || *(*p)++ != '.' || !take_number(p, 999, &subject) || *(*p)++ != '.' ||
            !take_number(p, 999, &detail))
            return false;
        snprintf(t->reply, sizeof t->reply, "%u %u.%u.%u as the address asks\r\n", code, class, subject, detail);
    } else {
        snprintf(t->reply, sizeof t->reply, "%u as the address asks\r\n", code);
    }
    t->step.reply = (struct bench_bytes){.p = t->reply, .n = strlen(t->reply)};
    return true;
}

static bool is_over(const char *p)
{
    return *p == '@' || *p == '+' || *p == '\0';
}

bool bench_trigger_parse(struct bench_trigger *out, const char *address)
{
    const char *p = address;
    unsigned delay = 0;

    memset(out, 0, sizeof *out);
    out->step.chance = 1000;
    if (take_word(&p, "delay") && (!take_number(&p, BENCH_TRIGGER_DELAY, &delay) || *p++ != '-'))
        return false;
    out->step.delay_ms = delay * 1000;
    if (!take_point(&p, &out->step.at))
        return false;
    if (delay && is_over(p))
        return true;
    if (*p++ != '-')
        return false;
    if (!take_action(&p, &out->step) && !take_code(&p, out))
        return false;
    out->step.stored = out->step.at == BENCH_DATA_END && out->step.then == BENCH_CLOSE; /* RFC 1047 */
    if (*p == 'x' && (p++, !take_number(&p, 9999, &out->step.times) || !out->step.times))
        return false;
    return is_over(p);
}
