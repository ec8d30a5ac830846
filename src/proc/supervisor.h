/* `postern run`: the supervisor. Binds and keeps sockets, watches files, keeps the last good snapshot, starts
 * generations and switches when the new one is READY, writes the log. Never parses anything. */
#ifndef PROC_SUPERVISOR_H
#define PROC_SUPERVISOR_H

#include <stdbool.h>

struct supervisor_options {
    const char *conf_file;
    bool verbose;           /* log level at least debug, whatever the file says */
    const char *ports_file; /* tests: write "listener address" of every bound socket here, or NULL */
};

/* Runs until stopped; the process's exit code. */
int supervisor_run(const struct supervisor_options *o);

#endif
