/* The verdict on one pair, in this order: readable, parses, key matches, purpose, strength, then the proof by handshake.
 * Dates are left to the moment of use; chain, name and trust only warn. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tls/cert.h"

#define BITS_LEAST 112 /* NIST SP 800-57 part 1, 5.6.1: below is not to be used since 2014 */

void cert_fault(struct cert *c, enum tls_reason r, const char *fmt, ...)
{
    char text[700];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    free(c->details);
    c->details = mem_str(text);
    c->facts.fault = r;
    c->facts.details = c->details;
}

static int check_key(struct cert *c)
{
    if (X509_check_private_key(c->leaf, c->key) == 1)
        return 0;
    ERR_clear_error();
    for (int i = 0; i < sk_X509_num(c->chain); i++)
        if (X509_check_private_key(sk_X509_value(c->chain, i), c->key) == 1) {
            cert_fault(c, TLS_KEY_MISMATCH,
                       "the key belongs to certificate %d of the chain file; the server's own must be the first",
                       i + 2);
            return -1;
        }
    ERR_clear_error();
    cert_fault(c, TLS_KEY_MISMATCH, "the key does not belong to the first certificate of the chain (%s)",
               *c->names ? c->names : c->subject);
    return -1;
}

static int check_purpose(struct cert *c)
{
    int ok = X509_check_purpose(c->leaf, X509_PURPOSE_SSL_SERVER, 0);
    uint32_t flags = X509_get_extension_flags(c->leaf);
    const char *why;

    ERR_clear_error();
    if (ok == 1)
        return 0;
    if (flags & EXFLAG_INVALID)
        why = "its extensions cannot be read";
    else if (flags & EXFLAG_XKUSAGE && !(X509_get_extended_key_usage(c->leaf) & (XKU_SSL_SERVER | XKU_SGC)))
        why = "its extended key usage does not name serverAuth";
    else if (flags & EXFLAG_KUSAGE &&
             !(X509_get_key_usage(c->leaf) & (KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT)))
        why = "its key usage allows no signature";
    else
        why = "its extensions do not allow TLS servers";
    cert_fault(c, TLS_NOT_FOR_SERVERS, "the certificate is not for TLS servers: %s", why);
    return -1;
}

/* One certificate of the chain; its own signature does not matter where it signed itself. */
static int check_one(struct cert *c, X509 *x, const char *which)
{
    int bits = EVP_PKEY_get_security_bits(X509_get0_pubkey(x)), md = NID_undef, md_bits = BITS_LEAST;
    bool is_root = x != c->leaf && X509_self_signed(x, 0) == 1;

    if (bits < BITS_LEAST) {
        cert_fault(c, TLS_TOO_WEAK, "the key of %s%s%s has %d bits of security; %d are the least", which,
                   x == c->leaf ? ": " : "", x == c->leaf ? c->key_type : "", bits, BITS_LEAST);
        return -1;
    }
    if (!is_root && X509_get_signature_info(x, &md, NULL, &md_bits, NULL) == 1 && md_bits >= 0 &&
        md_bits < BITS_LEAST) {
        cert_fault(c, TLS_TOO_WEAK, "%s is signed with %s, which can be forged", which,
                   md == NID_undef ? "a weak digest" : OBJ_nid2sn(md));
        return -1;
    }
    ERR_clear_error();
    return 0;
}

static int check_strength(struct cert *c)
{
    char which[60];

    if (check_one(c, c->leaf, "the certificate") < 0)
        return -1;
    for (int i = 0; i < sk_X509_num(c->chain); i++) {
        snprintf(which, sizeof which, "certificate %d of the chain file", i + 2);
        if (check_one(c, sk_X509_value(c->chain, i), which) < 0)
            return -1;
    }
    return 0;
}

static int prove(struct cert *c)
{
    char why[512];
    unsigned ok;

    cert_prove(c, &ok, why, sizeof why);
    if (ok == 0) {
        cert_fault(c, TLS_HANDSHAKE_FAILED, "no handshake with this certificate (%s) succeeds: %s", c->key_type, why);
        return -1;
    }
    if (ok != 3) {
        c->facts.warnings |= TLS_WARN_VERSION_FAILS;
        cert_fault(c, TLS_OK, "%s", why);
    }
    return 0;
}

static void copy_bytes(struct cert_bytes *to, const struct cert_bytes *from)
{
    to->chain_len = from->chain_len;
    to->key_len = from->key_len;
    to->chain = from->chain ? mem_strn(from->chain, from->chain_len) : NULL;
    to->key = from->key ? mem_strn(from->key, from->key_len) : NULL;
}

struct cert *cert_judge(const char *title, const struct cert_source *src, const char *hostname, int64_t now)
{
    struct cert *c = mem_alloc(sizeof *c);

    (void)now; /* dates are facts; what they mean is asked again at each handshake */
    c->title = mem_str(title);
    c->facts.title = c->title;
    c->facts.details = "";
    copy_bytes(&c->raw, &src->bytes);
    ERR_clear_error();
    if (src->fault != TLS_OK || !c->raw.chain || !c->raw.key)
        cert_fault(c, TLS_UNREADABLE, "%s", *src->details ? src->details : "chain or key is missing");
    else if (cert_parse(c) == 0 && check_key(c) == 0 && check_purpose(c) == 0 && check_strength(c) == 0 &&
             prove(c) == 0)
        cert_warn(c, src, hostname);
    ERR_clear_error();
    return c;
}

void cert_free(struct cert **cp)
{
    struct cert *c = *cp;

    if (!c)
        return;
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    cert_bytes_free(&c->raw);
    free(c->title);
    free(c->details);
    free(c->subject);
    free(c->names);
    free(c);
    *cp = NULL;
}

void cert_has_company(struct cert *c)
{
    c->facts.warnings &= ~(unsigned)TLS_WARN_RARE_KEY;
}

const struct tls_cert_facts *cert_facts(const struct cert *c)
{
    return &c->facts;
}

const struct cert_bytes *cert_raw(const struct cert *c)
{
    return &c->raw;
}

const char *cert_subject(const struct cert *c)
{
    return c->subject ? c->subject : "";
}

const char *cert_names(const struct cert *c)
{
    return c->names ? c->names : "";
}

const char *cert_key_type(const struct cert *c)
{
    return c->key_type;
}

const char *cert_fingerprint(const struct cert *c)
{
    return c->fingerprint;
}
