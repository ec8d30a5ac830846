#include "bench/message_digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define TAIL 8u /* held back: the end of the data is no content, and is known only when it is there */
#define LINE 1000u

struct message_digest {
    EVP_MD_CTX *ctx;
    bool chunked;
    char tail[TAIL];
    size_t tail_len;
    uint64_t size;
    bool at_start, cr; /* of a line; the last octet was CR */
    bool header_over, in_field, id_done;
    char line[LINE]; /* of the header, as far as it goes */
    size_t line_len;
    char id[MESSAGE_DIGEST_ID];
    size_t id_len;
};

struct message_digest *message_digest_new(bool chunked)
{
    struct message_digest *d = mem_alloc(sizeof *d);

    d->chunked = chunked;
    d->at_start = true;
    d->ctx = EVP_MD_CTX_new();
    if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
        message_digest_free(&d);
    return d;
}

void message_digest_free(struct message_digest **dp)
{
    struct message_digest *d = *dp;

    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
    *dp = NULL;
}

/* ---- the header */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void add_id(struct message_digest *d, const char *p, size_t n)
{
    while (n && is_blank(*p)) {
        p++;
        n--;
    }
    while (n && is_blank(p[n - 1]))
        n--;
    if (n > sizeof d->id - 1 - d->id_len)
        n = sizeof d->id - 1 - d->id_len;
    memcpy(d->id + d->id_len, p, n);
    d->id_len += n;
}

/* RFC 5322 3.6.4; a fold may stand before the identifier (2.2.3). The first field of that name counts. */
static void header_line(struct message_digest *d)
{
    static const char name[] = "message-id";
    size_t n = sizeof name - 1, at = n;

    if (d->line_len == 0) {
        d->header_over = true;
    } else if (is_blank(*d->line)) {
        if (d->in_field)
            add_id(d, d->line, d->line_len);
    } else {
        d->id_done = d->id_done || d->in_field;
        d->in_field = false;
        while (at < d->line_len && is_blank(d->line[at]))
            at++;
        if (!d->id_done && at < d->line_len && d->line[at] == ':' && strncasecmp(d->line, name, n) == 0) {
            d->in_field = true;
            add_id(d, d->line + at + 1, d->line_len - at - 1);
        }
    }
    d->line_len = 0;
}

static void read_header(struct message_digest *d, const char *p, size_t n)
{
    while (n && !d->header_over) {
        const char *lf = memchr(p, '\n', n);
        size_t piece = lf ? (size_t)(lf - p) : n, room = sizeof d->line - d->line_len;

        memcpy(d->line + d->line_len, p, piece < room ? piece : room);
        d->line_len += piece < room ? piece : room;
        if (lf && d->line_len && d->line[d->line_len - 1] == '\r')
            d->line_len--;
        if (lf)
            header_line(d);
        p += piece + (lf != NULL);
        n -= piece + (lf != NULL);
    }
}

/* ---- content */

static void content(struct message_digest *d, const char *p, size_t n)
{
    if (!n)
        return;
    EVP_DigestUpdate(d->ctx, p, n);
    d->size += n;
    read_header(d, p, n);
}

/* RFC 5321 4.5.2: a dot at the beginning of a line is one too many, and lines begin behind CR LF. */
static void unstuff(struct message_digest *d, const char *p, size_t n)
{
    while (n) {
        const char *lf = memchr(p, '\n', n);
        size_t piece = lf ? (size_t)(lf - p) + 1 : n;
        bool cr = piece > 1 ? p[piece - 2] == '\r' : d->cr, dot = d->at_start && *p == '.';

        content(d, p + dot, piece - dot);
        d->at_start = lf && cr;
        d->cr = p[piece - 1] == '\r';
        p += piece;
        n -= piece;
    }
}

static void pass(struct message_digest *d, const char *p, size_t n)
{
    if (d->chunked)
        content(d, p, n);
    else
        unstuff(d, p, n);
}

void message_digest_take(struct message_digest *d, const char *p, size_t n)
{
    size_t out, old;

    if (d->tail_len + n <= TAIL) {
        memcpy(d->tail + d->tail_len, p, n);
        d->tail_len += n;
        return;
    }
    out = d->tail_len + n - TAIL; /* so many are content for certain: of the tail first */
    old = out < d->tail_len ? out : d->tail_len;
    pass(d, d->tail, old);
    memmove(d->tail, d->tail + old, d->tail_len - old);
    d->tail_len -= old;
    pass(d, p, out - old);
    memcpy(d->tail + d->tail_len, p + out - old, n - (out - old));
    d->tail_len = TAIL;
}

void message_digest_end(struct message_digest *d, unsigned not_content, struct message_digest_result *out)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    pass(d, d->tail, d->tail_len - (not_content < d->tail_len ? not_content : d->tail_len));
    memset(out, 0, sizeof *out);
    out->size = d->size;
    memcpy(out->id, d->id, d->id_len);
    if (EVP_DigestFinal_ex(d->ctx, hash, &n) == 1)
        for (size_t i = 0; i < n && i < (MESSAGE_DIGEST_HEX - 1) / 2; i++)
            snprintf(out->sha256 + 2 * i, 3, "%02x", (unsigned)hash[i]);
}
