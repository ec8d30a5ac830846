/* What servers say about TLS and about us, with cause and remedy. */
#ifndef MAIN_EXPLAIN_TABLE_H
#define MAIN_EXPLAIN_TABLE_H

struct explanation {
    const char *words;  /* all of these, separated by '&', must occur (case ignored) */
    const char *who;    /* who says it */
    const char *means;
    const char *side;   /* which side to look at */
    const char *next;   /* what to run or do */
};

extern const struct explanation explain_table[]; /* the most special first; ends with words NULL */

#endif
