#include "bench/bench_offer.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static const char *const extensions[] = {"PIPELINING",    "SIZE",        "8BITMIME", "BINARYMIME", "SMTPUTF8",
                                         "CHUNKING",      "DSN",         "AUTH",     "REQUIRETLS", "DELIVERBY",
                                         "FUTURERELEASE", "MT-PRIORITY", "STARTTLS"};
#define EXTENSIONS (sizeof extensions / sizeof *extensions)

static unsigned bit(const char *word, size_t n)
{
    for (unsigned i = 0; i < EXTENSIONS; i++)
        if (strlen(extensions[i]) == n && strncasecmp(extensions[i], word, n) == 0)
            return 1u << i;
    return 0;
}

/* "AUTH=LOGIN" is an old way to offer AUTH. */
static size_t word_len(const char *p, const char *end)
{
    size_t n = 0;

    while (p + n < end && p[n] != ' ' && p[n] != '=' && p[n] != '\t')
        n++;
    return n;
}

unsigned bench_offer_of(const char *text, size_t n, unsigned skip)
{
    const char *p = text, *end = text + n;
    unsigned got = 0;

    while (p < end) {
        const char *cr = memchr(p, '\r', (size_t)(end - p)), *lf = memchr(p, '\n', (size_t)(end - p));
        const char *stop = cr && (!lf || cr < lf) ? cr : lf ? lf : end;
        bool is_250 = stop - p >= 4 && memcmp(p, "250", 3) == 0;

        if (stop > p && skip)
            skip--;
        else if (is_250)
            got |= bit(p + 4, word_len(p + 4, stop));
        p = stop + 1;
    }
    return got;
}

/* Parameters of MAIL and RCPT, and what they belong to. */
static const struct {
    const char *verb, *parameter, *extension;
} parameters[] = {
    {"MAIL", "SIZE=", "SIZE"},
    {"MAIL", "BODY=7BIT", "8BITMIME"},
    {"MAIL", "BODY=8BITMIME", "8BITMIME"},
    {"MAIL", "BODY=BINARYMIME", "BINARYMIME"},
    {"MAIL", "SMTPUTF8", "SMTPUTF8"},
    {"MAIL", "RET=", "DSN"},
    {"MAIL", "ENVID=", "DSN"},
    {"MAIL", "AUTH=", "AUTH"},
    {"MAIL", "REQUIRETLS", "REQUIRETLS"},
    {"MAIL", "BY=", "DELIVERBY"},
    {"MAIL", "HOLDFOR=", "FUTURERELEASE"},
    {"MAIL", "HOLDUNTIL=", "FUTURERELEASE"},
    {"MAIL", "MT-PRIORITY=", "MT-PRIORITY"},
    {"RCPT", "NOTIFY=", "DSN"},
    {"RCPT", "ORCPT=", "DSN"},
};

static unsigned of_parameter(const char *verb, const char *p)
{
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (strcmp(parameters[i].verb, verb) == 0 &&
            strncasecmp(p, parameters[i].parameter, strlen(parameters[i].parameter)) == 0)
            return bit(parameters[i].extension, strlen(parameters[i].extension));
    return 0;
}

unsigned bench_offer_used(const char *verb, const char *arg)
{
    unsigned used = 0;
    const char *p = strrchr(arg, '>');

    if (strcmp(verb, "AUTH") == 0)
        return bit("AUTH", 4);
    if (strcmp(verb, "BDAT") == 0)
        return bit("CHUNKING", 8);
    if (strcmp(verb, "MAIL") != 0 && strcmp(verb, "RCPT") != 0)
        return 0;
    for (; p && *p; p++)
        if (*p == ' ')
            used |= of_parameter(verb, p + 1);
    return used;
}
