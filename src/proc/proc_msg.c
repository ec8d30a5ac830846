#include "proc/proc_msg.h"

#include <stddef.h>
#include <string.h>

bool proc_msg_is(const struct chan_msg *m, size_t size)
{
    return m->len == size;
}

bool proc_msg_get(const struct chan_msg *m, void *out, size_t size)
{
    if (!proc_msg_is(m, size))
        return false;
    memcpy(out, m->data, size);
    return true;
}

/* A bool in memory is 0 or 1, whatever a process that was taken over has sent. */
static bool has_bool(const struct chan_msg *m, size_t at)
{
    return m->len > at && ((const uint8_t *)m->data)[at] <= 1;
}

bool proc_msg_bind(const struct chan_msg *m, struct proc_bind *out)
{
    if (!has_bool(m, offsetof(struct proc_bind, control)) || !proc_msg_get(m, out, sizeof *out))
        return false;
    proc_text_end(out->listener);
    proc_text_end(out->dir);
    if (out->control)
        return out->dir[0] == '/';
    if (out->addr.ss.ss_family == AF_INET)
        return out->addr.len == sizeof(struct sockaddr) && out->listener[0];
    return out->addr.ss.ss_family == AF_INET6 && out->addr.len > sizeof(struct sockaddr) &&
           out->addr.len <= sizeof out->addr.ss && out->listener[0];
}

bool proc_msg_snapshot(const struct chan_msg *m, struct snapshot_item *out, int fd)
{
    struct proc_snapshot s;

    if (!proc_msg_get(m, &s, sizeof s) || fd < 0 || s.kind > SNAPSHOT_REJECTED)
        return false;
    proc_text_end(s.name);
    memset(out, 0, sizeof *out);
    out->kind = (enum snapshot_kind)s.kind;
    memcpy(out->name, s.name, sizeof out->name);
    out->fd = fd;
    return true;
}

bool proc_msg_watch(const struct chan_msg *m, struct watched_file *out)
{
    if (!has_bool(m, offsetof(struct watched_file, exists)) || !proc_msg_get(m, out, sizeof *out))
        return false;
    proc_text_end(out->path);
    return out->path[0] != '\0';
}

bool proc_msg_log(const struct chan_msg *m, struct proc_log *out)
{
    if (!proc_msg_get(m, out, sizeof *out))
        return false;
    proc_text_end(out->file);
    return out->target <= CONF_LOG_FILE;
}
