/* What an issuer says of its certificates later on: OCSP (RFC 6960) and CRLs (RFC 5280 5). */
#include "bench/pki_set.h"

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <string.h>

#define HOUR 3600L
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)

struct answer {
    const char *word;
    int status, reason;
    long from, to; /* seconds from now: thisUpdate and nextUpdate */
};

static const struct answer answers[] = {
    {"good", V_OCSP_CERTSTATUS_GOOD, 0, -HOUR, YEAR},
    {"revoked", V_OCSP_CERTSTATUS_REVOKED, OCSP_REVOKED_STATUS_KEYCOMPROMISE, -HOUR, YEAR},
    {"expired", V_OCSP_CERTSTATUS_GOOD, 0, -30 * DAY, -DAY},
};

static const struct answer *answer_of(const char *word)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (strcmp(answers[i].word, word) == 0)
            return &answers[i];
    return NULL;
}

/* The issuer signs itself, so that nobody needs a responder's certificate. */
static bool fill(OCSP_BASICRESP *b, const struct answer *a, X509 *cert, const struct pki_pair *issuer)
{
    /* RFC 5019 2.1.1: SHA-1 names the issuer; it protects nothing here */
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), cert, issuer->cert);
    ASN1_TIME *from = X509_gmtime_adj(NULL, a->from), *to = X509_gmtime_adj(NULL, a->to),
              *since = X509_gmtime_adj(NULL, -DAY);
    bool ok = id && from && to && since &&
              OCSP_basic_add1_status(b, id, a->status, a->reason, a->status == V_OCSP_CERTSTATUS_REVOKED ? since : NULL,
                                     from, to) &&
              OCSP_basic_sign(b, issuer->cert, issuer->key, EVP_sha256(), NULL, OCSP_NOCERTS | OCSP_RESPID_KEY);

    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    ASN1_TIME_free(since);
    return ok;
}

int pki_ocsp(const struct pki_pair *issuer, X509 *cert, const char *status, unsigned char **der, int *len,
             struct err *e)
{
    const struct answer *a = answer_of(status);
    OCSP_BASICRESP *b = OCSP_BASICRESP_new();
    OCSP_RESPONSE *r = NULL;

    *der = NULL;
    *len = 0;
    if (!a) {
        OCSP_BASICRESP_free(b);
        return err_set(e, "ocsp: \"%s\" is none of good, expired, revoked", status);
    }
    if (b && fill(b, a, cert, issuer))
        r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, b);
    *len = r ? i2d_OCSP_RESPONSE(r, der) : -1;
    OCSP_BASICRESP_free(b);
    OCSP_RESPONSE_free(r);
    return *len > 0 ? 0 : pki_fail(e, "OCSP");
}

static bool add_revoked(X509_CRL *c, const X509 *cert)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *since = X509_gmtime_adj(NULL, -DAY);
    bool ok = r && since && X509_REVOKED_set_serialNumber(r, (ASN1_INTEGER *)X509_get0_serialNumber(cert)) &&
              X509_REVOKED_set_revocationDate(r, since) && X509_CRL_add0_revoked(c, r);

    if (!ok)
        X509_REVOKED_free(r);
    ASN1_TIME_free(since);
    return ok;
}

static bool add_extensions(X509_CRL *c, X509 *issuer)
{
    X509V3_CTX ctx;
    X509_EXTENSION *x;
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    bool ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, NULL, NULL, c, 0);
    x = X509V3_EXT_nconf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
    ok = x && X509_CRL_add_ext(c, x, -1) && number && ASN1_INTEGER_set(number, 1) &&
         X509_CRL_add1_ext_i2d(c, NID_crl_number, number, 0, 0) == 1;
    X509_EXTENSION_free(x);
    ASN1_INTEGER_free(number);
    return ok;
}

X509_CRL *pki_crl(const struct pki_pair *issuer, const X509 *revoked, struct err *e)
{
    X509_CRL *c = X509_CRL_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, -HOUR), *to = X509_gmtime_adj(NULL, YEAR);
    bool ok = c && from && to && X509_CRL_set_version(c, X509_CRL_VERSION_2) &&
              X509_CRL_set_issuer_name(c, X509_get_subject_name(issuer->cert)) && X509_CRL_set1_lastUpdate(c, from) &&
              X509_CRL_set1_nextUpdate(c, to) && (!revoked || add_revoked(c, revoked)) && X509_CRL_sort(c) &&
              add_extensions(c, issuer->cert) && X509_CRL_sign(c, issuer->key, EVP_sha256());

    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    if (!ok) {
        X509_CRL_free(c);
        c = NULL;
        pki_fail(e, "CRL");
    }
    return c;
}
