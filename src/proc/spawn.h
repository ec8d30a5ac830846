/* Forking: a child that keeps only the descriptors it was given, and back-off for those that keep dying. */
#ifndef PROC_SPAWN_H
#define PROC_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

/* In the child: closes everything but 0-2 and these (at most 4096); -1 entries are ignored. */
void spawn_keep_only(const int *fds, unsigned count);

/* In the child: default signal handling, nothing blocked but SIGPIPE ignored, a name for ps(1). */
void spawn_settle(const char *name);

struct backoff {
    int64_t last_us; /* monotonic, of the last death */
    unsigned deaths; /* in close succession */
};
/* Microseconds to wait before the next start: 0 after a quiet time, then 0.1 s doubling to 30 s. */
int64_t backoff_delay_us(struct backoff *b, int64_t mono_us);

#endif
