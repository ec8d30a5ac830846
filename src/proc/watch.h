/* Has a file changed? What stat(2) says of the path as it resolves now, compared with what it said when the file was
 * read. Polling sees what inotify misses: a symbolic link swapped in a parent directory. */
#ifndef PROC_WATCH_H
#define PROC_WATCH_H

#include <stdbool.h>

#include "proc/generation.h"

/* Fills everything but the path. */
void watch_stat(struct watched_file *w);
/* The path of the first file that differs now, NULL when none does. */
const char *watch_changed(const struct watched_file *list, unsigned count);

#endif
