/* Scenarios from files: the built-in catalogue (conf/bench) and users' own are written alike.
 *
 *     scenario "starttls.refused-454" {
 *         section = "C"
 *         doc     = "STARTTLS is offered, and refused for now"
 *         correct = "opportunistic: in clear on this connection; required: later"
 *         source  = "RFC 3207 4"
 *         step { at = starttls  reply = {"454 4.7.0 not now"} }
 *         expect required { forbid = {"mail-in-clear"} wait = "the queue's next run" }
 *     }
 *
 * reply is a list of lines, each gets CR LF ("250-a", "250 b"); raw is bytes as they are (%0d%0a, %r%n). include("more.conf")
 * outside of sections puts another file there; its name is relative to the file where it stands.
 *
 * Errors are one line, and name file, line and option, what is wrong, and what was most likely meant:
 *
 *     mine.conf:4: at: not "conect"; nearest: connect
 *     more.conf:7 (included by mine.conf:1): reply: it stands in line 5 already; remove one */
#ifndef BENCH_SCENARIO_FILE_H
#define BENCH_SCENARIO_FILE_H

#include "bench/scenario.h"

struct bench_catalogue {
    struct bench_scenario *list; /* in the order of the files */
    unsigned count, cap;
};

/* Adds the scenarios of a file. -1 and e: file, line, option and what is wrong; the catalogue is as it was. */
int bench_scenario_load(struct bench_catalogue *c, const char *path, struct err *e);
/* The same for all *.conf of a directory, by name. */
int bench_scenario_load_dir(struct bench_catalogue *c, const char *dir, struct err *e);
/* The same from memory, without include(); name: what it is called in errors. */
int bench_scenario_load_text(struct bench_catalogue *c, const char *name, const char *text, struct err *e);
void bench_catalogue_free(struct bench_catalogue *c);
const struct bench_scenario *bench_catalogue_find(const struct bench_catalogue *c, const char *name);

#endif
