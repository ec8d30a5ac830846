#include "policy/admit.h"

#include <string.h>

const char *admit_reason_name(enum admit_reason r)
{
    static const char *const name[] = {"ok", "too-many-connections", "too-many-from-address", "too-many-from-network"};

    return name[r];
}

void admit(struct admit_verdict *out, const struct conf_limits *l, const struct admit_facts *f)
{
    memset(out, 0, sizeof *out);
    out->busy = (uint64_t)(f->total + 1) * 100 > (uint64_t)l->max_connections * l->busy_percent;
    if (f->total >= l->max_connections)
        out->reason = ADMIT_TOTAL;
    else if (!f->exempt && f->from_address >= l->max_per_address)
        out->reason = ADMIT_ADDRESS;
    else if (!f->exempt && f->from_network >= l->max_per_network)
        out->reason = ADMIT_NETWORK;
    if (out->reason == ADMIT_OK)
        return;
    out->code = 421;
    out->enhanced = out->reason == ADMIT_TOTAL ? "4.3.2" : "4.7.0";
    out->text = out->reason == ADMIT_TOTAL ? "too many connections, try again later"
                                           : "too many connections from your network, try again later";
    out->event = out->reason == ADMIT_TOTAL ? "limit.concurrent-connection" : "smtp.concurrency-limit-exceeded";
}
