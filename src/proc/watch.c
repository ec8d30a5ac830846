#include "proc/watch.h"

#include <string.h>
#include <sys/stat.h>

void watch_stat(struct watched_file *w)
{
    struct stat st;

    w->exists = stat(w->path, &st) == 0;
    w->dev = w->exists ? st.st_dev : 0;
    w->ino = w->exists ? st.st_ino : 0;
    w->size = w->exists ? st.st_size : 0;
    w->ctime_ns = w->exists ? (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec : 0;
}

const char *watch_changed(const struct watched_file *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct watched_file now;

        memcpy(now.path, list[i].path, sizeof now.path);
        watch_stat(&now);
        if (now.exists != list[i].exists || now.dev != list[i].dev || now.ino != list[i].ino ||
            now.size != list[i].size || now.ctime_ns != list[i].ctime_ns)
            return list[i].path;
    }
    return NULL;
}
