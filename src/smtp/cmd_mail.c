#include "smtp/engine_private.h"
#include "smtp/mail_params.h"
#include "smtp/mail_path.h"

#include <string.h>

/* "FROM:" and what follows; blanks behind the colon are tolerated, many senders write one. */
static bool cut_from(struct span *arg)
{
    size_t n = strlen("FROM:");

    if (!span_starts_nocase(*arg, "FROM:"))
        return false;
    arg->p += n;
    arg->n -= n;
    while (arg->n && arg->p[0] == ' ') {
        arg->p++;
        arg->n--;
    }
    return true;
}

/* Out of order, or not now; false: answered. */
static bool is_time_for_mail(struct smtp_engine *g)
{
    uint32_t max = g->profile->max_messages;

    if (!g->hello) {
        dispatch_refuse(g, 503, "5.5.1", "Say EHLO first");
    } else if (g->tx) {
        dispatch_refuse(g, 503, "5.5.1", "Already in a transaction");
    } else if (g->profile->auth && !g->identity && !g->trusted) {
        dispatch_refuse(g, 530, "5.7.0", "Authentication required"); /* RFC 4954 6 */
    } else if (max && g->transactions >= max) {
        engine_close(g, "4.7.0", "no more messages in this session", SMTP_CLOSE_TOO_MANY_MESSAGES);
        engine_command_done(g);
    } else {
        return true;
    }
    return false;
}

static bool is_good_path(struct smtp_engine *g, const struct mail_path *path, enum mail_path_fault fault, bool smtputf8)
{
    if (fault == MAIL_PATH_BAD_SYNTAX)
        dispatch_refuse(g, 501, "5.1.7", "Bad sender address syntax");
    else if (path->non_ascii && !smtputf8) /* RFC 6531 3.5 */
        dispatch_refuse(g, 553, "5.6.7", "A non-ASCII address needs SMTPUTF8");
    else if (fault == MAIL_PATH_NOT_UTF8)
        dispatch_refuse(g, 501, "5.1.7", "The sender address is not UTF-8");
    else if (fault == MAIL_PATH_TOO_LONG)
        dispatch_refuse(g, 501, "5.1.7", "Sender address too long");
    else
        return true;
    return false;
}

static bool are_good_params(struct smtp_engine *g, enum mail_params_fault fault)
{
    if (fault == MAIL_PARAMS_UNKNOWN)
        dispatch_refuse(g, 555, "5.5.4", "A parameter of MAIL is not supported");
    else if (fault == MAIL_PARAMS_BAD)
        dispatch_refuse(g, 501, "5.5.4", "Bad parameter of MAIL");
    return fault == MAIL_PARAMS_OK;
}

static struct mail_params_offers offers_of(const struct smtp_engine *g)
{
    const struct smtp_profile *p = g->profile;

    return (struct mail_params_offers){
        .smtputf8 = p->smtputf8, .auth = p->auth && g->in_tls, .dsn = p->dsn, .requiretls = p->requiretls && g->in_tls};
}

void cmd_mail_run(struct smtp_engine *g, struct span arg)
{
    struct mail_params_offers offers = offers_of(g);
    struct smtp_mail_params params;
    struct mail_path path;
    enum mail_path_fault fault;

    if (!is_time_for_mail(g))
        return;
    if (!cut_from(&arg)) {
        dispatch_refuse(g, 501, "5.5.4", "Syntax: MAIL FROM:<address>");
        return;
    }
    fault = mail_path_parse(&path, arg, MAIL_PATH_REVERSE);
    if (fault == MAIL_PATH_BAD_SYNTAX) {
        is_good_path(g, &path, fault, false);
        return;
    }
    arg.p += path.used;
    arg.n -= path.used;
    if (!are_good_params(g, mail_params_parse(&params, arg, &offers)) ||
        !is_good_path(g, &path, fault, params.smtputf8))
        return;
    if (g->profile->max_message_size && params.size > g->profile->max_message_size) {
        dispatch_refuse(g, 552, "5.3.4", "Message size exceeds the limit"); /* RFC 1870 6.1 */
        return;
    }
    g->tx = transaction_new(path.mailbox, &params);
    engine_ask(g, SMTP_ASK_SENDER, WAIT_SENDER);
}

void cmd_mail_answer(struct smtp_engine *g, const struct smtp_verdict *v)
{
    if (verdict_is_yes(v)) {
        g->tx->accepted = true;
        g->transactions++;
        emit_event(g, SMTP_EVENT_MAIL_ACCEPTED, (struct span){g->tx->sender, g->tx->sender_len}, 0);
    } else {
        transaction_free(&g->tx);
    }
    verdict_reply(g, v, (struct engine_reply){250, "2.1.0", "Ok"});
    engine_command_done(g);
}
