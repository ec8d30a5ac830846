#include "smtp/engine_private.h"

void cmd_data_run(struct smtp_engine *g, struct span arg)
{
    (void)arg;
    /* RFC 3030 2: "DATA and BDAT commands cannot be used in the same transaction." */
    if (!g->tx)
        dispatch_refuse(g, 503, "5.5.1", "Say MAIL first");
    else if (g->tx->bdat)
        dispatch_refuse(g, 503, "5.5.1", "The message has begun with BDAT");
    else if (g->tx->rcpt_count == 0) /* RFC 5321 3.3; the transaction stays: RCPT may still come */
        dispatch_refuse(g, 503, "5.5.1", "No valid recipients");
    else
        engine_ask(g, SMTP_OPEN_MESSAGE, WAIT_OPEN);
}

static void opened(struct smtp_engine *g, const struct smtp_verdict *v)
{
    if (verdict_is_yes(v)) {
        body_open(g);
        g->state = ENGINE_DATA;
        emit_reply(g, (struct engine_reply){354, NULL, "End data with <CRLF>.<CRLF>"});
        return; /* the command goes on until the final dot */
    }
    engine_reset(g);
    verdict_reply(g, v, (struct engine_reply){0});
    engine_command_done(g);
}

static void committed(struct smtp_engine *g, const struct smtp_verdict *v)
{
    g->tx->open = false;
    transaction_free(&g->tx);
    verdict_reply(g, v, (struct engine_reply){250, "2.0.0", "Ok"});
    engine_command_done(g);
}

void cmd_data_answer(struct smtp_engine *g, const struct smtp_verdict *v)
{
    if (g->tx->open)
        committed(g, v);
    else
        opened(g, v);
}

void cmd_data_end(struct smtp_engine *g)
{
    const struct transaction *t = g->tx;
    struct engine_reply r = {t->refusal_code, t->refusal_enhanced, t->refusal_text};

    g->state = ENGINE_COMMAND;
    if (!t->refused) {
        engine_ask(g, SMTP_COMMIT, WAIT_COMMIT);
        return;
    }
    transaction_free(&g->tx); /* ABORT was said where the content went wrong */
    emit_reply(g, r);
    engine_command_done(g);
}
