/* What a client says it can verify. OpenSSL has parsed the ClientHello when the certificate callback asks. */
#include <openssl/err.h>

#include "tls/tls_listener.h"

#define BIT(kind) (1u << (kind))
#define ECDSA (BIT(CERT_KIND_P256) | BIT(CERT_KIND_P384) | BIT(CERT_KIND_P521))
#define EDDSA (BIT(CERT_KIND_ED25519) | BIT(CERT_KIND_ED448))

/* RFC 8446 4.2.3. In TLS 1.3 an ECDSA code names its curve too; in TLS 1.2 it is only the digest. */
static unsigned kinds_of(unsigned code, bool is_13)
{
    switch (code) {
    case 0x0403:
        return is_13 ? BIT(CERT_KIND_P256) : ECDSA;
    case 0x0503:
        return is_13 ? BIT(CERT_KIND_P384) : ECDSA;
    case 0x0603:
        return is_13 ? BIT(CERT_KIND_P521) : ECDSA;
    case 0x0401: /* rsa_pkcs1_sha256 and longer: only for the certificates' own signatures in TLS 1.3 */
    case 0x0501:
    case 0x0601:
        return is_13 ? 0 : BIT(CERT_KIND_RSA);
    case 0x0804: /* rsa_pss_rsae */
    case 0x0805:
    case 0x0806:
        return BIT(CERT_KIND_RSA);
    case 0x0807:
        return BIT(CERT_KIND_ED25519);
    case 0x0808:
        return BIT(CERT_KIND_ED448);
    case 0x0809: /* rsa_pss_pss */
    case 0x080a:
    case 0x080b:
        return BIT(CERT_KIND_RSA_PSS);
    default:
        return 0;
    }
}

static unsigned by_signatures(SSL *ssl, bool is_13)
{
    int n = SSL_get_sigalgs(ssl, -1, NULL, NULL, NULL, NULL, NULL);
    unsigned kinds = 0;

    if (n <= 0) /* TLS 1.2 without the extension: it means SHA-1, which we refuse; OpenSSL finds the words */
        return TLS_ANY_KIND;
    for (int i = 0; i < n; i++) {
        unsigned char sig = 0, hash = 0;

        SSL_get_sigalgs(ssl, i, NULL, NULL, NULL, &sig, &hash);
        kinds |= kinds_of((unsigned)hash << 8 | sig, is_13);
    }
    return kinds;
}

/* TLS 1.2 has the kind of key in the cipher's name, RFC 5246 7.4.3: what the client offers and we have too. */
static unsigned by_ciphers(SSL *ssl)
{
    const STACK_OF(SSL_CIPHER) *theirs = SSL_get_client_ciphers(ssl);
    STACK_OF(SSL_CIPHER) *ours = SSL_get_ciphers(ssl);
    unsigned kinds = 0;

    for (int i = 0; ours && i < sk_SSL_CIPHER_num(theirs); i++) {
        const SSL_CIPHER *c = sk_SSL_CIPHER_value(theirs, i);

        if (sk_SSL_CIPHER_find(ours, (SSL_CIPHER *)c) < 0)
            continue;
        if (SSL_CIPHER_get_auth_nid(c) == NID_auth_rsa)
            kinds |= BIT(CERT_KIND_RSA) | BIT(CERT_KIND_RSA_PSS);
        else if (SSL_CIPHER_get_auth_nid(c) == NID_auth_ecdsa)
            kinds |= ECDSA | EDDSA;
    }
    return kinds;
}

/* RFC 8422 5.1: in TLS 1.2 the curve of an ECDSA key must be among the client's groups, when it names any. */
static unsigned by_groups(SSL *ssl)
{
    int groups[64], n = (int)SSL_get1_groups(ssl, NULL);
    unsigned kinds = ~ECDSA;

    if (n <= 0 || n > 64)
        return TLS_ANY_KIND;
    SSL_get1_groups(ssl, groups);
    for (int i = 0; i < n; i++) {
        if (groups[i] == NID_X9_62_prime256v1)
            kinds |= BIT(CERT_KIND_P256);
        else if (groups[i] == NID_secp384r1)
            kinds |= BIT(CERT_KIND_P384);
        else if (groups[i] == NID_secp521r1)
            kinds |= BIT(CERT_KIND_P521);
    }
    return kinds;
}

unsigned tls_hello_kinds(SSL *ssl)
{
    bool is_13 = SSL_version(ssl) >= TLS1_3_VERSION;
    unsigned kinds = by_signatures(ssl, is_13);

    if (!is_13)
        kinds &= by_ciphers(ssl) & by_groups(ssl);
    return kinds;
}
