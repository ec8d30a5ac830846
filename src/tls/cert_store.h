/* The certificates of one generation: loaded, judged and proven; immutable afterwards. Built by the leader
 * (which alone reads keys), inherited by the workers through fork. */
#ifndef TLS_CERT_STORE_H
#define TLS_CERT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/conf.h"
#include "policy/tls_offer.h"

/* Bytes of one chain and one key, as files hold them. */
struct cert_bytes {
    char *chain, *key; /* malloc'd, may be NULL */
    size_t chain_len, key_len;
};
void cert_bytes_free(struct cert_bytes *b); /* the key is overwritten first */

/* How a pair of files was read: what goes into the verdict before anything is parsed. */
struct cert_source {
    struct cert_bytes bytes;
    enum tls_reason fault; /* TLS_OK, or TLS_UNREADABLE */
    char details[512];     /* names the path component and the reason (EACCES on /etc/letsencrypt/live) */
    bool key_readable_by_others;
    int64_t youngest_us; /* newest mtime/ctime of both, realtime, for the 5 s debounce */
};
/* Reads both files with the rights of the process. Never fails: what went wrong is in ->fault, of both files at once, and
 * then there are no bytes. Refuses files over 1 MiB, directories, devices (opened O_NONBLOCK, so a FIFO cannot stall a
 * load). Symbolic links are followed in words, too: the directory that cannot be searched is often behind one. */
void cert_source_read(struct cert_source *out, const struct conf_certificate *c);
void cert_source_free(struct cert_source *s);

struct cert; /* one judged pair: X509 chain, key, facts */

/* Judges and proves. `hostname`: checked against the names. Never fails; see cert_facts()->fault. */
struct cert *cert_judge(const char *title, const struct cert_source *src, const char *hostname, int64_t now);
void cert_free(struct cert **c);
/* Wherever it serves, a usable one with an ordinary key serves beside it: the warning rare-key goes.
 * Called while a generation is built, before anybody reads the facts. */
void cert_has_company(struct cert *c);
const struct tls_cert_facts *cert_facts(const struct cert *c);
const struct cert_bytes *cert_raw(const struct cert *c); /* what serves, for the snapshot */
const char *cert_subject(const struct cert *c);          /* for people; "" when unparsed */
const char *cert_names(const struct cert *c);            /* "mx.example.org, *.example.org" */
const char *cert_key_type(const struct cert *c);         /* "ECDSA P-256", "RSA 2048" */
const char *cert_fingerprint(const struct cert *c);      /* SHA-256 of the leaf, hex */

/* One certificate title: what serves and, where the file on disk is worse, what was rejected. */
struct cert_slot {
    struct cert *serving;   /* never NULL; its fault tells whether it is usable */
    struct cert *rejected;  /* or NULL: the file on disk, which did not replace `serving` */
    int64_t rejected_since; /* seconds */
    const struct conf_certificate *conf;
    bool from_snapshot; /* serving is the last good pair, not what the disk holds */
};

/* "A reload never replaces better by worse": disk judged against the last good pair of that title (either
 * may be NULL bytes). Pure but for OpenSSL: decides which serves. */
void cert_slot_choose(struct cert_slot *out, const struct conf_certificate *conf, const struct cert_source *disk,
                      const struct cert_bytes *last_good, const char *hostname, int64_t now);
void cert_slot_free(struct cert_slot *s);

/* What one listener serves: contexts by name, one per certificate. */
struct tls_listener; /* holds SSL_CTXs; refcounts are OpenSSL's; shared by all sessions */

struct tls_listener *tls_listener_new(const struct conf_listener *l, const struct cert_slot *slots,
                                      struct err *e); /* NULL and e only for OpenSSL failures */
void tls_listener_free(struct tls_listener **l);
const struct tls_listener_facts *tls_listener_facts(const struct tls_listener *l);
/* Facts of its certificates in the order of conf_listener.certificates; index = tls_offer.cert. */

/* Writes a local CA, an ECDSA P-256 leaf for `hostname` (also "localhost", 127.0.0.1, ::1) signed by it, and the
 * leaf's key (0600) into dir: ca.pem, ca-key.pem, cert.pem (leaf then CA), key.pem. For `postern init`. */
int cert_make_local(const char *dir, const char *hostname, int days, struct err *e);

const char *tls_library_version(void);

#endif
