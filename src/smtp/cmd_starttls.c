/* STARTTLS, RFC 3207. What it gets is the same value that EHLO showed: g->tls. */
#include "smtp/engine_private.h"

#include <string.h>

static const char ready[] = "220 2.0.0 Ready to start TLS\r\n";

static void refuse(struct smtp_engine *g)
{
    struct engine_reply r = {g->tls.code, g->tls.enhanced, g->tls.text};

    if (g->in_tls && r.code != 503) /* RFC 3207 4.2: TLS is negotiated once */
        r = (struct engine_reply){503, "5.5.1", "Already in TLS"};
    emit_event(g, g->in_tls ? SMTP_EVENT_START_TLS_ALREADY : SMTP_EVENT_START_TLS_UNAVAILABLE, span_str(g->tls.reason),
               r.code);
    emit_reply(g, r);
    engine_command_done(g);
}

void cmd_starttls_run(struct smtp_engine *g, struct span arg)
{
    (void)arg;
    if (!g->tls_known) {
        engine_ask(g, SMTP_ASK_TLS, WAIT_TLS_VIEW);
    } else if (g->in_tls || !g->tls.accept) {
        refuse(g);
    } else if (g->tx) {
        dispatch_refuse(g, 503, "5.5.1", "Not inside a transaction");
    } else {
        emit_bytes(g, SMTP_START_TLS, ready, strlen(ready));
        g->wait = WAIT_HANDSHAKE;
    }
}
