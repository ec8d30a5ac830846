#include "sink/queue_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing */

static bool fits(struct peer_text t)
{
    return t.n <= QUEUE_FILE_TEXT_MOST && (t.n == 0 || !memchr(t.p, '\0', t.n));
}

static bool notify_is_good(unsigned n)
{
    return n <= 15 && (n == QUEUE_NOTIFY_NEVER || !(n & QUEUE_NOTIFY_NEVER));
}

static int check_rcpt(const struct queue_rcpt *r, uint32_t i, struct err *e)
{
    if (!r->address.n || !r->route.n || !fits(r->address) || !fits(r->route))
        return err_set(e, "recipient %u: the address or its route is empty or too long", i);
    if (r->orcpt.p && (!r->orcpt.n || !fits(r->orcpt)))
        return err_set(e, "recipient %u: orcpt is empty or too long", i);
    if (!notify_is_good(r->notify))
        return err_set(e, "recipient %u: notify %u", i, r->notify);
    return 0;
}

static int check(const struct queue_head *h, struct err *e)
{
    if (!queue_file_is_id(span_str(h->id)))
        return err_set(e, "the id cannot be a file's name");
    if (h->size > INT64_MAX || h->arrived_us < 0)
        return err_set(e, "size or arrival cannot be");
    if (!fits(h->sender) || !fits(h->client_name))
        return err_set(e, "the sender's address or the client's name is too long");
    if ((h->envid.p && (!h->envid.n || !fits(h->envid))) || (h->auth.p && (!h->auth.n || !fits(h->auth))))
        return err_set(e, "envid or auth is empty or too long");
    if (h->client_ip.p && (!h->client_ip.n || !fits(h->client_ip) || memchr(h->client_ip.p, ']', h->client_ip.n)))
        return err_set(e, "the client's address cannot be");
    if (!h->client_ip.p && h->client_name.n)
        return err_set(e, "a client's name without its address");
    if (h->rcpt_count == 0 || h->rcpt_count > QUEUE_FILE_RCPTS)
        return err_set(e, "%u recipients", h->rcpt_count);
    for (uint32_t i = 0; i < h->rcpt_count; i++)
        if (check_rcpt(&h->rcpts[i], i, e) < 0)
            return -1;
    return 0;
}

static void put(struct buf *out, const char *before, struct peer_text t, const char *after)
{
    buf_append(out, before, strlen(before));
    queue_file_escape(out, t, false);
    buf_append(out, after, strlen(after));
}

static void put_params(struct buf *out, const struct queue_head *h)
{
    static const char *const ret[] = {"", " ret=full", " ret=hdrs"};

    if (!h->body_8bit && !h->smtputf8 && !h->requiretls && h->ret == QUEUE_RET_NONE && !h->envid.p)
        return;
    buf_printf(out, "params:%s%s%s%s", h->body_8bit ? " body=8bitmime" : "", h->smtputf8 ? " smtputf8" : "",
               h->requiretls ? " requiretls" : "", ret[h->ret]);
    if (h->envid.p)
        put(out, " envid=", h->envid, "");
    buf_append(out, "\n", 1);
}

static const char *const notify_word[] = {"never", "success", "failure", "delay"};

static void put_rcpt(struct buf *out, const struct queue_rcpt *r)
{
    const char *comma = " notify=";

    put(out, "rcpt: <", r->address, ">");
    put(out, " route=", r->route, "");
    for (unsigned i = 0; i < 4; i++) {
        if (r->notify & 1u << i) {
            buf_printf(out, "%s%s", comma, notify_word[i]);
            comma = ",";
        }
    }
    if (r->orcpt.p)
        put(out, " orcpt=", r->orcpt, "");
    buf_append(out, "\n", 1);
}

int queue_file_write(struct buf *out, const struct queue_head *h, struct err *e)
{
    char size[QUEUE_FILE_SIZE_DIGITS + 1], arrived[QUEUE_FILE_TIME];
    size_t before = out->len;

    if (check(h, e) < 0)
        return -1;
    queue_file_size_text(size, h->size);
    queue_file_time(arrived, h->arrived_us);
    buf_printf(out, "%ssize: %s\nid: %s\narrived: %s %" PRId64 "\n", QUEUE_FILE_MAGIC, size, h->id, arrived,
               h->arrived_us);
    put(out, "from: <", h->sender, ">\n");
    put_params(out, h);
    if (h->auth.p)
        put(out, "auth: ", h->auth, "\n");
    if (h->client_ip.p) {
        put(out, "client: [", h->client_ip, h->client_name.n ? "] " : "]");
        put(out, "", h->client_name, "\n");
    }
    for (uint32_t i = 0; i < h->rcpt_count; i++)
        put_rcpt(out, &h->rcpts[i]);
    buf_append(out, "\n", 1);
    if (out->len - before <= QUEUE_FILE_HEAD_MOST)
        return 0;
    out->len = before;
    return err_set(e, "the head is larger than %zu bytes", QUEUE_FILE_HEAD_MOST);
}

/* ---- reading */

struct reader {
    const char *at, *end; /* of the head; every line ends in a newline */
    unsigned line;
    char *room;       /* for decoded texts, each with a NUL: as large as the head */
    struct span rest; /* of the line in hand */
    struct queue_head *h;
};

static bool next_line(struct reader *r)
{
    const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));

    if (!newline)
        return false;
    r->rest = (struct span){r->at, (size_t)(newline - r->at)};
    r->at = newline + 1;
    r->line++;
    return true;
}

static bool take(struct reader *r, const char *literal)
{
    size_t n = strlen(literal);

    if (r->rest.n < n || memcmp(r->rest.p, literal, n) != 0)
        return false;
    r->rest.p += n;
    r->rest.n -= n;
    return true;
}

/* Decodes up to the byte `until`, which a written text has not, or to the end of the line; the byte stays. */
static bool take_text(struct reader *r, char until, struct peer_text *out)
{
    const char *stop = until ? memchr(r->rest.p, until, r->rest.n) : NULL;
    size_t n = stop ? (size_t)(stop - r->rest.p) : r->rest.n, len;

    if ((until == '>' || until == ']') && !stop)
        return false;
    if (!queue_file_unescape(r->room, &len, (struct span){r->rest.p, n}, false))
        return false;
    *out = (struct peer_text){r->room, len};
    r->room[len] = '\0';
    r->room += len + 1;
    r->rest.p += n;
    r->rest.n -= n;
    return fits(*out);
}

static bool take_size(struct reader *r)
{
    struct span digits = r->rest;

    return digits.n == QUEUE_FILE_SIZE_DIGITS && text_u64(digits, &r->h->size) && r->h->size <= INT64_MAX;
}

static bool take_id(struct reader *r)
{
    if (!queue_file_is_id(r->rest))
        return false;
    memcpy(r->h->id, r->rest.p, r->rest.n);
    return true;
}

static bool take_arrived(struct reader *r)
{
    char again[QUEUE_FILE_TIME + 24], text[QUEUE_FILE_TIME];
    struct span us = r->rest;
    uint64_t v;

    if (us.n < 21 || us.p[20] != ' ')
        return false;
    us = (struct span){us.p + 21, us.n - 21};
    if (!text_u64(us, &v) || v > INT64_MAX)
        return false;
    r->h->arrived_us = (int64_t)v;
    queue_file_time(text, r->h->arrived_us);
    snprintf(again, sizeof again, "%s %" PRId64, text, r->h->arrived_us);
    return span_is(r->rest, again);
}

static bool take_sender(struct reader *r)
{
    return take_text(r, '>', &r->h->sender) && take(r, ">") && r->rest.n == 0;
}

/* The order is that of put_params(); at least one stands there. */
static bool take_params(struct reader *r)
{
    size_t all = r->rest.n;

    r->h->body_8bit = take(r, " body=8bitmime");
    r->h->smtputf8 = take(r, " smtputf8");
    r->h->requiretls = take(r, " requiretls");
    r->h->ret = take(r, " ret=full") ? QUEUE_RET_FULL : take(r, " ret=hdrs") ? QUEUE_RET_HDRS : QUEUE_RET_NONE;
    if (take(r, " envid=") && (!take_text(r, ' ', &r->h->envid) || !r->h->envid.n))
        return false;
    return r->rest.n == 0 && all > 0;
}

static bool take_client(struct reader *r)
{
    if (!take_text(r, ']', &r->h->client_ip) || !r->h->client_ip.n || !take(r, "]"))
        return false;
    if (r->rest.n == 0) {
        r->h->client_name = (struct peer_text){"", 0};
        return true;
    }
    return take(r, " ") && take_text(r, ' ', &r->h->client_name) && r->h->client_name.n && r->rest.n == 0;
}

static bool take_notify(struct reader *r, unsigned *notify)
{
    for (unsigned i = 0; i < 4; i++) {
        char want[16];

        snprintf(want, sizeof want, "%s%s", *notify ? "," : "", notify_word[i]);
        if (take(r, want))
            *notify |= 1u << i;
    }
    return *notify && notify_is_good(*notify);
}

static bool take_rcpt(struct reader *r, struct queue_rcpt *rcpt)
{
    *rcpt = (struct queue_rcpt){0};
    if (!take_text(r, '>', &rcpt->address) || !rcpt->address.n || !take(r, "> route=") ||
        !take_text(r, ' ', &rcpt->route) || !rcpt->route.n)
        return false;
    if (take(r, " notify=") && !take_notify(r, &rcpt->notify))
        return false;
    if (take(r, " orcpt=") && (!take_text(r, ' ', &rcpt->orcpt) || !rcpt->orcpt.n))
        return false;
    return r->rest.n == 0;
}

static bool take_rcpts(struct reader *r)
{
    uint32_t cap = 0;

    while (r->rest.n) {
        struct queue_head *h = r->h;

        if (h->rcpt_count == QUEUE_FILE_RCPTS || !take(r, "rcpt: <"))
            return false;
        if (h->rcpt_count == cap) {
            cap = cap ? cap * 2 : 2;
            h->rcpts = mem_grow(h->rcpts, cap * sizeof *h->rcpts);
        }
        if (!take_rcpt(r, &h->rcpts[h->rcpt_count]) || !next_line(r))
            return false;
        h->rcpt_count++;
    }
    return r->h->rcpt_count > 0;
}

static bool read_head(struct reader *r)
{
    bool good = next_line(r) && take(r, "postern-queue 1") && r->rest.n == 0 && next_line(r) && take(r, "size: ") &&
                take_size(r) && next_line(r) && take(r, "id: ") && take_id(r) && next_line(r) && take(r, "arrived: ") &&
                take_arrived(r) && next_line(r) && take(r, "from: <") && take_sender(r) && next_line(r);

    if (good && take(r, "params:"))
        good = take_params(r) && next_line(r);
    if (good && take(r, "auth: "))
        good = take_text(r, ' ', &r->h->auth) && r->h->auth.n && r->rest.n == 0 && next_line(r);
    if (good && take(r, "client: ["))
        good = take_client(r) && next_line(r);
    return good && take_rcpts(r);
}

int queue_file_parse(struct queue_head **out, const char *p, size_t n, size_t *used, struct err *e)
{
    size_t magic = n < sizeof QUEUE_FILE_MAGIC - 1 ? n : sizeof QUEUE_FILE_MAGIC - 1;
    const char *end;
    struct reader r;

    *out = NULL;
    if (memcmp(p, QUEUE_FILE_MAGIC, magic) != 0)
        return err_set(e, "line 1: not a queued message");
    if (n > QUEUE_FILE_HEAD_MOST)
        n = QUEUE_FILE_HEAD_MOST;
    end = memmem(p, n, "\n\n", 2);
    if (!end)
        return n < QUEUE_FILE_HEAD_MOST ? 0 : err_set(e, "the head does not end");
    *used = (size_t)(end - p) + 2;
    r = (struct reader){.at = p, .end = p + *used, .h = mem_alloc(sizeof *r.h)};
    r.h->memory = r.room = mem_alloc(*used);
    r.h->sender.p = r.h->client_name.p = "";
    if (read_head(&r) && r.at == r.end) {
        *out = r.h;
        return 1;
    }
    queue_file_free(&r.h);
    return err_set(e, "line %u: not what stands there in a queued message", r.line);
}

void queue_file_free(struct queue_head **h)
{
    if (!*h)
        return;
    free((*h)->rcpts);
    free((*h)->memory);
    free(*h);
    *h = NULL;
}

int queue_file_log_at(const struct queue_head *h, size_t head, uint64_t bytes, uint64_t *at, struct err *e)
{
    if (h->size > bytes || head > bytes - h->size)
        return err_set(e, "cut off: %" PRIu64 " bytes, and head and content have %" PRIu64, bytes, head + h->size);
    *at = head + h->size;
    return 0;
}
