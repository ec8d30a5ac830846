#include "sink/relay_msg.h"

#include <stdio.h>
#include <string.h>

#include "base/chan.h"

/* ---- writing: numbers as they are, a text as its length, its bytes and a NUL */

static void put(struct buf *out, const void *p, size_t n)
{
    buf_append(out, p, n);
}

static void put_u32(struct buf *out, uint32_t v)
{
    put(out, &v, sizeof v);
}

static void put_text(struct buf *out, const char *p, size_t n)
{
    uint16_t len;

    if (n > RELAY_TEXT_MOST)
        n = RELAY_TEXT_MOST;
    len = (uint16_t)n;
    put(out, &len, sizeof len);
    put(out, p, n);
    put(out, "", 1);
}

static void put_str(struct buf *out, const char *s)
{
    put_text(out, s, strlen(s));
}

enum flag { FLAG_8BIT = 1, FLAG_UTF8 = 2, FLAG_REQUIRETLS = 4, FLAG_ENVID = 8, FLAG_AUTH = 16, FLAG_ALL = 31 };

static void put_rcpt(struct buf *out, const struct relay_rcpt *r)
{
    put_u32(out, r->index);
    put_u32(out, r->notify);
    put_str(out, r->address);
    put_str(out, r->orcpt ? r->orcpt : ""); /* an ORCPT is never empty */
}

static size_t text_size(const char *s)
{
    size_t n = s ? strlen(s) : 0;

    return (n > RELAY_TEXT_MOST ? RELAY_TEXT_MOST : n) + 3;
}

bool relay_transfer_fits(size_t *bytes, const struct relay_transfer *t, const struct relay_rcpt *more)
{
    size_t n = *bytes;

    if (n == 0)
        n = 4 * 4 + 2 * 8 + text_size(t->id) + text_size(t->route) + text_size(t->domain) + text_size(t->sender) +
            text_size(t->envid) + text_size(t->auth);
    n += 8 + text_size(more->address) + text_size(more->orcpt);
    if (n > CHAN_MAX)
        return false;
    *bytes = n;
    return true;
}

void relay_transfer_encode(struct buf *out, const struct relay_transfer *t)
{
    uint32_t flags = (t->body_8bit ? FLAG_8BIT : 0u) | (t->smtputf8 ? FLAG_UTF8 : 0u) |
                     (t->requiretls ? FLAG_REQUIRETLS : 0u) | (t->envid ? FLAG_ENVID : 0u) | (t->auth ? FLAG_AUTH : 0u);

    put_u32(out, t->number);
    put_u32(out, t->rcpt_count);
    put_u32(out, flags);
    put_u32(out, t->ret);
    put(out, &t->size, sizeof t->size);
    put(out, &t->offset, sizeof t->offset);
    put_str(out, t->id);
    put_str(out, t->route);
    put_str(out, t->domain);
    put_str(out, t->sender);
    put_str(out, t->envid ? t->envid : "");
    put_str(out, t->auth ? t->auth : "");
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        put_rcpt(out, &t->rcpts[i]);
}

void relay_result_encode(struct buf *out, const struct relay_result *r)
{
    put_u32(out, r->number);
    put_u32(out, r->index);
    put_u32(out, r->outcome);
    put_u32(out, r->code);
    put_u32(out, r->local);
    put_str(out, r->enhanced);
    put_text(out, r->remote.p, r->remote.n);
    put_text(out, r->text.p, r->text.n);
    put_text(out, r->tls.p, r->tls.n);
}

void relay_done_encode(struct buf *out, const struct relay_done *d)
{
    put_u32(out, d->number);
    put_u32(out, d->health);
}

/* ---- reading */

struct in {
    const char *at;
    size_t left;
    bool bad;
};

static const void *get(struct in *in, size_t n)
{
    const char *p = in->at;

    if (in->bad || in->left < n) {
        in->bad = true;
        return NULL;
    }
    in->at += n;
    in->left -= n;
    return p;
}

static uint32_t get_u32(struct in *in, uint32_t most)
{
    const void *p = get(in, 4);
    uint32_t v = 0;

    if (p)
        memcpy(&v, p, sizeof v);
    in->bad |= v > most;
    return in->bad ? 0 : v;
}

static uint64_t get_u64(struct in *in, uint64_t most)
{
    const void *p = get(in, 8);
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, sizeof v);
    in->bad |= v > most;
    return in->bad ? 0 : v;
}

static struct peer_text get_text(struct in *in)
{
    const void *length = get(in, 2);
    uint16_t n = 0;
    const char *p;

    if (length)
        memcpy(&n, length, sizeof n);
    p = get(in, (size_t)n + 1);
    in->bad |= !p || n > RELAY_TEXT_MOST || p[n] != '\0';
    return in->bad ? (struct peer_text){"", 0} : (struct peer_text){p, n};
}

/* A C string: no NUL inside. */
static const char *get_str(struct in *in)
{
    struct peer_text t = get_text(in);

    in->bad |= t.n && memchr(t.p, '\0', t.n);
    return in->bad ? "" : t.p;
}

/* NULL when it is not there; and when it is, it is not empty. */
static const char *get_some(struct in *in, bool there)
{
    const char *s = get_str(in);

    in->bad |= there != (*s != '\0');
    return there ? s : NULL;
}

static void get_rcpt(struct in *in, struct relay_rcpt *r)
{
    r->index = get_u32(in, UINT32_MAX);
    r->notify = get_u32(in, 15);
    r->address = get_some(in, true);
    r->orcpt = get_str(in);
    if (!*r->orcpt)
        r->orcpt = NULL;
}

int relay_transfer_decode(struct relay_transfer *out, const void *data, size_t len)
{
    struct in in = {data, len, false};
    uint32_t flags;

    *out = (struct relay_transfer){.number = get_u32(&in, UINT32_MAX)};
    out->rcpt_count = get_u32(&in, RELAY_RCPTS);
    flags = get_u32(&in, FLAG_ALL);
    out->body_8bit = flags & FLAG_8BIT;
    out->smtputf8 = flags & FLAG_UTF8;
    out->requiretls = flags & FLAG_REQUIRETLS;
    out->ret = (uint8_t)get_u32(&in, 2);
    out->size = get_u64(&in, INT64_MAX);
    out->offset = get_u64(&in, INT64_MAX - out->size);
    out->id = get_some(&in, true);
    out->route = get_some(&in, true);
    out->domain = get_str(&in);
    out->sender = get_str(&in);
    out->envid = get_some(&in, flags & FLAG_ENVID);
    out->auth = get_some(&in, flags & FLAG_AUTH);
    for (uint32_t i = 0; i < out->rcpt_count; i++)
        get_rcpt(&in, &out->rcpts[i]);
    return in.bad || in.left || out->rcpt_count == 0 ? -1 : 0;
}

/* "4.7.6": three numbers of up to three digits, the class that of the outcome (RFC 3463 2). */
static bool enhanced_fits(const char *s, char class)
{
    unsigned a, b;
    int used = 0;
    char again[32];

    if (s[0] != class || strlen(s) >= RELAY_ENHANCED || sscanf(s + 1, ".%3u.%3u%n", &a, &b, &used) != 2)
        return false;
    snprintf(again, sizeof again, ".%u.%u", a, b); /* sscanf takes blanks and signs, too */
    return s[1 + used] == '\0' && strcmp(s + 1, again) == 0;
}

int relay_result_decode(struct relay_result *out, const void *data, size_t len)
{
    static const char class[] = {'2', '2', '4', '5'};
    struct in in = {data, len, false};
    const char *enhanced;

    *out = (struct relay_result){.number = get_u32(&in, UINT32_MAX), .index = 0};
    out->index = get_u32(&in, UINT32_MAX);
    out->outcome = (enum relay_outcome)get_u32(&in, RELAY_FAILED);
    out->code = (uint16_t)get_u32(&in, 599);
    out->local = get_u32(&in, 1);
    enhanced = get_str(&in);
    out->remote = get_text(&in);
    out->text = get_text(&in);
    out->tls = get_text(&in);
    if (in.bad || in.left || out->code / 100 != class[out->outcome] - '0' ||
        !enhanced_fits(enhanced, class[out->outcome]))
        return -1;
    snprintf(out->enhanced, sizeof out->enhanced, "%.11s", enhanced);
    return 0;
}

int relay_done_decode(struct relay_done *out, const void *data, size_t len)
{
    struct in in = {data, len, false};

    out->number = get_u32(&in, UINT32_MAX);
    out->health = (enum relay_health)get_u32(&in, RELAY_HEALTH_UNREACHABLE);
    return in.bad || in.left ? -1 : 0;
}
