#include "smtp/engine_private.h"
#include "smtp/mail_params.h"
#include "smtp/mail_path.h"

#include <stdlib.h>
#include <string.h>

static bool is_time_for_rcpt(struct smtp_engine *g)
{
    uint32_t max = engine_max_recipients(g->profile);

    if (!g->tx) {
        dispatch_refuse(g, 503, "5.5.1", "Say MAIL first");
    } else if (g->tx->open) {
        dispatch_refuse(g, 503, "5.5.1", "The message has begun");
    } else if (max && g->tx->rcpt_count >= max) {
        /* RFC 5321 4.5.3.1.10: 452, and the transaction goes on with those it has */
        dispatch_refuse(g, 452, "4.5.3", "Too many recipients");
    } else {
        return true;
    }
    return false;
}

static bool is_good_path(struct smtp_engine *g, const struct mail_path *path, enum mail_path_fault fault)
{
    if (fault == MAIL_PATH_BAD_SYNTAX)
        dispatch_refuse(g, 501, "5.1.3", "Bad recipient address syntax");
    else if (path->non_ascii && !g->tx->params.smtputf8) /* RFC 6531 3.5 */
        dispatch_refuse(g, 553, "5.6.7", "A non-ASCII address needs SMTPUTF8");
    else if (fault == MAIL_PATH_NOT_UTF8)
        dispatch_refuse(g, 501, "5.1.3", "The recipient address is not UTF-8");
    else if (fault == MAIL_PATH_TOO_LONG)
        dispatch_refuse(g, 501, "5.1.3", "Recipient address too long");
    else
        return true;
    return false;
}

static void ask(struct smtp_engine *g, const struct mail_path *path, const struct smtp_rcpt_params *params)
{
    char *local = mem_alloc(path->local.n);
    size_t n = mail_path_unquote(local, path->local);

    g->path_at = (uint32_t)(path->mailbox.p - buf_data(&g->line));
    g->path_len = (uint32_t)path->mailbox.n;
    emit_rcpt(g, (struct span){local, n}, path->domain, params);
    g->wait = WAIT_RCPT;
    free(local);
}

void cmd_rcpt_run(struct smtp_engine *g, struct span arg)
{
    struct smtp_rcpt_params params;
    enum mail_params_fault bad;
    struct mail_path path;
    size_t n = strlen("TO:");

    if (!is_time_for_rcpt(g))
        return;
    if (!span_starts_nocase(arg, "TO:")) {
        dispatch_refuse(g, 501, "5.5.4", "Syntax: RCPT TO:<address>");
        return;
    }
    while (n < arg.n && arg.p[n] == ' ')
        n++;
    arg.p += n;
    arg.n -= n;
    if (!is_good_path(g, &path, mail_path_parse(&path, arg, MAIL_PATH_FORWARD)))
        return;
    arg.p += path.used;
    arg.n -= path.used;
    bad = mail_params_rcpt(&params, arg, g->profile->dsn);
    if (bad == MAIL_PARAMS_UNKNOWN)
        dispatch_refuse(g, 555, "5.5.4", "A parameter of RCPT is not supported");
    else if (bad == MAIL_PARAMS_BAD)
        dispatch_refuse(g, 501, "5.5.4", "Bad parameter of RCPT");
    else
        ask(g, &path, &params);
}

void cmd_rcpt_answer(struct smtp_engine *g, const struct smtp_verdict *v)
{
    struct span path = {buf_data(&g->line) + g->path_at, g->path_len};

    if (verdict_is_yes(v))
        transaction_add_rcpt(g->tx, path, v->rcpt_ids, v->rcpt_id_count);
    else
        emit_event(g, SMTP_EVENT_RCPT_REFUSED, path, v->code);
    verdict_reply(g, v, (struct engine_reply){250, "2.1.5", "Ok"});
    engine_command_done(g);
}
