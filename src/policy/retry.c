#include "policy/retry.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DOUBLINGS 20u /* more would leave 64 bits one day, and every plan's most was reached long before */

const struct retry_plan retry_plan_default = {
    .first_gap_us = MINUTE,
    .most_gap_us = 3 * HOUR,
    .notice_us = 4 * HOUR,
    .max_age_us = INT64_C(5) * 24 * HOUR,
};

static int64_t grow(int64_t first, int64_t most, uint32_t steps)
{
    int64_t gap = first;

    for (uint32_t i = 0; i < steps && i < DOUBLINGS && gap < most; i++)
        gap *= 2;
    return gap < most ? gap : most;
}

/* Four fifths to six fifths. */
static int64_t jitter(int64_t gap, uint32_t random)
{
    return gap / 5 * 4 + (int64_t)((unsigned long long)(gap / 5 * 2) / 65536 * (random >> 16));
}

int64_t retry_gap_us(const struct retry_plan *p, uint32_t tries, uint32_t random)
{
    return tries == 0 ? 0 : jitter(grow(p->first_gap_us, p->most_gap_us, tries - 1), random);
}

int64_t retry_back_off_us(uint32_t failures, uint32_t random)
{
    return failures == 0 ? 0 : jitter(grow(5 * SECOND, 10 * MINUTE, failures - 1), random);
}

static void judge_notice(struct retry_verdict *out, const struct retry_plan *p, const struct retry_facts *f)
{
    int64_t at = f->arrived_us + p->notice_us;

    /* nothing is late that was never tried: a queue that was held or a daemon that was down is no news of the server */
    if (p->notice_us == 0 || f->noticed || f->tries == 0)
        return;
    out->notice = f->now_us >= at;
    out->notice_us = out->notice ? 0 : at;
}

void retry_judge(struct retry_verdict *out, const struct retry_plan *p, const struct retry_facts *f, uint32_t random)
{
    int64_t gap = retry_gap_us(p, f->tries, random), last = f->last_try_us;

    *out = (struct retry_verdict){.what = RETRY_WAIT, .give_up_us = f->arrived_us + p->max_age_us};
    if (f->tries == 0) {
        out->next_us = f->now_us;
        return;
    }
    if (last > f->now_us) /* the clock was moved back */
        last = f->now_us;
    if (last >= out->give_up_us) {
        out->what = RETRY_EXPIRE;
        return;
    }
    judge_notice(out, p, f);
    out->next_us = last + gap;
    /* the last try is made at the last moment, so that "until" is true */
    if (out->next_us > out->give_up_us)
        out->next_us = out->give_up_us;
}
