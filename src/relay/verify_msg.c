#include "relay/verify_msg.h"

#include <stdio.h>
#include <string.h>

const char *verify_verdict_name(enum verify_verdict v)
{
    static const char *const names[] = {"yes", "no", "unknown"};

    return names[v];
}

/* ---- writing: a question is its number and two texts with their NULs; an answer is a fixed head and the text */

struct answer_head {
    uint32_t number, verdict, code;
    char enhanced[12]; /* filled up with NULs */
};

bool verify_ask_fits(const char *route, const char *address)
{
    return *route && strlen(route) <= VERIFY_TITLE_MOST && *address && strlen(address) <= VERIFY_ADDRESS_MOST;
}

void verify_ask_encode(struct buf *out, const struct verify_ask *a)
{
    buf_append(out, &a->number, sizeof a->number);
    buf_append(out, a->route, strlen(a->route) + 1);
    buf_append(out, a->address, strlen(a->address) + 1);
}

void verify_answer_encode(struct buf *out, uint32_t number, const struct verify_answer *a)
{
    struct answer_head h = {.number = number, .verdict = a->verdict, .code = a->code};

    memcpy(h.enhanced, a->enhanced, strnlen(a->enhanced, sizeof h.enhanced - 1));
    buf_append(out, &h, sizeof h);
    buf_append(out, a->text.p, a->text.n < VERIFY_TEXT_MOST ? a->text.n : VERIFY_TEXT_MOST);
}

/* ---- reading */

/* The next text of [*p, end): NULL where it is empty, too long, or has no end. */
static const char *take_text(const char **p, const char *end, size_t most)
{
    const char *text = *p;
    size_t n = strnlen(text, (size_t)(end - text));

    if (n == 0 || n > most || text + n == end)
        return NULL;
    *p = text + n + 1;
    return text;
}

int verify_ask_decode(struct verify_ask *out, const void *data, size_t len)
{
    const char *p = data, *end = p + len;

    if (len < sizeof out->number)
        return -1;
    memcpy(&out->number, p, sizeof out->number);
    p += sizeof out->number;
    out->route = take_text(&p, end, VERIFY_TITLE_MOST);
    out->address = out->route ? take_text(&p, end, VERIFY_ADDRESS_MOST) : NULL;
    return out->address && p == end ? 0 : -1;
}

/* "5.1.1": three numbers of up to three digits (RFC 3463 2), then NULs to the end. */
static bool is_enhanced(const char s[12], char class)
{
    unsigned a, b;
    char again[12] = {0};

    if (s[11] != '\0' || s[0] != class || sscanf(s + 1, ".%3u.%3u", &a, &b) != 2)
        return false;
    snprintf(again, sizeof again, "%c.%u.%u", class, a, b); /* sscanf takes blanks, signs and what follows, too */
    return memcmp(s, again, sizeof again) == 0;
}

static bool fits_verdict(const struct answer_head *h)
{
    static const char nothing[sizeof h->enhanced];
    unsigned class = h->verdict == VERIFY_YES ? 2 : 5;

    if (h->verdict == VERIFY_UNKNOWN)
        return h->code == 0 && memcmp(h->enhanced, nothing, sizeof nothing) == 0;
    return h->verdict < VERIFY_UNKNOWN && h->code / 100 == class && is_enhanced(h->enhanced, (char)('0' + class));
}

int verify_answer_decode(uint32_t *number, struct verify_answer *out, const void *data, size_t len)
{
    struct answer_head h;

    if (len < sizeof h || len > sizeof h + VERIFY_TEXT_MOST)
        return -1;
    memcpy(&h, data, sizeof h);
    if (!fits_verdict(&h))
        return -1;
    *number = h.number;
    *out = (struct verify_answer){.verdict = (enum verify_verdict)h.verdict,
                                  .code = (uint16_t)h.code,
                                  .text = {(const char *)data + sizeof h, len - sizeof h}};
    memcpy(out->enhanced, h.enhanced, sizeof out->enhanced);
    return 0;
}
