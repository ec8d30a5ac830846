/* Domain names in the one form in which they are compared: A-labels in lower case (RFC
 * 5890 2.3.2.1). */
#ifndef CONF_CONF_IDN_H
#define CONF_CONF_IDN_H

#include "base/err.h"
#include "base/text.h"

#define CONF_IDN_LEN 256

/* name: ASCII or UTF-8, in any case, with or without a dot at the end. -1 and e when it cannot be a
 * domain name: letters that are not allowed, labels over 63 bytes, over 253 in all (RFC
 * 1035 2.3.4), an address literal. */
int conf_idn_ascii(char dst[CONF_IDN_LEN], struct span name, struct err *e);

#endif
