/* Bytes to command lines. RFC 5321 2.3.8: "Conforming implementations MUST NOT recognize or
 * generate any other character or character sequence [than CRLF] as a line terminator." A lone LF
 * never ends a command; a server that lets it do so can be made to see commands where its peer saw
 * text. */
#include "smtp/engine_private.h"

#include <string.h>

/* What the extensions add to a MAIL line: SIZE 26 (RFC 1870 3), 8BITMIME 17 (RFC 6152 2), SMTPUTF8
 * 10 (RFC 6531 3.1), REQUIRETLS 11 (RFC 8689 2); AUTH= 500 (RFC 4954 3); to MAIL and RCPT, DSN up to 638: NOTIFY with
 * all its words, and ORCPT of 500 (RFC 3461 4). Nothing is gained by refusing the same length of another command. */
#define FOR_EXTENSIONS (26 + 17 + 10)
#define FOR_REQUIRETLS 11u
#define FOR_AUTH 500u
#define FOR_DSN 638u
#define LINE_FLOOR 512  /* RFC 5321 4.5.3.1.4 */
#define AUTH_LINE 12288 /* RFC 4954 4, with CRLF; AUTH with its initial response, too */

static bool is_auth(const struct smtp_engine *g)
{
    return g->state == ENGINE_AUTH || (g->profile->auth && g->in_tls && g->line.len >= 5 &&
                                       span_starts_nocase((struct span){buf_data(&g->line), 5}, "AUTH "));
}

static size_t limit(const struct smtp_engine *g)
{
    size_t n = g->profile->max_line < LINE_FLOOR ? LINE_FLOOR : g->profile->max_line;

    n += FOR_EXTENSIONS + (g->profile->requiretls ? FOR_REQUIRETLS : 0u) + (g->profile->auth ? FOR_AUTH : 0u) +
         (g->profile->dsn ? FOR_DSN : 0u);
    return is_auth(g) && n < AUTH_LINE ? AUTH_LINE : n;
}

/* Bytes up to and with the CRLF that ends the line, 0: it is not among these. */
static size_t find_end(const struct smtp_engine *g, const char *p, size_t n)
{
    const char *from = p, *lf;

    while ((lf = memchr(from, '\n', n - (size_t)(from - p)))) {
        if (lf > p ? lf[-1] == '\r' : g->last_cr)
            return (size_t)(lf - p) + 1;
        from = lf + 1;
    }
    return 0;
}

/* An HTTP request line at the very start: a browser was pointed, or lured, at this port; its next
 * lines may be commands that somebody else chose. No SMTP verb begins like these. */
static bool is_http(const struct buf *line, struct span *method)
{
    static const char *const methods[] = {"GET ",     "POST ",    "HEAD ",  "PUT ",   "DELETE ",
                                          "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ", "PRI "};

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = strlen(methods[i]);

        if (line->len >= n && memcmp(buf_data(line), methods[i], n) == 0) {
            *method = (struct span){methods[i], n - 1};
            return true;
        }
    }
    return false;
}

/* Looks at what has come of the first line. True: this is not SMTP, and the session is closed. */
static bool is_wrong_protocol(struct smtp_engine *g)
{
    const char *p = buf_data(&g->line);
    struct span method;

    /* A TLS record: handshake (0x16), version 3.x. No words of ours mean anything to this client.
     */
    if (g->line.len >= 2 && p[0] == 0x16 && p[1] == 0x03) {
        emit_event(g, SMTP_EVENT_CLIENT_HELLO, (struct span){0}, 0);
        g->state = ENGINE_CLOSED;
        emit_close(g, SMTP_CLOSE_WRONG_PROTOCOL);
        return true;
    }
    if (is_http(&g->line, &method)) {
        emit_event(g, SMTP_EVENT_HTTP, method, 421);
        engine_close(g, "4.7.0", "this is SMTP, not HTTP", SMTP_CLOSE_WRONG_PROTOCOL);
        return true;
    }
    return false;
}

/* The limit is looked at again when the verb is there: how the bytes were cut must not matter. */
static void keep(struct smtp_engine *g, const char *p, size_t n)
{
    while (n && !g->too_long) {
        size_t room = limit(g) - g->line.len, take = n < room ? n : room;

        if (g->line.len < 5 && take > 5 - g->line.len)
            take = 5 - g->line.len;
        g->too_long = take == 0;
        buf_append(&g->line, p, take);
        p += take;
        n -= take;
    }
}

static void end_of_line(struct smtp_engine *g)
{
    g->first = g->last_cr = false;
    if (!g->too_long) {
        dispatch_line(g);
        return;
    }
    g->too_long = false;
    emit_event(g, SMTP_EVENT_LINE_TOO_LONG, (struct span){0}, 500);
    if (g->state == ENGINE_AUTH) {
        cmd_auth_cancel(g);
        emit_reply(g, (struct engine_reply){500, "5.5.6", "Authentication exchange line is too long"});
    } else {
        emit_reply(g, (struct engine_reply){500, "5.5.2", "Line too long"});
    }
    engine_command_done(g);
}

size_t frame_feed(struct smtp_engine *g, const char *p, size_t n)
{
    size_t end = find_end(g, p, n);
    size_t take = end ? end : n;

    keep(g, p, take);
    g->last_cr = p[take - 1] == '\r';
    if (g->first && is_wrong_protocol(g)) {
        buf_clear(&g->line);
        return take;
    }
    if (g->too_long)
        buf_clear(&g->line);
    if (end)
        end_of_line(g);
    return take;
}
