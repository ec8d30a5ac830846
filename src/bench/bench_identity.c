#include "bench/bench_identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/pki.h"
#include "bench/pki_file.h"

#define HOST "mx.bench.test"

static int row_of(const char *name)
{
    for (int i = 0; bench_pki_table()[i].name; i++)
        if (strcmp(bench_pki_table()[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- from files */

static STACK_OF(X509) * read_chain(const char *dir, const char *name)
{
    STACK_OF(X509) *list = sk_X509_new_null();
    FILE *f = pki_file_open(dir, name, ".pem");
    X509 *c = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

    X509_free(c); /* the leaf */
    while (c && list && (c = PEM_read_X509(f, NULL, NULL, NULL)))
        sk_X509_push(list, c);
    if (f)
        fclose(f);
    ERR_clear_error();
    return list;
}

static bool signed_by(X509 *cert, const struct pki_pair *ca)
{
    bool yes = X509_check_issued(ca->cert, cert) == X509_V_OK && X509_verify(cert, ca->key) == 1;

    ERR_clear_error();
    return yes;
}

static int read_status(struct bench_identity *i, const char *dir, const char *word, struct err *e)
{
    for (unsigned k = 0; k <= PKI_CAS; k++) {
        struct pki_pair ca;
        bool itself = k == PKI_CAS;
        int rc;

        if (!pki_file_read(dir, itself ? i->name : pki_ca_name((enum pki_ca)k), &ca))
            continue;
        rc = signed_by(i->pair.cert, &ca) ? pki_ocsp(&ca, i->pair.cert, word, &i->ocsp, &i->ocsp_len, e) : 1;
        pki_pair_clear(&ca);
        if (rc <= 0)
            return rc;
    }
    return err_set(e, "%s: ocsp = %s: the key of its issuer is not in %s", i->name, word, dir);
}

static int from_files(struct bench_identity *i, const char *dir, const char *ocsp, struct err *e)
{
    if (!pki_file_read(dir, i->name, &i->pair))
        return err_set(e, "%s/%s.pem and .key: no certificate and its key", dir, i->name);
    i->chain = read_chain(dir, i->name);
    return ocsp ? read_status(i, dir, ocsp, e) : 0;
}

/* ---- for the moment */

/* Made once in a process, and only where somebody asks what this OpenSSL can do: keys of RSA cost a tenth of a second. */
static struct {
    struct pki_set set;
    struct pki_pair leaf[64];
    bool there;
} moment;

static int made(struct bench_identity *i, const char *ocsp, struct err *e)
{
    int row = row_of(i->name);
    struct pki_pair *leaf;

    row = row < 0 ? 0 : row;
    if (!moment.there) {
        memcpy(moment.set.host, HOST, sizeof HOST);
        if (pki_make_cas(&moment.set, e) < 0) {
            pki_set_clear(&moment.set);
            return -1;
        }
        moment.there = true;
    }
    leaf = &moment.leaf[row];
    if (!leaf->cert && pki_make_leaf(&moment.set, (size_t)row, leaf, e) < 0)
        return -1;
    i->pair = *leaf;
    X509_up_ref(leaf->cert);
    EVP_PKEY_up_ref(leaf->key);
    i->chain = pki_chain(&moment.set, (size_t)row);
    return ocsp ? pki_ocsp(&moment.set.ca[PKI_LINK], leaf->cert, ocsp, &i->ocsp, &i->ocsp_len, e) : 0;
}

/* ---- both */

int bench_identity_load(struct bench_identity *out, const char *dir, const char *name, const char *ocsp, struct err *e)
{
    int row = row_of(name);

    memset(out, 0, sizeof *out);
    out->name = mem_str(name);
    out->known = row >= 0;
    out->valid = row >= 0 && bench_pki_table()[row].verify == X509_V_OK;
    if ((dir ? from_files(out, dir, ocsp, e) : made(out, ocsp, e)) == 0)
        return 0;
    bench_identity_clear(out);
    return -1;
}

void bench_identity_clear(struct bench_identity *i)
{
    free(i->name);
    pki_pair_clear(&i->pair);
    sk_X509_pop_free(i->chain, X509_free);
    OPENSSL_free(i->ocsp);
    memset(i, 0, sizeof *i);
}
