/* The verbs that fit on a line or two. */
#include "smtp/engine_private.h"

void cmd_noop_run(struct smtp_engine *g, struct span arg)
{
    (void)arg; /* RFC 5321 4.1.1.9: "If a parameter string is specified, servers SHOULD ignore it." */
    emit_reply(g, (struct engine_reply){250, "2.0.0", "Ok"});
    engine_command_done(g);
}

void cmd_rset_run(struct smtp_engine *g, struct span arg)
{
    (void)arg;
    engine_reset(g);
    emit_reply(g, (struct engine_reply){250, "2.0.0", "Ok"});
    engine_command_done(g);
}

void cmd_quit_run(struct smtp_engine *g, struct span arg)
{
    struct buf t = {0};

    (void)arg;
    engine_reset(g);
    buf_printf(&t, "221 2.0.0 %s closing connection\r\n", g->profile->hostname);
    emit_reply_lines(g, &t);
    buf_clear(&t);
    g->state = ENGINE_CLOSED;
    emit_close(g, SMTP_CLOSE_QUIT);
    engine_command_done(g);
}

/* RFC 5321 7.3: 252 says nothing about who is here, and refuses nobody. */
void cmd_vrfy_run(struct smtp_engine *g, struct span arg)
{
    if (arg.n == 0) {
        dispatch_refuse(g, 501, "5.5.4", "Syntax: VRFY address");
        return;
    }
    emit_reply(g, (struct engine_reply){252, "2.5.0", "Cannot verify, send the message and see"});
    engine_command_done(g);
}

void cmd_expn_run(struct smtp_engine *g, struct span arg)
{
    (void)arg;
    dispatch_refuse(g, 502, "5.5.1", "EXPN is not offered");
}
