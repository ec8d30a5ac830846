/* Everything that OpenSSL would load at the moment of use, before the doors close. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "tls/cert.h"
#include "tls/tls_conn.h"

/* One handshake of each version with a key made for it: what it needs (algorithms of the providers, curves, error
 * strings) is then in memory, whatever this version of OpenSSL loads late. */
static unsigned rehearse(char *why, size_t cap)
{
    struct cert c = {.kind = CERT_KIND_P256};
    unsigned ok = 0;

    c.key = EVP_EC_gen("P-256");
    c.leaf = c.key ? cert_make_plain(c.key) : NULL;
    if (c.leaf)
        cert_prove(&c, &ok, why, cap);
    else
        tls_error_text(why, cap);
    X509_free(c.leaf);
    EVP_PKEY_free(c.key);
    return ok;
}

int tls_prepare(struct err *e)
{
    unsigned char some[16];
    char why[512];

    if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_LOAD_CONFIG, NULL) != 1 ||
        RAND_bytes(some, sizeof some) != 1 || RAND_priv_bytes(some, sizeof some) != 1) {
        tls_error_text(why, sizeof why);
        return err_set(e, "OpenSSL cannot be used: %s", why);
    }
    if (rehearse(why, sizeof why) == 0)
        return err_set(e, "no TLS handshake succeeds on this machine, whatever the certificate: %s", why);
    ERR_clear_error();
    return 0;
}
