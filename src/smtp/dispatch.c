/* A line to its verb: what holds for all commands is checked here, once. */
#include "smtp/engine_private.h"

#include <string.h>
#include <strings.h>

static const struct verb verbs[] = {
    {"MAIL", cmd_mail_run, cmd_mail_answer, VERB_NEEDS_MAIL},
    {"RCPT", cmd_rcpt_run, cmd_rcpt_answer, 0},
    {"DATA", cmd_data_run, cmd_data_answer, VERB_NO_ARGUMENT},
    {"BDAT", cmd_bdat_run, cmd_bdat_answer, VERB_OWN_CHECKS},
    {"EHLO", cmd_ehlo_run, NULL, VERB_IN_CLEAR},
    {"HELO", cmd_helo_run, NULL, VERB_IN_CLEAR},
    {"STARTTLS", cmd_starttls_run, NULL, VERB_IN_CLEAR | VERB_NO_ARGUMENT},
    {"QUIT", cmd_quit_run, NULL, VERB_IN_CLEAR | VERB_NO_ARGUMENT},
    {"RSET", cmd_rset_run, NULL, VERB_IN_CLEAR | VERB_NO_ARGUMENT},
    {"NOOP", cmd_noop_run, NULL, VERB_IN_CLEAR},
    {"HELP", cmd_help_run, NULL, VERB_IN_CLEAR},
    {"VRFY", cmd_vrfy_run, NULL, 0},
    {"EXPN", cmd_expn_run, NULL, 0},
    {"AUTH", cmd_auth_run, NULL, VERB_NEEDS_MAIL},
};

static const struct verb unknown; /* run == NULL */

static const struct verb *find_verb(struct span name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (span_is_nocase(name, verbs[i].name))
            return &verbs[i];
    return &unknown;
}

/* The word before the first space. */
static struct span first_word(struct span line)
{
    const char *space = memchr(line.p, ' ', line.n);

    return (struct span){line.p, space ? (size_t)(space - line.p) : line.n};
}

/* The line without CRLF and, RFC 5321 4.1.1: "Receivers SHOULD tolerate trailing white space before
 * the terminating <CRLF>." */
static struct span text_of(const struct buf *line)
{
    struct span s = {buf_data(line), line->len - 2};

    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static struct span argument_of(struct span line, struct span name)
{
    struct span arg = {line.p + name.n, line.n - name.n};

    while (arg.n && arg.p[0] == ' ') {
        arg.p++;
        arg.n--;
    }
    return arg;
}

/* What a refused command is called in events: never more than a word of it. */
static struct span event_name(const struct smtp_engine *g)
{
    struct span name = {0};

    if (g->verb && g->verb->name)
        return span_str(g->verb->name);
    if (g->line.len >= 2)
        name = first_word(text_of(&g->line));
    if (name.n > 32)
        name.n = 32;
    return name;
}

void dispatch_refuse(struct smtp_engine *g, uint16_t code, const char *enhanced, const char *text)
{
    emit_event(g, SMTP_EVENT_REFUSED, event_name(g), code);
    emit_reply(g, (struct engine_reply){code, enhanced, text});
    engine_command_done(g);
}

bool dispatch_tls_refuses(const struct smtp_engine *g, struct engine_reply *r)
{
    if (g->in_tls)
        return false;
    if (g->tls.require_broken) {
        /* The client cannot do what we require, and that is our fault: 4xx, so the mail waits. */
        *r = (struct engine_reply){454, "4.7.0", "TLS is required, and not available at the moment"};
        return g->verb->flags & VERB_NEEDS_MAIL;
    }
    *r = (struct engine_reply){530, "5.7.0", "Must issue a STARTTLS command first"}; /* RFC 3207 4 */
    return g->tls.require;
}

/* A middlebox that does not want TLS overwrites the keyword in the EHLO reply, and the client, or
 * the box, sends what is left of it. */
static bool is_mangled_starttls(struct span name)
{
    if (name.n != strlen("STARTTLS"))
        return false;
    for (size_t i = 0; i + 1 < name.n; i++)
        if ((name.p[i] | 0x20) != 'x')
            return false;
    return true;
}

static void run_unknown(struct smtp_engine *g)
{
    struct span name = first_word(text_of(&g->line));

    if (is_mangled_starttls(name))
        emit_event(g, SMTP_EVENT_MANGLED_STARTTLS, name, 500);
    dispatch_refuse(g, 500, "5.5.1", "Command not recognized");
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

void dispatch_again(struct smtp_engine *g)
{
    struct span line = text_of(&g->line);
    struct span arg = argument_of(line, first_word(line));
    struct engine_reply r;

    if (!(g->verb->flags & (VERB_IN_CLEAR | VERB_OWN_CHECKS))) {
        if (!g->tls_known) {
            engine_ask(g, SMTP_ASK_TLS, WAIT_TLS_VIEW);
            return;
        }
        if (dispatch_tls_refuses(g, &r)) {
            dispatch_refuse(g, r.code, r.enhanced, r.text);
            return;
        }
    }
    if (!g->verb->run)
        run_unknown(g);
    else if ((g->verb->flags & VERB_NO_ARGUMENT) && arg.n)
        dispatch_refuse(g, 501, "5.5.4", "No argument is allowed here");
    else
        g->verb->run(g, arg);
}

void dispatch_line(struct smtp_engine *g)
{
    struct span line = text_of(&g->line);

    if (g->state == ENGINE_AUTH) { /* everything that is no base64 is refused there */
        cmd_auth_line(g, (struct span){buf_data(&g->line), g->line.len - 2});
        return;
    }
    g->verb = &unknown;
    if (memchr(buf_data(&g->line), '\n', g->line.len - 2) || memchr(buf_data(&g->line), '\r', g->line.len - 2)) {
        /* CVE-2023-51764 and its family: one side's line is another side's two. */
        emit_event(g, SMTP_EVENT_BARE_NEWLINE, SPAN("command"), 500);
        emit_reply(g, (struct engine_reply){500, "5.5.2", "Bare CR or LF in a command"});
        engine_command_done(g);
        return;
    }
    if (line.n == 0) {
        dispatch_refuse(g, 500, "5.5.2", "Empty command");
        return;
    }
    if (has_control(line)) {
        g->verb = find_verb(first_word(line));
        dispatch_refuse(g, g->verb->run ? 501 : 500, "5.5.2", "Control characters are not allowed");
        return;
    }
    g->verb = find_verb(first_word(line));
    dispatch_again(g);
}

bool verdict_is_yes(const struct smtp_verdict *v)
{
    return v->code < 300;
}

void verdict_reply(struct smtp_engine *g, const struct smtp_verdict *v, struct engine_reply yes)
{
    if (v->code == 421) {
        engine_close(g, v->enhanced ? v->enhanced : "4.3.0", v->text ? v->text : "closing", SMTP_CLOSE_BY_VERDICT);
        return;
    }
    if (v->code == 0)
        emit_reply(g, yes);
    else
        emit_reply(g, (struct engine_reply){v->code, v->enhanced, v->text});
}
