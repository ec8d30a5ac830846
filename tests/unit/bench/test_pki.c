#include <ftw.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/pki.h"
#include "bench/pki_file.h"
#include "unit/suite.h"

#define HOST "mx.bench.test"

static char dir[64];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *w)
{
    (void)st;
    (void)kind;
    (void)w;
    return remove(path);
}

static void make(void)
{
    struct err why_not, e;

    snprintf(dir, sizeof dir, "/tmp/postern-pki-XXXXXX");
    ck_assert(mkdtemp(dir) != NULL);
    ck_assert_msg(bench_pki_make(dir, HOST, &why_not, &e) == 0, "%s", e.text);
    ck_assert_str_eq(why_not.text, "");
}

static STACK_OF(X509) * read_all(const char *name)
{
    char *path = mem_printf("%s/%s.pem", dir, name);
    STACK_OF(X509) *list = sk_X509_new_null();
    FILE *f = fopen(path, "re");
    X509 *c;

    ck_assert_msg(f != NULL, "%s", path);
    while ((c = PEM_read_X509(f, NULL, NULL, NULL)))
        sk_X509_push(list, c);
    fclose(f);
    free(path);
    return list;
}

static STACK_OF(X509_CRL) * read_crls(void)
{
    STACK_OF(X509_CRL) *list = sk_X509_CRL_new_null();
    FILE *f = pki_file_open(dir, "ca", ".crl");
    X509_CRL *c;

    ck_assert_ptr_nonnull(f);
    while ((c = PEM_read_X509_CRL(f, NULL, NULL, NULL)))
        sk_X509_CRL_push(list, c);
    fclose(f);
    return list;
}

/* As a sender that verifies does. flags: X509_V_FLAG_... */
static int verify(const char *name, unsigned long flags)
{
    STACK_OF(X509) *chain = read_all(name), *roots = read_all("ca");
    STACK_OF(X509_CRL) *crls = read_crls();
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *x = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *p;
    int result;

    ck_assert_int_eq(X509_STORE_add_cert(store, sk_X509_value(roots, 0)), 1);
    ck_assert_int_eq(X509_STORE_CTX_init(x, store, sk_X509_value(chain, 0), chain), 1);
    X509_STORE_CTX_set0_crls(x, crls);
    p = X509_STORE_CTX_get0_param(x);
    X509_STORE_CTX_set_purpose(x, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set1_host(p, HOST, 0);
    X509_VERIFY_PARAM_set_auth_level(p, 0);
    X509_VERIFY_PARAM_set_flags(p, flags);
    X509_verify_cert(x);
    result = X509_STORE_CTX_get_error(x);
    X509_STORE_CTX_free(x);
    X509_STORE_free(store);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    sk_X509_pop_free(chain, X509_free);
    sk_X509_pop_free(roots, X509_free);
    return result;
}

START_TEST(each_is_wrong_in_its_own_way)
{
    make();
    for (const struct bench_cert *c = bench_pki_table(); c->name; c++) {
        int got = verify(c->name, 0);

        ck_assert_msg(got == c->verify, "%s: %s, not %s", c->name, X509_verify_cert_error_string(got),
                      X509_verify_cert_error_string(c->verify));
    }
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
END_TEST

static X509 *first(const char *name)
{
    STACK_OF(X509) *list = read_all(name);
    X509 *c = sk_X509_shift(list);

    sk_X509_pop_free(list, X509_free);
    return c;
}

/* What is right is right to the strictest, and by the CRLs of the whole chain. */
START_TEST(right_ones_are_right_in_every_way)
{
    make();
    for (const struct bench_cert *c = bench_pki_table(); c->name; c++) {
        bool revoked = strcmp(c->name, "revoked") == 0;
        int got = verify(c->name, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);

        if (c->verify == X509_V_OK)
            ck_assert_msg(got == (revoked ? X509_V_ERR_CERT_REVOKED : X509_V_OK), "%s: %s", c->name,
                          X509_verify_cert_error_string(got));
    }
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
END_TEST

/* Asked as a client asks what was stapled: X509_V_OCSP_CERTSTATUS_...; -1: it is no answer, or of another time. */
static int ocsp_says(const char *name, const char *word)
{
    STACK_OF(X509) *chain = read_all(name), *roots = read_all("ca");
    X509_STORE *store = X509_STORE_new();
    struct pki_pair issuer;
    unsigned char *der;
    const unsigned char *p;
    ASN1_GENERALIZEDTIME *from, *to;
    OCSP_RESPONSE *r;
    OCSP_BASICRESP *b;
    OCSP_CERTID *id;
    struct err e;
    int len, status = -1, reason;

    X509_STORE_add_cert(store, sk_X509_value(roots, 0));
    ck_assert(pki_file_read(dir, "ca-intermediate-1", &issuer));
    ck_assert_msg(pki_ocsp(&issuer, sk_X509_value(chain, 0), word, &der, &len, &e) == 0, "%s", e.text);
    p = der;
    r = d2i_OCSP_RESPONSE(NULL, &p, len);
    b = OCSP_response_get1_basic(r);
    ck_assert_int_eq(OCSP_basic_verify(b, chain, store, 0), 1);
    id = OCSP_cert_to_id(EVP_sha1(), sk_X509_value(chain, 0), issuer.cert);
    ck_assert_int_eq(OCSP_resp_find_status(b, id, &status, &reason, NULL, &from, &to), 1);
    if (OCSP_check_validity(from, to, 300, -1) != 1)
        status = -1;
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(b);
    OCSP_RESPONSE_free(r);
    OPENSSL_free(der);
    pki_pair_clear(&issuer);
    X509_STORE_free(store);
    sk_X509_pop_free(chain, X509_free);
    sk_X509_pop_free(roots, X509_free);
    return status;
}

START_TEST(ocsp)
{
    struct pki_pair issuer, leaf;
    unsigned char *der;
    struct err e;
    int len;

    make();
    ck_assert_int_eq(ocsp_says("good-ecdsa", "good"), V_OCSP_CERTSTATUS_GOOD);
    ck_assert_int_eq(ocsp_says("revoked", "revoked"), V_OCSP_CERTSTATUS_REVOKED);
    ck_assert_int_eq(ocsp_says("must-staple", "expired"), -1);
    ck_assert(pki_file_read(dir, "ca-intermediate-1", &issuer) && pki_file_read(dir, "good-rsa", &leaf));
    ck_assert_int_eq(pki_ocsp(&issuer, leaf.cert, "perhaps", &der, &len, &e), -1);
    ck_assert_ptr_null(der);
    pki_pair_clear(&issuer);
    pki_pair_clear(&leaf);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
END_TEST

static bool has_tls_feature(const char *name)
{
    struct pki_pair p;
    bool yes;

    ck_assert(pki_file_read(dir, name, &p));
    yes = X509_get_ext_by_NID(p.cert, NID_tlsfeature, -1) >= 0; /* 1.3.6.1.5.5.7.1.24 */
    pki_pair_clear(&p);
    return yes;
}

static void drop(const char *file)
{
    char *path = mem_printf("%s/%s", dir, file);

    ck_assert_int_eq(remove(path), 0);
    free(path);
}

static void swap(const char *from, const char *to)
{
    char *a = mem_printf("%s/%s", dir, from), *b = mem_printf("%s/%s", dir, to);

    ck_assert_int_eq(rename(a, b), 0);
    free(a);
    free(b);
}

/* A set of an older version, or one with damage: only what is missing or wrong is made, by the same CA. */
START_TEST(what_is_missing_is_added)
{
    X509 *ca, *stays, *stays_now, *ca_now;
    struct err why_not, e;

    make();
    ck_assert(has_tls_feature("must-staple") && !has_tls_feature("good-ecdsa"));
    ca = pki_file_cert(dir, "ca");
    stays = pki_file_cert(dir, "good-rsa");
    drop("must-staple.pem");
    drop("revoked.pem");
    drop("ca.crl");
    swap("good-ecdsa.key", "wrong-host.key");  /* now no key of the first, and of the other not its own */
    swap("good-1000-sans.pem", "expired.pem"); /* not expired at all */
    swap("good-1000-sans.key", "expired.key");
    ck_assert_int_eq(bench_pki_make(dir, HOST, &why_not, &e), 0);
    ca_now = pki_file_cert(dir, "ca");
    stays_now = pki_file_cert(dir, "good-rsa");
    ck_assert_int_eq(X509_cmp(ca, ca_now), 0);
    ck_assert_int_eq(X509_cmp(stays, stays_now), 0);
    ck_assert(has_tls_feature("must-staple"));
    for (const struct bench_cert *c = bench_pki_table(); c->name; c++)
        ck_assert_msg(verify(c->name, 0) == c->verify, "%s", c->name);
    ck_assert_int_eq(verify("revoked", X509_V_FLAG_CRL_CHECK), X509_V_ERR_CERT_REVOKED);
    ck_assert_int_eq(verify("good-rsa", X509_V_FLAG_CRL_CHECK), X509_V_OK);
    X509_free(ca);
    X509_free(ca_now);
    X509_free(stays);
    X509_free(stays_now);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
END_TEST

START_TEST(a_set_stays)
{
    struct err why_not, e;
    X509 *before, *after, *other;
    struct stat st;
    char *key;

    make();
    before = first("good-rsa");
    ck_assert_int_eq(bench_pki_make(dir, HOST, &why_not, &e), 0);
    after = first("good-rsa");
    ck_assert_int_eq(X509_cmp(before, after), 0);
    ck_assert_int_eq(bench_pki_make(dir, "other.bench.test", &why_not, &e), 0);
    other = first("good-rsa");
    ck_assert_int_ne(X509_cmp(before, other), 0);
    key = mem_printf("%s/good-rsa.key", dir);
    ck_assert_int_eq(stat(key, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    free(key);
    X509_free(before);
    X509_free(after);
    X509_free(other);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
END_TEST

SUITE_MAIN("pki", each_is_wrong_in_its_own_way, right_ones_are_right_in_every_way, ocsp, what_is_missing_is_added,
           a_set_stays)
