#include "bench/mail_store.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/bench_json.h"

#define SUFFIX ".msg"

struct kept {
    struct kept *newer;
    uint64_t size;
    json_t *about;
};

struct mail_store {
    char *dir;
    unsigned most, count;
    uint64_t most_bytes, bytes; /* bytes: with what is being written */
    uint64_t last;              /* number */
    struct kept *oldest, **newest;
};

struct mail_draft {
    struct mail_store *store;
    const char *sid, *lease;
    char *path;
    FILE *f; /* NULL: no message is under way */
    uint64_t size;
    bool truncated;
    unsigned messages;
    json_t *tls;
};

/* ---- what is kept */

static char *path_of(const struct mail_store *m, const char *mid)
{
    return mem_printf("%s/%s" SUFFIX, m->dir, mid);
}

static const char *mid_of(const struct kept *k)
{
    return json_string_value(json_object_get(k->about, "mid"));
}

static void drop(struct mail_store *m, struct kept **at)
{
    struct kept *k = *at;
    char *path = path_of(m, mid_of(k));

    unlink(path);
    free(path);
    *at = k->newer;
    if (m->newest == &k->newer)
        m->newest = at;
    m->bytes -= k->size;
    m->count--;
    json_decref(k->about);
    free(k);
}

/* about: stolen. size is counted already. */
static void keep(struct mail_store *m, json_t *about, uint64_t size)
{
    struct kept *k = mem_alloc(sizeof *k);

    json_object_set_new(about, "n", json_integer((json_int_t)++m->last));
    json_object_set_new(about, "size", json_integer((json_int_t)size));
    k->about = about;
    k->size = size;
    *m->newest = k;
    m->newest = &k->newer;
    if (++m->count > m->most)
        drop(m, &m->oldest);
}

static void adopt(struct mail_store *m)
{
    char *pattern = mem_printf("%s/*" SUFFIX, m->dir);
    glob_t g;

    if (glob(pattern, 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++) {
            const char *name = strrchr(g.gl_pathv[i], '/') + 1;
            json_t *mid = json_stringn(name, strlen(name) - strlen(SUFFIX));
            struct stat st;

            if (!mid || stat(g.gl_pathv[i], &st) < 0) {
                json_decref(mid);
                continue;
            }
            m->bytes += (uint64_t)st.st_size;
            keep(m, json_pack("{s:o}", "mid", mid), (uint64_t)st.st_size);
        }
        globfree(&g);
    }
    free(pattern);
}

int mail_store_open(struct mail_store **out, const char *dir, unsigned most, uint64_t most_bytes, struct err *e)
{
    struct mail_store *m;

    *out = NULL;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(e, "%s: %s", dir, strerror(errno));
    m = mem_alloc(sizeof *m);
    m->dir = mem_str(dir);
    m->most = most;
    m->most_bytes = most_bytes;
    m->newest = &m->oldest;
    adopt(m);
    while (m->oldest && m->bytes > m->most_bytes)
        drop(m, &m->oldest);
    *out = m;
    return 0;
}

void mail_store_close(struct mail_store **mp)
{
    struct mail_store *m = *mp;

    if (!m)
        return;
    for (struct kept *k = m->oldest, *newer; k; k = newer) {
        newer = k->newer;
        json_decref(k->about);
        free(k);
    }
    free(m->dir);
    free(m);
    *mp = NULL;
}

unsigned mail_store_count(const struct mail_store *m)
{
    return m->count;
}

uint64_t mail_store_bytes(const struct mail_store *m)
{
    return m->bytes;
}

json_t *mail_store_find(const struct mail_store *m, const char *mid)
{
    for (const struct kept *k = m->oldest; k; k = k->newer)
        if (strcmp(mid_of(k), mid) == 0)
            return k->about;
    return NULL;
}

json_t *mail_store_list(const struct mail_store *m, const struct mail_filter *f, uint64_t *next)
{
    json_t *list = json_array();

    *next = f->since;
    for (const struct kept *k = m->oldest; k && json_array_size(list) < f->most; k = k->newer) {
        uint64_t n = (uint64_t)json_integer_value(json_object_get(k->about, "n"));
        const char *lease = json_string_value(json_object_get(k->about, "lease"));

        if (n <= f->since)
            continue;
        *next = n;
        if (!f->lease || (lease && strcmp(lease, f->lease) == 0))
            json_array_append(list, k->about);
    }
    return list;
}

void mail_store_drop(struct mail_store *m, const char *mid)
{
    for (struct kept **at = &m->oldest; *at;) {
        if (!mid || strcmp(mid_of(*at), mid) == 0)
            drop(m, at);
        else
            at = &(*at)->newer;
    }
}

/* ---- reading one */

static bool begins(const char *p, size_t n, const char *with)
{
    size_t k = strlen(with);

    return n >= k && memcmp(p, with, k) == 0;
}

/* RFC 5321 4.5.2: a line that begins with a dot had one put before it; the end is a line of one. */
static void take_out_dots(struct buf *out, const char *p, size_t n)
{
    bool at_line = true;

    if (n >= 3 && begins(p + n - 3, 3, ".\r\n") && (n == 3 || (n >= 5 && begins(p + n - 5, 2, "\r\n"))))
        n -= 3;
    while (n) {
        const char *cr = memchr(p, '\r', n);
        size_t line = cr ? (size_t)(cr - p) + (begins(cr, n - (size_t)(cr - p), "\r\n") ? 2 : 1) : n;

        buf_append(out, p + (at_line && *p == '.'), line - (at_line && *p == '.'));
        at_line = line >= 2 && p[line - 1] == '\n';
        p += line;
        n -= line;
    }
}

int mail_store_read(const struct mail_store *m, const char *mid, bool wire, size_t most, struct buf *out, struct err *e)
{
    const json_t *about = mail_store_find(m, mid);
    char *path = path_of(m, mid);
    FILE *f = about ? fopen(path, "re") : NULL;
    struct buf raw = {0};
    size_t n;

    free(path);
    if (!f)
        return err_set(e, "it is not kept");
    while (raw.len <= most && (n = fread(buf_space(&raw, 65536), 1, 65536, f)) > 0)
        buf_added(&raw, n);
    fclose(f);
    if (raw.len > most) {
        buf_clear(&raw);
        return err_set(e, "it has more than %zu octets; read it at %s", most, m->dir);
    }
    if (wire || json_is_true(json_object_get(about, "chunked")))
        buf_append(out, buf_data(&raw), raw.len);
    else
        take_out_dots(out, buf_data(&raw), raw.len);
    buf_clear(&raw);
    return 0;
}

/* ---- writing one */

struct mail_draft *mail_draft_new(struct mail_store *m, const char *sid, const char *lease)
{
    struct mail_draft *d = m ? mem_alloc(sizeof *d) : NULL;

    if (!d)
        return NULL;
    d->store = m;
    d->sid = sid;
    d->lease = lease;
    return d;
}

void mail_draft_tls(struct mail_draft *d, const char *version, const char *cipher, const char *sni)
{
    if (!d)
        return;
    json_decref(d->tls);
    d->tls = json_pack("{s:s,s:s,s:o}", "version", version, "cipher", cipher, "sni", bench_json_text(sni));
}

static void begin(struct mail_draft *d)
{
    char *mid = mem_printf("%s.%u", d->sid, d->messages + 1);

    d->path = path_of(d->store, mid);
    d->f = fopen(d->path, "we");
    d->size = 0;
    d->truncated = !d->f;
    free(mid);
}

static void abandon(struct mail_draft *d)
{
    if (d->f)
        fclose(d->f);
    if (d->path)
        unlink(d->path);
    free(d->path);
    d->store->bytes -= d->size;
    d->f = NULL;
    d->path = NULL;
    d->size = 0;
}

static void write_some(struct mail_draft *d, const char *p, size_t n)
{
    struct mail_store *m = d->store;

    while (m->oldest && m->bytes + n > m->most_bytes)
        drop(m, &m->oldest);
    if (d->truncated || m->bytes + n > m->most_bytes || fwrite(p, 1, n, d->f) != n) {
        d->truncated = true;
        return;
    }
    d->size += n;
    m->bytes += n;
}

static json_t *rcpts_of(const struct bench_envelope *e)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < e->rcpt_count; i++)
        json_array_append_new(list, json_pack("{s:o,s:o,s:i}", "addr", bench_json_text(e->rcpts[i].addr), "params",
                                              bench_json_text(e->rcpts[i].params), "code", (int)e->rcpts[i].code));
    return list;
}

static void finish(struct mail_draft *d, const struct bench_scenario *sc, const struct bench_event *ev)
{
    struct mail_store *m = d->store;
    json_t *about;
    char *mid;

    if (d->f && fclose(d->f) != 0)
        d->truncated = true;
    d->f = NULL;
    mid = mem_printf("%s.%u", d->sid, d->messages);
    about = json_pack("{s:s,s:s,s:s,s:s,s:I,s:o,s:o,s:b,s:b,s:b,s:O?}", "mid", mid, "sid", d->sid, "lease", d->lease,
                      "scenario", sc->name, "ts", (json_int_t)clock_now().real_us, "from",
                      bench_json_text(ev->envelope->from), "rcpts", rcpts_of(ev->envelope), "accepted", ev->accepted,
                      "chunked", ev->chunked, "truncated", d->truncated, "tls", d->tls);
    free(mid);
    keep(m, about, d->size);
    free(d->path);
    d->path = NULL;
    d->size = 0;
}

void mail_draft_event(struct mail_draft *d, const struct bench_scenario *sc, const struct bench_event *ev)
{
    if (!d)
        return;
    if (ev->kind == BENCH_EV_CONTENT) {
        if (!d->path)
            begin(d);
        write_some(d, ev->text.p, ev->text.n);
    } else if (ev->kind == BENCH_EV_MESSAGE) {
        if (!d->path)
            begin(d); /* BDAT 0 LAST */
        d->messages++;
        finish(d, sc, ev);
    } else if (ev->kind == BENCH_EV_RECV && d->path && span_starts_nocase(ev->text, "MAIL")) {
        abandon(d);
    }
}

void mail_draft_free(struct mail_draft **dp)
{
    struct mail_draft *d = *dp;

    if (!d)
        return;
    if (d->path)
        abandon(d);
    json_decref(d->tls);
    free(d);
    *dp = NULL;
}
