/* --only: which scenarios. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/bench_command.h"

/* The next glob of a list with commas; false: there is none. The caller frees it. */
static bool next_glob(const char **list, char **glob)
{
    size_t n;

    *list += strspn(*list, ", ");
    n = strcspn(*list, ", ");
    if (!n)
        return false;
    *glob = mem_strn(*list, n);
    *list += n;
    return true;
}

bool bench_options_want(const struct bench_options *o, const char *name)
{
    for (unsigned i = 0; i < o->only_count; i++) {
        const char *list = o->only[i];
        char *glob;

        while (next_glob(&list, &glob)) {
            bool fits = fnmatch(glob, name, 0) == 0;

            free(glob);
            if (fits)
                return true;
        }
    }
    return o->only_count == 0;
}

static bool fits_any(const char *glob, const struct bench_catalogue *c)
{
    for (unsigned i = 0; i < c->count; i++)
        if (fnmatch(glob, c->list[i].name, 0) == 0)
            return true;
    return false;
}

int bench_options_only(const struct bench_options *o, const struct bench_catalogue *c)
{
    int rc = 0;

    for (unsigned i = 0; i < o->only_count; i++) {
        const char *list = o->only[i];
        char *glob;

        while (next_glob(&list, &glob)) {
            if (!fits_any(glob, c)) {
                fprintf(stderr, "postern-bench: no scenario fits %s; postern-bench list has their names\n", glob);
                rc = -1;
            }
            free(glob);
        }
    }
    return rc;
}
