/* The leader of one generation: loads, judges, forks the store and the workers, re-forks workers that die, answers on
 * the control socket. Everything it knows of the world it inherits through fork from the supervisor. */
#ifndef PROC_LEADER_H
#define PROC_LEADER_H

#include "base/share.h"
#include "proc/generation.h"

struct leader_setup {
    enum generation_mode mode;
    unsigned number; /* of the generation */
    const char *conf_file;
    const struct snapshot *last;
    struct share *share;
    int supervisor_fd; /* chan */
    int log_fd;        /* write end of the log pipe */
    int supervisor_pid;
    int64_t started_s; /* of the daemon, realtime */
    bool verbose;
};

/* Never returns to the supervisor's code: the exit code of the process. */
int leader_run(const struct leader_setup *s);

#endif
