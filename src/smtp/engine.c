#include "smtp/engine_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RECIPIENTS_FLOOR 100 /* RFC 5321 4.5.3.1.8 */

uint32_t engine_max_recipients(const struct smtp_profile *p)
{
    if (p->max_recipients == 0)
        return 0;
    return p->max_recipients < RECIPIENTS_FLOOR ? RECIPIENTS_FLOOR : p->max_recipients;
}

struct smtp_engine *smtp_engine_new(const struct smtp_profile *profile, bool in_tls)
{
    struct smtp_engine *g = mem_alloc(sizeof *g);

    g->profile = profile;
    g->in_tls = in_tls;
    g->first = true;
    return g;
}

void smtp_engine_free(struct smtp_engine **gp)
{
    struct smtp_engine *g = *gp;

    if (!g)
        return;
    transaction_free(&g->tx);
    free(g->hello);
    free(g->identity);
    free(g->mechanisms);
    free(g->late);
    buf_clear(&g->line);
    buf_clear(&g->out);
    buf_clear(&g->chunk);
    free(g);
    *gp = NULL;
}

/* What the last action pointed into is no longer needed. */
static void drop_given(struct smtp_engine *g)
{
    if (g->chunk_given) {
        buf_clear(&g->chunk);
        g->chunk_given = false;
    }
    if (g->given) {
        buf_consume(&g->out, g->given);
        g->given = 0;
    }
}

static void greet(struct smtp_engine *g)
{
    struct buf text = {0};

    g->greeted = true;
    if (g->shutdown) {
        engine_close(g, "4.3.2", "shutting down", SMTP_CLOSE_SHUTDOWN);
        return;
    }
    buf_printf(&text, "220 %s %s\r\n", g->profile->hostname, g->profile->banner ? g->profile->banner : "ESMTP");
    emit_reply_lines(g, &text);
    buf_clear(&text);
}

void smtp_engine_next(struct smtp_engine *g, struct smtp_action *out)
{
    memset(out, 0, sizeof *out);
    drop_given(g);
    if (!g->greeted)
        greet(g);
    if (g->tx && g->tx->ended && !g->chunk.len && !g->out.len)
        body_end(g);
    if (g->chunk.len) { /* content is always older than what waits in out */
        out->kind = SMTP_CHUNK;
        out->bytes = (struct span){buf_data(&g->chunk), g->chunk.len};
        g->chunk_given = true;
    } else if (g->out.len) {
        emit_take(g, out);
    } else {
        out->kind = g->wait == WAIT_NONE ? SMTP_NEED_INPUT : SMTP_WAIT;
    }
}

static bool is_busy(const struct smtp_engine *g)
{
    return !g->greeted || g->wait != WAIT_NONE || g->out.len || g->chunk.len || (g->tx && g->tx->ended);
}

static size_t swallow_feed(struct smtp_engine *g, size_t n)
{
    if (n > g->swallow)
        n = (size_t)g->swallow;
    g->swallow -= n;
    if (g->swallow == 0)
        cmd_bdat_swallowed(g);
    return n;
}

size_t smtp_engine_feed(struct smtp_engine *g, const void *bytes, size_t len)
{
    const char *p = bytes;
    size_t used = 0;

    drop_given(g);
    while (used < len && !is_busy(g)) {
        switch ((enum engine_state)g->state) {
        case ENGINE_COMMAND:
        case ENGINE_AUTH:
            used += frame_feed(g, p + used, len - used);
            break;
        case ENGINE_DATA:
        case ENGINE_BDAT:
            used += body_feed(g, p + used, len - used);
            break;
        case ENGINE_SWALLOW:
            used += swallow_feed(g, len - used);
            break;
        case ENGINE_CLOSED:
            return len;
        }
    }
    return used;
}

void engine_ask(struct smtp_engine *g, enum smtp_action_kind kind, enum engine_wait wait)
{
    emit_action(g, kind);
    g->wait = (uint8_t)wait;
}

void engine_answered(struct smtp_engine *g, enum engine_wait wait)
{
    assert(g->wait == wait);
    drop_given(g);
    g->wait = WAIT_NONE;
}

void smtp_engine_answer(struct smtp_engine *g, const struct smtp_verdict *v)
{
    assert(g->wait >= WAIT_SENDER && g->verb && g->verb->answer);
    drop_given(g);
    g->wait = WAIT_NONE;
    g->verb->answer(g, v);
}

void smtp_engine_answer_tls(struct smtp_engine *g, const struct smtp_tls_view *v)
{
    engine_answered(g, WAIT_TLS_VIEW);
    g->tls = *v;
    free(g->mechanisms);
    g->mechanisms = v->auth ? mem_str(v->auth) : NULL;
    g->tls.auth = g->mechanisms; /* what this client was told, whatever becomes of the list */
    g->tls_known = g->tls_fresh = true;
    dispatch_again(g);
}

void smtp_engine_tls_done(struct smtp_engine *g, const struct smtp_tls_facts *f)
{
    engine_answered(g, WAIT_HANDSHAKE);
    if (!f->ok) {
        g->state = ENGINE_CLOSED;
        emit_close(g, SMTP_CLOSE_TLS_FAILED);
        return;
    }
    /* RFC 3207 4.2: "The server MUST discard any knowledge obtained from the client, such as the
     * argument to the EHLO command, which was not obtained from the TLS negotiation itself." */
    g->in_tls = true;
    free(g->hello);
    g->hello = NULL;
    g->esmtp = g->tls_known = false;
    engine_command_done(g);
}

void smtp_engine_tls_injected(struct smtp_engine *g)
{
    engine_answered(g, WAIT_HANDSHAKE);
    /* CVE-2011-0411: a man in the middle put commands behind STARTTLS, to be run inside TLS as the
     * client's own. They are never looked at. */
    g->state = ENGINE_CLOSED;
    emit_close(g, SMTP_CLOSE_INJECTION);
}

void smtp_engine_trust(struct smtp_engine *g)
{
    g->trusted = true;
}

void smtp_engine_talked_early(struct smtp_engine *g)
{
    drop_given(g);
    emit_event(g, SMTP_EVENT_TALKED_EARLY, (struct span){0}, 0);
}

void engine_reset(struct smtp_engine *g)
{
    if (g->tx && g->tx->open)
        emit_action(g, SMTP_ABORT);
    transaction_free(&g->tx);
}

void engine_close(struct smtp_engine *g, const char *enhanced, const char *text, enum smtp_close why)
{
    struct buf t = {0};

    buf_printf(&t, "421 %s %s %s\r\n", enhanced, g->profile->hostname, text);
    emit_reply_lines(g, &t);
    buf_clear(&t);
    engine_reset(g);
    g->state = ENGINE_CLOSED;
    emit_close(g, why);
}

/* A moment at which nothing is owed to the peer: what had to wait for one happens now. */
static void at_boundary(struct smtp_engine *g)
{
    if (g->state != ENGINE_COMMAND || g->wait != WAIT_NONE)
        return;
    if (g->profile->max_errors && g->errors >= g->profile->max_errors)
        engine_close(g, "4.7.0", "too many errors", SMTP_CLOSE_TOO_MANY_ERRORS);
    else if (g->shutdown && (!g->tx || (g->shutdown_now && !g->tx->open)))
        engine_close(g, "4.3.2", "shutting down", SMTP_CLOSE_SHUTDOWN);
}

void engine_command_done(struct smtp_engine *g)
{
    buf_clear(&g->line);
    g->verb = NULL;
    g->tls_fresh = false;
    at_boundary(g);
}

void smtp_engine_shutdown(struct smtp_engine *g, bool even_in_transaction)
{
    g->shutdown = true;
    g->shutdown_now |= even_in_transaction;
    if (g->shutdown_now && g->state == ENGINE_AUTH && g->wait == WAIT_NONE) {
        cmd_auth_cancel(g);
        buf_clear(&g->line);
    }
    if (g->greeted)
        at_boundary(g);
}

enum smtp_phase smtp_engine_phase(const struct smtp_engine *g)
{
    if (g->tx && g->tx->open)
        return SMTP_PHASE_DATA;
    if (g->tx && g->tx->accepted)
        return SMTP_PHASE_ENVELOPE;
    return g->accepted ? SMTP_PHASE_COMMAND : SMTP_PHASE_GREETING;
}

bool smtp_engine_is_esmtp(const struct smtp_engine *g)
{
    return g->esmtp;
}

struct peer_text smtp_engine_hello(const struct smtp_engine *g)
{
    return g->hello ? (struct peer_text){g->hello, strlen(g->hello)} : (struct peer_text){"", 0};
}

struct peer_text smtp_engine_identity(const struct smtp_engine *g)
{
    return g->identity ? (struct peer_text){g->identity, strlen(g->identity)} : (struct peer_text){"", 0};
}

struct peer_text smtp_engine_sender(const struct smtp_engine *g)
{
    return g->tx ? (struct peer_text){g->tx->sender, g->tx->sender_len} : (struct peer_text){"", 0};
}

const struct smtp_mail_params *smtp_engine_params(const struct smtp_engine *g)
{
    static const struct smtp_mail_params none;

    return g->tx ? &g->tx->params : &none;
}

uint32_t smtp_engine_rcpt_count(const struct smtp_engine *g)
{
    return g->tx ? g->tx->rcpt_count : 0;
}

const uint32_t *smtp_engine_rcpt_ids(const struct smtp_engine *g)
{
    return g->tx ? g->tx->ids : NULL;
}

uint32_t smtp_engine_rcpt_id_count(const struct smtp_engine *g)
{
    return g->tx ? g->tx->id_count : 0;
}

struct peer_text smtp_engine_only_rcpt(const struct smtp_engine *g)
{
    if (!g->tx || g->tx->rcpt_count != 1)
        return (struct peer_text){"", 0};
    return (struct peer_text){g->tx->only_rcpt, g->tx->only_rcpt_len};
}

uint64_t smtp_engine_message_size(const struct smtp_engine *g)
{
    return g->tx ? g->tx->size : 0;
}

size_t smtp_engine_memory(const struct smtp_engine *g)
{
    return sizeof *g + g->line.cap + g->out.cap + g->chunk.cap + (g->hello ? strlen(g->hello) + 1 : 0) +
           (g->tx ? transaction_memory(g->tx) : 0);
}
