#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "net/proxy_header.h"
#include "unit/suite.h"

static size_t unescape(char *dst, const char *p, const char *end)
{
    size_t n = 0;

    while (p < end) {
        unsigned byte;

        if (*p != '\\') {
            dst[n++] = *p++;
            continue;
        }
        p++;
        if (*p == 'x') {
            ck_assert_int_eq(sscanf(p + 1, "%2x", &byte), 1);
            dst[n++] = (char)byte;
            p += 3;
        } else {
            dst[n++] = *p == 'r' ? '\r' : *p == 'n' ? '\n' : *p == '0' ? '\0' : *p;
            p++;
        }
    }
    return n;
}

static void say(char *dst, size_t cap, const struct proxy_header *h)
{
    char a[ADDR_TEXT], b[ADDR_TEXT];

    if (h->kind == PROXY_HEADER_MORE)
        snprintf(dst, cap, "more");
    else if (h->kind == PROXY_HEADER_LOCAL)
        snprintf(dst, cap, "local");
    else if (h->kind == PROXY_HEADER_BAD)
        snprintf(dst, cap, "bad %s", h->why);
    else
        snprintf(dst, cap, "proxy %s %s", addr_text(&h->source, a), addr_text(&h->destination, b));
}

/* As from a socket: what is asked for is read, a client's bytes behind the header stay where they are. */
static void feed(struct proxy_header *h, const char *bytes, size_t n)
{
    size_t have = 0;

    for (;;) {
        proxy_header_parse(h, bytes, have);
        if (h->kind != PROXY_HEADER_MORE)
            break;
        ck_assert_uint_gt(h->wants, 0);
        ck_assert_uint_le(have + h->wants, PROXY_HEADER_MOST);
        if (have == n)
            return;
        have += h->wants < n - have ? h->wants : n - have;
    }
    if (h->kind != PROXY_HEADER_BAD)
        ck_assert_uint_eq(have, n);
}

START_TEST(every_row_of_the_table)
{
    FILE *f = fopen(TESTS_DIR "/tables/proxy_header.txt", "r");
    char line[2048], bytes[2048], want[512], got[512];
    struct proxy_header h;
    unsigned rows = 0;

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        char *bar = strstr(line, " | "), *end = bar;
        size_t n;

        if (line[0] == '#' || !bar)
            continue;
        while (end > line && end[-1] == ' ')
            end--;
        n = unescape(bytes, line, end);
        snprintf(want, sizeof want, "%s", bar + 3);
        want[strcspn(want, "\n")] = '\0';
        feed(&h, bytes, n);
        say(got, sizeof got, &h);
        ck_assert_msg(strcmp(got, want) == 0, "%.*s: %s, not %s", (int)(end - line), line, got, want);
        rows++;
    }
    fclose(f);
    ck_assert_uint_gt(rows, 40);
}
END_TEST

START_TEST(the_clients_bytes_stay)
{
    static const char text[] = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\nEHLO x\r\n";
    struct proxy_header h;
    size_t have = 0;

    for (proxy_header_parse(&h, text, 0); h.kind == PROXY_HEADER_MORE; proxy_header_parse(&h, text, have))
        have += h.wants;
    ck_assert_int_eq(h.kind, PROXY_HEADER_PROXY);
    ck_assert_str_eq(text + have, "EHLO x\r\n");
}
END_TEST

SUITE_MAIN("proxy_header", every_row_of_the_table, the_clients_bytes_stay)
