#include "tls/cert_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/suite.h"
#include "unit/tls/make.h"

static const char host[] = "mx.example.test";

static enum tls_reason judged(struct cert_source *s, char details[600], unsigned *warnings)
{
    int64_t now = (int64_t)time(NULL);
    struct cert *c = cert_judge("mx", s, host, now);
    enum tls_reason r = tls_cert_reason(cert_facts(c), now);

    snprintf(details, 600, "%s", cert_facts(c)->details);
    if (warnings)
        *warnings = cert_facts(c)->warnings;
    cert_free(&c);
    cert_source_free(s);
    return r;
}

static void expect(struct recipe r, enum tls_reason want)
{
    struct cert_source s = make_pair(&r);
    char details[600];
    enum tls_reason got = judged(&s, details, NULL);

    ck_assert_msg(got == want, "%s instead of %s: %s", tls_reason_name(got), tls_reason_name(want), details);
    ck_assert_msg(want == TLS_OK || want == TLS_EXPIRED || want == TLS_NOT_YET_VALID || *details, "no details");
}

START_TEST(each_fault_is_found)
{
    struct recipe r = make_good;

    expect(r, TLS_OK);
    r.eku = "clientAuth";
    expect(r, TLS_NOT_FOR_SERVERS);
    r = make_good;
    r.passphrase = "secret";
    expect(r, TLS_KEY_ENCRYPTED);
    r = make_good;
    r.algorithm = "RSA";
    r.bits = 1024;
    expect(r, TLS_TOO_WEAK);
    r.bits = 2048;
    expect(r, TLS_OK);
    r.digest = EVP_sha1();
    expect(r, TLS_TOO_WEAK);
    r = make_good;
    r.from = -100;
    r.to = -50;
    expect(r, TLS_EXPIRED);
    r.from = 100;
    r.to = 5000;
    expect(r, TLS_NOT_YET_VALID);
}
END_TEST

START_TEST(a_curve_nobody_can_use_fails_the_proof_alone)
{
    struct recipe r = make_good;

    r.curve = "secp256k1"; /* passes every other check */
    expect(r, TLS_HANDSHAKE_FAILED);
}
END_TEST

START_TEST(a_key_of_another_certificate)
{
    struct cert_source a = make_pair(&make_good), b = make_pair(&make_good);
    char *key = a.bytes.key;
    char details[600];

    a.bytes.key = b.bytes.key;
    b.bytes.key = key;
    ck_assert_int_eq(judged(&a, details, NULL), TLS_KEY_MISMATCH);
    cert_source_free(&b);
}
END_TEST

START_TEST(garbage_never_passes)
{
    static const char *const chains[] = {"", "garbage",
                                         "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
    char details[600];

    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        struct cert_source s = make_pair(&make_good), k = make_pair(&make_good);

        free(s.bytes.chain);
        s.bytes.chain = mem_str(chains[i]);
        s.bytes.chain_len = strlen(chains[i]);
        ck_assert_int_eq(judged(&s, details, NULL), TLS_UNPARSABLE);
        ck_assert(*details);
        free(k.bytes.key);
        k.bytes.key = mem_str(chains[i]);
        k.bytes.key_len = strlen(chains[i]);
        ck_assert_int_eq(judged(&k, details, NULL), TLS_UNPARSABLE);
    }
    for (size_t cut = 0; cut < 500; cut += 23) {
        struct cert_source s = make_pair(&make_good);

        s.bytes.chain_len = cut;
        ck_assert_int_eq(judged(&s, details, NULL), TLS_UNPARSABLE);
    }
}
END_TEST

START_TEST(warnings_do_not_refuse)
{
    struct recipe r = make_good;
    struct cert_source s;
    unsigned w;
    char details[600];

    s = make_pair(&r);
    s.key_readable_by_others = true;
    ck_assert_int_eq(judged(&s, details, &w), TLS_OK);
    ck_assert_uint_eq(w, TLS_WARN_SELF_SIGNED | TLS_WARN_KEY_READABLE);
    r.name = "other.example.test";
    s = make_pair(&r);
    ck_assert_int_eq(judged(&s, details, &w), TLS_OK);
    ck_assert_uint_ne(w & TLS_WARN_HOSTNAME_MISMATCH, 0);
    r = make_good;
    r.algorithm = "ED25519";
    s = make_pair(&r);
    ck_assert_int_eq(judged(&s, details, &w), TLS_OK);
    ck_assert_uint_ne(w & TLS_WARN_RARE_KEY, 0);
}
END_TEST

START_TEST(what_cannot_be_read_is_named)
{
    char dir[] = "/tmp/postern-cert-XXXXXX", chain[100], key[100];
    struct conf_certificate c = {.title = "mx", .chain_file = chain, .key_file = key};
    struct cert_source s;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(chain, sizeof chain, "%s/missing/chain.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    cert_source_read(&s, &c);
    ck_assert_int_eq(s.fault, TLS_UNREADABLE);
    ck_assert_ptr_nonnull(strstr(s.details, "missing: No such file"));
    cert_source_free(&s);
    snprintf(chain, sizeof chain, "%s/fifo", dir);
    ck_assert_int_eq(mkfifo(chain, 0600), 0); /* must not stall */
    cert_source_read(&s, &c);
    ck_assert_int_eq(s.fault, TLS_UNREADABLE);
    ck_assert_ptr_nonnull(strstr(s.details, "not a regular file"));
    cert_source_free(&s);
    unlink(chain);
    rmdir(dir);
}
END_TEST

/* "A reload never replaces better by worse." */
START_TEST(the_better_one_serves)
{
    struct conf_certificate conf = {.title = "mx", .chain_file = "c", .key_file = "k"};
    struct recipe late = make_good, dead = make_good, deader = make_good;
    int64_t now = (int64_t)time(NULL);
    struct cert_source good = make_pair(&make_good), fresh, bad = {0}, old, older;
    struct cert_slot slot;

    dead.from = deader.from = -10000;
    dead.to = -100;
    deader.to = -5000;
    late.to = 86400L * 200;
    fresh = make_pair(&late);
    old = make_pair(&dead);
    older = make_pair(&deader);
    bad.bytes.chain = mem_str("garbage");
    bad.bytes.key = mem_str("garbage");
    bad.bytes.chain_len = bad.bytes.key_len = 7;

    cert_slot_choose(&slot, &conf, &bad, &good.bytes, host, now);
    ck_assert(slot.from_snapshot && slot.rejected && cert_facts(slot.serving)->fault == TLS_OK);
    cert_slot_free(&slot);
    cert_slot_choose(&slot, &conf, &old, &good.bytes, host, now);
    ck_assert(slot.from_snapshot && slot.rejected);
    cert_slot_free(&slot);
    cert_slot_choose(&slot, &conf, &fresh, &good.bytes, host, now);
    ck_assert(!slot.from_snapshot && !slot.rejected);
    cert_slot_free(&slot);
    cert_slot_choose(&slot, &conf, &good, &good.bytes, host, now);
    ck_assert(!slot.from_snapshot && !slot.rejected);
    cert_slot_free(&slot);
    cert_slot_choose(&slot, &conf, &older, &old.bytes, host, now);
    ck_assert(slot.from_snapshot);
    cert_slot_free(&slot);
    cert_slot_choose(&slot, &conf, &old, &older.bytes, host, now);
    ck_assert(!slot.from_snapshot);
    cert_slot_free(&slot);
    cert_slot_choose(&slot, &conf, &bad, NULL, host, now);
    ck_assert(!slot.from_snapshot && !slot.rejected && cert_facts(slot.serving)->fault == TLS_UNPARSABLE);
    cert_slot_free(&slot);
    cert_source_free(&good);
    cert_source_free(&fresh);
    cert_source_free(&bad);
    cert_source_free(&old);
    cert_source_free(&older);
}
END_TEST

START_TEST(the_local_set_is_whole)
{
    char dir[] = "/tmp/postern-cert-XXXXXX", chain[100], key[100], path[100];
    struct conf_certificate c = {.title = "mx", .chain_file = chain, .key_file = key};
    static const char *const files[] = {"ca.pem", "ca-key.pem", "cert.pem", "key.pem"};
    struct cert_source s;
    struct stat st;
    struct err e;
    unsigned w;
    char details[600];

    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(cert_make_local(dir, host, 30, &e), 0);
    ck_assert_int_eq(cert_make_local(dir, host, 30, &e), 0); /* again, over the old ones */
    snprintf(chain, sizeof chain, "%s/cert.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    ck_assert_int_eq(stat(key, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    cert_source_read(&s, &c);
    ck_assert_int_eq(judged(&s, details, &w), TLS_OK);
    ck_assert_uint_eq(w, TLS_WARN_UNTRUSTED);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        ck_assert_int_eq(unlink(path), 0);
    }
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

SUITE_MAIN("cert", each_fault_is_found, a_curve_nobody_can_use_fails_the_proof_alone, a_key_of_another_certificate,
           garbage_never_passes, warnings_do_not_refuse, what_cannot_be_read_is_named, the_better_one_serves,
           the_local_set_is_whole)
