/* BDAT, RFC 3030. The client does not wait before it sends the chunk: whatever is wrong with the
 * command, its bytes follow, and they are swallowed before the refusal is sent. They are never read
 * as commands. */
#include "smtp/engine_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 64

/* "<digits> [LAST]". 0; -1 without a number, 1 with one and something wrong behind it. */
static int parse(struct span arg, uint64_t *size, bool *last)
{
    size_t n = 0;

    while (n < arg.n && arg.p[n] >= '0' && arg.p[n] <= '9')
        n++;
    if (n == 0 || (n < arg.n && arg.p[n] != ' '))
        return -1;
    /* More than 64 bits can say is more than anybody sends: swallowed as long as the session lasts. */
    if (!text_u64((struct span){arg.p, n}, size))
        *size = UINT64_MAX;
    while (n < arg.n && arg.p[n] == ' ')
        n++;
    arg.p += n;
    arg.n -= n;
    *last = span_is_nocase(arg, "LAST");
    return *last || arg.n == 0 ? 0 : 1;
}

/* The answer comes behind the chunk's bytes. The text is kept: a verdict's words live no longer
 * than the call that brings them. */
static void refuse_after(struct smtp_engine *g, uint64_t size, struct engine_reply r)
{
    g->late = emit_format(&r);
    g->late_code = r.code;
    g->swallow = size;
    if (size == 0)
        cmd_bdat_swallowed(g);
    else
        g->state = ENGINE_SWALLOW;
}

void cmd_bdat_swallowed(struct smtp_engine *g)
{
    g->state = ENGINE_COMMAND;
    emit_event(g, SMTP_EVENT_REFUSED, SPAN("BDAT"), g->late_code);
    emit_bytes(g, SMTP_REPLY, g->late, strlen(g->late));
    if (g->late_code >= 500)
        g->errors++;
    free(g->late);
    g->late = NULL;
    engine_command_done(g);
}

static bool is_refused(struct smtp_engine *g, int parsed, struct engine_reply *r)
{
    if (dispatch_tls_refuses(g, r))
        return true;
    if (parsed > 0)
        *r = (struct engine_reply){501, "5.5.4", "Syntax: BDAT size [LAST]"};
    else if (!g->tx)
        *r = (struct engine_reply){503, "5.5.1", "Say MAIL first"};
    else if (g->tx->rcpt_count == 0)
        *r = (struct engine_reply){503, "5.5.1", "No valid recipients"};
    else
        return false;
    return true;
}

static bool is_too_large(const struct smtp_engine *g, uint64_t size)
{
    uint64_t max = g->profile->max_message_size;

    return max && (size > max || size > max - g->tx->size);
}

static void begin_chunk(struct smtp_engine *g)
{
    g->state = ENGINE_BDAT;
    g->tx->ended = g->tx->chunk_left == 0;
}

void cmd_bdat_run(struct smtp_engine *g, struct span arg)
{
    struct engine_reply r;
    uint64_t size = 0;
    bool last = false;
    int parsed;

    if (!g->tls_known) {
        engine_ask(g, SMTP_ASK_TLS, WAIT_TLS_VIEW);
        return;
    }
    parsed = parse(arg, &size, &last);
    if (parsed < 0) {
        dispatch_refuse(g, 501, "5.5.4", "Syntax: BDAT size [LAST]");
        return;
    }
    if (is_refused(g, parsed, &r)) {
        refuse_after(g, size, r);
        return;
    }
    if (is_too_large(g, size)) {
        r = (struct engine_reply){552, "5.3.4", "Message size exceeds the limit"};
        emit_event(g, SMTP_EVENT_MESSAGE_REFUSED, SPAN("size"), r.code);
        engine_reset(g);
        refuse_after(g, size, r);
        return;
    }
    g->tx->bdat = true;
    g->tx->last = last;
    g->tx->chunk_left = g->tx->chunk_size = size;
    if (g->tx->open)
        begin_chunk(g);
    else
        engine_ask(g, SMTP_OPEN_MESSAGE, WAIT_OPEN);
}

static void opened(struct smtp_engine *g, const struct smtp_verdict *v)
{
    uint64_t size = g->tx->chunk_left;

    if (verdict_is_yes(v)) {
        body_open(g);
        begin_chunk(g);
        return;
    }
    engine_reset(g);
    if (v->code == 421) {
        verdict_reply(g, v, (struct engine_reply){0});
        engine_command_done(g);
        return;
    }
    refuse_after(g, size, (struct engine_reply){v->code, v->enhanced, v->text});
}

static void committed(struct smtp_engine *g, const struct smtp_verdict *v)
{
    transaction_free(&g->tx);
    verdict_reply(g, v, (struct engine_reply){250, "2.0.0", "Ok"});
    engine_command_done(g);
}

void cmd_bdat_answer(struct smtp_engine *g, const struct smtp_verdict *v)
{
    if (g->tx->open)
        committed(g, v);
    else
        opened(g, v);
}

void cmd_bdat_end(struct smtp_engine *g)
{
    struct transaction *t = g->tx;
    char text[TEXT_MAX];

    g->state = ENGINE_COMMAND;
    if (t->last && !t->refused)
        body_last(g);
    if (t->refused) {
        struct engine_reply r = {t->refusal_code, t->refusal_enhanced, t->refusal_text};

        /* The transaction is over; chunks that are on their way get 503 and are swallowed. */
        transaction_free(&g->tx);
        emit_reply(g, r);
        engine_command_done(g);
        return;
    }
    if (t->last) {
        engine_ask(g, SMTP_COMMIT, WAIT_COMMIT);
        return;
    }
    snprintf(text, sizeof text, "%llu octets received", (unsigned long long)t->chunk_size);
    emit_reply(g, (struct engine_reply){250, "2.0.0", text});
    engine_command_done(g);
}
