#include <stdio.h>
#include <time.h>

#include "conf/conf.h"
#include "config.h"
#include "main/command.h"

int cmd_reference(const struct command_line *l)
{
    if (!l->markdown && !l->man) {
        fprintf(stderr, "postern reference: --markdown or --man\n");
        return EXIT_USAGE_;
    }
    fflush(stdout);
    if (l->man)
        conf_write_man(1, PACKAGE_VERSION, "November 23, 2026");
    else
        conf_write_markdown(1);
    return EXIT_FINE;
}
