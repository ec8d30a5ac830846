#include "bench/scenario_value.h"

#include <stdio.h>

#include "base/text.h"

bool scenario_value_given(cfg_t *sec, const char *option)
{
    return (cfg_getopt(sec, option)->flags & CFGF_MODIFIED) != 0;
}

char *scenario_value_text(cfg_t *sec, const char *option)
{
    return mem_str(cfg_getstr(sec, option));
}

char **scenario_value_list(cfg_t *sec, const char *option)
{
    unsigned n = cfg_size(sec, option);
    char **list = n ? mem_alloc((n + 1) * sizeof *list) : NULL;

    for (unsigned i = 0; i < n; i++)
        list[i] = mem_str(cfg_getnstr(sec, option, i));
    return list;
}

int scenario_value_number(cfg_t *sec, const char *option, unsigned least, unsigned most, unsigned *out)
{
    long n = cfg_getint(sec, option);
    char what[100];

    snprintf(what, sizeof what, "%ld is out of range; from %u to %u", n, least, most);
    if (n < (long)least || n > (long)most)
        return scenario_cfg_complain(sec, option, what);
    *out = (unsigned)n;
    return 0;
}

int scenario_value_word(cfg_t *sec, const char *option, const char *const *words, const char *fallback)
{
    const char *s = cfg_getstr(sec, option);

    if (!s)
        s = fallback;
    for (int i = 0; words[i]; i++)
        if (bench_word_is(words[i], s))
            return i;
    return scenario_cfg_unknown(sec, option, s, words);
}

int scenario_value_one_of(cfg_t *sec, const char *option, const char *const *words, char **out)
{
    int i = cfg_getstr(sec, option) ? scenario_value_word(sec, option, words, NULL) : 0;

    *out = cfg_getstr(sec, option) && i >= 0 ? mem_str(words[i]) : NULL;
    return i < 0 ? -1 : 0;
}

int scenario_value_bytes(cfg_t *sec, const char *option, const char *text, struct bench_bytes *out)
{
    struct err e;

    return bench_bytes_parse(out, text, &e) < 0 ? scenario_cfg_complain(sec, option, e.text) : 0;
}

int scenario_value_nets(cfg_t *sec, const char *option, struct net **out, unsigned *count)
{
    unsigned n = cfg_size(sec, option);
    struct err e;

    *out = n ? mem_alloc(n * sizeof **out) : NULL;
    for (*count = 0; *count < n; (*count)++)
        if (net_parse(&(*out)[*count], cfg_getnstr(sec, option, *count), &e) < 0)
            return scenario_cfg_complain(sec, option, e.text);
    return 0;
}
