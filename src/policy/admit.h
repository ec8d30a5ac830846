/* May this client connect now? Counts in, verdict out. Pure. Loopback and trusted networks are exempt
 * from the per-address and per-network limits, never from the total. */
#ifndef POLICY_ADMIT_H
#define POLICY_ADMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

struct admit_facts {
    unsigned total, from_address, from_network; /* connections there are already, this one not counted */
    bool exempt;
};

enum admit_reason { ADMIT_OK, ADMIT_TOTAL, ADMIT_ADDRESS, ADMIT_NETWORK };

struct admit_verdict {
    enum admit_reason reason;
    bool busy;            /* above busy_percent of the total: sessions without an accepted command get less time */
    uint16_t code;        /* 421 */
    const char *enhanced; /* "4.7.0" or "4.3.2" */
    const char *text;
    const char *event; /* "limit.concurrent-connection" ... */
};

const char *admit_reason_name(enum admit_reason r);
void admit(struct admit_verdict *out, const struct conf_limits *l, const struct admit_facts *f);

#endif
