/* What a reply means. The first digit decides (RFC 5321 4.2.1, 4.3.2: "SHOULD use only the first
 * digit where the code is not recognized"); the enhanced code (RFC 3463, RFC 2034) tells more,
 * never otherwise. */
#include "smtp/client_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void client_reply_free(struct client_reply *r)
{
    free(r->text);
    *r = (struct client_reply){0};
}

/* Length of "5.7.13" at the beginning of s, 0: there is none. RFC 3463 2: class "." 1*3digit "."
 * 1*3digit, "without leading zero digits" */
static size_t enhanced_length(struct span s)
{
    size_t at = 0;

    for (int part = 0; part < 3; part++) {
        size_t from = at, max = part ? 3 : 1;

        while (at < s.n && at - from < max && s.p[at] >= '0' && s.p[at] <= '9')
            at++;
        if (at == from || (at - from > 1 && s.p[from] == '0') || (part < 2 && (at == s.n || s.p[at++] != '.')))
            return 0;
    }
    return at == s.n || s.p[at] == ' ' ? at : 0;
}

/* Takes the enhanced code off a line's text, if it is one of the code's class. */
static struct span take_enhanced(struct span line, uint16_t code, char *enhanced)
{
    size_t n = enhanced_length(line);

    /* RFC 2034 4: the class must be that of the code. "550 4.1.1" contradicts itself: the basic
     * code counts, and the other stays in the text for people to see. */
    if (n == 0 || line.p[0] != (char)('0' + code / 100))
        return line;
    if (!enhanced[0])
        memcpy(enhanced, line.p, n);
    line.p += n;
    line.n -= n;
    while (line.n && *line.p == ' ') {
        line.p++;
        line.n--;
    }
    return line;
}

void client_reply_take(const struct client_reader *r, struct client_reply *out)
{
    const char *p = buf_data(&r->text), *end = p + r->text.len;
    struct buf text = {0};

    client_reply_free(out);
    out->code = r->code;
    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        struct span line = take_enhanced((struct span){p, (size_t)(lf - p)}, r->code, out->enhanced);

        if (text.len && line.n)
            buf_append(&text, " ", 1);
        buf_append(&text, line.p, line.n);
        p = lf + 1;
    }
    if (!out->enhanced[0])
        snprintf(out->enhanced, sizeof out->enhanced, "%d.0.0", r->code / 100);
    out->text_len = text.len < CLIENT_TEXT_MAX ? text.len : CLIENT_TEXT_MAX;
    out->text = mem_strn(text.len ? buf_data(&text) : "", out->text_len);
    buf_clear(&text);
}

void client_reply_local(struct client_reply *out, uint16_t code, const char *enhanced, const char *fmt, ...)
{
    char text[CLIENT_TEXT_MAX];
    va_list ap;

    client_reply_free(out);
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    out->text = mem_str(text);
    out->text_len = strlen(text);
    out->code = code;
    out->local = true;
    snprintf(out->enhanced, sizeof out->enhanced, "%s", enhanced);
}

void client_reply_quote(struct client_reply *out, const struct client_reply *quoted)
{
    struct buf b = {0};

    buf_append(&b, out->text, out->text_len);
    buf_printf(&b, ": %u %s ", quoted->code, quoted->enhanced);
    buf_append(&b, quoted->text, quoted->text_len);
    free(out->text);
    out->text_len = b.len < CLIENT_TEXT_MAX ? b.len : CLIENT_TEXT_MAX;
    out->text = mem_strn(buf_data(&b), out->text_len);
    buf_clear(&b);
}

void client_reply_copy(struct client_reply *out, const struct client_reply *from)
{
    client_reply_free(out);
    *out = *from;
    out->text = mem_strn(from->text ? from->text : "", from->text_len);
}

enum smtp_client_outcome client_reply_outcome(const struct client_reply *r, enum smtp_client_stage stage)
{
    if (r->code < 400)
        return SMTP_CLIENT_OK;
    if (r->code < 500)
        return SMTP_CLIENT_TEMPORARY;
    /* RFC 5321 4.5.3.1.10: "the client SHOULD treat the 552 code in this case as if it were a
     * temporary, rather than permanent, failure" */
    if (r->code == 552 && stage == SMTP_CLIENT_AT_RCPT)
        return SMTP_CLIENT_TEMPORARY;
    /* RFC 3207 4, RFC 4954 6: "530 Must issue a STARTTLS command first", "Authentication required":
     * what is missing is the connection's, and no fault of this message. */
    if (r->code == 530 && !r->local)
        return SMTP_CLIENT_TEMPORARY;
    return SMTP_CLIENT_PERMANENT;
}
