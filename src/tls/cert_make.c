/* A local CA and a certificate from it, for a set to try. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "tls/cert.h"

static int add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    int ok;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext && X509_add_ext(x, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok ? 0 : -1;
}

#define CA_DAYS 3650
#define CN_MOST 64 /* ub-common-name, RFC 5280 appendix A; longer names stand in subjectAltName alone */

static bool set_names(X509 *x, const char *name, const X509_NAME *issuer)
{
    X509_NAME *subject = X509_get_subject_name(x);
    const char *cn = strlen(name) <= CN_MOST ? name : "postern";

    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) == 1 &&
           X509_set_issuer_name(x, issuer ? issuer : subject) == 1;
}

static X509 *blank(EVP_PKEY *key, const char *name, const X509_NAME *issuer, int days)
{
    X509 *x = X509_new();
    BIGNUM *serial = BN_new();
    /* CA/Browser Forum 7.1: at least 64 bits from a CSPRNG, positive */
    bool ok = x && serial && BN_rand(serial, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) && X509_set_version(x, X509_VERSION_3) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
              X509_time_adj_ex(X509_getm_notAfter(x), days, 0, NULL) && set_names(x, name, issuer) &&
              X509_set_pubkey(x, key) == 1;

    BN_free(serial);
    if (ok)
        return x;
    X509_free(x);
    return NULL;
}

static X509 *make_ca(EVP_PKEY *key, int days)
{
    X509 *x = blank(key, "postern local CA", NULL, days);

    if (x && add_ext(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") == 0 &&
        add_ext(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") == 0 &&
        add_ext(x, x, NID_subject_key_identifier, "hash") == 0 && X509_sign(x, key, EVP_sha256()))
        return x;
    X509_free(x);
    return NULL;
}

static X509 *make_leaf(EVP_PKEY *key, const char *host, X509 *ca, EVP_PKEY *ca_key, int days)
{
    char *names = mem_printf("DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", host);
    X509 *x = blank(key, host, X509_get_subject_name(ca), days);
    bool ok = x && add_ext(x, ca, NID_basic_constraints, "critical,CA:FALSE") == 0 &&
              add_ext(x, ca, NID_key_usage, "critical,digitalSignature") == 0 &&
              add_ext(x, ca, NID_ext_key_usage, "serverAuth") == 0 &&
              add_ext(x, ca, NID_subject_alt_name, names) == 0 &&
              add_ext(x, ca, NID_subject_key_identifier, "hash") == 0 &&
              add_ext(x, ca, NID_authority_key_identifier, "keyid:always") == 0 && X509_sign(x, ca_key, EVP_sha256());

    free(names);
    if (ok)
        return x;
    X509_free(x);
    return NULL;
}

static bool write_pem(FILE *f, X509 *a, X509 *b, EVP_PKEY *key)
{
    return (!a || PEM_write_X509(f, a) == 1) && (!b || PEM_write_X509(f, b) == 1) &&
           (!key || PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
}

/* A new file beside the old one, then a rename: whoever reads it sees one or the other. O_EXCL: nobody can have put a
 * file or link of theirs where the key goes. */
static int write_file(const char *dir, const char *name, mode_t mode, X509 *a, X509 *b, EVP_PKEY *key, struct err *e)
{
    char *path = mem_printf("%s/%s", dir, name), *tmp = mem_printf("%s.new", path);
    FILE *f = NULL;
    int fd, rc = -1;

    (void)unlink(tmp);
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        goto out;
    f = fdopen(fd, "w");
    if (!f) {
        close(fd);
        goto out;
    }
    errno = 0;
    rc = write_pem(f, a, b, key) ? 0 : -1;
    if (fclose(f) != 0)
        rc = -1;
    if (rc == 0)
        rc = rename(tmp, path);
out:
    if (rc < 0) {
        err_set(e, "%s: %s", path, errno ? strerror(errno) : "OpenSSL cannot write it");
        (void)unlink(tmp);
    }
    free(path);
    free(tmp);
    return rc;
}

int cert_make_local(const char *dir, const char *hostname, int days, struct err *e)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = ca_key ? make_ca(ca_key, days > CA_DAYS ? days : CA_DAYS) : NULL;
    X509 *leaf = ca && key ? make_leaf(key, hostname, ca, ca_key, days) : NULL;
    char why[200];
    int rc = -1;

    if (!leaf) {
        tls_error_text(why, sizeof why);
        err_set(e, "making a certificate for %s: %s", hostname, why);
    } else if (write_file(dir, "ca.pem", 0644, ca, NULL, NULL, e) == 0 &&
               write_file(dir, "ca-key.pem", 0600, NULL, NULL, ca_key, e) == 0 &&
               write_file(dir, "key.pem", 0600, NULL, NULL, key, e) == 0 &&
               write_file(dir, "cert.pem", 0644, leaf, ca, NULL, e) == 0) {
        rc = 0;
    }
    X509_free(leaf);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return rc;
}

const char *tls_library_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
