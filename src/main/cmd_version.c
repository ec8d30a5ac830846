#include <stdio.h>

#include "config.h"
#include "main/command.h"
#include "tls/cert_store.h"

int cmd_version(const struct command_line *l)
{
    (void)l;
    printf("postern %s\n%s, jansson %s\n", PACKAGE_VERSION, tls_library_version(), JANSSON_VERSION);
    return EXIT_FINE;
}
