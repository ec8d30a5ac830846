#include "proc/spawn.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/text.h"

#define BACKOFF_QUIET_US (60 * INT64_C(1000000)) /* a life this long forgives earlier deaths */
#define BACKOFF_FIRST_US (INT64_C(1000000) / 10)
#define BACKOFF_MOST_US (30 * INT64_C(1000000))

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void spawn_keep_only(const int *fds, unsigned count)
{
    int *keep = mem_alloc(sizeof *keep * (count + 1));
    int next = 3;

    memcpy(keep, fds, sizeof *keep * count);
    qsort(keep, count, sizeof *keep, by_number);
    for (unsigned i = 0; i < count; i++) {
        if (keep[i] < next)
            continue; /* -1, or one of 0-2, or the same again */
        if (keep[i] > next)
            close_range((unsigned)next, (unsigned)keep[i] - 1, 0);
        next = keep[i] + 1;
    }
    close_range((unsigned)next, ~0u, 0);
    free(keep);
}

void spawn_settle(const char *name)
{
    sigset_t none;

    for (int s = 1; s < 32; s++)
        if (s != SIGKILL && s != SIGSTOP)
            signal(s, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    /* the terminal's Ctrl-C reaches the whole group; the supervisor alone decides what it means */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, name);
}

int64_t backoff_delay_us(struct backoff *b, int64_t mono_us)
{
    int64_t delay = BACKOFF_FIRST_US;

    if (b->last_us && mono_us - b->last_us > BACKOFF_QUIET_US)
        b->deaths = 0;
    b->last_us = mono_us;
    if (b->deaths++ == 0)
        return 0;
    for (unsigned i = 2; i < b->deaths && delay < BACKOFF_MOST_US; i++)
        delay *= 2;
    return delay < BACKOFF_MOST_US ? delay : BACKOFF_MOST_US;
}
