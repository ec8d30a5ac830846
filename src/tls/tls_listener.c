#include "tls/tls_listener.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

static int by_sni(SSL *ssl, int *alert, void *arg)
{
    const struct tls_listener *l = arg;
    const int64_t *now = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_group *g = tls_listener_pick(l, name, now ? *now : 0);

    (void)alert;
    if (g && g->ctx != SSL_get_SSL_CTX(ssl))
        SSL_set_SSL_CTX(ssl, g->ctx);
    return SSL_TLSEXT_ERR_OK; /* an unknown name gets the default, as every mail server does */
}

static struct tls_group *group_for(struct tls_listener *l, const struct cert *c)
{
    for (unsigned i = 0; i < l->group_count; i++) {
        struct tls_group *g = &l->groups[i];
        bool same_type = false;

        if (strcmp(cert_names(g->certs[0]), cert_names(c)) != 0 || g->count == 4)
            continue;
        for (unsigned k = 0; k < g->count; k++)
            same_type |= EVP_PKEY_get_base_id(g->certs[k]->key) == EVP_PKEY_get_base_id(c->key);
        if (!same_type)
            return g;
    }
    return NULL;
}

static int add_cert(struct tls_listener *l, const struct cert *c, struct err *e)
{
    struct tls_group *g = group_for(l, c);

    if (!g) {
        g = &l->groups[l->group_count];
        g->ctx = tls_context_new(e);
        if (!g->ctx)
            return -1;
        SSL_CTX_set_tlsext_servername_callback(g->ctx, by_sni);
        SSL_CTX_set_tlsext_servername_arg(g->ctx, l);
        l->group_count++;
    }
    if (tls_context_add(g->ctx, c) < 0) {
        char why[200];

        tls_error_text(why, sizeof why);
        return err_set(e, "certificate \"%s\": %s", cert_facts(c)->title, why);
    }
    g->certs[g->count++] = c;
    return 0;
}

struct tls_listener *tls_listener_new(const struct conf_listener *conf, const struct cert_slot *slots, struct err *e)
{
    struct tls_listener *l = mem_alloc(sizeof *l);
    unsigned n = conf->certificate_count;

    l->cert_facts = mem_alloc(sizeof *l->cert_facts * (n + 1));
    l->groups = mem_alloc(sizeof *l->groups * (n + 1));
    l->facts = (struct tls_listener_facts){
        .mode = conf->tls == CONF_TLS_IMPLICIT ? TLS_MODE_IMPLICIT : TLS_MODE_STARTTLS,
        .without = (enum tls_without)conf->without_certificate, .withhold_expired = conf->withhold_expired,
        .require_tls = conf->require_tls, .certs = l->cert_facts, .cert_count = n,
    };
    for (unsigned i = 0; i < n; i++) {
        const struct cert *c = slots[conf->certificates[i]].serving;

        l->cert_facts[i] = *cert_facts(c);
        if (cert_facts(c)->fault == TLS_OK && add_cert(l, c, e) < 0) {
            tls_listener_free(&l);
            return NULL;
        }
    }
    return l;
}

void tls_listener_free(struct tls_listener **lp)
{
    struct tls_listener *l = *lp;

    if (!l)
        return;
    for (unsigned i = 0; i < l->group_count; i++)
        SSL_CTX_free(l->groups[i].ctx);
    free(l->groups);
    free(l->cert_facts);
    free(l);
    *lp = NULL;
}

const struct tls_listener_facts *tls_listener_facts(const struct tls_listener *l)
{
    return &l->facts;
}

static bool may_serve(const struct tls_listener *l, const struct tls_group *g, int64_t now, bool valid_only)
{
    for (unsigned i = 0; i < g->count; i++) {
        enum tls_reason r = tls_cert_reason(cert_facts(g->certs[i]), now);

        if (r == TLS_OK || (!valid_only && !l->facts.withhold_expired))
            return true;
    }
    return false;
}

/* Is `name` in the list "a, *.b"? Wildcards stand for exactly one label (RFC 6125 6.4.3). */
static bool has_name(const char *names, const char *name, bool wildcard)
{
    size_t n = strlen(name);
    const char *rest = strchr(name, '.');

    while (*names) {
        size_t len = strcspn(names, ",");

        if (!wildcard && len == n && strncasecmp(names, name, n) == 0)
            return true;
        if (wildcard && rest && len > 2 && names[0] == '*' && len - 1 == strlen(rest) && strncasecmp(names + 1, rest, len - 1) == 0)
            return true;
        names += len;
        names += strspn(names, ", ");
    }
    return false;
}

const struct tls_group *tls_listener_pick(const struct tls_listener *l, const char *name, int64_t now)
{
    for (int wildcard = 0; name && wildcard < 2; wildcard++)
        for (unsigned i = 0; i < l->group_count; i++)
            if (may_serve(l, &l->groups[i], now, false) && has_name(cert_names(l->groups[i].certs[0]), name, wildcard))
                return &l->groups[i];
    for (int valid_only = 1; valid_only >= 0; valid_only--)
        for (unsigned i = 0; i < l->group_count; i++)
            if (may_serve(l, &l->groups[i], now, valid_only))
                return &l->groups[i];
    return NULL;
}

const char *tls_group_title(const struct tls_group *g, const X509 *used)
{
    for (unsigned i = 0; i < g->count; i++)
        if (used && X509_cmp(g->certs[i]->leaf, used) == 0)
            return cert_facts(g->certs[i])->title;
    return cert_facts(g->certs[0])->title;
}
