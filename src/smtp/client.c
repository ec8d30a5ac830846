#include "smtp/client_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_MAX 65536

const char *smtp_client_stage_name(enum smtp_client_stage s)
{
    static const char *const names[] = {"greeting", "EHLO", "STARTTLS", "TLS handshake",  "AUTH", "idle", "MAIL",
                                        "RCPT",     "DATA", "content",  "end of content", "RSET", "QUIT"};

    return names[s];
}

const char *smtp_client_failure_name(enum smtp_client_failure f)
{
    static const char *const names[SMTP_CLIENT_FAILURES] = {
        [SMTP_CLIENT_GREETING_REFUSED] = "greeting-refused",
        [SMTP_CLIENT_HELLO_REFUSED] = "hello-refused",
        [SMTP_CLIENT_TLS_NOT_OFFERED] = "tls-not-offered",
        [SMTP_CLIENT_TLS_REFUSED] = "tls-refused",
        [SMTP_CLIENT_TLS_FAILED] = "tls-failed",
        [SMTP_CLIENT_TLS_INJECTION] = "tls-injection",
        [SMTP_CLIENT_AUTH_NOT_OFFERED] = "auth-not-offered",
        [SMTP_CLIENT_AUTH_IN_CLEAR] = "auth-in-clear",
        [SMTP_CLIENT_AUTH_NO_MECHANISM] = "auth-no-mechanism",
        [SMTP_CLIENT_AUTH_REFUSED] = "auth-refused",
        [SMTP_CLIENT_LOOP] = "loop",
        [SMTP_CLIENT_NOT_SMTP] = "not-smtp",
        [SMTP_CLIENT_OUT_OF_STEP] = "out-of-step",
        [SMTP_CLIENT_TOO_LONG] = "too-long",
        [SMTP_CLIENT_SERVER_CLOSING] = "server-closing",
        [SMTP_CLIENT_LOST] = "lost",
        [SMTP_CLIENT_TIMED_OUT] = "timed-out",
        [SMTP_CLIENT_CONTENT] = "content",
    };

    return names[f];
}

const char *smtp_client_event_name(enum smtp_client_event e)
{
    static const char *const names[] = {"helo",           "starttls-masked", "starttls-refused",
                                        "starttls-again", "chunking-broken", "too-many-rcpts"};

    return names[e];
}

struct smtp_client *smtp_client_new(const struct smtp_client_profile *profile)
{
    struct smtp_client *c = mem_alloc(sizeof *c);

    c->profile = profile;
    c->in_tls = profile->implicit_tls;
    c->tls_verified = profile->implicit_tls && profile->tls_verified;
    return c;
}

void smtp_client_free(struct smtp_client **cp)
{
    struct smtp_client *c = *cp;

    if (!c)
        return;
    c->send_given = true;
    client_emit_drop_given(c);
    client_message_free(c);
    client_offers_clear(c);
    client_reader_clear(&c->in);
    buf_clear(&c->out);
    free(c->greeting);
    if (c->sasl_initial)
        explicit_bzero(c->sasl_initial, strlen(c->sasl_initial));
    free(c->sasl_initial);
    free(c);
    *cp = NULL;
}

/* ---- actions */

static enum smtp_client_action_kind resting(const struct smtp_client *c)
{
    switch ((enum client_state)c->state) {
    case CLIENT_HANDSHAKE:
    case CLIENT_AUTH_CHOICE:
    case CLIENT_AUTH_STEP:
        return SMTP_CLIENT_WAIT;
    case CLIENT_READY:
        return SMTP_CLIENT_READY;
    case CLIENT_CONTENT:
        return client_content_wanted(c) ? SMTP_CLIENT_NEED_CONTENT : SMTP_CLIENT_NEED_INPUT;
    case CLIENT_CLOSED:
        return SMTP_CLIENT_CLOSE;
    default:
        return SMTP_CLIENT_NEED_INPUT;
    }
}

static void rest(struct smtp_client *c, struct smtp_client_action *out)
{
    out->kind = resting(c);
    if (out->kind == SMTP_CLIENT_NEED_CONTENT) {
        uint64_t left = c->msg->size - c->offset;

        out->offset = c->offset;
        out->want = left < PIECE_MAX ? (size_t)left : PIECE_MAX;
    } else if (out->kind == SMTP_CLIENT_READY) {
        out->reusable = smtp_client_reusable(c);
    }
}

void smtp_client_next(struct smtp_client *c, struct smtp_client_action *out)
{
    memset(out, 0, sizeof *out);
    client_emit_drop_given(c);
    if (c->out.len) {
        client_emit_take(c, out);
    } else if (c->send.len) {
        out->kind = SMTP_CLIENT_SEND;
        out->bytes = (struct span){buf_data(&c->send), c->send.len};
        out->secret = c->send_secret;
        c->send_given = true;
    } else {
        rest(c, out);
    }
}

/* ---- replies */

static void on_reply(struct smtp_client *c)
{
    c->progress++;
    switch ((enum client_state)c->state) {
    case CLIENT_GREETING:
    case CLIENT_EHLO:
    case CLIENT_HELO:
    case CLIENT_STARTTLS:
        client_hello_reply(c);
        break;
    case CLIENT_AUTH:
    case CLIENT_AUTH_CANCELLED:
        client_sasl_reply(c);
        break;
    case CLIENT_READY:
        if (c->in.code == 421)
            client_fail_closing(c);
        else
            client_fail_out_of_step(c);
        break;
    case CLIENT_GROUP:
        client_group_reply(c);
        break;
    case CLIENT_CONTENT:
        client_content_reply(c);
        break;
    case CLIENT_END:
        client_content_end_reply(c);
        break;
    case CLIENT_EMPTY_END:
    case CLIENT_RSET:
        client_message_after_reply(c);
        break;
    case CLIENT_QUIT: /* 221, or whatever it says: it is over */
        c->state = CLIENT_CLOSED;
        break;
    case CLIENT_HANDSHAKE:
    case CLIENT_AUTH_CHOICE:
    case CLIENT_AUTH_STEP:
    case CLIENT_CLOSED:
        assert(false); /* feed() takes nothing then */
    }
    client_reader_clear(&c->in);
}

size_t smtp_client_feed(struct smtp_client *c, const void *bytes, size_t len)
{
    const char *p = bytes;
    size_t used = 0;

    client_emit_drop_given(c);
    while (used < len && !c->out.len && !c->send.len && resting(c) != SMTP_CLIENT_WAIT) {
        bool whole = false;

        if (c->state == CLIENT_CLOSED)
            return len;
        used += client_reader_feed(c, p + used, len - used, &whole);
        if (!whole)
            continue;
        on_reply(c);
        if (resting(c) != SMTP_CLIENT_NEED_INPUT)
            break; /* the caller's turn: what follows may be answers to what it does now */
    }
    return used;
}

/* ---- answers */

bool client_is_over(const struct smtp_client *c)
{
    return c->state == CLIENT_QUIT || c->state == CLIENT_CLOSED;
}

void smtp_client_tls_done(struct smtp_client *c, const struct smtp_client_tls_facts *facts)
{
    struct client_reply r = {0};

    if (client_is_over(c))
        return;
    assert(c->state == CLIENT_HANDSHAKE);
    client_emit_drop_given(c);
    if (facts->ok) {
        c->in_tls = c->upgraded = true;
        c->tls_verified = facts->verified;
        client_hello_again(c);
        return;
    }
    client_reply_local(&r, 451, "4.7.5", "the TLS handshake failed");
    client_fail(c, SMTP_CLIENT_TLS_FAILED, SMTP_CLIENT_TEMPORARY, &r, (struct span){0}, CLIENT_JUST_CLOSE);
}

void smtp_client_tls_injected(struct smtp_client *c)
{
    struct client_reply r = {0};

    if (client_is_over(c))
        return;
    assert(c->state == CLIENT_HANDSHAKE);
    client_emit_drop_given(c);
    /* A man in the middle wrote a reply behind the 220, to be read inside TLS as the server's own
     * (the mirror image of CVE-2011-0411). It is never looked at, nor is the connection used. */
    client_reply_local(&r, 451, "4.7.0", "bytes in clear behind the answer to STARTTLS");
    client_fail(c, SMTP_CLIENT_TLS_INJECTION, SMTP_CLIENT_TEMPORARY, &r, (struct span){0}, CLIENT_JUST_CLOSE);
}

void smtp_client_message(struct smtp_client *c, const struct smtp_client_message *m)
{
    client_emit_drop_given(c);
    assert(m->rcpt_count && !c->msg && (!m->probe || (!m->size && !m->lines && !m->content_8bit)));
    if (client_is_over(c)) {
        client_message_too_late(c, m);
        return;
    }
    assert(c->state == CLIENT_READY && !c->out.len);
    client_message_begin(c, m);
}

void smtp_client_quit(struct smtp_client *c)
{
    if (client_is_over(c))
        return;
    assert(c->state == CLIENT_READY);
    client_emit_drop_given(c);
    client_quit(c);
}

void smtp_client_content(struct smtp_client *c, const char *bytes, size_t n)
{
    if (client_is_over(c))
        return;
    assert(client_content_wanted(c) && n && n <= PIECE_MAX && n <= c->msg->size - c->offset);
    client_emit_drop_given(c);
    client_content_put(c, bytes, n);
}

void smtp_client_content_failed(struct smtp_client *c, const char *text)
{
    struct client_reply r = {0};

    if (client_is_over(c))
        return;
    assert(client_content_wanted(c));
    client_emit_drop_given(c);
    client_reply_local(&r, 451, "4.3.0", "%s", text);
    client_fail(c, SMTP_CLIENT_CONTENT, SMTP_CLIENT_TEMPORARY, &r, (struct span){0}, CLIENT_JUST_CLOSE);
}

/* ---- questions */

enum smtp_client_stage smtp_client_stage(const struct smtp_client *c)
{
    static const enum smtp_client_stage of[] = {
        [CLIENT_GREETING] = SMTP_CLIENT_AT_GREETING,
        [CLIENT_EHLO] = SMTP_CLIENT_AT_HELLO,
        [CLIENT_HELO] = SMTP_CLIENT_AT_HELLO,
        [CLIENT_STARTTLS] = SMTP_CLIENT_AT_STARTTLS,
        [CLIENT_HANDSHAKE] = SMTP_CLIENT_AT_HANDSHAKE,
        [CLIENT_AUTH_CHOICE] = SMTP_CLIENT_AT_AUTH,
        [CLIENT_AUTH] = SMTP_CLIENT_AT_AUTH,
        [CLIENT_AUTH_STEP] = SMTP_CLIENT_AT_AUTH,
        [CLIENT_AUTH_CANCELLED] = SMTP_CLIENT_AT_AUTH,
        [CLIENT_READY] = SMTP_CLIENT_AT_IDLE,
        [CLIENT_GROUP] = SMTP_CLIENT_AT_MAIL,
        [CLIENT_CONTENT] = SMTP_CLIENT_AT_CONTENT,
        [CLIENT_END] = SMTP_CLIENT_AT_END,
        [CLIENT_EMPTY_END] = SMTP_CLIENT_AT_END,
        [CLIENT_RSET] = SMTP_CLIENT_AT_RSET,
        [CLIENT_QUIT] = SMTP_CLIENT_AT_QUIT,
        [CLIENT_CLOSED] = SMTP_CLIENT_AT_QUIT,
    };

    if (c->state == CLIENT_GROUP && c->answered > c->chosen_count)
        return c->msg && c->msg->probe ? SMTP_CLIENT_AT_RSET : SMTP_CLIENT_AT_DATA;
    if (c->state == CLIENT_GROUP && c->answered > 0)
        return SMTP_CLIENT_AT_RCPT;
    return of[c->state];
}

uint32_t smtp_client_timeout(const struct smtp_client *c)
{
    /* RFC 5321 4.5.3.2; what is not listed there is as long as MAIL before a message, and short
     * after one */
    static const uint32_t seconds[] = {
        [SMTP_CLIENT_AT_GREETING] = 300,  [SMTP_CLIENT_AT_HELLO] = 300, [SMTP_CLIENT_AT_STARTTLS] = 300,
        [SMTP_CLIENT_AT_HANDSHAKE] = 120, [SMTP_CLIENT_AT_AUTH] = 300,  [SMTP_CLIENT_AT_IDLE] = 0,
        [SMTP_CLIENT_AT_MAIL] = 300,      [SMTP_CLIENT_AT_RCPT] = 300,  [SMTP_CLIENT_AT_DATA] = 120,
        [SMTP_CLIENT_AT_CONTENT] = 180,   [SMTP_CLIENT_AT_END] = 600,   [SMTP_CLIENT_AT_RSET] = 60,
        [SMTP_CLIENT_AT_QUIT] = 30,
    };

    return c->state == CLIENT_CLOSED ? 0 : seconds[smtp_client_stage(c)];
}

uint32_t smtp_client_progress(const struct smtp_client *c)
{
    return c->progress;
}

const struct smtp_client_offers *smtp_client_offers(const struct smtp_client *c)
{
    return &c->offers;
}

struct peer_text smtp_client_greeting(const struct smtp_client *c)
{
    return c->greeting ? (struct peer_text){c->greeting, strlen(c->greeting)} : (struct peer_text){"", 0};
}

bool smtp_client_in_tls(const struct smtp_client *c)
{
    return c->in_tls;
}

bool smtp_client_reusable(const struct smtp_client *c)
{
    return c->state == CLIENT_READY && !c->in.line.len && (!c->offers.mail_max || c->transactions < c->offers.mail_max);
}

uint32_t smtp_client_transactions(const struct smtp_client *c)
{
    return c->transactions;
}

size_t smtp_client_memory(const struct smtp_client *c)
{
    size_t n = sizeof *c + c->in.line.cap + c->in.text.cap + c->out.cap + c->send.cap;

    n += c->greeting ? strlen(c->greeting) + 1 : 0;
    n += c->offers.name.n + c->offers.mechanisms.n + c->offers.lines.n;
    for (uint32_t i = 0; c->msg && i < c->msg->rcpt_count; i++)
        n += sizeof *c->rcpts + c->rcpts[i].held.text_len;
    return n;
}
