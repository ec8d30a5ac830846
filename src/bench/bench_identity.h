/* What a TLS server shows: a certificate, its key, what is sent behind it, and what its issuer says of it. */
#ifndef BENCH_BENCH_IDENTITY_H
#define BENCH_BENCH_IDENTITY_H

#include "bench/pki_set.h"

struct bench_identity {
    char *name;
    struct pki_pair pair;
    STACK_OF(X509) * chain;
    unsigned char *ocsp; /* DER, to be stapled; NULL: nothing is */
    int ocsp_len;
    bool known, valid; /* it is one of bench_pki_table(); a sender that verifies takes it */
};

/* DIR/NAME.pem and .key. ocsp: "good", "expired", "revoked", NULL for none: signed by the issuer, whose key is in DIR, too. dir
 * NULL: they are made for the moment (bench_probe.h), and a name that is not of the bench's PKI gets good-ecdsa. -1 and e. */
int bench_identity_load(struct bench_identity *out, const char *dir, const char *name, const char *ocsp, struct err *e);
void bench_identity_clear(struct bench_identity *i);

#endif
