/* Configuration text cut into tokens, each with the file and line it stands in. libconfuse (3.3)
 * counts a comment as up to three lines, keeps only a section's last line, drops * and + in words,
 * takes an unset ${X} for "", and "a|b" for option b of section a. So it is given these tokens one
 * per line, without comments: the number of its line is the number of the token. What is wrong with
 * a token by itself (an open string, an unset variable, a control character) is found here.
 *
 * include("file") is replaced by that file's tokens. Nothing is opened but through the reader. */
#ifndef CONF_CONF_SCAN_H
#define CONF_CONF_SCAN_H

#include <stdbool.h>

#include "base/text.h"
#include "conf/conf.h"

#define CONF_SCAN_BYTES ((size_t)4 * 1024 * 1024) /* of all files together */
#define CONF_SCAN_FILES 64
#define CONF_SCAN_DEPTH 8

struct conf_token {
    char kind; /* 't' text (a word or a quoted string), else one of = + { } ( ) , */
    bool made; /* not in the file: put in to mend it, or for an empty list */
    bool bad;  /* reported already: its value is not looked at */
    bool gone; /* blanked: libconfuse does not see it */
    unsigned line;
    const char *file;
    struct span text; /* as it stands in the file, quotes included */
};

struct conf_scan {
    struct conf_token *tokens;
    unsigned count, cap;
    char **held; /* texts and names the tokens point into */
    unsigned held_count;
    unsigned files, problems;
    size_t bytes;
    bool given_up; /* too many problems: what was not read is not judged either */
};

/* Never fails: what is wrong is in p, and the tokens are as good as can be. */
void conf_scan(struct conf_scan *out, const char *file, const char *text, const struct conf_reader *reader,
               struct conf_problems *p);
void conf_scan_free(struct conf_scan *s);

/* Puts a token in front of number `at`, on the line of the one before. text is not copied. */
void conf_scan_insert(struct conf_scan *s, unsigned at, char kind, const char *text, bool bad);
/* A name for messages: the word, or what is between the quotes. Caller frees. */
char *conf_token_text(const struct conf_token *t);
bool conf_token_is(const struct conf_token *t, const char *name);
/* The directory of `file` joined with a relative path; absolute, by the working directory if need
 * be. malloc'd. */
char *conf_path_join(const char *file, const char *path);

#endif
