/* From the greeting to READY: EHLO, LHLO or HELO, STARTTLS, and what stands in the way. */
#include "smtp/client_private.h"

#include <stdlib.h>
#include <string.h>

static void say_hello(struct smtp_client *c)
{
    client_send(c, "%s %s\r\n", c->profile->lmtp ? "LHLO" : "EHLO", c->profile->hostname);
    c->state = CLIENT_EHLO;
}

void client_hello_again(struct smtp_client *c)
{
    /* RFC 3207 4.2: "The client MUST discard any knowledge obtained from the server, such as the
     * list of SMTP service extensions, which was not obtained from the TLS negotiation itself." */
    client_offers_clear(c);
    client_reader_clear(&c->in);
    say_hello(c);
}

static bool is_loop(const struct smtp_client *c, const char *name)
{
    size_t n = strcspn(name, " ");

    return c->profile->detect_loop && !c->profile->lmtp && span_is_nocase((struct span){name, n}, c->profile->hostname);
}

static void fail_loop(struct smtp_client *c)
{
    struct client_reply r = {0};

    client_reply_local(&r, 554, "5.4.6", "mail loops back: the server calls itself %s, as we do", c->profile->hostname);
    client_fail(c, SMTP_CLIENT_LOOP, SMTP_CLIENT_PERMANENT, &r, (struct span){0}, CLIENT_SAY_QUIT);
}

static void fail_refused(struct smtp_client *c, enum smtp_client_failure why)
{
    struct client_reply r = {0};
    enum smtp_client_outcome o;

    client_reply_take(&c->in, &r);
    o = client_reply_outcome(&r, smtp_client_stage(c));
    /* An EHLO that was answered in clear and is refused inside TLS says nothing about the mail; nor
     * does a server that does not know the command: it is not the one that was meant. */
    if (c->upgraded || (c->state != CLIENT_GREETING && (r.code == 500 || r.code == 502)))
        o = SMTP_CLIENT_TEMPORARY;
    client_fail(c, why, o, &r, (struct span){0}, CLIENT_SAY_QUIT);
}

static void on_greeting(struct smtp_client *c)
{
    struct client_reply r = {0};

    if (c->in.code == 421) { /* it closes by itself: no QUIT */
        client_reply_take(&c->in, &r);
        client_fail(c, SMTP_CLIENT_GREETING_REFUSED, SMTP_CLIENT_TEMPORARY, &r, (struct span){0}, CLIENT_JUST_CLOSE);
    } else if (c->in.code >= 400) {
        /* RFC 5321 3.1: with 554 the server "MUST wait for the client to send a QUIT"; RFC 7504 3:
         * 521 is the same */
        fail_refused(c, SMTP_CLIENT_GREETING_REFUSED);
    } else if (c->in.code != 220) {
        client_reply_take(&c->in, &r);
        client_reply_local(&r, 451, "4.5.0", "a greeting with code %u", c->in.code);
        client_fail(c, SMTP_CLIENT_NOT_SMTP, SMTP_CLIENT_TEMPORARY, &r,
                    (struct span){buf_data(&c->in.text), c->in.text.len - 1}, CLIENT_JUST_CLOSE);
    } else {
        client_reply_take(&c->in, &r);
        c->greeting = r.text;
        if (is_loop(c, c->greeting))
            fail_loop(c);
        else
            say_hello(c);
    }
}

void client_hello_ready(struct smtp_client *c)
{
    client_reader_clear(&c->in);
    c->state = CLIENT_READY;
}

static void log_in(struct smtp_client *c)
{
    if (c->profile->sasl)
        client_sasl_begin(c);
    else
        client_hello_ready(c);
}

/* The one failure that this program exists for: say what was seen, all of it. */
static void fail_not_offered(struct smtp_client *c, const struct client_reply *refused)
{
    struct client_reply r = {0};
    struct buf said = {0};

    if (refused) {
        client_reply_local(&r, 451, "4.7.6", "STARTTLS is required, and EHLO was refused");
        client_reply_quote(&r, refused);
    } else {
        client_reply_local(&r, 451, "4.7.6", "STARTTLS is required but not advertised%s; EHLO was answered: ",
                           c->offers.starttls_masked ? " (something on the way masks it)" : "");
        buf_append(&said, r.text, r.text_len);
        buf_append(&said, c->offers.lines.p, c->offers.lines.n);
        free(r.text);
        r.text_len = said.len < CLIENT_TEXT_MAX ? said.len : CLIENT_TEXT_MAX;
        r.text = mem_strn(buf_data(&said), r.text_len);
        buf_clear(&said);
    }
    client_fail(c, SMTP_CLIENT_TLS_NOT_OFFERED, SMTP_CLIENT_TEMPORARY, &r,
                (struct span){c->offers.lines.p, c->offers.lines.n}, CLIENT_SAY_QUIT);
}

static void after_hello(struct smtp_client *c)
{
    enum smtp_client_tls_policy tls = c->profile->tls;

    if (c->in_tls) {
        /* RFC 3207 4.2: "A server MUST NOT return the STARTTLS extension in response to an EHLO
         * command received after a TLS handshake has completed." */
        if (c->offers.starttls)
            client_emit_event(c, SMTP_CLIENT_EVENT_STARTTLS_AGAIN, NULL);
        log_in(c);
        return;
    }
    if (c->offers.starttls_masked && tls != SMTP_CLIENT_TLS_NONE)
        client_emit_event(c, SMTP_CLIENT_EVENT_STARTTLS_MASKED, NULL);
    if (c->offers.starttls && tls != SMTP_CLIENT_TLS_NONE) {
        client_send(c, "STARTTLS\r\n");
        c->state = CLIENT_STARTTLS;
    } else if (tls == SMTP_CLIENT_TLS_REQUIRED) {
        fail_not_offered(c, NULL);
    } else {
        log_in(c);
    }
}

/* RFC 5321 3.2: "if a server returns a 'command not recognized' response to EHLO, the client SHOULD
 * be able to fall back and send HELO". Not LHLO (RFC 2033 4.1), not where HELO can offer nothing of
 * what is needed. */
static void on_unknown_hello(struct smtp_client *c)
{
    struct client_reply r = {0};

    client_reply_take(&c->in, &r);
    if (c->profile->lmtp || c->upgraded || c->profile->sasl) {
        fail_refused(c, SMTP_CLIENT_HELLO_REFUSED);
    } else if (c->profile->tls == SMTP_CLIENT_TLS_REQUIRED && !c->in_tls) {
        fail_not_offered(c, &r);
    } else {
        client_emit_event(c, SMTP_CLIENT_EVENT_HELO, &r);
        client_send(c, "HELO %s\r\n", c->profile->hostname);
        c->state = CLIENT_HELO;
    }
    client_reply_free(&r);
}

static void on_hello(struct smtp_client *c)
{
    if (c->in.code == 250) {
        if (c->state == CLIENT_EHLO)
            client_offers_read(c);
        if (c->state == CLIENT_EHLO && is_loop(c, c->offers_text[0]))
            fail_loop(c);
        else
            after_hello(c);
    } else if (c->in.code < 400) {
        client_fail_out_of_step(c);
    } else if (c->state == CLIENT_EHLO && (c->in.code == 500 || c->in.code == 502)) {
        on_unknown_hello(c);
    } else {
        fail_refused(c, SMTP_CLIENT_HELLO_REFUSED);
    }
}

static void on_starttls(struct smtp_client *c)
{
    struct client_reply was = {0}, r = {0};

    if (c->in.code == 220) {
        c->state = CLIENT_HANDSHAKE;
        client_emit(c, &(struct smtp_client_action){.kind = SMTP_CLIENT_START_TLS});
        return;
    }
    client_reply_take(&c->in, &was);
    /* RFC 3207 4: after 454 "the client MAY decide to continue"; one that took the command for
     * something else (2yz, 3yz) is in a state that nobody knows. */
    if (c->profile->tls == SMTP_CLIENT_TLS_MAY && c->in.code >= 400) {
        client_emit_event(c, SMTP_CLIENT_EVENT_STARTTLS_REFUSED, &was);
        log_in(c);
    } else {
        client_reply_local(&r, 451, "4.7.6", "STARTTLS was advertised and not granted");
        client_reply_quote(&r, &was);
        client_fail(c, SMTP_CLIENT_TLS_REFUSED, SMTP_CLIENT_TEMPORARY, &r, (struct span){was.text, was.text_len},
                    c->in.code >= 400 ? CLIENT_SAY_QUIT : CLIENT_JUST_CLOSE);
    }
    client_reply_free(&was);
}

void client_hello_reply(struct smtp_client *c)
{
    if (c->state == CLIENT_GREETING)
        on_greeting(c);
    else if (c->in.code == 421)
        client_fail_closing(c);
    else if (c->state == CLIENT_STARTTLS)
        on_starttls(c);
    else
        on_hello(c);
}
