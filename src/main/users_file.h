/* The file of users, changed as a whole: a new file, flushed, then renamed over the old one, whose owner, group, mode and
 * comments it keeps. -1 and e: nothing was changed. */
#ifndef MAIN_USERS_FILE_H
#define MAIN_USERS_FILE_H

#include <stdbool.h>

#include "auth/secret.h"

/* Can it be changed? create: it may be missing. */
int users_file_ready(const char *file, bool create, struct err *e);
/* name: as conf_user_name() makes it. */
int users_file_set(const char *file, bool create, const char *name, const char *password, struct err *e);
int users_file_remove(const char *file, const char *name, struct err *e);

#endif
