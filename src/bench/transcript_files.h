/* Where transcripts are kept: DIR/<sid>.jsonl of each session, and all of them in DIR/all.jsonl (its older half in
 * all.1.jsonl). They never take more than was given them: the oldest sessions go first. A disk that is full is said once, on
 * standard error, and hinders no session. */
#ifndef BENCH_TRANSCRIPT_FILES_H
#define BENCH_TRANSCRIPT_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct transcript_files;
struct transcript_file; /* of a session */

struct transcript_files_setup {
    const char *dir;       /* made when it is not there; one level of it */
    unsigned max_sessions; /* 0: no bound. What earlier runs left in dir counts */
    uint64_t max_bytes;    /* of everything together; 0: no bound */
};

int transcript_files_open(struct transcript_files **out, const struct transcript_files_setup *s, struct err *e);
void transcript_files_close(struct transcript_files **f);
/* What session numbers of this run begin with, so that no file of an earlier run is of the same name. */
uint64_t transcript_files_run(const struct transcript_files *f);

struct transcript_file *transcript_files_begin(struct transcript_files *f, const char *sid);
/* Whole lines. file: NULL for what is of no session. */
void transcript_files_write(struct transcript_files *f, struct transcript_file *file, const char *p, size_t n);
void transcript_files_end(struct transcript_files *f, struct transcript_file *file);

#endif
