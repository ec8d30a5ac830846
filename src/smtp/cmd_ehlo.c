/* EHLO and HELO. RFC 2034 4: no enhanced codes in these replies. */
#include "smtp/engine_private.h"

#include <stdlib.h>
#include <string.h>

#define HELLO_MAX 255
#define LIMIT_MAX 999999u /* RFC 9422 3: "1*6DIGIT" */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* RFC 5321 4.1.4: a server "MUST NOT refuse to accept a message" for what the name turns out to be,
 * and the world's printers and cameras call themselves many things: one printable word with a
 * letter or digit in it is a name. Refused is what could not be anything but garbage, or hurts in a
 * header. */
static bool is_hello_name(struct span s)
{
    bool literal = s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';
    bool some = false;

    if (s.n == 0 || s.n > HELLO_MAX)
        return false;
    for (size_t i = literal; i < s.n - literal; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("()<>@,;\\\"[]", s.p[i]))
            return false;
        some |= is_alnum(s.p[i]);
    }
    return some;
}

static void extension(struct buf *b, const char *keyword, uint64_t value)
{
    if (value)
        buf_printf(b, "250-%s %llu\r\n", keyword, (unsigned long long)value);
    else
        buf_printf(b, "250-%s\r\n", keyword);
}

static void limits(struct buf *b, const struct smtp_profile *p)
{
    uint32_t most = engine_max_recipients(p);
    unsigned rcpt = most < LIMIT_MAX ? most : LIMIT_MAX;
    unsigned mail = p->max_messages < LIMIT_MAX ? p->max_messages : LIMIT_MAX;

    if (!rcpt && !mail)
        return;
    buf_printf(b, "250-LIMITS");
    if (rcpt)
        buf_printf(b, " RCPTMAX=%u", rcpt);
    if (mail)
        buf_printf(b, " MAILMAX=%u", mail);
    buf_printf(b, "\r\n");
}

static void ehlo_reply(struct smtp_engine *g)
{
    const struct smtp_profile *p = g->profile;
    struct buf b = {0};

    buf_printf(&b, "250-%s\r\n", p->hostname);
    extension(&b, "PIPELINING", 0);
    extension(&b, "SIZE", p->max_message_size);
    extension(&b, "8BITMIME", 0);
    if (p->smtputf8)
        extension(&b, "SMTPUTF8", 0);
    extension(&b, "CHUNKING", 0);
    /* RFC 3207 4.2: "A server MUST NOT return the STARTTLS extension in response to an EHLO command
     * received after a TLS handshake has completed." */
    if (g->tls.advertise && !g->in_tls)
        extension(&b, "STARTTLS", 0);
    if (p->auth && g->in_tls && g->tls.auth && !g->identity)
        buf_printf(&b, "250-AUTH %s\r\n", g->tls.auth);
    if (p->dsn)
        extension(&b, "DSN", 0);
    if (p->requiretls && g->in_tls) /* RFC 8689 2: only there */
        extension(&b, "REQUIRETLS", 0);
    limits(&b, p);
    buf_printf(&b, "250 ENHANCEDSTATUSCODES\r\n");
    emit_reply_lines(g, &b);
    buf_clear(&b);
}

static void hello(struct smtp_engine *g, struct span name, bool esmtp)
{
    if (!is_hello_name(name)) {
        emit_event_flag(g, SMTP_EVENT_INVALID_EHLO, name, esmtp);
        emit_reply(g, (struct engine_reply){501, NULL, "A host name or address literal is needed"});
        engine_command_done(g);
        return;
    }
    if (!g->tls_fresh) {
        engine_ask(g, SMTP_ASK_TLS, WAIT_TLS_VIEW);
        return;
    }
    engine_reset(g); /* RFC 5321 4.1.4: as if a RSET had come */
    free(g->hello);
    g->hello = mem_strn(name.p, name.n);
    g->esmtp = esmtp;
    g->accepted = true;
    emit_event_flag(g, SMTP_EVENT_EHLO, name, esmtp);
    if (esmtp) {
        if (!g->tls.advertise && !g->in_tls)
            emit_event(g, SMTP_EVENT_EHLO_WITHOUT_STARTTLS, span_str(g->tls.reason), 0);
        ehlo_reply(g);
    } else {
        emit_reply(g, (struct engine_reply){250, NULL, g->profile->hostname});
    }
    engine_command_done(g);
}

void cmd_ehlo_run(struct smtp_engine *g, struct span arg)
{
    hello(g, arg, true);
}

void cmd_helo_run(struct smtp_engine *g, struct span arg)
{
    hello(g, arg, false);
}
