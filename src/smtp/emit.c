/* Actions on their way out: each is a record in g->out, header first, its bytes behind it. */
#include "smtp/engine_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct record {
    uint8_t kind; /* enum smtp_action_kind */
    uint8_t sub;  /* enum smtp_event or smtp_close */
    bool flag;
    uint16_t code;
    uint32_t len;    /* bytes behind the record */
    uint32_t second; /* ASK_RCPT: bytes of the domain, behind those; ASK_AUTH: of the response */
    uint32_t third;  /* ASK_RCPT: bytes of ORCPT */
};

static void put3(struct smtp_engine *g, struct record r, struct span a, struct span b, struct span c)
{
    r.len = (uint32_t)a.n;
    r.second = (uint32_t)b.n;
    r.third = (uint32_t)c.n;
    buf_append(&g->out, &r, sizeof r);
    buf_append(&g->out, a.p, a.n);
    buf_append(&g->out, b.p, b.n);
    buf_append(&g->out, c.p, c.n);
}

static void put(struct smtp_engine *g, struct record r, struct span a, struct span b)
{
    put3(g, r, a, b, (struct span){0});
}

void emit_action(struct smtp_engine *g, enum smtp_action_kind kind)
{
    put(g, (struct record){.kind = (uint8_t)kind}, (struct span){0}, (struct span){0});
}

void emit_bytes(struct smtp_engine *g, enum smtp_action_kind kind, const char *p, size_t n)
{
    put(g, (struct record){.kind = (uint8_t)kind}, (struct span){p, n}, (struct span){0});
}

void emit_rcpt(struct smtp_engine *g, struct span local, struct span domain, const struct smtp_rcpt_params *params)
{
    put3(g, (struct record){.kind = SMTP_ASK_RCPT, .code = (uint16_t)params->notify, .flag = params->orcpt.p != NULL},
         local, domain, (struct span){params->orcpt.p, params->orcpt.n});
}

void emit_auth(struct smtp_engine *g, struct span mechanism, struct span text, bool has_text)
{
    put(g, (struct record){.kind = SMTP_ASK_AUTH, .flag = has_text}, mechanism, text);
}

void emit_event(struct smtp_engine *g, enum smtp_event event, struct span text, uint16_t code)
{
    put(g, (struct record){.kind = SMTP_EVENT, .sub = (uint8_t)event, .code = code}, text, (struct span){0});
}

void emit_event_flag(struct smtp_engine *g, enum smtp_event event, struct span text, bool flag)
{
    put(g, (struct record){.kind = SMTP_EVENT, .sub = (uint8_t)event, .flag = flag}, text, (struct span){0});
}

void emit_close(struct smtp_engine *g, enum smtp_close why)
{
    put(g, (struct record){.kind = SMTP_CLOSE, .sub = (uint8_t)why}, (struct span){0}, (struct span){0});
}

static void append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

/* "250 2.1.0 Ok\r\n" at the end of b. */
static void append_reply(struct buf *b, const struct engine_reply *r)
{
    char code[4] = {(char)('0' + r->code / 100 % 10), (char)('0' + r->code / 10 % 10), (char)('0' + r->code % 10), ' '};

    buf_append(b, code, sizeof code);
    if (r->enhanced) {
        append_str(b, r->enhanced);
        buf_append(b, " ", 1);
    }
    append_str(b, r->text ? r->text : "");
    buf_append(b, "\r\n", 2);
}

/* An empty REPLY record whose bytes follow; end_reply() writes down how many they were. */
static size_t begin_reply(struct smtp_engine *g)
{
    size_t at = g->out.len;

    emit_action(g, SMTP_REPLY);
    return at;
}

static void end_reply(struct smtp_engine *g, size_t at)
{
    struct record r;

    memcpy(&r, buf_data(&g->out) + at, sizeof r);
    r.len = (uint32_t)(g->out.len - at - sizeof r);
    memcpy(buf_data(&g->out) + at, &r, sizeof r);
}

void emit_reply(struct smtp_engine *g, struct engine_reply r)
{
    size_t at = begin_reply(g);

    append_reply(&g->out, &r);
    end_reply(g, at);
    if (r.code >= 500)
        g->errors++;
}

void emit_reply_lines(struct smtp_engine *g, const struct buf *lines)
{
    emit_bytes(g, SMTP_REPLY, buf_data(lines), lines->len);
}

char *emit_format(const struct engine_reply *r)
{
    struct buf b = {0};
    char *s;

    append_reply(&b, r);
    s = mem_strn(buf_data(&b), b.len);
    buf_clear(&b);
    return s;
}

static void take_event(struct smtp_action *out, const struct record *r, struct peer_text text)
{
    out->event = (enum smtp_event)r->sub;
    out->code = r->code;
    out->flag = r->flag;
    out->text = text;
}

void emit_take(struct smtp_engine *g, struct smtp_action *out)
{
    struct record r;
    const char *p = buf_data(&g->out);

    assert(g->out.len >= sizeof r);
    memcpy(&r, p, sizeof r);
    p += sizeof r;
    g->given = (uint32_t)(sizeof r + r.len + r.second + r.third);
    out->kind = (enum smtp_action_kind)r.kind;
    switch (out->kind) {
    case SMTP_EVENT:
        take_event(out, &r, (struct peer_text){p, r.len});
        break;
    case SMTP_CLOSE:
        out->close = (enum smtp_close)r.sub;
        break;
    case SMTP_ASK_SENDER:
        out->sender = (struct peer_text){g->tx->sender, g->tx->sender_len};
        out->params = g->tx->params;
        break;
    case SMTP_ASK_RCPT:
        out->rcpt_local = (struct peer_text){p, r.len};
        out->rcpt_domain = (struct peer_text){p + r.len, r.second};
        out->rcpt_params.notify = r.code;
        if (r.flag)
            out->rcpt_params.orcpt = (struct peer_text){p + r.len + r.second, r.third};
        break;
    case SMTP_ASK_AUTH:
        out->mechanism = (struct peer_text){p, r.len};
        out->text = (struct peer_text){p + r.len, r.second};
        out->flag = r.flag;
        break;
    default:
        out->bytes = (struct span){p, r.len};
        break;
    }
}
