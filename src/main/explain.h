/* The words of a mail server, to their cause and remedy. Pure: text in, a row of the table out.
 *
 * A row names parts that must all occur in the text, separated by '&'. Case is ignored, runs of white space count as
 * one space, and a part that begins with a digit is a code of its own: 451 is not found inside 10451 nor 4.7.0 in
 * 4.7.05. Of several rows that fit, the one with the most matched characters is meant. */
#ifndef MAIN_EXPLAIN_H
#define MAIN_EXPLAIN_H

#include <stdbool.h>

struct explanation {
    const char *parts;
    const char *who; /* who says it */
    const char *means;
    const char *side; /* which side to look at */
    const char *next; /* what to run or do */
};

extern const struct explanation explain_peers[];   /* what senders, clients and reports say; ends with parts NULL */
extern const struct explanation explain_replies[]; /* what postern answers, by its words */
extern const struct explanation explain_relay[];   /* what postern's queue says of mail that is handed onward */
extern const struct explanation explain_codes[];   /* what is left: a reply code alone */

/* NULL: nothing here fits. *general: only the code was recognised (a row of explain_codes). */
const struct explanation *explain_find(const char *text, bool *general);

#define EXPLAIN_NEAREST 3
/* The rows that share most words with a text that does not fit; how many there are. */
unsigned explain_nearest(const char *text, const struct explanation *out[EXPLAIN_NEAREST]);

#endif
