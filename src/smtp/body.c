/* Message content: dots unstuffed, CRLF to LF, and the rules that content must keep.
 *
 * RFC 5321 4.1.1.4: "The custom of accepting lines ending only in <LF> ... has proven to cause more
 * interoperability problems than it solves, and SMTP server systems MUST NOT do this". If our end
 * of data is not our neighbour's, text of a message becomes commands (SMTP smuggling,
 * CVE-2023-51764): only CRLF.CRLF ends DATA, and a bare CR, a bare LF or a NUL refuses the message,
 * after its true end.
 *
 * Ordinary bytes are found by memchr and moved by memcpy, a line at a time; the switch below only
 * sees the bytes around line ends. Content goes to g->chunk, one CHUNK per feed: a copy costs less
 * than handing out a slice of the fed bytes for every line would cost their reader.
 */
#include "smtp/engine_private.h"

#include <string.h>
#include <strings.h>

#define CHUNK_MAX ((size_t)64 * 1024 - 1) /* a buffer of 64 KiB has room for one byte more */

static const char received_field[] = "received:"; /* lower case */
#define FIELD_LEN (sizeof received_field - 1)
#define FIELD_OTHER 0xff

struct scan {
    struct smtp_engine *g;
    struct transaction *t;
    const char *p, *end;
    const char *cr, *nul; /* the first of each at or after p, end: none; looked for when behind p */
    char *o;              /* where the next byte of content goes; room for end - p + 1 */
};

void body_open(struct smtp_engine *g)
{
    g->tx->open = true;
    g->tx->at = CONTENT_LINE_START;
}

void body_refuse(struct smtp_engine *g, struct engine_reply r, struct span what)
{
    struct transaction *t = g->tx;

    t->refused = true;
    t->refusal_code = r.code;
    t->refusal_enhanced = r.enhanced;
    t->refusal_text = r.text;
    emit_event(g, SMTP_EVENT_MESSAGE_REFUSED, what, r.code);
    emit_action(g, SMTP_ABORT);
}

/* Counts n more bytes; false when the message is too large, *n is then what still fits. */
static bool count(struct scan *s, size_t *n)
{
    uint64_t max = s->g->profile->max_message_size;

    if (max && *n > max - s->t->size) {
        *n = (size_t)(max - s->t->size);
        s->t->size = max;
        body_refuse(s->g, (struct engine_reply){552, "5.3.4", "Message size exceeds the limit"}, SPAN("size"));
        return false;
    }
    s->t->size += *n;
    return true;
}

/* A header line's beginning: one Received: field too many? *n is cut where that shows. */
static bool header_bytes(struct scan *s, const char *p, size_t *n)
{
    struct transaction *t = s->t;

    for (size_t i = 0; i < *n && t->field < FIELD_LEN; i++) {
        char c = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] | 0x20) : p[i];

        t->field = c == received_field[t->field] ? (uint8_t)(t->field + 1) : FIELD_OTHER;
        if (t->field != FIELD_LEN)
            continue;
        t->field = FIELD_OTHER;
        if (++t->hops > s->g->profile->max_hops && s->g->profile->max_hops) {
            *n = i;
            body_refuse(s->g, (struct engine_reply){554, "5.4.6", "Too many hops: a mail loop"}, SPAN("hops"));
            return false;
        }
    }
    return true;
}

/* n ordinary bytes of one line. */
static void text_bytes(struct scan *s, const char *p, size_t n)
{
    struct transaction *t = s->t;
    uint32_t max = s->g->profile->max_body_line;

    if (t->refused || n == 0)
        return;
    if (t->in_header && t->field < FIELD_LEN && !header_bytes(s, p, &n)) {
        t->size += n;
    } else if (max && n > max - t->line) {
        n = (size_t)(max - t->line);
        if (count(s, &n))
            body_refuse(s->g, (struct engine_reply){550, "5.6.0", "A body line is too long"}, SPAN("line"));
    } else {
        count(s, &n);
    }
    t->line += n;
    memcpy(s->o, p, n);
    s->o += n;
}

/* A line's end as it is stored; wire: the bytes it took. */
static void line_end(struct scan *s, size_t wire)
{
    struct transaction *t = s->t;

    if (t->refused)
        return;
    if (t->line == 0)
        t->in_header = false; /* RFC 5322 2.1: the header ends at the first empty line */
    t->line = 0;
    t->field = 0;
    if (count(s, &wire))
        *s->o++ = '\n';
}

static void bare_newline(struct scan *s)
{
    struct transaction *t = s->t;

    if (t->refused)
        return;
    if (!t->repaired)
        emit_event(s->g, SMTP_EVENT_BARE_NEWLINE, SPAN("body"), 0);
    t->repaired = true;
    if (s->g->profile->normalize_newlines)
        line_end(s, 1); /* the stored line ends; what ends DATA is still only CRLF.CRLF */
    else
        body_refuse(s->g, (struct engine_reply){550, "5.5.2", "Bare CR or LF in the message"}, SPAN("newline"));
}

static void nul_byte(struct scan *s)
{
    if (!s->t->refused)
        body_refuse(s->g, (struct engine_reply){550, "5.5.2", "NUL in the message"}, SPAN("nul"));
}

/* Each byte is looked at once for CR and once for NUL, whatever a hostile body is made of. */
static const char *find(const struct scan *s, const char *known, char c)
{
    const char *hit = known;

    if (!known || known < s->p)
        hit = memchr(s->p, c, (size_t)(s->end - s->p));
    return hit ? hit : s->end;
}

/* The rest of a line, up to and with its CR or a byte that must not be there. */
static void in_line(struct scan *s)
{
    const char *stop, *lf;

    s->cr = find(s, s->cr, '\r');
    s->nul = find(s, s->nul, '\0');
    stop = s->cr < s->nul ? s->cr : s->nul;
    lf = memchr(s->p, '\n', (size_t)(stop - s->p));
    if (lf)
        stop = lf;
    text_bytes(s, s->p, (size_t)(stop - s->p));
    s->p = stop;
    if (stop == s->end)
        return;
    s->p++;
    if (*stop == '\r')
        s->t->at = CONTENT_CR;
    else if (*stop == '\n')
        bare_newline(s);
    else
        nul_byte(s);
}

/* One step of the machine. True: this was the LF of CRLF.CRLF. */
static bool step(struct scan *s)
{
    struct transaction *t = s->t;

    switch ((enum content_at)t->at) {
    case CONTENT_LINE_START:
        t->at = CONTENT_IN_LINE;
        if (*s->p == '.' && !t->bdat) {
            t->at = CONTENT_DOT;
            s->p++;
        }
        break;
    case CONTENT_DOT: /* RFC 5321 4.5.2: the dot goes, whatever follows */
        t->at = CONTENT_IN_LINE;
        if (*s->p == '\r') {
            t->at = CONTENT_DOT_CR;
            s->p++;
        }
        break;
    case CONTENT_DOT_CR:
        t->at = CONTENT_IN_LINE;
        if (*s->p == '\n') {
            s->p++;
            return true;
        }
        bare_newline(s);
        break;
    case CONTENT_CR:
        t->at = CONTENT_IN_LINE;
        if (*s->p == '\n') {
            s->p++;
            t->at = CONTENT_LINE_START;
            line_end(s, 2);
        } else {
            bare_newline(s);
        }
        break;
    case CONTENT_IN_LINE:
        in_line(s);
        break;
    }
    return false;
}

size_t body_feed(struct smtp_engine *g, const char *p, size_t n)
{
    struct scan s = {.g = g, .t = g->tx, .p = p};
    char *start = NULL;
    bool end = false;

    if (n > CHUNK_MAX)
        n = CHUNK_MAX;
    if (g->tx->bdat && n > g->tx->chunk_left)
        n = (size_t)g->tx->chunk_left;
    s.end = p + n;
    if (!g->tx->refused)
        start = s.o = buf_space(&g->chunk, n + 1);
    while (s.p < s.end && !end) {
        const char *before = s.p;

        end = step(&s);
        if (g->out.len == 0)
            continue;
        /* Whatever emits an action stops here, so that actions and content keep their order however
         * the bytes are cut; but not before one byte was taken, so that feed() always gets on. */
        if (s.p > before)
            break;
        s.end = s.p + 1;
        s.cr = s.nul = NULL;
    }
    if (start)
        buf_added(&g->chunk, (size_t)(s.o - start));
    if (g->chunk.len == 0)
        buf_clear(&g->chunk);
    n = (size_t)(s.p - p);
    if (g->tx->bdat) {
        g->tx->chunk_left -= n;
        end = g->tx->chunk_left == 0;
    }
    g->tx->ended = end;
    return n;
}

void body_end(struct smtp_engine *g)
{
    g->tx->ended = false;
    if (g->tx->bdat)
        cmd_bdat_end(g);
    else
        cmd_data_end(g);
}

void body_last(struct smtp_engine *g)
{
    struct scan s = {.g = g, .t = g->tx};
    char *start;

    if (g->tx->at != CONTENT_CR)
        return;
    g->tx->at = CONTENT_IN_LINE;
    start = s.o = buf_space(&g->chunk, 1);
    bare_newline(&s);
    buf_added(&g->chunk, (size_t)(s.o - start));
    if (g->chunk.len == 0)
        buf_clear(&g->chunk);
}
