/* What a leader may say to the supervisor: no decoder reads too far, and what it lets pass is as its header promises. The
 * first byte chooses the message, the second whether a descriptor came along. Run as FUZZ_MAKE in the Makefile builds it. */
#include <stdlib.h>
#include <string.h>

#include "proc/proc_msg.h"
#include "proc/watch.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static void bind_(const struct chan_msg *m, int fd)
{
    struct proc_bind b;

    (void)fd;
    if (!proc_msg_bind(m, &b))
        return;
    check(m->len == sizeof b && ends(b.listener, sizeof b.listener) && ends(b.dir, sizeof b.dir));
    check(b.control ? b.dir[0] == '/' : b.addr.len <= sizeof b.addr.ss && b.listener[0]);
}

static void snapshot(const struct chan_msg *m, int fd)
{
    struct snapshot_item i;

    if (proc_msg_snapshot(m, &i, fd))
        check(fd >= 0 && i.fd == fd && i.kind <= SNAPSHOT_REJECTED && ends(i.name, sizeof i.name));
}

static void watch(const struct chan_msg *m, int fd)
{
    struct watched_file w;

    (void)fd;
    if (proc_msg_watch(m, &w))
        check(w.path[0] && ends(w.path, sizeof w.path) && watch_changed(&w, 1) != w.path + 1); /* it is used */
}

static void log_(const struct chan_msg *m, int fd)
{
    struct proc_log l;

    (void)fd;
    if (proc_msg_log(m, &l))
        check(l.target <= CONF_LOG_FILE && ends(l.file, sizeof l.file));
}

static void fixed(const struct chan_msg *m, int fd)
{
    struct proc_ready r;
    uint32_t token;

    (void)fd;
    check(!proc_msg_get(m, &r, sizeof r) || m->len == sizeof r);
    check(!proc_msg_get(m, &token, sizeof token) || m->len == sizeof token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        void (*decode)(const struct chan_msg *, int);
        size_t size;
    } kinds[] = {{bind_, sizeof(struct proc_bind)},
                 {snapshot, sizeof(struct proc_snapshot)},
                 {watch, sizeof(struct watched_file)},
                 {log_, sizeof(struct proc_log)},
                 {fixed, sizeof(struct proc_ready)}};
    struct chan_msg m = {0};
    uint8_t *copy;
    unsigned kind;

    if (size < 2)
        return 0;
    kind = data[0] % (sizeof kinds / sizeof *kinds);
    /* the right length would hardly ever be met by chance, and nothing behind it be tried */
    m.len = data[1] & 2 ? kinds[kind].size : size - 2;
    copy = calloc(1, m.len ? m.len : 1); /* exactly as long as it is, so that every byte too far is seen */
    if (!copy)
        return 0;
    memcpy(copy, data + 2, m.len < size - 2 ? m.len : size - 2);
    m.data = copy;
    kinds[kind].decode(&m, data[1] & 1 ? 7 : -1);
    free(copy);
    return 0;
}
