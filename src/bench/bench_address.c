#include "bench/bench_address.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

int bench_address_loopback(struct addr *out, const char *ip, unsigned port, struct err *e)
{
    char *text = mem_printf(strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, port);
    int rc = addr_parse(out, text, e);

    free(text);
    if (rc == 0 && !addr_is_loopback(out))
        rc = err_set(
            e, "%s: a server that is wrong on purpose listens on the loopback only; serve -c FILE can say more", ip);
    return rc;
}
