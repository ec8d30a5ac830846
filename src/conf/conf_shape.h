/* Where libconfuse stands before a token: the same steps over the same tokens, so that an error can
 * be said in words and mended. Knows the grammar only as far as that needs. */
#ifndef CONF_CONF_SHAPE_H
#define CONF_CONF_SHAPE_H

#include "conf/conf_options.h"
#include "conf/conf_scan.h"

enum conf_expecting {
    CONF_A_NAME,
    CONF_AN_EQUAL,
    CONF_A_VALUE,
    CONF_A_LIST,
    CONF_AN_ITEM,
    CONF_A_COMMA,
    CONF_A_TITLE,
    CONF_A_BRACE
};

struct conf_shape {
    enum conf_expecting state;
    unsigned name;    /* token of the statement's name */
    unsigned list;    /* token of the list's brace */
    unsigned section; /* token of the section's name, UINT_MAX: global */
    enum conf_section_kind kind;
    const struct conf_option *option;
};

/* Before token `at`, which libconfuse refused; at == count: the end. */
struct conf_shape conf_shape(const struct conf_scan *s, unsigned at);

/* Walking over tokens that are not blanked. Numbers may be count: the end; its kind is '\0'. */
unsigned conf_shape_next(const struct conf_scan *s, unsigned i);
char conf_shape_kind(const struct conf_scan *s, unsigned i);
/* Past the brace that closes the one at `open`. */
unsigned conf_shape_past_braces(const struct conf_scan *s, unsigned open);
/* Past the statement whose name is at `at`: name = value, name = {...}, name [title] {...}. */
unsigned conf_shape_past_statement(const struct conf_scan *s, unsigned at);

#endif
