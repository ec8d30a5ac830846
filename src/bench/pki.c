#include "bench/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/pki_file.h"

#define DAY (24L * 3600)

/* ---- the CAs */

static bool is_for(const char *dir, const char *host)
{
    char line[PKI_HOST + 16] = "", *want = mem_printf("# for %s\n", host);
    FILE *f = pki_file_open(dir, "ca", ".pem");
    bool yes = f && fgets(line, sizeof line, f) && strcmp(line, want) == 0;

    if (f)
        fclose(f);
    free(want);
    return yes;
}

/* CAs that can sign for another day. */
static bool read_cas(const char *dir, struct pki_set *s)
{
    time_t tomorrow = time(NULL) + DAY;
    bool ok = is_for(dir, s->host);

    for (unsigned i = 0; i < PKI_CAS && ok; i++)
        ok = pki_file_read(dir, pki_ca_name((enum pki_ca)i), &s->ca[i]) &&
             X509_check_private_key(s->ca[i].cert, s->ca[i].key) == 1 &&
             X509_cmp_time(X509_get0_notAfter(s->ca[i].cert), &tomorrow) > 0;
    ERR_clear_error();
    if (!ok)
        pki_set_clear(s);
    return ok;
}

/* The root comes last: a set that was interrupted is made again. */
static int write_cas(const char *dir, const struct pki_set *s, struct err *e)
{
    char *first = mem_printf("# for %s", s->host);
    int rc = 0;

    for (unsigned i = PKI_CAS; i-- > 0 && rc == 0;)
        rc = pki_file_write(dir, pki_ca_name((enum pki_ca)i), &s->ca[i], NULL, i == PKI_ROOT ? first : NULL, e);
    free(first);
    return rc;
}

/* ---- a set */

static void excuse(struct err *why_not, const struct err *what)
{
    size_t n = strlen(why_not->text);

    snprintf(why_not->text + n, sizeof why_not->text - n, "%s%s", n ? "; " : "", what->text);
}

/* -1 and e: it could not be written. One that cannot be made is excused. */
static int add_leaf(const char *dir, const struct pki_set *s, size_t row, struct err *why_not, struct err *e)
{
    const char *name = bench_pki_table()[row].name;
    struct pki_pair leaf = {0};
    STACK_OF(X509) * chain;
    struct err what;
    int rc = 0;

    if (pki_file_read(dir, name, &leaf) && pki_leaf_fits(s, row, &leaf)) {
        pki_pair_clear(&leaf);
        return 0;
    }
    pki_pair_clear(&leaf);
    if (pki_make_leaf(s, row, &leaf, &what) < 0) {
        excuse(why_not, &what);
        return 0;
    }
    chain = pki_chain(s, row);
    rc = pki_file_write(dir, name, &leaf, chain, NULL, e);
    sk_X509_pop_free(chain, X509_free);
    pki_pair_clear(&leaf);
    return rc;
}

/* They are there, last another day, and the first intermediate's one has the certificate in it. */
static bool are_crls_fit(const char *dir, const struct pki_set *s, X509 *revoked)
{
    FILE *f = pki_file_open(dir, "ca", ".crl");
    time_t tomorrow = time(NULL) + DAY;
    bool named = revoked == NULL;
    unsigned fit = 0;
    X509_REVOKED *entry;
    X509_CRL *c;

    while (f && (c = PEM_read_X509_CRL(f, NULL, NULL, NULL))) {
        for (unsigned i = 0; i < PKI_CAS; i++)
            fit += X509_NAME_cmp(X509_CRL_get_issuer(c), X509_get_subject_name(s->ca[i].cert)) == 0 &&
                   X509_CRL_verify(c, s->ca[i].key) == 1 && X509_cmp_time(X509_CRL_get0_nextUpdate(c), &tomorrow) > 0;
        named = named || X509_CRL_get0_by_cert(c, &entry, revoked) == 1;
        X509_CRL_free(c);
    }
    if (f)
        fclose(f);
    ERR_clear_error();
    return fit == PKI_CAS && named;
}

static bool put_crl(FILE *f, const struct pki_pair *ca, const X509 *revoked, struct err *e)
{
    X509_CRL *c = pki_crl(ca, revoked, e);
    bool ok = c && PEM_write_X509_CRL(f, c) == 1;

    X509_CRL_free(c);
    return ok;
}

static int add_crls(const char *dir, const struct pki_set *s, struct err *e)
{
    X509 *revoked = pki_file_cert(dir, "revoked");
    int rc = 0;

    if (!are_crls_fit(dir, s, revoked)) {
        char *tmp;
        FILE *f = pki_file_begin(dir, "ca", ".crl", 0644, &tmp);
        bool ok = f != NULL;

        for (unsigned i = 0; i < PKI_CAS && ok; i++)
            ok = put_crl(f, &s->ca[i], i == PKI_LINK ? revoked : NULL, e);
        rc = pki_file_finish(f, tmp, ok, e);
    }
    X509_free(revoked);
    return rc;
}

static int make_all(const char *dir, struct pki_set *s, struct err *why_not, struct err *e)
{
    bool there = read_cas(dir, s);

    if (!there && (pki_make_cas(s, e) < 0 || write_cas(dir, s, e) < 0))
        return -1;
    for (size_t i = 0; bench_pki_table()[i].name; i++)
        if (add_leaf(dir, s, i, why_not, e) < 0)
            return -1;
    return add_crls(dir, s, e);
}

int bench_pki_make(const char *dir, const char *host, struct err *why_not, struct err *e)
{
    struct pki_set s = {.host = ""};
    int lock, rc;

    why_not->text[0] = '\0';
    if (strlen(host) >= sizeof s.host)
        return err_set(e, "%s: no host has such a name", host);
    snprintf(s.host, sizeof s.host, "%s", host);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(e, "%s: %s", dir, strerror(errno));
    lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0 || flock(lock, LOCK_EX) < 0) {
        rc = err_set(e, "%s: %s", dir, strerror(errno));
    } else {
        rc = make_all(dir, &s, why_not, e);
        pki_set_clear(&s);
    }
    if (lock >= 0)
        close(lock);
    return rc;
}
