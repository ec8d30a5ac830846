#include "main/command.h"
#include "proc/supervisor.h"

int cmd_run(const struct command_line *l)
{
    struct supervisor_options o = {
        .conf_file = l->conf_file,
        .verbose = l->verbose,
        .ports_file = l->ports_file,
    };

    return supervisor_run(&o);
}
