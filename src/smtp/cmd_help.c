#include "smtp/engine_private.h"

static void help_starttls(struct smtp_engine *g, struct buf *b)
{
    const char *reason = g->tls.reason;

    if (g->tls.advertise && g->tls.accept && !g->in_tls)
        buf_printf(b, "214 2.0.0 STARTTLS is offered\r\n");
    else if (g->profile->help_shows_reason && reason)
        buf_printf(b, "214 2.0.0 STARTTLS is not offered: %s\r\n", reason);
    else
        buf_printf(b, "214 2.0.0 STARTTLS is not offered\r\n");
}

static void help(struct smtp_engine *g, struct buf *b)
{
    bool starttls = g->tls.advertise && !g->in_tls;

    buf_printf(b, "214-2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP%s\r\n",
               starttls ? " STARTTLS" : "");
    buf_printf(b, "214 2.0.0 RFC 5321\r\n");
}

void cmd_help_run(struct smtp_engine *g, struct span arg)
{
    struct buf b = {0};

    if (!g->tls_known) {
        engine_ask(g, SMTP_ASK_TLS, WAIT_TLS_VIEW);
        return;
    }
    if (span_is_nocase(arg, "STARTTLS"))
        help_starttls(g, &b);
    else
        help(g, &b);
    emit_reply_lines(g, &b);
    buf_clear(&b);
    engine_command_done(g);
}
