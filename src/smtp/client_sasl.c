/* AUTH (RFC 4954). The mechanism's messages are the caller's, the frame around them is made here.
 */
#include "smtp/client_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

#define STEPS_MAX 20 /* no mechanism needs more: a server that asks on and on gets "*" */
#define COMMAND_MAX 512

static void fail_local(struct smtp_client *c, enum smtp_client_failure why, const char *text)
{
    struct client_reply r = {0};

    client_reply_local(&r, 451, "4.7.0", "%s", text);
    client_fail(c, why, SMTP_CLIENT_TEMPORARY, &r, (struct span){c->offers.lines.p, c->offers.lines.n},
                CLIENT_SAY_QUIT);
}

void client_sasl_begin(struct smtp_client *c)
{
    struct smtp_client_action a = {.kind = SMTP_CLIENT_ASK_SASL};

    if (!c->in_tls && !c->profile->sasl_in_clear) {
        fail_local(c, SMTP_CLIENT_AUTH_IN_CLEAR, "a login is needed, and is not made without TLS");
    } else if (!c->offers.auth) {
        fail_local(c, SMTP_CLIENT_AUTH_NOT_OFFERED, "a login is needed, and AUTH is not offered");
    } else {
        a.text = c->offers.mechanisms;
        c->state = CLIENT_AUTH_CHOICE;
        client_emit(c, &a);
    }
}

/* One line, its base64 part made in place: no copy of it stays behind in memory that was given
 * back. */
static void send_secret(struct smtp_client *c, const char *before, const char *bytes, size_t n)
{
    size_t head = strlen(before), len = head + BASE64_LENGTH(n) + 2;
    char *p = buf_space(&c->send, len);

    memcpy(p, before, head);
    base64_encode(p + head, bytes, n);
    memcpy(p + len - 2, "\r\n", 2);
    buf_added(&c->send, len);
    c->send_secret = true;
}

static void forget_initial(struct smtp_client *c)
{
    if (c->sasl_initial)
        explicit_bzero(c->sasl_initial, strlen(c->sasl_initial));
    free(c->sasl_initial);
    c->sasl_initial = NULL;
}

void smtp_client_sasl_start(struct smtp_client *c, const char *mechanism, const char *initial, size_t n, bool finished)
{
    char *head;

    if (client_is_over(c))
        return;
    assert(c->state == CLIENT_AUTH_CHOICE);
    head = mem_printf("AUTH %s ", mechanism);
    client_emit_drop_given(c);
    c->state = CLIENT_AUTH;
    c->sasl_finished = finished;
    if (initial && n && strlen(head) + BASE64_LENGTH(n) + 2 > COMMAND_MAX) {
        /* RFC 4954 4: "If the client's initial response would cause the AUTH command to exceed this
         * length, the client MUST NOT use the initial response parameter": it goes after the first
         * challenge, an empty one. */
        c->sasl_initial = mem_alloc(BASE64_LENGTH(n) + 1);
        base64_encode(c->sasl_initial, initial, n);
        initial = NULL;
    }
    if (initial && n)
        send_secret(c, head, initial, n);
    else if (initial)
        client_send(c, "AUTH %s =\r\n", mechanism); /* RFC 4954 4: "=" is the empty response */
    else
        client_send(c, "AUTH %s\r\n", mechanism);
    free(head);
}

void smtp_client_sasl_none(struct smtp_client *c)
{
    if (client_is_over(c))
        return;
    assert(c->state == CLIENT_AUTH_CHOICE);
    client_emit_drop_given(c);
    fail_local(c, SMTP_CLIENT_AUTH_NO_MECHANISM, "none of the mechanisms offered for AUTH can be used");
}

void smtp_client_sasl_respond(struct smtp_client *c, const char *response, size_t n, bool finished)
{
    if (client_is_over(c))
        return;
    assert(c->state == CLIENT_AUTH_STEP);
    client_emit_drop_given(c);
    c->state = CLIENT_AUTH;
    c->sasl_finished = finished;
    send_secret(c, "", response, n);
}

static void cancel(struct smtp_client *c)
{
    /* RFC 4954 4: "If the client wishes to cancel the authentication exchange, it issues a line
     * with a single '*'" */
    client_send(c, "*\r\n");
    forget_initial(c);
    c->state = CLIENT_AUTH_CANCELLED;
}

void smtp_client_sasl_cancel(struct smtp_client *c)
{
    if (client_is_over(c))
        return;
    assert(c->state == CLIENT_AUTH_STEP);
    client_emit_drop_given(c);
    cancel(c);
}

static void on_challenge(struct smtp_client *c)
{
    char *bytes = buf_data(&c->in.text);
    struct smtp_client_action a = {.kind = SMTP_CLIENT_SASL_CHALLENGE};
    size_t n;

    if (++c->sasl_steps > STEPS_MAX || c->in.lines ||
        !base64_decode(bytes, &n, (struct span){bytes, c->in.text.len - 1})) {
        cancel(c);
    } else if (c->sasl_initial) {
        client_send(c, "%s\r\n", c->sasl_initial);
        c->send_secret = true;
        forget_initial(c);
    } else {
        a.bytes = (struct span){bytes, n};
        c->state = CLIENT_AUTH_STEP;
        client_emit(c, &a);
    }
}

static void on_refusal(struct smtp_client *c)
{
    struct client_reply r = {0};

    client_reply_take(&c->in, &r);
    client_fail(c, SMTP_CLIENT_AUTH_REFUSED, SMTP_CLIENT_TEMPORARY, &r, (struct span){0}, CLIENT_SAY_QUIT);
}

void client_sasl_reply(struct smtp_client *c)
{
    if (c->in.code == 421)
        client_fail_closing(c);
    else if (c->in.code >= 400 && c->state == CLIENT_AUTH)
        on_refusal(c);
    else if (c->state == CLIENT_AUTH_CANCELLED)
        fail_local(c, SMTP_CLIENT_AUTH_REFUSED, "the exchange of AUTH was given up: the server's part made no sense");
    else if (c->in.code == 334)
        on_challenge(c);
    else if (c->in.code == 235 && c->sasl_finished && !c->sasl_initial)
        client_hello_ready(c);
    else if (c->in.code == 235)
        fail_local(c, SMTP_CLIENT_AUTH_REFUSED, "AUTH was accepted before the server had proved itself");
    else
        client_fail_out_of_step(c);
}
