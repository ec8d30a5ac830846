/* Recipients that are not in a Maildir here: what the queue is told of them, put together while the envelope comes in. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "session/session.h"
#include "sink/queue_file.h"
#include "smtp/mail_path.h"

struct away_rcpt {
    char *address;
    char *orcpt; /* or NULL */
    uint32_t hash;
    unsigned delivery, notify;
};

struct session_away {
    struct away_rcpt *list;
    uint32_t count, cap;
    size_t bytes; /* of all addresses */
};

void session_away_reset(struct session *s)
{
    struct session_away *a = s->away;

    if (!a)
        return;
    for (uint32_t i = 0; i < a->count; i++) {
        free(a->list[i].address);
        free(a->list[i].orcpt);
    }
    free(a->list);
    free(a);
    s->away = NULL;
}

size_t session_away_memory(const struct session *s)
{
    return s->away ? sizeof *s->away + s->away->cap * sizeof *s->away->list + s->away->bytes : 0;
}

uint32_t session_away_count(const struct session *s)
{
    return s->away ? s->away->count : 0;
}

static uint32_t hash_of(const char *p, size_t n)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619u;
    return h;
}

/* RFC 5321 3.9: a recipient named twice gets the message once. */
static bool is_there(const struct session_away *a, const struct away_rcpt *r)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (a->list[i].hash == r->hash && a->list[i].delivery == r->delivery &&
            strcmp(a->list[i].address, r->address) == 0)
            return true;
    return false;
}

int session_away_add(struct session *s, unsigned delivery, struct peer_text local, struct peer_text domain,
                     const struct smtp_rcpt_params *params)
{
    struct buf text = {0};
    struct away_rcpt r = {.delivery = delivery, .notify = params->notify};
    struct session_away *a;
    size_t n;

    if (!s->away)
        s->away = mem_alloc(sizeof *s->away);
    a = s->away;
    mail_path_quote(&text, (struct span){local.p, local.n});
    buf_append(&text, "@", 1);
    buf_append(&text, domain.p, domain.n);
    n = text.len;
    r.address = mem_strn(buf_data(&text), n);
    r.hash = hash_of(r.address, n);
    buf_clear(&text);
    if (is_there(a, &r)) {
        free(r.address);
        return 0;
    }
    if (a->count == QUEUE_FILE_RCPTS) {
        free(r.address);
        return -1;
    }
    if (a->count == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 4;
        a->list = mem_grow(a->list, a->cap * sizeof *a->list);
    }
    if (params->orcpt.p)
        r.orcpt = mem_strn(params->orcpt.p, params->orcpt.n);
    a->list[a->count++] = r;
    a->bytes += n + 1 + params->orcpt.n;
    return 0;
}

static void fill_rcpts(const struct session *s, struct queue_rcpt *to)
{
    for (uint32_t i = 0; i < s->away->count; i++) {
        const struct away_rcpt *r = &s->away->list[i];
        const char *route = s->server->conf->deliveries[r->delivery].title;

        to[i] = (struct queue_rcpt){.address = {r->address, strlen(r->address)},
                                    .route = {route, strlen(route)},
                                    .orcpt = {r->orcpt, r->orcpt ? strlen(r->orcpt) : 0},
                                    .notify = r->notify};
    }
}

int session_away_head(const struct session *s, struct buf *out, struct err *e)
{
    const struct smtp_mail_params *p = smtp_engine_params(s->engine);
    static const enum queue_ret ret[] = {QUEUE_RET_NONE, QUEUE_RET_FULL, QUEUE_RET_HDRS};
    struct peer_text who = smtp_engine_identity(s->engine);
    struct queue_rcpt *rcpts = mem_alloc(s->away->count * sizeof *rcpts);
    char ip[ADDR_TEXT];
    struct queue_head h = {
        .arrived_us = clock_now().real_us,
        .sender = smtp_engine_sender(s->engine),
        .body_8bit = p->body_8bit,
        .smtputf8 = p->smtputf8,
        .requiretls = p->requiretls,
        .ret = ret[p->ret],
        .envid = p->envid,
        .rcpts = rcpts,
        .rcpt_count = s->away->count,
    };
    int rc;

    if (who.n)
        h.auth = who;
    memcpy(h.id, s->message_id, sizeof h.id);
    if (!s->listener->conf->hide_client) {
        addr_ip_text(&s->peer, ip);
        h.client_ip = (struct peer_text){ip, strlen(ip)};
        h.client_name = smtp_engine_hello(s->engine);
    }
    fill_rcpts(s, rcpts);
    rc = queue_file_write(out, &h, e);
    free(rcpts);
    return rc;
}
