#include "tls/tls_listener.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

/* RFC 6066 3: "A server that receives a client hello containing the "server_name" extension [...] SHALL include an
 * extension of type "server_name" in the (extended) server hello": OpenSSL does so when somebody says that the name is
 * taken. An unknown name is taken, too: the client gets the first certificate, as from every mail server. */
static int name_is_fine(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

static int add_cert(struct tls_listener *l, const struct cert *c, struct err *e)
{
    struct tls_entry *t = &l->entries[l->count];
    char why[200];

    t->cert = c;
    t->ctx = tls_context_new(e);
    if (!t->ctx)
        return -1;
    l->count++;
    SSL_CTX_set_cert_cb(t->ctx, tls_conn_choose, l);
    SSL_CTX_set_tlsext_servername_callback(t->ctx, name_is_fine);
    if (tls_context_add(t->ctx, c) == 0)
        return 0;
    tls_error_text(why, sizeof why);
    return err_set(e, "certificate \"%s\": %s", cert_facts(c)->title, why);
}

/* One list of words in the configuration and in the decision: the value is handed over as it is. */
_Static_assert((int)CONF_WITHOUT_OMIT == (int)TLS_WITHOUT_OMIT, "omit");
_Static_assert((int)CONF_WITHOUT_TEMPFAIL == (int)TLS_WITHOUT_TEMPFAIL, "tempfail");
_Static_assert((int)CONF_WITHOUT_CLOSE == (int)TLS_WITHOUT_CLOSE, "close");
_Static_assert((int)CONF_WITHOUT_REFUSE_START == (int)TLS_WITHOUT_REFUSE_START, "refuse-start");

struct tls_listener *tls_listener_new(const struct conf_listener *conf, const struct cert_slot *slots, struct err *e)
{
    struct tls_listener *l = mem_alloc(sizeof *l);
    unsigned n = conf->certificate_count;

    l->cert_facts = mem_alloc(sizeof *l->cert_facts * (n + 1));
    l->entries = mem_alloc(sizeof *l->entries * (n + 1));
    l->facts = (struct tls_listener_facts){
        .mode = conf->tls == CONF_TLS_IMPLICIT ? TLS_MODE_IMPLICIT : TLS_MODE_STARTTLS,
        .without = (enum tls_without)conf->without_certificate,
        .withhold_expired = conf->withhold_expired,
        .require_tls = conf->require_tls,
        .certs = l->cert_facts,
        .cert_count = n,
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
    for (unsigned i = 0; i < l->count; i++)
        SSL_CTX_free(l->entries[i].ctx);
    free(l->entries);
    free(l->cert_facts);
    free(l);
    *lp = NULL;
}

const struct tls_listener_facts *tls_listener_facts(const struct tls_listener *l)
{
    return &l->facts;
}

/* ---- choosing */

enum match { MATCH_NONE, MATCH_WILDCARD, MATCH_EXACT };

static enum match match_one(const char *pattern, size_t n, const char *name)
{
    const char *rest = strchr(name, '.');

    if (n == strlen(name) && strncasecmp(pattern, name, n) == 0)
        return MATCH_EXACT;
    /* RFC 6125 6.4.3: the wildcard is the whole left-most label, and stands for exactly one */
    if (n > 2 && pattern[0] == '*' && pattern[1] == '.' && rest && rest != name && n - 1 == strlen(rest) &&
        strncasecmp(pattern + 1, rest, n - 1) == 0)
        return MATCH_WILDCARD;
    return MATCH_NONE;
}

/* Against the list "a, *.b". */
static enum match match(const char *names, const char *name)
{
    enum match best = MATCH_NONE;

    while (name && *names) {
        size_t n = strcspn(names, ",");
        enum match m = match_one(names, n, name);

        if (m > best)
            best = m;
        names += n;
        names += strspn(names, ", ");
    }
    return best;
}

static bool shares_a_name(const struct cert *a, const struct cert *b)
{
    const char *names = cert_names(a);

    if (a == b)
        return true;
    while (*names) {
        size_t n = strcspn(names, ",");
        char one[260];

        if (n < sizeof one) {
            memcpy(one, names, n);
            one[n] = '\0';
            if (match(cert_names(b), one) == MATCH_EXACT)
                return true;
        }
        names += n;
        names += strspn(names, ", ");
    }
    return false;
}

static bool is_valid(const struct tls_entry *t, int64_t now)
{
    return tls_cert_reason(cert_facts(t->cert), now) == TLS_OK;
}

/* Who serves a client that asked for nothing we have: the first valid one, or the first. */
static const struct tls_entry *first(const struct tls_listener *l, int64_t now)
{
    for (unsigned i = 0; i < l->count; i++)
        if (is_valid(&l->entries[i], now))
            return &l->entries[i];
    return l->count && !l->facts.withhold_expired ? &l->entries[0] : NULL;
}

/* The higher the better; what is written first weighs most. */
static unsigned rank(const struct tls_entry *t, const char *name, unsigned kinds, int64_t now,
                     const struct tls_entry *first_one)
{
    bool usable = kinds & 1u << t->cert->kind, valid = is_valid(t, now);
    enum match m = match(cert_names(t->cert), name);
    bool twin = m == MATCH_NONE && shares_a_name(first_one->cert, t->cert);
    unsigned r = usable;

    /* An expired one of the right name before a valid one of another: who verifies by DANE-EE looks at neither name nor
     * date (RFC 7671 5.1), who verifies otherwise refuses both. */
    r = r << 1 | (m != MATCH_NONE);
    r = r << 1 | valid;
    r = r << 1 | (m == MATCH_EXACT || twin);
    /* beyond its name and its twins there is nothing to prefer but the order of the configuration */
    return r << 4 | (m != MATCH_NONE || twin ? (unsigned)t->cert->kind : 0);
}

const struct tls_entry *tls_listener_pick(const struct tls_listener *l, const char *name, unsigned kinds, int64_t now)
{
    const struct tls_entry *first_one = first(l, now), *best = NULL;
    unsigned best_rank = 0;

    for (unsigned i = 0; first_one && i < l->count; i++) {
        const struct tls_entry *t = &l->entries[i];
        unsigned r;

        if (l->facts.withhold_expired && !is_valid(t, now))
            continue;
        r = rank(t, name, kinds, now, first_one);
        if (!best || r > best_rank) {
            best = t;
            best_rank = r;
        }
    }
    return best;
}
