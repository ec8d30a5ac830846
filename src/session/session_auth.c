/* AUTH: between the engine, which knows lines and replies, and the auth process, which knows users. */
#include <stdio.h>
#include <string.h>

#include "session/session.h"

static void answered(void *arg, enum auth_verdict v, const char *text)
{
    static const enum smtp_auth_kind kinds[] = {
        [AUTH_CONTINUE] = SMTP_AUTH_CONTINUE, [AUTH_OK] = SMTP_AUTH_OK,
        [AUTH_FAILED] = SMTP_AUTH_FAILED,     [AUTH_MALFORMED] = SMTP_AUTH_MALFORMED,
        [AUTH_UNKNOWN] = SMTP_AUTH_UNKNOWN,   [AUTH_UNAVAILABLE] = SMTP_AUTH_UNAVAILABLE,
        [AUTH_TOO_MANY] = SMTP_AUTH_TOO_MANY};
    struct smtp_auth_answer a = {.kind = kinds[v], .challenge = text, .identity = text};
    struct session *s = arg;

    if (v != AUTH_CONTINUE)
        s->talk = NULL;
    if (v == AUTH_OK)
        s->may_relay = true;
    s->wait = SESSION_READ;
    smtp_engine_answer_auth(s->engine, &a);
    session_resume(s);
}

bool session_ask_auth(struct session *s, const struct smtp_action *a)
{
    struct auth_begin_msg m = {.has_text = a->flag, .client = s->peer, .local = s->socket->local};

    s->wait = SESSION_AUTH;
    if (!a->mechanism.n) {
        auth_step(s->talk, a->text.p, a->text.n);
        return false;
    }
    for (size_t i = 0; i < a->mechanism.n && i + 1 < sizeof m.mechanism; i++)
        m.mechanism[i] =
            (char)(a->mechanism.p[i] >= 'a' && a->mechanism.p[i] <= 'z' ? a->mechanism.p[i] - 32 : a->mechanism.p[i]);
    snprintf(m.session, sizeof m.session, "%llx", (unsigned long long)s->id);
    s->talk = auth_begin(s->server->auth, &m, a->text.p, a->text.n, answered, s);
    return false;
}

void session_cancel_auth(struct session *s)
{
    auth_cancel(&s->talk);
}
