#include "proc/generation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "proc/memfd.h"
#include "proc/watch.h"

#define NOT_FINISHED_US (5 * INT64_C(1000000)) /* chain and key are written one after the other */

struct builder {
    struct generation *g;
    enum generation_mode mode;
    const char *file;
    const struct snapshot *last;
    struct conf_problems *p;
    int64_t now_us;
};

static const struct snapshot_item *find(const struct snapshot *s, enum snapshot_kind kind, const char *name)
{
    for (unsigned i = 0; s && i < s->count; i++)
        if (s->items[i].kind == kind && strncmp(s->items[i].name, name, sizeof s->items[i].name - 1) == 0)
            return &s->items[i];
    return NULL;
}

static void keep(struct builder *b, enum snapshot_kind kind, const char *name, const void *p, size_t n)
{
    struct snapshot *s = &b->g->snapshot;
    struct snapshot_item item = {.kind = kind};
    struct err e;

    if (!p || find(s, kind, name))
        return;
    snprintf(item.name, sizeof item.name, "%s", name);
    item.fd = memfd_make("postern", p, n, &e);
    if (item.fd < 0) {
        conf_problem_add(b->p, false, b->file, 0, NULL, NULL, "%s", e.text);
        return;
    }
    s->items = mem_grow(s->items, sizeof item * (s->count + 1));
    s->items[s->count++] = item;
}

/* ---- what the configuration is made of */

static int from_snapshot(const struct builder *b, enum snapshot_kind kind, const char *name, char **text,
                         size_t *len, struct err *e)
{
    const struct snapshot_item *item = find(b->last, kind, name);

    return item ? memfd_read(item->fd, text, len, e) : err_set(e, "%s is not in the snapshot", name);
}

/* conf_load() reads mailbox lists through this. A list that cannot be read is replaced by the last good one: mail for
 * people who were there a minute ago is not refused because a file is being edited. */
static int read_list(void *arg, const char *path, char **text, size_t *len, struct err *e)
{
    struct builder *b = arg;
    struct err why, none;
    int rc;

    if (b->mode != GENERATION_FULL) {
        rc = from_snapshot(b, SNAPSHOT_FILE, path, text, len, e);
    } else {
        rc = conf_read_disk(NULL, path, text, len, e);
        if (rc < 0 && from_snapshot(b, SNAPSHOT_FILE, path, text, len, &none) == 0) {
            why = *e;
            conf_problem_add(b->p, true, path, 0, NULL, "mend the file and reload",
                             "%s; the list read before it goes on being used", why.text);
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
    char *text;
    size_t len;
    struct err e;
    int rc;

    rc = b->mode == GENERATION_FULL ? conf_read_disk(NULL, b->file, &text, &len, &e)
                                    : from_snapshot(b, SNAPSHOT_CONF, b->file, &text, &len, &e);
    if (rc < 0) {
        conf_problem_add(b->p, false, b->file, 0, NULL, "name the file with -c, or make one with: postern init", "%s",
                         e.text);
        return -1;
    }
    if (strlen(text) != len) {
        conf_problem_add(b->p, false, b->file, 0, NULL, "it must be text", "the file has a NUL byte at offset %zu",
                         strlen(text));
        rc = -1;
    } else {
        rc = conf_load(&b->g->conf, b->file, text, &reader, b->p);
    }
    keep(b, SNAPSHOT_CONF, b->file, text, len);
    free(text);
    return rc;
}

/* ---- certificates */

static void watch(struct builder *b, const char *path)
{
    struct watched_file w = {0};

    if (strlen(path) >= sizeof w.path)
        return;
    for (unsigned i = 0; i < b->g->watched_count; i++)
        if (strcmp(b->g->watched[i].path, path) == 0)
            return;
    /* stat(2) follows links anew each time: one swapped anywhere on the way is seen as another inode */
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

static bool same(const struct cert_bytes *a, const struct cert_bytes *b)
{
    return a->chain && b->chain && a->key && b->key && a->chain_len == b->chain_len &&
           a->key_len == b->key_len && memcmp(a->chain, b->chain, a->chain_len) == 0 &&
           memcmp(a->key, b->key, a->key_len) == 0;
}

/* A mismatch of files that were just written is a renewal in its middle: not judged yet, looked at again. */
static bool is_unfinished(const struct builder *b, const struct cert_slot *s, const struct cert_source *src)
{
    const struct cert *bad = s->rejected ? s->rejected : s->serving;

    return b->mode != GENERATION_SNAPSHOT && cert_facts(bad)->fault == TLS_KEY_MISMATCH &&
           b->now_us - src->youngest_us < NOT_FINISHED_US;
}

/* The rejected pair as bytes, to be compared with those of the generation before. */
static void note_rejected(struct builder *b, const struct cert_slot *s, const char *title)
{
    const struct snapshot_item *before = find(b->last, SNAPSHOT_REJECTED, title);
    struct buf now = {0};
    char *text = NULL;
    size_t len = 0;

    if (s->rejected) {
        const struct cert_bytes *raw = cert_raw(s->rejected);

        buf_printf(&now, "%s\n%s\n", tls_reason_name(cert_facts(s->rejected)->fault), cert_facts(s->rejected)->details);
        buf_append(&now, raw->chain, raw->chain ? raw->chain_len : 0);
        buf_append(&now, raw->key, raw->key ? raw->key_len : 0);
        keep(b, SNAPSHOT_REJECTED, title, buf_data(&now), now.len);
    }
    if (before && memfd_read(before->fd, &text, &len, &(struct err){""}) < 0)
        before = NULL;
    if (!before != !s->rejected || (before && (len != now.len || memcmp(text, buf_data(&now), len) != 0)))
        b->g->equal_to_last = false;
    free(text);
    buf_clear(&now);
}

static void load_cert(struct builder *b, unsigned i)
{
    struct generation *g = b->g;
    const struct conf_certificate *c = &g->conf->certificates[i];
    struct cert_slot *slot = &g->slots[i];
    struct cert_source disk = {0};
    struct cert_bytes good;
    const struct cert_bytes *serving;

    last_good(b, c->title, &good);
    watch(b, c->chain_file);
    watch(b, c->key_file);
    if (b->mode == GENERATION_SNAPSHOT && good.chain) {
        disk.bytes = good;
        cert_slot_choose(slot, c, &disk, NULL, g->conf->hostname, b->now_us / 1000000);
        slot->from_snapshot = true;
        good = (struct cert_bytes){0};
        g->not_finished_us = b->now_us; /* the disk may hold something else: look as soon as this one serves */
    } else {
        cert_source_read(&disk, c);
        cert_slot_choose(slot, c, &disk, good.chain ? &good : NULL, g->conf->hostname, b->now_us / 1000000);
    }
    if (is_unfinished(b, slot, &disk)) {
        g->not_finished_us = disk.youngest_us + NOT_FINISHED_US;
        if (slot->rejected)
            cert_free(&slot->rejected);
    }
    serving = cert_raw(slot->serving);
    note_rejected(b, slot, c->title);
    if (!same(serving, &good))
        g->equal_to_last = false;
    if (cert_facts(slot->serving)->fault == TLS_OK) {
        keep(b, SNAPSHOT_CHAIN, c->title, serving->chain, serving->chain_len);
        keep(b, SNAPSHOT_KEY, c->title, serving->key, serving->key_len);
    }
    cert_source_free(&disk);
    cert_bytes_free(&good);
}

static int load_listeners(struct builder *b)
{
    struct generation *g = b->g;
    struct err e;

    g->tls = mem_alloc(sizeof *g->tls * (g->conf->listener_count + 1));
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

int generation_build(struct generation **out, enum generation_mode mode, const char *file,
                     const struct snapshot *last, struct conf_problems *p)
{
    struct generation *g = mem_alloc(sizeof *g);
    struct builder b = {
        .g = g, .mode = mode, .file = file, .last = last, .p = p, .now_us = clock_now().real_us,
    };

    g->loaded_at = b.now_us / 1000000;
    if (load_conf(&b) < 0) {
        generation_free(&g);
        return -1;
    }
    g->equal_to_last = true;
    g->slots = mem_alloc(sizeof *g->slots * (g->conf->certificate_count + 1));
    for (unsigned i = 0; i < g->conf->certificate_count; i++)
        load_cert(&b, i);
    if (load_listeners(&b) < 0 || p->errors) {
        generation_free(&g);
        return -1;
    }
    *out = g;
    return 0;
}

void generation_free(struct generation **gp)
{
    struct generation *g = *gp;

    if (!g)
        return;
    for (unsigned i = 0; g->conf && i < g->conf->listener_count && g->tls; i++)
        tls_listener_free(&g->tls[i]);
    for (unsigned i = 0; g->conf && i < g->conf->certificate_count && g->slots; i++)
        cert_slot_free(&g->slots[i]);
    for (unsigned i = 0; i < g->snapshot.count; i++)
        close(g->snapshot.items[i].fd);
    free(g->snapshot.items);
    free(g->slots);
    free(g->tls);
    free(g->watched);
    conf_free(&g->conf);
    free(g);
    *gp = NULL;
}
