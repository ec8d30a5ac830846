/* Prints what is written down once, in the option table: docs/configuration.md and postern.conf(5). */
#include <stdio.h>

#include "conf/conf.h"
#include "config.h"
#include "main/command.h"

#define PAGE_DATE "November 23, 2026"

int cmd_reference(const struct command_line *l)
{
    if (!l->markdown && !l->man) {
        fprintf(stderr, "usage: postern reference --markdown | --man\n");
        return EXIT_USAGE;
    }
    fflush(stdout);
    if (l->man)
        conf_write_man(1, PACKAGE_VERSION, PAGE_DATE);
    else
        conf_write_markdown(1);
    return EXIT_FINE;
}
