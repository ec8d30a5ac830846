/* What some senders will not like. None of it withdraws the offer: most senders verify nothing (RFC 7435, opportunistic
 * security), and they are better off with this certificate than in clear. */
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/text.h"
#include "tls/cert.h"

/* The way from the leaf upwards, through the certificates of the file. */
struct path {
    X509 *top;     /* the last one reached */
    int length;    /* certificates of the file used */
    bool in_order; /* each stood where it is expected, and none was left over */
};

static int issuer_of(X509 *x, STACK_OF(X509) * chain, const bool *used, int expected)
{
    int n = sk_X509_num(chain);

    if (expected < n && !used[expected] && X509_check_issued(sk_X509_value(chain, expected), x) == X509_V_OK)
        return expected;
    for (int i = 0; i < n; i++)
        if (!used[i] && X509_check_issued(sk_X509_value(chain, i), x) == X509_V_OK)
            return i;
    return -1;
}

/* RFC 5246 7.4.2: "Each following certificate MUST directly certify the one preceding it." TLS 1.3 lets more pass. */
static void walk_up(const struct cert *c, struct path *p)
{
    int n = sk_X509_num(c->chain), i;
    bool *used = mem_alloc((size_t)n + 1);

    *p = (struct path){.top = c->leaf, .in_order = true};
    while (X509_self_signed(p->top, 0) != 1 && (i = issuer_of(p->top, c->chain, used, p->length)) >= 0) {
        used[i] = true;
        p->in_order = p->in_order && i == p->length;
        p->length++;
        p->top = sk_X509_value(c->chain, i);
    }
    if (p->length < n)
        p->in_order = false;
    free(used);
}

/* Do the machine's own CAs lead to it? The dates are judged elsewhere. */
static bool is_trusted(const struct cert *c)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool ok = store && ctx && X509_STORE_set_default_paths(store) == 1 &&
              X509_STORE_CTX_init(ctx, store, c->leaf, c->chain) == 1;

    if (ok) {
        X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_NO_CHECK_TIME);
        ok = X509_verify_cert(ctx) == 1;
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok;
}

static unsigned chain_warnings(const struct cert *c)
{
    bool self = X509_self_signed(c->leaf, 0) == 1;
    unsigned w = 0;
    struct path p;

    walk_up(c, &p);
    if (!p.in_order)
        w |= TLS_WARN_CHAIN_ORDER;
    if (self)
        return w | TLS_WARN_SELF_SIGNED;
    if (is_trusted(c))
        return w;
    w |= TLS_WARN_UNTRUSTED;
    /* Nobody above the leaf, or a gap below certificates that lead nowhere. A chain that merely leaves out its root, as it
     * should, looks different: it has at least one step. */
    if (X509_self_signed(p.top, 0) != 1 && (p.length == 0 || p.length < sk_X509_num(c->chain)))
        w |= TLS_WARN_INTERMEDIATE_MISSING;
    return w;
}

void cert_warn(struct cert *c, const struct cert_source *src, const char *hostname)
{
    unsigned w = chain_warnings(c);

    if (hostname && X509_check_host(c->leaf, hostname, 0, 0, NULL) != 1)
        w |= TLS_WARN_HOSTNAME_MISMATCH;
    if (src->key_readable_by_others)
        w |= TLS_WARN_KEY_READABLE;
    if (c->kind == CERT_KIND_ED25519 || c->kind == CERT_KIND_ED448 || c->kind == CERT_KIND_P521)
        w |= TLS_WARN_RARE_KEY;
    c->facts.warnings |= w;
    ERR_clear_error();
}
