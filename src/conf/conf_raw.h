/* What stands in the text, before it means anything: sections, options, strings, and where each
 * stands. Made by conf_load.c from what libconfuse reports, read by the passes that follow. */
#ifndef CONF_CONF_RAW_H
#define CONF_CONF_RAW_H

#include "conf/conf_options.h"
#include "conf/conf_scan.h"

struct conf_raw_value {
    char *text;
    unsigned line;
    bool bad; /* reported already */
};

struct conf_raw_setting {
    const struct conf_option *option;
    const char *file;              /* the scan's memory */
    unsigned line;                 /* of the option's name */
    unsigned name;                 /* token number of it */
    struct conf_raw_value *values; /* none: an empty list */
    unsigned count, cap;
    bool bad; /* some value is */
};

struct conf_raw_section {
    enum conf_section_kind kind;
    char *title; /* "" for the global one and untitled ones */
    const char *file;
    unsigned line;
    bool bad; /* reported already: a second one of this title, or one without a title */
    struct conf_raw_setting *settings;
    unsigned count;
};

struct conf_raw {
    struct conf_raw_section *sections; /* [0] is the global one; the others in the order of the text */
    unsigned count;
};

void conf_raw_free(struct conf_raw *r);
/* NULL when it was not written. */
const struct conf_raw_setting *conf_raw_find(const struct conf_raw_section *s, const char *option);

/* Parses by libconfuse. 0; or -1 when it gave up after CONF_REPAIRS mended errors. All problems in
 * p. */
#define CONF_REPAIRS 20
int conf_raw_parse(struct conf_raw *out, struct conf_scan *s, struct conf_problems *p);

/* conf_repair.c: libconfuse refused token number `at`. Says what is wrong and mends the tokens, so
 * that the next parse comes further. */
void conf_repair(struct conf_scan *s, unsigned at, struct conf_problems *p);

#endif
