/* The EHLO reply (RFC 5321 4.1.1.1): the first line is the server's name, each further one a
 * keyword and what belongs to it. Keywords are compared without case; what is not known is ignored.
 */
#include "smtp/client_private.h"

#include <stdlib.h>
#include <string.h>

#define SAID_MAX 1000

enum { NAME, MECHANISMS, LINES };

void client_offers_clear(struct smtp_client *c)
{
    for (size_t i = 0; i < sizeof c->offers_text / sizeof *c->offers_text; i++) {
        free(c->offers_text[i]);
        c->offers_text[i] = NULL;
    }
    c->offers = (struct smtp_client_offers){0};
}

/* Takes the next word from *rest; empty: there is none. */
static struct span next_word(struct span *rest)
{
    struct span w;

    while (rest->n && (*rest->p == ' ' || *rest->p == '\t')) {
        rest->p++;
        rest->n--;
    }
    w = (struct span){rest->p, 0};
    while (rest->n && *rest->p != ' ' && *rest->p != '\t') {
        rest->p++;
        rest->n--;
        w.n++;
    }
    return w;
}

static struct peer_text keep(struct smtp_client *c, int which, struct span s)
{
    free(c->offers_text[which]);
    c->offers_text[which] = mem_strn(s.n ? s.p : "", s.n);
    return (struct peer_text){c->offers_text[which], s.n};
}

/* Middleboxes ("fixup", "inspection") overwrite the word and leave its length: XXXXXXXX, XXXXXXXA.
 */
static bool is_masked(struct span word)
{
    return word.n == strlen("STARTTLS") && memcmp(word.p, "XXXXXXX", 7) == 0;
}

/* RFC 9422 4: "LIMITS" 1*(SP limit-name "=" value); a limit that is not understood is ignored, so
 * is a zero. */
static void read_limits(struct smtp_client_offers *o, struct span rest)
{
    const struct {
        const char *name;
        uint32_t *value;
    } known[] = {{"MAILMAX=", &o->mail_max}, {"RCPTMAX=", &o->rcpt_max}, {"RCPTDOMAINMAX=", &o->rcpt_domain_max}};
    struct span w;

    while ((w = next_word(&rest)).n) {
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            size_t n = strlen(known[i].name);
            uint64_t v;

            if (span_starts_nocase(w, known[i].name) && text_u64((struct span){w.p + n, w.n - n}, &v) && v)
                *known[i].value = v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
        }
    }
}

static void read_size(struct smtp_client_offers *o, struct span rest)
{
    struct span value = next_word(&rest);
    uint64_t v;

    o->size = true;
    /* RFC 1870 4: 0, or nothing: no fixed limit. One of more than 64 bits is none, either. */
    o->size_max = text_u64(value, &v) ? v : 0;
}

static void read_auth(struct smtp_client *c, struct span rest)
{
    struct buf b = {0};
    struct span w;

    while ((w = next_word(&rest)).n) {
        if (b.len)
            buf_append(&b, " ", 1);
        buf_append(&b, w.p, w.n);
    }
    c->offers.auth = b.len > 0;
    c->offers.mechanisms = keep(c, MECHANISMS, (struct span){buf_data(&b), b.len});
    buf_clear(&b);
}

static void read_keyword(struct smtp_client *c, struct span line)
{
    struct smtp_client_offers *o = &c->offers;
    const struct {
        const char *name;
        bool *flag;
    } plain[] = {{"STARTTLS", &o->starttls},     {"PIPELINING", &o->pipelining},       {"CHUNKING", &o->chunking},
                 {"8BITMIME", &o->eight_bit},    {"SMTPUTF8", &o->smtputf8},           {"DSN", &o->dsn},
                 {"REQUIRETLS", &o->requiretls}, {"ENHANCEDSTATUSCODES", &o->enhanced}};
    struct span word = next_word(&line);

    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (span_is_nocase(word, plain[i].name))
            *plain[i].flag = true;
    if (is_masked(word))
        o->starttls_masked = true;
    else if (span_is_nocase(word, "SIZE"))
        read_size(o, line);
    else if (span_is_nocase(word, "AUTH"))
        read_auth(c, line);
    else if (span_is_nocase(word, "LIMITS"))
        read_limits(o, line);
}

static void add_line(struct buf *said, struct span line)
{
    if (said->len)
        buf_append(said, " | ", 3);
    buf_append(said, line.p, line.n);
}

void client_offers_read(struct smtp_client *c)
{
    const char *p = buf_data(&c->in.text), *end = p + c->in.text.len;
    struct buf said = {0};
    bool first = true;

    client_offers_clear(c);
    c->offers.esmtp = true;
    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        struct span line = {p, (size_t)(lf - p)}, rest = line;

        add_line(&said, line);
        if (first)
            c->offers.name = keep(c, NAME, next_word(&rest));
        else
            read_keyword(c, line);
        first = false;
        p = lf + 1;
    }
    if (said.len > SAID_MAX)
        said.len = SAID_MAX;
    c->offers.lines = keep(c, LINES, (struct span){buf_data(&said), said.len});
    buf_clear(&said);
}
