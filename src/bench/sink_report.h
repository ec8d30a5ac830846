/* What a sink says of itself: a line for each second or so, and all of it at its end. Pure: figures in, text out. */
#ifndef BENCH_SINK_REPORT_H
#define BENCH_SINK_REPORT_H

#include <stdint.h>

#include "base/buf.h"
#include "bench/bench_totals.h"

struct sink_moment {
    struct bench_totals totals;
    int64_t mono_us;
    double user_s, system_s; /* CPU of the process */
};

/* Of the time between two of them. first_us: of the sink's first one. */
void sink_report_line(struct buf *out, const struct sink_moment *before, const struct sink_moment *now,
                      int64_t first_us);
/* Of all. begin: before the first session; end: at its last message. busy: the seconds from the first session to the last
 * message, 0: there was none. json: one object in one line. */
void sink_report_all(struct buf *out, const struct sink_moment *begin, const struct sink_moment *end, double busy_s,
                     int json);

#endif
