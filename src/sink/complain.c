#include "sink/complain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define PAUSE_US INT64_C(60000000)
#define CAUSES 256u

struct cause {
    unsigned delivery;
    uint32_t mailbox;
    int error;
    int64_t said_us;
    unsigned unsaid;
};

static struct cause causes[CAUSES];

const char *complain_hint(int error, uid_t uid, const char *path, char room[COMPLAIN_HINT])
{
    switch (error) {
    case ENOSPC:
        return "make room on this file system (df -h, df -i); senders keep the mail meanwhile";
    case EDQUOT:
        return "raise the quota of the files' owner, or remove some (repquota)";
    case EROFS:
        return "the file system is read-only: look at dmesg, or name the directory in ReadWritePaths= of "
               "postern.service and restart";
    case EACCES:
    case EPERM:
        snprintf(room, COMPLAIN_HINT,
                 "uid %u may not write %.150s: look at owner and mode of every directory on the path", (unsigned)uid,
                 path);
        return room;
    case ENOENT:
    case ESTALE:
        return "the directory is gone, or another one stands in its place: put it back, or reload";
    case ELOOP:
    case ENOTDIR:
    case EXDEV:
        return "a symbolic link or a file stands where a directory belongs; links are not followed below the "
               "delivery's "
               "base";
    case EIO:
        return "the disk failed: look at dmesg and smartctl; what was in flight is written anew when the sender tries "
               "again";
    case EMFILE:
    case ENFILE:
        return "raise LimitNOFILE= in postern.service";
    case EMLINK:
        return "the file system allows no more names for one file: lower max-recipients";
    case EINVAL:
        return "the delivery's owner or group does not exist, or the path is not below its base";
    case EPROTO:
        return "a worker said another size than its file has: restart, and report it";
    default:
        return "senders keep the mail and try again";
    }
}

/* A table that forgets: two causes in one place take turns, which only means more lines. */
static struct cause *cause_of(unsigned delivery, uint32_t mailbox, int error)
{
    uint32_t h = (delivery * 31 + mailbox) * 2654435761u + (uint32_t)error * 40503u;
    struct cause *c = &causes[(h >> 8) % CAUSES];

    if (c->delivery != delivery || c->mailbox != mailbox || c->error != error)
        *c = (struct cause){.delivery = delivery, .mailbox = mailbox, .error = error};
    return c;
}

void complain(const struct conf *c, unsigned delivery, uint32_t mailbox, uid_t uid, int error, int64_t mono_us)
{
    const struct conf_mailbox *mb = mailbox < c->mailbox_count ? &c->mailboxes[mailbox] : NULL;
    struct cause *cause = cause_of(delivery, mailbox, error);
    bool queue = delivery >= c->delivery_count;
    const char *path = mb ? mb->path : queue ? c->state_dir : c->deliveries[delivery].path;
    char room[COMPLAIN_HINT], who[512];
    struct log_line l;

    if (cause->said_us && mono_us - cause->said_us < PAUSE_US) {
        cause->unsaid++;
        return;
    }
    log_begin(&l, LOG_LEVEL_ERROR, "delivery.failed");
    log_str(&l, "delivery", queue ? "queue" : c->deliveries[delivery].title);
    if (mb) {
        snprintf(who, sizeof who, "%s@%s", mb->local, mb->domain);
        log_str(&l, "mailbox", who);
    }
    log_str(&l, "path", path);
    log_str(&l, "reason", strerrorname_np(error));
    log_str(&l, "details", strerror(error));
    if (cause->unsaid)
        log_int(&l, "sinceLast", cause->unsaid);
    log_str(&l, "hint", complain_hint(error, uid, path, room));
    log_end(&l);
    cause->said_us = mono_us;
    cause->unsaid = 0;
}
