#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/pki.h"
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

/* As a sender that verifies does. */
static int verify(const char *name)
{
    STACK_OF(X509) *chain = read_all(name), *roots = read_all("ca");
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *x = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *p;
    int result;

    ck_assert_int_eq(X509_STORE_add_cert(store, sk_X509_value(roots, 0)), 1);
    ck_assert_int_eq(X509_STORE_CTX_init(x, store, sk_X509_value(chain, 0), chain), 1);
    p = X509_STORE_CTX_get0_param(x);
    X509_STORE_CTX_set_purpose(x, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set1_host(p, HOST, 0);
    X509_VERIFY_PARAM_set_auth_level(p, 0);
    X509_verify_cert(x);
    result = X509_STORE_CTX_get_error(x);
    X509_STORE_CTX_free(x);
    X509_STORE_free(store);
    sk_X509_pop_free(chain, X509_free);
    sk_X509_pop_free(roots, X509_free);
    return result;
}

START_TEST(each_is_wrong_in_its_own_way)
{
    make();
    for (const struct bench_cert *c = bench_pki_table(); c->name; c++) {
        int got = verify(c->name);

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

SUITE_MAIN("pki", each_is_wrong_in_its_own_way, a_set_stays)
