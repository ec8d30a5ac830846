#include <string.h>

#include "tls/cert.h"

/* 3: usable and valid; 2: usable, but its dates are wrong; 1: not usable. */
static int rank(const struct cert *c, int64_t now)
{
    enum tls_reason r = tls_cert_reason(cert_facts(c), now);

    return r == TLS_OK ? 3 : r == TLS_EXPIRED || r == TLS_NOT_YET_VALID ? 2 : 1;
}

static bool same_bytes(const struct cert_bytes *a, const struct cert_bytes *b)
{
    return a->chain && b->chain && a->key && b->key && a->chain_len == b->chain_len && a->key_len == b->key_len &&
           memcmp(a->chain, b->chain, a->chain_len) == 0 && memcmp(a->key, b->key, a->key_len) == 0;
}

static bool is_worse(const struct cert *disk, const struct cert *good, int64_t now)
{
    int a = rank(disk, now), b = rank(good, now);

    if (a != b)
        return a < b;
    return a == 2 && cert_facts(disk)->not_after < cert_facts(good)->not_after;
}

void cert_slot_choose(struct cert_slot *out, const struct conf_certificate *conf, const struct cert_source *disk,
                      const struct cert_bytes *last_good, const char *hostname, int64_t now)
{
    struct cert_source before = {0};
    struct cert *good;

    memset(out, 0, sizeof *out);
    out->conf = conf;
    out->serving = cert_judge(conf->title, disk, hostname, now);
    if (!last_good || !last_good->chain || same_bytes(&disk->bytes, last_good))
        return;
    before.bytes = *last_good; /* borrowed */
    good = cert_judge(conf->title, &before, hostname, now);
    if (rank(good, now) > 1 && is_worse(out->serving, good, now)) {
        out->rejected = out->serving;
        out->rejected_since = now;
        out->serving = good;
        out->from_snapshot = true;
    } else {
        cert_free(&good);
    }
}

void cert_slot_free(struct cert_slot *s)
{
    cert_free(&s->serving);
    cert_free(&s->rejected);
}
