#include "bench/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"

#define DAY (24L * 3600)
#define MANY_NAMES 1000u
#define LINKS 4u /* intermediates of a long chain */

enum key_kind { ECDSA, RSA2048, RSA1024, ED25519 };
enum signer { INTERMEDIATE, LONG_CHAIN, UNTRUSTED, ITSELF, CONSTRAINED };
enum order { WHOLE, LEAF_ONLY, REVERSED };

struct row {
    enum key_kind key;
    enum signer signer;
    enum order order;
    const char *names; /* subjectAltName, %s is the host; NULL: none */
    long from_days, to_days;
    const char *eku;
    bool sha1, many;
};

static const struct bench_cert table[] = {
    {"good-ecdsa", "ECDSA P-256", X509_V_OK},
    {"good-rsa", "RSA 2048", X509_V_OK},
    {"good-ed25519", "Ed25519", X509_V_OK},
    {"good-wildcard", "*.test and the host's own parent", X509_V_OK},
    {"good-1000-sans", "a thousand names", X509_V_OK},
    {"good-long-chain", "four intermediates", X509_V_OK},
    {"self-signed", "its own issuer", X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT},
    {"untrusted-root", "of another CA", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
    {"wrong-host", "for another host", X509_V_ERR_HOSTNAME_MISMATCH},
    {"cn-only", "the host in the common name only", X509_V_OK},
    {"expired", "since yesterday", X509_V_ERR_CERT_HAS_EXPIRED},
    {"not-yet-valid", "from next month on", X509_V_ERR_CERT_NOT_YET_VALID},
    {"incomplete-chain", "without its intermediate", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
    {"reversed-chain", "intermediates in the wrong order", X509_V_OK},
    {"sha1", "signed with SHA-1", X509_V_OK},
    {"rsa1024", "RSA 1024", X509_V_OK},
    {"eku-client", "for clients only", X509_V_ERR_INVALID_PURPOSE},
    {"name-constraint", "of a CA that may not sign such names", X509_V_ERR_PERMITTED_VIOLATION},
    {"wildcard-too-deep", "a wildcard for another level", X509_V_ERR_HOSTNAME_MISMATCH},
    {NULL, NULL, 0},
};

#define SERVER "serverAuth"
#define OWN "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1"
static const struct row rows[] = {
    {ECDSA, INTERMEDIATE, WHOLE, OWN, -1, 365, SERVER, false, false},
    {RSA2048, INTERMEDIATE, WHOLE, OWN, -1, 365, SERVER, false, false},
    {ED25519, INTERMEDIATE, WHOLE, OWN, -1, 365, SERVER, false, false},
    {ECDSA, INTERMEDIATE, WHOLE, "DNS:*.%p,DNS:%s,DNS:*.test", -1, 365, SERVER, false, false},
    {ECDSA, INTERMEDIATE, WHOLE, OWN, -1, 365, SERVER, false, true},
    {ECDSA, LONG_CHAIN, WHOLE, OWN, -1, 365, SERVER, false, false},
    {ECDSA, ITSELF, LEAF_ONLY, OWN, -1, 365, SERVER, false, false},
    {ECDSA, UNTRUSTED, LEAF_ONLY, OWN, -1, 365, SERVER, false, false},
    {ECDSA, INTERMEDIATE, WHOLE, "DNS:other.invalid", -1, 365, SERVER, false, false},
    {ECDSA, INTERMEDIATE, WHOLE, NULL, -1, 365, SERVER, false, false},
    {ECDSA, INTERMEDIATE, WHOLE, OWN, -30, -1, SERVER, false, false},
    {ECDSA, INTERMEDIATE, WHOLE, OWN, 30, 395, SERVER, false, false},
    {ECDSA, INTERMEDIATE, LEAF_ONLY, OWN, -1, 365, SERVER, false, false},
    {ECDSA, LONG_CHAIN, REVERSED, OWN, -1, 365, SERVER, false, false},
    {RSA2048, INTERMEDIATE, WHOLE, OWN, -1, 365, SERVER, true, false},
    {RSA1024, INTERMEDIATE, WHOLE, OWN, -1, 365, SERVER, false, false},
    {ECDSA, INTERMEDIATE, WHOLE, OWN, -1, 365, "clientAuth", false, false},
    {ECDSA, CONSTRAINED, WHOLE, OWN, -1, 365, SERVER, false, false},
    {ECDSA, INTERMEDIATE, WHOLE, "DNS:*.sub.%s", -1, 365, SERVER, false, false},
};

struct pair {
    X509 *cert;
    EVP_PKEY *key;
};

struct pki {
    const char *dir, *host;
    struct pair root, other, link[LINKS], constrained; /* link[0] is signed by the root, each by the one before */
};

const struct bench_cert *bench_pki_table(void)
{
    return table;
}

static int fail(struct err *e, const char *what)
{
    char text[160];

    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    ERR_clear_error();
    return err_set(e, "%s: %s", what, text);
}

static void drop(struct pair *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    *p = (struct pair){0};
}

static EVP_PKEY *new_key(enum key_kind kind)
{
    switch (kind) {
    case RSA2048:
        return EVP_RSA_gen(2048);
    case RSA1024:
        return EVP_RSA_gen(1024);
    case ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    default:
        return EVP_EC_gen("P-256");
    }
}

/* %s is the host, %p its parent. */
static char *fill_names(const char *names, const char *host)
{
    const char *dot = strchr(host, '.');
    struct buf b = {0};
    char *text;

    for (const char *p = names; *p; p++) {
        if (p[0] == '%' && (p[1] == 's' || p[1] == 'p')) {
            const char *word = p[1] == 's' ? host : dot ? dot + 1 : host;

            buf_append(&b, word, strlen(word));
            p++;
        } else {
            buf_append(&b, p, 1);
        }
    }
    text = mem_strn(b.len ? buf_data(&b) : "", b.len);
    buf_clear(&b);
    return text;
}

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *x;
    bool ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    x = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    ok = x && X509_add_ext(cert, x, -1);
    X509_EXTENSION_free(x);
    return ok;
}

/* signer NULL: itself. */
static X509 *new_cert(const char *name, EVP_PKEY *key, const struct pair *signer, long from, long to)
{
    X509 *c = X509_new();
    X509_NAME *subject = c ? X509_get_subject_name(c) : NULL;
    unsigned char serial[8] = {0};
    BIGNUM *n = NULL;
    bool ok = c && RAND_bytes(serial, sizeof serial) == 1;

    serial[0] &= 0x7f;
    n = ok ? BN_bin2bn(serial, sizeof serial, NULL) : NULL;
    ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(c)) && X509_set_version(c, X509_VERSION_3) &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) &&
         X509_set_issuer_name(c, signer ? X509_get_subject_name(signer->cert) : subject) &&
         X509_gmtime_adj(X509_getm_notBefore(c), from * DAY) && X509_gmtime_adj(X509_getm_notAfter(c), to * DAY) &&
         X509_set_pubkey(c, key);
    BN_free(n);
    if (!ok) {
        X509_free(c);
        c = NULL;
    }
    return c;
}

static const EVP_MD *digest_of(EVP_PKEY *key, bool sha1)
{
    return EVP_PKEY_is_a(key, "ED25519") ? NULL : sha1 ? EVP_sha1() : EVP_sha256();
}

static int make_ca(struct pair *out, const char *name, const struct pair *signer, const char *constraint, struct err *e)
{
    out->key = new_key(ECDSA);
    out->cert = out->key ? new_cert(name, out->key, signer, -60, 3650) : NULL;
    if (!out->cert || !extend(out->cert, out->cert, NID_basic_constraints, "critical,CA:TRUE") ||
        !extend(out->cert, out->cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !extend(out->cert, out->cert, NID_subject_key_identifier, "hash") ||
        (constraint && !extend(out->cert, out->cert, NID_name_constraints, constraint)) ||
        !X509_sign(out->cert, signer ? signer->key : out->key, EVP_sha256()))
        return fail(e, name);
    return 0;
}

static int make_cas(struct pki *k, struct err *e)
{
    if (make_ca(&k->root, "postern-bench CA", NULL, NULL, e) < 0 ||
        make_ca(&k->other, "postern-bench, a CA that nobody trusts", NULL, NULL, e) < 0 ||
        make_ca(&k->constrained, "postern-bench, for example.invalid only", &k->root,
                "critical,permitted;DNS:example.invalid", e) < 0)
        return -1;
    for (unsigned i = 0; i < LINKS; i++) {
        char name[64];

        snprintf(name, sizeof name, "postern-bench intermediate %u", i + 1);
        if (make_ca(&k->link[i], name, i ? &k->link[i - 1] : &k->root, NULL, e) < 0)
            return -1;
    }
    return 0;
}

static const struct pair *signer_of(const struct pki *k, const struct row *r)
{
    switch (r->signer) {
    case INTERMEDIATE:
        return &k->link[0];
    case LONG_CHAIN:
        return &k->link[LINKS - 1];
    case UNTRUSTED:
        return &k->other;
    case CONSTRAINED:
        return &k->constrained;
    default:
        return NULL;
    }
}

static bool add_names(const struct pki *k, const struct row *r, X509 *cert)
{
    char *names = fill_names(r->names, k->host);
    struct buf b = {0};
    bool ok;

    buf_append(&b, names, strlen(names));
    for (unsigned i = 0; r->many && i < MANY_NAMES; i++)
        buf_printf(&b, ",DNS:n%u.bench.test", i);
    buf_append(&b, "", 1);
    ok = extend(cert, cert, NID_subject_alt_name, buf_data(&b));
    buf_clear(&b);
    free(names);
    return ok;
}

static int make_leaf(const struct pki *k, const struct bench_cert *c, const struct row *r, struct pair *out,
                     struct err *e)
{
    const struct pair *signer = signer_of(k, r);

    out->key = new_key(r->key);
    out->cert =
        out->key ? new_cert(r->names ? "postern-bench" : k->host, out->key, signer, r->from_days, r->to_days) : NULL;
    if (!out->cert || !extend(out->cert, out->cert, NID_basic_constraints, "critical,CA:FALSE") ||
        !extend(out->cert, out->cert, NID_ext_key_usage, r->eku) || (r->names && !add_names(k, r, out->cert)) ||
        !X509_sign(out->cert, signer ? signer->key : out->key, digest_of(signer ? signer->key : out->key, r->sha1))) {
        drop(out);
        return fail(e, c->name);
    }
    return 0;
}

/* ---- files */

static FILE *begin(const struct pki *k, const char *name, const char *suffix, mode_t mode, char **tmp)
{
    int fd;

    *tmp = mem_printf("%s/%s%s.new", k->dir, name, suffix);
    fd = open(*tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

static int finish(FILE *f, char *tmp, bool ok, struct err *e)
{
    char *path = mem_strn(tmp, strlen(tmp) - 4);
    int rc = 0;

    if (f && fclose(f) != 0)
        ok = false;
    if (!f || !ok || rename(tmp, path) < 0) {
        rc = err_set(e, "%s: %s", path, strerror(errno));
        (void)unlink(tmp);
    }
    free(path);
    free(tmp);
    return rc;
}

static bool put_chain(const struct pki *k, const struct row *r, FILE *f)
{
    bool ok = true;

    if (r->order == LEAF_ONLY)
        return true;
    if (r->signer == CONSTRAINED)
        return PEM_write_X509(f, k->constrained.cert) == 1;
    if (r->signer == INTERMEDIATE)
        return PEM_write_X509(f, k->link[0].cert) == 1;
    for (unsigned i = 0; i < LINKS && ok; i++)
        ok = PEM_write_X509(f, k->link[r->order == REVERSED ? i : LINKS - 1 - i].cert) == 1;
    return ok;
}

static int write_leaf(const struct pki *k, const struct bench_cert *c, const struct row *r, const struct pair *leaf,
                      struct err *e)
{
    char *tmp;
    FILE *f = begin(k, c->name, ".key", 0600, &tmp);
    bool ok = f && PEM_write_PrivateKey(f, leaf->key, NULL, NULL, 0, NULL, NULL) == 1;

    if (finish(f, tmp, ok, e) < 0)
        return -1;
    f = begin(k, c->name, ".pem", 0644, &tmp);
    ok = f && PEM_write_X509(f, leaf->cert) == 1 && put_chain(k, r, f);
    return finish(f, tmp, ok, e);
}

/* The last file of a set; whoever finds it finds the others. */
static int write_ca(const struct pki *k, struct err *e)
{
    char *tmp;
    FILE *f = begin(k, "ca", ".pem", 0644, &tmp);
    bool ok = f && fprintf(f, "# for %s\n", k->host) > 0 && PEM_write_X509(f, k->root.cert) == 1;

    return finish(f, tmp, ok, e);
}

/* A set for that host whose certificates last another day. */
static bool is_there(const struct pki *k)
{
    char *ca = mem_printf("%s/ca.pem", k->dir), *good = mem_printf("%s/good-ecdsa.pem", k->dir),
         *want = mem_printf("# for %s\n", k->host);
    char line[300] = "";
    FILE *f = fopen(ca, "re"), *g = fopen(good, "re");
    X509 *cert = g ? PEM_read_X509(g, NULL, NULL, NULL) : NULL;
    time_t soon = time(NULL) + DAY;
    bool ok = f && fgets(line, sizeof line, f) && strcmp(line, want) == 0 && cert &&
              X509_cmp_time(X509_get0_notAfter(cert), &soon) > 0;

    ERR_clear_error();
    X509_free(cert);
    if (f)
        fclose(f);
    if (g)
        fclose(g);
    free(ca);
    free(good);
    free(want);
    return ok;
}

static int make_all(struct pki *k, struct err *why_not, struct err *e)
{
    if (make_cas(k, e) < 0)
        return -1;
    for (size_t i = 0; table[i].name; i++) {
        struct pair leaf = {0};
        struct err what;
        int rc = make_leaf(k, &table[i], &rows[i], &leaf, &what);

        if (rc < 0 && !*why_not->text)
            *why_not = what;
        if (rc == 0)
            rc = write_leaf(k, &table[i], &rows[i], &leaf, e) < 0 ? -2 : 0;
        drop(&leaf);
        if (rc == -2)
            return -1;
    }
    return write_ca(k, e);
}

int bench_pki_make(const char *dir, const char *host, struct err *why_not, struct err *e)
{
    struct pki k = {.dir = dir, .host = host};
    int rc;

    _Static_assert(sizeof rows / sizeof *rows + 1 == sizeof table / sizeof *table, "a row for each certificate");
    why_not->text[0] = '\0';
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(e, "%s: %s", dir, strerror(errno));
    if (is_there(&k))
        return 0;
    rc = make_all(&k, why_not, e);
    drop(&k.root);
    drop(&k.other);
    drop(&k.constrained);
    for (unsigned i = 0; i < LINKS; i++)
        drop(&k.link[i]);
    return rc;
}
