/* What libconfuse does not tell of a file: where an option stands (it knows only where its section ends, and loses count at
 * comments), that a brace or a quotation mark is missing (it takes the end of the file for the end of everything), and that
 * an option stands twice (it takes the last one). Pure; the text may be anything. */
#ifndef BENCH_SCENARIO_TEXT_H
#define BENCH_SCENARIO_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/text.h"

#define SCENARIO_TEXT_DEPTH 16u /* sections inside of sections */

/* name: of the text, in errors. -1 and e: line, and what is wrong. */
int scenario_text_check(const char *name, const char *text, size_t n, struct err *e);

/* The line of the option in the section that ends in line `end`, or of the section's beginning, where the option is not
 * there; end itself, where there is no such section. */
unsigned scenario_text_line(const char *text, size_t n, unsigned end, const char *option);

/* Each section as it ends. */
struct scenario_section {
    struct span name; /* "step" */
    unsigned begin, end;
};
typedef void scenario_section_fn(void *arg, const struct scenario_section *s);
void scenario_text_sections(const char *text, size_t n, scenario_section_fn *fn, void *arg);

/* Comments become blanks. */
void scenario_text_blank(char *text, size_t n);

/* The line of the first ${NAME} for which libconfuse would put something of the environment; 0: there is none. Between '' it
 * would not. */
unsigned scenario_text_variable(const char *text, size_t n);

/* The first include("name") outside of sections, from octet `after` on. */
struct scenario_include {
    size_t from, to; /* octets of the text that it takes */
    struct span name;
    unsigned line;
};
bool scenario_text_include(const char *text, size_t n, size_t after, struct scenario_include *out);

#endif
