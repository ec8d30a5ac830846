#include "sink/names.h"

#include <stdio.h>
#include <string.h>

void names_host(char dst[NAMES_HOST_MOST], const char *host)
{
    size_t o = 0;

    for (; *host && o + 5 < NAMES_HOST_MOST; host++) {
        if (*host == '/' || *host == ':') {
            memcpy(dst + o, *host == '/' ? "\\057" : "\\072", 4);
            o += 4;
        } else {
            dst[o++] = *host;
        }
    }
    dst[o] = '\0';
}

void names_make(char dst[NAMES_MOST], int64_t real_us, int pid, uint64_t n, const char *host, uint64_t size)
{
    snprintf(dst, NAMES_MOST, "%lld.M%lldP%dQ%llu.%.127s,S=%llu", (long long)(real_us / 1000000),
             (long long)(real_us % 1000000), pid, (unsigned long long)n, host, (unsigned long long)size);
}
