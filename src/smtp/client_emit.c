/* Actions on their way out: each is a record in c->out, its bytes behind it; bytes for the server
 * gather in c->send, so that what may go in one write does. */
#include "smtp/client_private.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct record {
    struct smtp_client_action a; /* its pointers are not valid here, its lengths are */
};

static size_t text_bytes(const struct smtp_client_action *a)
{
    return a->bytes.n + a->text.n + a->reply.text.n + a->said.n;
}

void client_emit(struct smtp_client *c, const struct smtp_client_action *a)
{
    struct record r = {*a};

    buf_append(&c->out, &r, sizeof r);
    buf_append(&c->out, a->bytes.p, a->bytes.n);
    buf_append(&c->out, a->text.p, a->text.n);
    buf_append(&c->out, a->reply.text.p, a->reply.text.n);
    buf_append(&c->out, a->said.p, a->said.n);
}

void client_emit_take(struct smtp_client *c, struct smtp_client_action *out)
{
    struct record r;
    const char *p = buf_data(&c->out) + sizeof r;

    assert(c->out.len >= sizeof r);
    memcpy(&r, buf_data(&c->out), sizeof r);
    *out = r.a;
    out->bytes.p = p;
    out->text.p = p += out->bytes.n;
    out->reply.text.p = p += out->text.n;
    out->said.p = p + out->reply.text.n;
    c->given = (uint32_t)(sizeof r + text_bytes(out));
}

void client_emit_event(struct smtp_client *c, enum smtp_client_event e, const struct client_reply *r)
{
    struct smtp_client_action a = {.kind = SMTP_CLIENT_EVENT, .event = e};

    if (r)
        a.reply = client_emit_view(r);
    client_emit(c, &a);
}

struct smtp_client_reply client_emit_view(const struct client_reply *r)
{
    struct smtp_client_reply v = {.code = r->code, .local = r->local, .text = {r->text, r->text_len}};

    memcpy(v.enhanced, r->enhanced, sizeof v.enhanced);
    return v;
}

void client_emit_drop_given(struct smtp_client *c)
{
    if (c->given) {
        buf_consume(&c->out, c->given);
        c->given = 0;
    }
    if (c->send_given) {
        if (c->send_secret)
            explicit_bzero(buf_data(&c->send), c->send.len);
        buf_clear(&c->send);
        c->send_given = c->send_secret = false;
    }
}

void client_send(struct smtp_client *c, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    va_start(ap, fmt);
    vsnprintf(buf_space(&c->send, (size_t)n + 1), (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf_added(&c->send, (size_t)n);
}
