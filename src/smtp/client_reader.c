/* Bytes to replies (RFC 5321 4.2.1). Lines end with LF, a CR before it is dropped: servers that
 * send bare LF are understood, and nothing can be smuggled towards us that a server could not say
 * anyway. Everything is bounded. */
#include "smtp/client_private.h"

#include <string.h>

#define LINE_MAX 12400       /* a 334 may have 12,288 bytes (RFC 4954 4); replies else 512 (RFC 5321 4.5.3.1.5) */
#define STRANGE_LINE_MAX 128 /* one that cannot be a reply: no more is needed to show it */
#define TEXT_MAX_BYTES 65536 /* of all lines of one reply */
#define LINES_MAX 512

void client_reader_clear(struct client_reader *r)
{
    buf_clear(&r->line);
    buf_clear(&r->text);
    r->lines = 0;
    r->code = 0;
}

static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static void not_smtp(struct smtp_client *c, const char *why)
{
    struct client_reply r = {0};
    struct buf said = c->in.line;

    c->in.line = (struct buf){0};
    client_reply_local(&r, 451, "4.5.0", "%s (at %s)", why, smtp_client_stage_name(smtp_client_stage(c)));
    client_fail(c, SMTP_CLIENT_NOT_SMTP, SMTP_CLIENT_TEMPORARY, &r, (struct span){buf_data(&said), said.len},
                CLIENT_JUST_CLOSE);
    buf_clear(&said);
}

static void too_long(struct smtp_client *c)
{
    struct client_reply r = {0};

    client_reply_local(&r, 451, "4.5.0", "a reply without end (at %s)", smtp_client_stage_name(smtp_client_stage(c)));
    client_fail(c, SMTP_CLIENT_TOO_LONG, SMTP_CLIENT_TEMPORARY, &r, (struct span){0}, CLIENT_JUST_CLOSE);
}

/* Whether what came of a line can be the beginning of one of ours. */
static bool is_strange(const struct buf *line)
{
    const char *p = buf_data(line);

    for (size_t i = 0; i < line->len && i < 3; i++)
        if (!is_digit(p[i]))
            return true;
    return false;
}

/* "250-text", "250 text", "250" (RFC 5321 4.2: a reply may lack its text and even the blank). 0: no
 * reply line. */
static uint16_t line_code(struct span s)
{
    if (s.n < 3 || !is_digit(s.p[0]) || !is_digit(s.p[1]) || !is_digit(s.p[2]))
        return 0;
    if (s.n > 3 && s.p[3] != ' ' && s.p[3] != '-')
        return 0;
    /* RFC 5321 4.2.1: there is no 1yz in SMTP, and nothing above 5 */
    if (s.p[0] < '2' || s.p[0] > '5')
        return 0;
    return (uint16_t)((s.p[0] - '0') * 100 + (s.p[1] - '0') * 10 + (s.p[2] - '0'));
}

/* A line is complete. True: so is the reply. */
static bool end_of_line(struct smtp_client *c)
{
    struct client_reader *r = &c->in;
    struct span s = {buf_data(&r->line), r->line.len};
    uint16_t code;
    bool last;

    if (s.n && s.p[s.n - 1] == '\r')
        s.n--;
    r->line.len = s.n;
    code = line_code(s);
    if (!code) {
        not_smtp(c, "not an SMTP reply");
        return false;
    }
    if (r->code && r->code != code) {
        /* RFC 5321 4.2.1: "the reply code [...] must be the same on each line": whose word would
         * count? */
        not_smtp(c, "lines of one reply with different codes");
        return false;
    }
    r->code = code;
    last = s.n == 3 || s.p[3] == ' ';
    if (s.n > 4)
        buf_append(&r->text, s.p + 4, s.n - 4);
    buf_append(&r->text, "\n", 1);
    buf_clear(&r->line);
    if (!last && (++r->lines >= LINES_MAX || r->text.len > TEXT_MAX_BYTES)) {
        too_long(c);
        return false;
    }
    return last;
}

size_t client_reader_feed(struct smtp_client *c, const char *p, size_t n, bool *whole)
{
    struct client_reader *r = &c->in;
    const char *lf;
    size_t take, room;

    if (r->line.len < 3) { /* byte by byte until it is known what kind of line this is */
        n = 1;
    }
    room = (is_strange(&r->line) ? STRANGE_LINE_MAX : LINE_MAX) - r->line.len;
    if (n > room)
        n = room;
    lf = memchr(p, '\n', n);
    take = lf ? (size_t)(lf - p) + 1 : n;
    buf_append(&r->line, p, lf ? take - 1 : take);
    if (lf) {
        *whole = end_of_line(c);
    } else if (r->line.len >= 2 && (buf_data(&r->line)[0] == 0x15 || buf_data(&r->line)[0] == 0x16) &&
               buf_data(&r->line)[1] == 0x03) {
        not_smtp(c, "a TLS record where SMTP is expected");
    } else if (r->line.len >= (is_strange(&r->line) ? STRANGE_LINE_MAX : LINE_MAX)) {
        if (is_strange(&r->line))
            not_smtp(c, "not an SMTP reply");
        else
            too_long(c);
    }
    return take;
}
