#include "proc/generation.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "proc/memfd.h"
#include "proc/watch.h"
#include "tls/tls_client.h"

#define SECOND INT64_C(1000000)
#define NOT_FINISHED (5 * SECOND) /* chain and key are written one after the other */
#define FRESH (SECOND)            /* file systems count time in ticks: two writes may share one */

struct builder {
    struct generation *g;
    enum generation_mode mode;
    const char *file;
    const struct snapshot *last;
    struct conf_problems *p;
    int64_t now_us;
};

/* ---- the snapshot: what there is of the generation before, what is kept of this one */

static const struct snapshot_item *find(const struct snapshot *s, enum snapshot_kind kind, const char *name)
{
    for (unsigned i = 0; s && i < s->count; i++)
        if (s->items[i].kind == kind && strcmp(s->items[i].name, name) == 0)
            return &s->items[i];
    return NULL;
}

static void keep(struct builder *b, enum snapshot_kind kind, const char *name, const void *p, size_t n)
{
    struct snapshot *s = &b->g->snapshot;
    struct snapshot_item item = {.kind = kind};
    struct err e;

    if (!p || (s->items && find(s, kind, name)))
        return;
    if (strlen(name) >= sizeof item.name) { /* a cut one might be found under another's name */
        conf_problem_add(
            b->p, true, b->file, 0, NULL, "use a shorter path",
            "%.60s...: the path is longer than %zu bytes, no copy of the file is kept for the time after a "
            "crash",
            name, sizeof item.name - 1);
        return;
    }
    memcpy(item.name, name, strlen(name) + 1);
    item.fd = memfd_make("postern", p, n, &e);
    if (item.fd < 0) {
        conf_problem_add(b->p, false, b->file, 0, NULL, NULL, "%s", e.text);
        return;
    }
    s->items = mem_grow(s->items, sizeof item * ((size_t)s->count + 1));
    s->items[s->count++] = item;
}

static int from_snapshot(const struct builder *b, enum snapshot_kind kind, const char *name, char **text, size_t *len,
                         struct err *e)
{
    const struct snapshot_item *item = find(b->last, kind, name);

    return item ? memfd_read(item->fd, text, len, e) : err_set(e, "%s: there is no last good one", name);
}

/* ---- what the configuration is made of */

/* conf_load() reads mailbox lists through this. A list that cannot be read is replaced by the last good one: mail for
 * people who were there a minute ago is not refused because a file is being edited. */
static int read_list(void *arg, const char *path, char **text, size_t *len, struct err *e)
{
    struct builder *b = arg;
    struct err none;
    int rc;

    if (b->mode != GENERATION_FULL) {
        rc = from_snapshot(b, SNAPSHOT_FILE, path, text, len, e);
    } else {
        rc = conf_read_disk(NULL, path, text, len, e);
        if (rc < 0 && from_snapshot(b, SNAPSHOT_FILE, path, text, len, &none) == 0) {
            conf_problem_add(b->p, true, path, 0, NULL, "mend the file and reload",
                             "%s; the list read before it goes on being used", e->text);
            rc = 0;
        }
    }
    if (rc == 0)
        keep(b, SNAPSHOT_FILE, path, *text, *len);
    return rc;
}

static int load_conf(struct builder *b)
{
    struct conf_reader reader = {.read = read_list, .arg = b};
    char *text = NULL;
    size_t len = 0;
    struct err e;
    int rc;

    rc = b->mode == GENERATION_FULL ? conf_read_disk(NULL, b->file, &text, &len, &e)
                                    : from_snapshot(b, SNAPSHOT_CONF, "", &text, &len, &e);
    if (rc < 0) {
        conf_problem_add(b->p, false, b->file, 0, NULL,
                         "name the file with -c FILE, or make one to try with: postern init --dir DIR", "%s", e.text);
        return -1;
    }
    if (!text || strlen(text) != len) {
        conf_problem_add(b->p, false, b->file, 0, NULL, "it must be text", "there is a NUL byte at offset %zu",
                         text ? strlen(text) : 0);
        rc = -1;
    } else {
        rc = conf_load(&b->g->conf, b->file, text, &reader, b->p);
    }
    keep(b, SNAPSHOT_CONF, "", text, len);
    free(text);
    return rc;
}

/* Hashes can be tried, and a password used, by whoever reads them. As with a private key that is said, and no more. */
static void look_at_secret(struct builder *b, const char *path, const char *option)
{
    struct stat st;

    if (path && stat(path, &st) == 0 && st.st_mode & S_IROTH)
        conf_problem_add(b->p, true, path, 0, option, "take the others' right to read it: chmod o-r",
                         "everybody on this machine can read it");
}

static void look_at_secrets(struct builder *b)
{
    const struct conf *c = b->g->conf;

    if (b->mode != GENERATION_FULL)
        return;
    look_at_secret(b, c->users, "users");
    for (unsigned i = 0; i < c->delivery_count; i++)
        look_at_secret(b, c->deliveries[i].next.password_file, "password-file");
}

/* What the relay would not start with is told now. */
static void try_ca(struct builder *b, const char *path)
{
    struct tls_client *t = NULL;
    char *pem = NULL;
    struct err e;
    size_t len = 0;

    if (!path || generation_file(b->g, path, &pem, &len, &e) < 0) /* one that cannot be read was told */
        return;
    if (tls_client_new_pem(&t, pem, len, &e) < 0)
        conf_problem_add(b->p, false, path, 0, "ca-file", "it must hold the certificate of the CA, in PEM form", "%s",
                         e.text);
    tls_client_free(&t);
    free(pem);
}

/* ---- certificates */

static void look_at(struct builder *b, int64_t when_us)
{
    if (!b->g->not_finished_us || when_us < b->g->not_finished_us)
        b->g->not_finished_us = when_us;
}

/* Before the file is read, so that a change in between is seen later. stat(2) follows links anew each time: one that is
 * swapped anywhere on the way, in a parent directory too, leads to another inode. */
static void watch(struct builder *b, const char *path)
{
    struct watched_file w = {0};

    if (strlen(path) >= sizeof w.path) {
        conf_problem_add(b->p, true, b->file, 0, NULL, "use a shorter path, or reload after a renewal",
                         "%.60s...: the path is longer than %zu bytes, changes will not be noticed", path,
                         sizeof w.path - 1);
        return;
    }
    for (unsigned i = 0; i < b->g->watched_count; i++)
        if (strcmp(b->g->watched[i].path, path) == 0)
            return;
    memcpy(w.path, path, strlen(path) + 1);
    watch_stat(&w);
    b->g->watched = mem_grow(b->g->watched, sizeof w * (b->g->watched_count + 1));
    b->g->watched[b->g->watched_count++] = w;
}

static void last_good(const struct builder *b, const char *title, struct cert_bytes *out)
{
    struct err e;

    *out = (struct cert_bytes){0};
    if (from_snapshot(b, SNAPSHOT_CHAIN, title, &out->chain, &out->chain_len, &e) < 0)
        return;
    if (from_snapshot(b, SNAPSHOT_KEY, title, &out->key, &out->key_len, &e) < 0)
        cert_bytes_free(out);
}

static bool same_bytes(const struct cert_bytes *a, const struct cert_bytes *b)
{
    return a->chain && b->chain && a->key && b->key && a->chain_len == b->chain_len && a->key_len == b->key_len &&
           memcmp(a->chain, b->chain, a->chain_len) == 0 && memcmp(a->key, b->key, a->key_len) == 0;
}

/* What on disk cannot be used: in place of the last good pair, or with nothing to put in its place. */
static const struct cert *faulty(const struct cert_slot *s)
{
    if (s->rejected)
        return s->rejected;
    return cert_facts(s->serving)->fault == TLS_OK ? NULL : s->serving;
}

/* Files of a mismatch that were written a moment ago are a renewal in its middle: not judged yet, looked at again. A
 * time stamp in the future never comes of age, so it is no excuse. */
static bool is_unfinished(const struct builder *b, const struct cert_slot *s, const struct cert_source *src)
{
    int64_t age = b->now_us - src->youngest_us;
    const struct cert *bad = faulty(s);

    return b->mode != GENERATION_SNAPSHOT && bad && cert_facts(bad)->fault == TLS_KEY_MISMATCH && age >= 0 &&
           age < NOT_FINISHED;
}

/* The fault as text, without its date. */
static void describe(const struct cert *bad, struct buf *out)
{
    const struct cert_bytes *raw = cert_raw(bad);

    buf_printf(out, "%s\n%s\n", tls_reason_name(cert_facts(bad)->fault), cert_facts(bad)->details);
    if (raw->chain)
        buf_append(out, raw->chain, raw->chain_len);
    buf_append(out, "\n", 1);
    if (raw->key)
        buf_append(out, raw->key, raw->key_len);
}

/* Is the fault the one that the generation before had? Then it keeps its date. Kept for the next generation. */
static bool same_fault(struct builder *b, struct cert_slot *s, const char *title)
{
    int64_t since = s->rejected ? s->rejected_since : b->now_us / SECOND;
    struct buf now = {0}, note = {0};
    const struct cert *bad = faulty(s);
    char *before = NULL, *body = NULL;
    size_t len = 0;
    struct err e;
    bool same;

    if (from_snapshot(b, SNAPSHOT_REJECTED, title, &before, &len, &e) == 0 && before)
        body = memchr(before, '\n', len);
    if (bad)
        describe(bad, &now);
    same = !body == !bad;
    if (body && bad) {
        body++;
        len -= (size_t)(body - before);
        same = len == now.len && memcmp(body, buf_data(&now), len) == 0;
        if (same)
            since = strtoll(before, NULL, 10);
    }
    if (bad) {
        s->rejected_since = since;
        buf_printf(&note, "%lld\n", (long long)since);
        buf_append(&note, buf_data(&now), now.len);
        keep(b, SNAPSHOT_REJECTED, title, buf_data(&note), note.len);
    }
    free(before);
    buf_clear(&now);
    buf_clear(&note);
    return same;
}

/* A pair that was refused for its dates may be right later, and the one that serves wrong: nothing changes on disk then. */
static void look_at_dates(struct builder *b, const struct cert_slot *s)
{
    const struct tls_cert_facts *disk;
    int64_t now = b->now_us / SECOND;

    if (!s->rejected)
        return;
    disk = cert_facts(s->rejected);
    if (disk->fault == TLS_OK && disk->not_before > now)
        look_at(b, disk->not_before * SECOND);
    if (disk->fault == TLS_OK && cert_facts(s->serving)->not_after > now)
        look_at(b, (cert_facts(s->serving)->not_after + 1) * SECOND);
}

static bool uses(const struct conf_listener *l, unsigned cert)
{
    for (unsigned i = 0; l->tls != CONF_TLS_OFF && i < l->certificate_count; i++)
        if (l->certificates[i] == cert)
            return true;
    return false;
}

/* The name that should be on the certificate: that of the first listener that shows it. */
static const char *expected_name(const struct conf *c, unsigned cert)
{
    for (unsigned i = 0; i < c->listener_count; i++)
        if (uses(&c->listeners[i], cert))
            return c->listeners[i].hostname;
    return c->hostname;
}

static void choose(struct builder *b, unsigned i, struct cert_source *disk, struct cert_bytes *good)
{
    const struct conf_certificate *c = &b->g->conf->certificates[i];
    struct cert_slot *s = &b->g->slots[i];
    const char *hostname = expected_name(b->g->conf, i);

    if (b->mode == GENERATION_SNAPSHOT && good->chain) {
        struct cert_source alone = {.bytes = *good};

        cert_slot_choose(s, c, &alone, NULL, hostname, b->now_us / SECOND);
        s->from_snapshot = true;
        look_at(b, b->now_us); /* the disk may hold something else: looked at as soon as this one serves */
        return;
    }
    cert_source_read(disk, c);
    cert_slot_choose(s, c, disk, good->chain ? good : NULL, hostname, b->now_us / SECOND);
    if (is_unfinished(b, s, disk)) {
        b->g->unfinished = true;
        look_at(b, disk->youngest_us + NOT_FINISHED);
        cert_free(&s->rejected);
        return;
    }
    if (disk->youngest_us > b->now_us - FRESH && disk->youngest_us <= b->now_us)
        look_at(b, b->now_us + FRESH);
    look_at_dates(b, s);
}

static void load_cert(struct builder *b, unsigned i)
{
    struct generation *g = b->g;
    const struct conf_certificate *c = &g->conf->certificates[i];
    struct cert_source disk = {0};
    const struct cert_bytes *raw;
    struct cert_bytes good;
    bool was_unfinished = g->unfinished, same;

    g->unfinished = false;
    last_good(b, c->title, &good);
    watch(b, c->chain_file);
    watch(b, c->key_file);
    choose(b, i, &disk, &good);
    raw = cert_raw(g->slots[i].serving);
    same = cert_facts(g->slots[i].serving)->fault == TLS_OK ? same_bytes(raw, &good) : !good.chain;
    g->known[i] = same_fault(b, &g->slots[i], c->title) && same;
    /* in the middle of a renewal nothing is new yet: whoever serves goes on, with what it says about itself */
    if (!g->known[i] && !g->unfinished)
        g->equal_to_last = false;
    g->unfinished = g->unfinished || was_unfinished;
    if (cert_facts(g->slots[i].serving)->fault == TLS_OK) {
        keep(b, SNAPSHOT_CHAIN, c->title, raw->chain, raw->chain_len);
        keep(b, SNAPSHOT_KEY, c->title, raw->key, raw->key_len);
    }
    cert_source_free(&disk);
    cert_bytes_free(&good);
}

static bool has_ordinary(const struct generation *g, const struct conf_listener *l)
{
    for (unsigned i = 0; i < l->certificate_count; i++) {
        const struct tls_cert_facts *f = cert_facts(g->slots[l->certificates[i]].serving);

        if (f->fault == TLS_OK && !(f->warnings & TLS_WARN_RARE_KEY))
            return true;
    }
    return false;
}

/* A key that many senders cannot use is a fault only where it stands alone. */
static void judge_company(struct generation *g)
{
    for (unsigned c = 0; c < g->conf->certificate_count; c++) {
        bool used = false, alone = false;

        for (unsigned i = 0; i < g->conf->listener_count; i++) {
            const struct conf_listener *l = &g->conf->listeners[i];

            used = used || uses(l, c);
            alone = alone || (uses(l, c) && !has_ordinary(g, l));
        }
        if (used && !alone)
            cert_has_company(g->slots[c].serving);
    }
}

static int load_listeners(struct builder *b)
{
    struct generation *g = b->g;
    struct err e;

    g->tls = mem_alloc(sizeof(struct tls_listener *) * (g->conf->listener_count + 1));
    for (unsigned i = 0; i < g->conf->listener_count; i++) {
        if (g->conf->listeners[i].tls == CONF_TLS_OFF)
            continue;
        g->tls[i] = tls_listener_new(&g->conf->listeners[i], g->slots, &e);
        if (!g->tls[i]) {
            conf_problem_add(b->p, false, b->file, g->conf->listeners[i].where.line, "listener", NULL, "%s", e.text);
            return -1;
        }
    }
    return 0;
}

int generation_build(struct generation **out, enum generation_mode mode, const char *file, const struct snapshot *last,
                     struct conf_problems *p)
{
    struct generation *g = mem_alloc(sizeof *g);
    struct builder b = {
        .g = g,
        .mode = mode,
        .file = file,
        .last = last,
        .p = p,
        .now_us = clock_now().real_us,
    };

    g->mode = mode;
    g->loaded_at = b.now_us / SECOND;
    if (load_conf(&b) < 0) {
        generation_free(&g);
        return -1;
    }
    look_at_secrets(&b);
    for (unsigned i = 0; i < g->conf->delivery_count; i++)
        try_ca(&b, g->conf->deliveries[i].next.ca_file);
    g->equal_to_last = true;
    g->slots = mem_alloc(sizeof *g->slots * (g->conf->certificate_count + 1));
    g->known = mem_alloc(sizeof *g->known * (g->conf->certificate_count + 1));
    for (unsigned i = 0; i < g->conf->certificate_count; i++)
        load_cert(&b, i);
    judge_company(g);
    if (load_listeners(&b) < 0 || p->errors) {
        generation_free(&g);
        return -1;
    }
    *out = g;
    return 0;
}

int generation_file(const struct generation *g, const char *path, char **text, size_t *len, struct err *e)
{
    const struct snapshot_item *item = find(&g->snapshot, SNAPSHOT_FILE, path);

    return item ? memfd_read(item->fd, text, len, e) : err_set(e, "%s was not read", path);
}

void generation_forget_keys(struct generation *g)
{
    for (unsigned i = 0; g->conf && i < g->conf->listener_count && g->tls; i++)
        tls_listener_free(&g->tls[i]);
    for (unsigned i = 0; g->conf && i < g->conf->certificate_count && g->slots; i++)
        cert_slot_free(&g->slots[i]);
    free(g->tls);
    free(g->slots);
    g->tls = NULL;
    g->slots = NULL;
}

void generation_free(struct generation **gp)
{
    struct generation *g = *gp;

    if (!g)
        return;
    generation_forget_keys(g);
    for (unsigned i = 0; i < g->snapshot.count; i++)
        close(g->snapshot.items[i].fd);
    free(g->snapshot.items);
    free(g->known);
    free(g->watched);
    conf_free(&g->conf);
    free(g);
    *gp = NULL;
}
