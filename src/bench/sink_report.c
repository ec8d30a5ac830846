#include "bench/sink_report.h"

#include <inttypes.h>

#define MIB 1048576.0

static double per(double what, double seconds)
{
    return seconds > 0 ? what / seconds : 0;
}

static double cpu_of(const struct sink_moment *begin, const struct sink_moment *end)
{
    return end->user_s + end->system_s - begin->user_s - begin->system_s;
}

void sink_report_line(struct buf *out, const struct sink_moment *before, const struct sink_moment *now,
                      int64_t first_us)
{
    const struct bench_totals *a = &before->totals, *b = &now->totals;
    double s = (double)(now->mono_us - before->mono_us) / 1e6;

    buf_printf(out, "%6.0f s %10" PRIu64 " messages %8.0f/s %7.1f MiB/s %6.0f handshakes/s %6u open %4.0f %% CPU\n",
               (double)(now->mono_us - first_us) / 1e6, b->messages, per((double)(b->messages - a->messages), s),
               per((double)(b->octets - a->octets) / MIB, s), per((double)(b->handshakes - a->handshakes), s), b->open,
               100 * per(cpu_of(before, now), s));
}

static void as_json(struct buf *out, const struct bench_totals *t, double user, double system, double busy)
{
    buf_printf(out,
               "{\"messages\":%" PRIu64 ",\"octets\":%" PRIu64 ",\"sessions\":%" PRIu64 ",\"refused\":%" PRIu64
               ",\"handshakes\":%" PRIu64 ",\"resumed\":%" PRIu64 ",\"broken\":%" PRIu64
               ",\"seconds\":%.3f,\"rate\":%.1f,\"user\":%.3f,\"system\":%.3f,\"cpu_per_1000\":%.4f}\n",
               t->messages, t->octets, t->sessions, t->refused, t->handshakes, t->resumed, t->broken, busy,
               per((double)t->messages, busy), user, system, per((user + system) * 1000, (double)t->messages));
}

void sink_report_all(struct buf *out, const struct sink_moment *begin, const struct sink_moment *end, double busy_s,
                     int json)
{
    const struct bench_totals *t = &end->totals;
    double user = end->user_s - begin->user_s, system = end->system_s - begin->system_s;

    if (json) {
        as_json(out, t, user, system, busy_s);
        return;
    }
    buf_printf(out, "messages    %" PRIu64 " in %.2f s: %.0f/s, %.1f MiB/s", t->messages, busy_s,
               per((double)t->messages, busy_s), per((double)t->octets / MIB, busy_s));
    if (t->refused)
        buf_printf(out, "; %" PRIu64 " refused", t->refused);
    buf_printf(out, "\nsessions    %" PRIu64 "\n", t->sessions);
    if (t->handshakes || t->broken)
        buf_printf(out, "handshakes  %" PRIu64 ", %" PRIu64 " of them resumed; %" PRIu64 " failed; %.0f/s\n",
                   t->handshakes, t->resumed, t->broken, per((double)t->handshakes, busy_s));
    buf_printf(out, "CPU         %.2f s user, %.2f s system", user, system);
    if (t->messages)
        buf_printf(out, ": %.4f s per 1,000 messages", (user + system) * 1000 / (double)t->messages);
    buf_printf(out, "\n");
}
