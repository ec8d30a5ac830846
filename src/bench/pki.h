/* The bench's certificates as files: a CA, and one chain and key for each way in which a certificate can be right or wrong
 * (section E of the catalogue; "badssl for SMTP"). Nobody trusts them but whoever is told to trust ca.pem. */
#ifndef BENCH_PKI_H
#define BENCH_PKI_H

#include <stdbool.h>

#include "base/err.h"

struct bench_cert {
    const char *name; /* DIR/NAME.pem, the chain, and DIR/NAME.key */
    const char *what;
    int verify; /* what X509_verify_cert() says of it with ca.pem and the host: X509_V_OK, X509_V_ERR_... */
};

/* A table; ends with name NULL. */
const struct bench_cert *bench_pki_table(void);

/* Makes what is missing below dir (which is made, too), for that host and localhost: ca.pem, which is to be trusted; ca.crl,
 * a CRL of each CA; the CAs' own keys; the certificates. What is there for the same host stays as long as it is right, or
 * wrong in the way it should be, for another day; so trust once given stays given. Other certificates of the CA (a newer
 * version knows more) are added. A set without its CAs' keys is made anew. Two processes may do it at the same time.
 *
 * why_not: the certificates that this OpenSSL cannot make, and why; "" when it made them all. -1 and e: nothing that can be
 * used. */
int bench_pki_make(const char *dir, const char *host, struct err *why_not, struct err *e);

#endif
