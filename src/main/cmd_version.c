#include <stdio.h>

#include "config.h"
#include "main/command.h"
#include "tls/cert_store.h"

int cmd_version(const struct command_line *l)
{
#ifdef HAVE_LINUX_LANDLOCK_H
    const char *landlock = "yes";
#else
    const char *landlock = "no: built without linux/landlock.h";
#endif
#ifdef POSTERN_SANITIZED
    const char *kind = " (built with sanitizers: for tests, not for service)";
#else
    const char *kind = "";
#endif

    if (l->json) {
        json_t *o = json_pack("{s:s,s:s,s:s,s:s}", "version", PACKAGE_VERSION, "tls", tls_library_version(), "jansson",
                              JANSSON_VERSION, "landlock", landlock);

        command_print_json(o);
        json_decref(o);
        return EXIT_FINE;
    }
    printf("postern %s%s\n%s\njansson %s\nLandlock: %s\n", PACKAGE_VERSION, kind, tls_library_version(),
           JANSSON_VERSION, landlock);
    return EXIT_FINE;
}
