/* When a queued message is tried again, when its sender hears that it is late, and when it comes back. Pure: times and
 * random numbers are the caller's. RFC 5321 4.5.4.1: "Retries continue until the message is transmitted or the sender
 * gives up; the give-up time generally needs to be at least 4-5 days." The first minutes are quick (greylisting, a
 * server that restarts), the gaps then double up to some hours. */
#ifndef POLICY_RETRY_H
#define POLICY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry_plan { /* microseconds */
    int64_t first_gap_us, most_gap_us;
    int64_t notice_us;  /* age at which the sender is told of the delay, 0: never */
    int64_t max_age_us; /* after that there is one last try, and then the message comes back */
};

extern const struct retry_plan retry_plan_default; /* 1 min, 3 h, 4 h, 5 d */

struct retry_facts {
    int64_t arrived_us, last_try_us; /* last_try_us 0: never tried */
    int64_t now_us;
    uint32_t tries; /* so far */
    bool noticed;   /* the delay has been told */
};

enum retry_what {
    RETRY_WAIT,   /* until .next_us, which may be now or past */
    RETRY_EXPIRE, /* it was tried at, or after, its last moment: it comes back */
};

struct retry_verdict {
    enum retry_what what;
    int64_t next_us;
    bool notice;        /* the delay is to be told now */
    int64_t notice_us;  /* else: when it will be, 0: never (again) */
    int64_t give_up_us; /* for Will-Retry-Until */
};

/* random: any 32 bits; the gap varies by a fifth to either side, so that what failed together is not tried together. A
 * clock that was moved back (last try or arrival in the future) delays nothing by more than one gap. */
void retry_judge(struct retry_verdict *out, const struct retry_plan *p, const struct retry_facts *f, uint32_t random);
/* The gap after so many tries. */
int64_t retry_gap_us(const struct retry_plan *p, uint32_t tries, uint32_t random);

/* For a destination as a whole: how long nothing is started there after so many failures to reach it in a row. */
int64_t retry_back_off_us(uint32_t failures, uint32_t random);

#endif
