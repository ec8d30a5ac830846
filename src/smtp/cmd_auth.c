/* AUTH, RFC 4954. Only its outer form is known here: who may say it when, lines of base64, and the replies. Mechanisms
 * and passwords are the session's business. */
#include "smtp/engine_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"

#define MECHANISM_MAX 20 /* RFC 4422 3.1: sasl-mech = 1*20mech-char */

static bool is_base64(struct span text)
{
    char *room = mem_alloc(text.n + 4);
    size_t n;
    bool good = base64_decode(room, &n, text);

    explicit_bzero(room, text.n);
    free(room);
    return good;
}

/* Is the word among those that EHLO listed? */
static bool is_listed(const char *list, struct span word)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ");

        if (n == word.n && strncasecmp(p, word.p, n) == 0)
            return true;
        p += n + strspn(p + n, " ");
    }
    return false;
}

static bool is_time_for_auth(struct smtp_engine *g)
{
    if (!g->profile->auth)
        dispatch_refuse(g, 502, "5.5.1", "AUTH is not offered");
    else if (!g->in_tls) /* require-tls said so already; a listener without it must not take passwords either */
        dispatch_refuse(g, 530, "5.7.0", "Must issue a STARTTLS command first");
    else if (!g->hello || !g->esmtp)
        dispatch_refuse(g, 503, "5.5.1", "Say EHLO first");
    else if (g->identity) /* RFC 4954 4: "no more AUTH commands may be issued in the same session" */
        dispatch_refuse(g, 503, "5.5.1", "You have logged in already");
    else if (g->tx) /* RFC 4954 4: "not permitted during a mail transaction" */
        dispatch_refuse(g, 503, "5.5.1", "Not inside a transaction");
    else
        return true;
    return false;
}

static void ask(struct smtp_engine *g, struct span mechanism, struct span text, bool has_text)
{
    emit_auth(g, mechanism, text, has_text);
    g->wait = WAIT_AUTH;
}

void cmd_auth_run(struct smtp_engine *g, struct span arg)
{
    const char *space = arg.n ? memchr(arg.p, ' ', arg.n) : NULL;
    struct span mechanism = {arg.p, space ? (size_t)(space - arg.p) : arg.n}, initial = {0};

    if (!is_time_for_auth(g))
        return;
    if (space) {
        initial = (struct span){space + 1, arg.n - mechanism.n - 1};
        if (span_is(initial, "=")) /* RFC 4954 4: a response of no bytes */
            initial.n = 0;
    }
    if (mechanism.n == 0 || mechanism.n > MECHANISM_MAX)
        dispatch_refuse(g, 501, "5.5.4", "Syntax: AUTH mechanism [initial-response]");
    else if (!g->tls.auth)
        dispatch_refuse(g, 454, "4.7.0", "Temporary authentication failure");
    else if (!is_listed(g->tls.auth, mechanism))
        dispatch_refuse(g, 504, "5.5.4", "This mechanism is not offered");
    else if (space && !is_base64(initial))
        dispatch_refuse(g, 501, "5.5.2", "The response is not base64");
    else
        ask(g, mechanism, initial, space != NULL);
}

/* The exchange is over, whatever its end. */
static void finish(struct smtp_engine *g)
{
    if (buf_data(&g->line))
        explicit_bzero(buf_data(&g->line), g->line.len);
    g->state = ENGINE_COMMAND;
}

void cmd_auth_cancel(struct smtp_engine *g)
{
    emit_action(g, SMTP_CANCEL_AUTH);
    finish(g);
}

static void give_up(struct smtp_engine *g, const char *enhanced, const char *text)
{
    cmd_auth_cancel(g);
    dispatch_refuse(g, 501, enhanced, text);
}

void cmd_auth_line(struct smtp_engine *g, struct span line)
{
    if (span_is(line, "*")) /* RFC 4954 4: "the server MUST reject the AUTH command by sending a 501 reply" */
        give_up(g, "5.7.0", "Authentication cancelled");
    else if (!is_base64(line))
        give_up(g, "5.5.2", "The response is not base64");
    else
        ask(g, (struct span){0}, line, true);
}

static void challenge(struct smtp_engine *g, const char *base64)
{
    struct buf b = {0};

    buf_printf(&b, "334 %s\r\n", base64 ? base64 : "");
    emit_reply_lines(g, &b);
    buf_clear(&b);
    if (buf_data(&g->line))
        explicit_bzero(buf_data(&g->line), g->line.len);
    buf_clear(&g->line);
    g->state = ENGINE_AUTH; /* the command goes on with the next line */
}

void smtp_engine_answer_auth(struct smtp_engine *g, const struct smtp_auth_answer *a)
{
    static const struct engine_reply replies[] = {
        [SMTP_AUTH_OK] = {235, "2.7.0", "Welcome"},
        [SMTP_AUTH_FAILED] = {535, "5.7.8", "Authentication credentials invalid"},
        [SMTP_AUTH_MALFORMED] = {501, "5.5.2", "The response is not what the mechanism needs"},
        [SMTP_AUTH_UNKNOWN] = {504, "5.5.4", "This mechanism is not offered"},
        [SMTP_AUTH_UNAVAILABLE] = {454, "4.7.0", "Temporary authentication failure"},
    };

    engine_answered(g, WAIT_AUTH);
    if (a->kind == SMTP_AUTH_CONTINUE) {
        challenge(g, a->challenge);
        return;
    }
    finish(g);
    if (a->kind == SMTP_AUTH_TOO_MANY) {
        engine_close(g, "4.7.0", "too many failed logins", SMTP_CLOSE_BY_VERDICT);
        engine_command_done(g);
        return;
    }
    if (a->kind == SMTP_AUTH_OK)
        g->identity = mem_str(a->identity);
    emit_reply(g, replies[a->kind]);
    engine_command_done(g);
}
