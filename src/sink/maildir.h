/* Mailboxes on disk: base directories opened before rights were dropped, and below them *at() only. Mailbox paths come
 * from the configuration, but their owners may put symbolic links there: none is followed. */
#ifndef SINK_MAILDIR_H
#define SINK_MAILDIR_H

#include <stdbool.h>

#include "base/err.h"
#include "conf/conf.h"

struct maildirs;

int maildirs_open(struct maildirs **out, const struct conf *c, struct err *e);
void maildirs_free(struct maildirs **m);
/* Base directory of a delivery; -1 and errno when it cannot be opened (it is tried again). */
int maildirs_base(struct maildirs *m, unsigned delivery);
/* Hidden directory for files where there is no O_TMPFILE, made when missing. */
int maildirs_tmp(struct maildirs *m, unsigned delivery);
/* The same, when it exists: a descriptor for the caller to close, or -1. */
int maildirs_leftovers(struct maildirs *m, unsigned delivery);
/* The new/ directory of a mailbox; makes what is missing and flushes the names it made. The descriptor is cached and
 * stays ours: valid until maildirs_trim(). -1 and errno. */
int maildirs_new(struct maildirs *m, unsigned mailbox);
/* It turned out to be gone: forget it, so that the next maildirs_new() makes it again. */
void maildirs_forget(struct maildirs *m, unsigned mailbox);
/* Between groups: closes cached directories above the bound. */
void maildirs_trim(struct maildirs *m);
bool maildirs_other_owner(const struct maildirs *m); /* some delivery belongs to somebody else */
/* File operations of this thread are done as the delivery's owner until called with UINT_MAX. */
void maildirs_act_as(struct maildirs *m, unsigned delivery);
unsigned maildirs_directories(const struct maildirs *m, const int **fds); /* for Landlock */
const struct conf *maildirs_conf(const struct maildirs *m);
int maildirs_proc_fd(const struct maildirs *m); /* /proc/self/fd */

#endif
