/* One value: its type, its range, its floor. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_build.h"
#include "conf/conf_idn.h"

struct unit {
    const char *name;
    uint64_t times;
};
static const struct unit size_units[] = {{"", 1},           {"K", 1024},         {"M", 1048576},
                                         {"G", 1073741824}, {"k", 1024},         {"KiB", 1024},
                                         {"MiB", 1048576},  {"GiB", 1073741824}, {NULL, 0}};
static const struct unit time_units[] = {{"", 1000},     {"ms", 1},       {"s", 1000}, {"m", 60000},
                                         {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static int with_unit(const struct unit *units, const char *text, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t v;

    if (!text_u64((struct span){text, digits}, &v))
        return -1;
    for (text += digits; *text == ' '; text++)
        ;
    for (; units->name; units++) {
        if (strcmp(units->name, text) != 0)
            continue;
        if (v > UINT64_MAX / units->times)
            return -1;
        *out = v * units->times;
        return 0;
    }
    return -1;
}

static int mode_number(const char *text, uint64_t *out, struct err *e)
{
    size_t n = strspn(text, "01234567");

    if (n == 0 || text[n] || n > 5)
        return err_set(e, "\"%s\" is not a mode in octal (0600)", text);
    *out = strtoul(text, NULL, 8);
    return 0;
}

int conf_value_number(const struct conf_option *o, const char *text, uint64_t *out, struct err *e)
{
    switch (o->type) {
    case CONF_MODE:
        return mode_number(text, out, e);
    case CONF_SIZE:
        if (with_unit(size_units, text, out) == 0)
            return 0;
        return err_set(e, "\"%s\" is not a size (52428800, 50M)", text);
    case CONF_SECONDS:
    case CONF_MILLIS:
        if (with_unit(time_units, text, out))
            return err_set(e, "\"%s\" is not a duration (300, 5m, 1h)", text);
        if (o->type == CONF_SECONDS && *out % 1000)
            return err_set(e, "\"%s\" is not a whole number of seconds", text);
        if (o->type == CONF_SECONDS)
            *out /= 1000;
        else if (text[strspn(text, "0123456789")] == '\0' && *out)
            return err_set(e, "\"%s\" needs a unit (500ms, 2s)", text);
        return 0;
    default:
        if (with_unit(no_units, text, out) == 0)
            return 0;
        return err_set(e, "\"%s\" is not a number", text);
    }
}

void conf_build_error(const struct conf_building *b, const struct conf_raw_setting *s, unsigned v, const char *remedy,
                      const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    conf_problem_add(b->p, false, s->file, v < s->count ? s->values[v].line : s->line, s->option->name, remedy, "%s",
                     text);
}

static void store(void *at, size_t width, uint64_t v)
{
    uint32_t v32 = (uint32_t)v;
    uint8_t v8 = (uint8_t)v;

    if (width == 8)
        memcpy(at, &v, 8);
    else if (width == 4)
        memcpy(at, &v32, 4);
    else
        memcpy(at, &v8, 1);
    assert(width == 8 || width == 4 || width == 1);
}

/* As a person would write it: 52428800 is 50M, 300 is 5m. */
static char *number_text(const struct conf_option *o, uint64_t v)
{
    if (o->type == CONF_MODE)
        return mem_printf("%04" PRIo64, v);
    if (o->type == CONF_SIZE && v && v % 1048576 == 0)
        return mem_printf("%" PRIu64 "M", v / 1048576);
    if (o->type == CONF_SIZE && v && v % 1024 == 0)
        return mem_printf("%" PRIu64 "K", v / 1024);
    if (o->type == CONF_SECONDS)
        return mem_printf("%" PRIu64 "s", v);
    if (o->type == CONF_MILLIS)
        return mem_printf("%" PRIu64 "ms", v);
    return mem_printf("%" PRIu64, v);
}

static void check_range(const struct conf_building *b, const struct conf_option *o, uint64_t v,
                        const struct conf_raw_setting *s)
{
    char *low, *high;

    if (v == 0 && o->zero)
        return;
    low = number_text(o, o->floor && !b->conf->lab ? o->floor : o->min);
    high = number_text(o, o->max);
    if (v < o->min || v > o->max) {
        conf_build_error(b, s, 0, NULL, "\"%s\" is out of range: %s to %s%s%s", s->values[0].text, low, high,
                         o->zero ? ", or 0: " : "", o->zero ? o->zero : "");
    } else if (v < o->floor && !b->conf->lab) {
        char *remedy = mem_printf("write %s or more; only a test setup may go below, with lab = yes", low);

        conf_build_error(b, s, 0, remedy, "\"%s\" is below the %s that %s demands", s->values[0].text, low, o->rfc);
        free(remedy);
    }
    free(low);
    free(high);
}

static void fill_number(const struct conf_building *b, const struct conf_option *o, const struct conf_raw_setting *s,
                        const char *text, char *to)
{
    struct err e = {""};
    uint64_t v = 0;

    if (conf_value_number(o, text, &v, &e)) {
        if (s)
            conf_build_error(b, s, 0, NULL, "%s", e.text);
        assert(s); /* a default must be right */
        return;
    }
    if (s)
        check_range(b, o, v, s);
    store(to + o->at, o->width, v);
}

static void fill_word(const struct conf_building *b, const struct conf_option *o, const struct conf_raw_setting *s,
                      const char *text, char *to)
{
    const char *nearest = conf_nearest(o->words, text);
    char list[256] = "", *remedy;

    for (unsigned i = 0; o->words[i]; i++) {
        if (strcmp(o->words[i], text) == 0) {
            store(to + o->at, o->width, i);
            return;
        }
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", o->words[i]);
    }
    assert(s); /* a default must be right */
    if (o->fallback)
        fill_word(b, o, NULL, o->fallback, to); /* so that the rest can be judged */
    remedy = nearest ? mem_printf("nearest: %s", nearest) : mem_printf("one of: %s", list);
    conf_build_error(b, s, 0, remedy, "unknown value \"%s\"", text);
    free(remedy);
}

static void fill_bool(const struct conf_building *b, const struct conf_option *o, const struct conf_raw_setting *s,
                      const char *text, char *to)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true"};

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        if (span_is_nocase(span_str(text), words[i])) {
            store(to + o->at, o->width, i % 2);
            return;
        }
    }
    conf_build_error(b, s, 0, "yes or no", "unknown value \"%s\"", text);
}

static void fill_text(const struct conf_building *b, const struct conf_option *o, const struct conf_raw_setting *s,
                      const char *text, char *to)
{
    char host[CONF_IDN_LEN], *kept = NULL;
    struct err e = {""};

    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) { /* by an escape or from the environment */
            conf_build_error(b, s, 0, NULL, "a control character in the value");
            return;
        }
    }
    if (!*text) {
        conf_build_error(b, s, 0, NULL, "the value is empty");
        return;
    }
    if (o->type == CONF_HOST) {
        if (conf_idn_ascii(host, span_str(text), &e)) {
            conf_build_error(b, s, 0, NULL, "%s", e.text);
            return;
        }
        kept = conf_keep_text(b->conf, host);
    } else if (o->type == CONF_PATH) {
        char *path = conf_path_join(s ? s->file : b->file, text);

        kept = conf_keep_text(b->conf, path);
        free(path);
    } else {
        kept = conf_keep_text(b->conf, text);
    }
    memcpy(to + o->at, &kept, sizeof kept);
}

static void fill_nets(const struct conf_building *b, const struct conf_option *o, const struct conf_raw_setting *s,
                      char *to)
{
    unsigned n = 0, want = s ? s->count : 8;
    struct net *nets = conf_keep(b->conf, want * sizeof *nets);
    struct err e;

    for (unsigned i = 0; s && i < s->count; i++) {
        if (s->values[i].bad)
            continue;
        if (net_parse(&nets[n], s->values[i].text, &e))
            conf_build_error(b, s, i, NULL, "%s", e.text);
        else
            n++;
    }
    if (!s) { /* the default: names with a space between */
        char *text = mem_str(o->fallback), *save = NULL;

        for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
            int bad = net_parse(&nets[n++], w, &e);

            assert(!bad && n <= want);
            (void)bad;
        }
        free(text);
    }
    memcpy(to + o->at, &nets, sizeof(struct net *));
    store(to + o->count_at, sizeof(unsigned), n);
}

static void fill_one(const struct conf_building *b, const struct conf_option *o, const struct conf_raw_setting *s,
                     char *to)
{
    const char *text = s ? s->values[0].text : o->fallback;

    switch (o->type) {
    case CONF_NETS:
        break;
    case CONF_TEXT:
    case CONF_PATH:
    case CONF_HOST:
        fill_text(b, o, s, text, to);
        break;
    case CONF_WORD:
        fill_word(b, o, s, text, to);
        break;
    case CONF_BOOL:
        fill_bool(b, o, s, text, to);
        break;
    default:
        fill_number(b, o, s, text, to);
        break;
    }
}

void conf_value_fill(const struct conf_building *b, const struct conf_raw_section *sec, void *to)
{
    for (size_t i = 0; i < conf_option_count; i++) {
        const struct conf_option *o = &conf_options[i];
        const struct conf_raw_setting *s;

        if (o->section != sec->kind)
            continue;
        s = conf_raw_find(sec, o->name);
        if (!s && o->required)
            conf_problem_add(b->p, false, sec->file, sec->line, o->name, NULL, "%s \"%s\" needs it",
                             conf_sections[sec->kind].name, sec->title);
        if (o->type == CONF_OWN)
            continue;
        if (s && s->bad && !o->list)
            s = NULL; /* reported; the default stands in so that the rest can be checked */
        if (o->type == CONF_NETS)
            fill_nets(b, o, s, to);
        else if (s || o->fallback)
            fill_one(b, o, s, to);
    }
}
