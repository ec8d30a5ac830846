#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/text.h"

#define V1_MOST 107u /* 2.1: "a 108-byte buffer is always enough", with a NUL */
#define V2_FIXED 16u
#define V2_COMMAND 12
#define V2_FAMILY 13
#define TLV_HEAD 3u

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static void more(struct proxy_header *out, size_t wants)
{
    out->kind = PROXY_HEADER_MORE;
    out->wants = wants;
}

static void bad(struct proxy_header *out, const char *why)
{
    out->kind = PROXY_HEADER_BAD;
    out->why = why;
}

static void set_v4(struct addr *a, const void *ip, uint16_t port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};

    memcpy(&sin.sin_addr, ip, 4);
    memset(a, 0, sizeof *a);
    memcpy(&a->ss, &sin, sizeof sin);
    a->len = sizeof sin;
}

static void set_v6(struct addr *a, const void *ip, uint16_t port)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    memcpy(&sin6.sin6_addr, ip, 16);
    memset(a, 0, sizeof *a);
    memcpy(&a->ss, &sin6, sizeof sin6);
    a->len = sizeof sin6;
}

/* ---- version 1: a line */

static bool take_word(struct span *rest, struct span *word)
{
    const char *blank = memchr(rest->p, ' ', rest->n);

    word->p = rest->p;
    word->n = blank ? (size_t)(blank - rest->p) : rest->n;
    rest->p += word->n + (blank != NULL);
    rest->n -= word->n + (blank != NULL);
    return word->n > 0;
}

static bool v1_port(struct span w, uint16_t *port)
{
    uint64_t n;

    if ((w.n > 1 && w.p[0] == '0') || !text_u64(w, &n) || n > 65535)
        return false;
    *port = (uint16_t)n;
    return true;
}

static bool v1_address(struct addr *a, bool v6, struct span ip, struct span port)
{
    unsigned char bytes[16];
    char text[INET6_ADDRSTRLEN];
    uint16_t number;

    if (ip.n >= sizeof text || !v1_port(port, &number))
        return false;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = '\0';
    if (strlen(text) != ip.n || inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) != 1)
        return false;
    if (v6)
        set_v6(a, bytes, number);
    else
        set_v4(a, bytes, number);
    return true;
}

static void v1_line(struct proxy_header *out, struct span line)
{
    struct span w[6];
    unsigned n = 0;
    bool v6, blank = line.p[line.n - 1] == ' ';

    while (n < 6 && take_word(&line, &w[n]))
        n++;
    if (n >= 2 && span_is(w[1], "UNKNOWN")) { /* 2.1: "the receiver must ignore anything presented before the CRLF" */
        out->kind = PROXY_HEADER_LOCAL;
        return;
    }
    v6 = n >= 2 && span_is(w[1], "TCP6");
    if (n < 2 || (!v6 && !span_is(w[1], "TCP4")))
        bad(out, "neither TCP4, TCP6 nor UNKNOWN");
    else if (blank)
        bad(out, "a blank at the end of the line");
    else if (n != 6 || line.n)
        bad(out, "not two addresses and two ports");
    else if (!v1_address(&out->source, v6, w[2], w[4]) || !v1_address(&out->destination, v6, w[3], w[5]))
        bad(out, "an address or port that cannot be one");
    else
        out->kind = PROXY_HEADER_PROXY;
}

/* Byte by byte behind what every header has: the client's bytes begin right behind the line. */
static void v1(struct proxy_header *out, const char *p, size_t n)
{
    const char *lf = memchr(p, '\n', n);

    if (!lf && n >= V1_MOST)
        bad(out, "the line has no end");
    else if (!lf)
        more(out, 1);
    else if (lf + 1 != p + n || n < 2 || lf[-1] != '\r')
        bad(out, "the line does not end with CR LF");
    else
        v1_line(out, (struct span){p, n - 2});
}

/* ---- version 2: binary */

static uint16_t get16(const unsigned char *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* They say more about the client; nothing of it is used, but what is not well-formed is no header. */
static bool tlvs_are_sound(const unsigned char *p, size_t n)
{
    while (n) {
        size_t len = n >= TLV_HEAD ? TLV_HEAD + get16(p + 1) : SIZE_MAX;

        if (len > n)
            return false;
        p += len;
        n -= len;
    }
    return true;
}

static void v2_addresses(struct proxy_header *out, const unsigned char *p, size_t n)
{
    unsigned family = p[V2_FAMILY] >> 4, transport = p[V2_FAMILY] & 0xf;
    const unsigned char *a = p + V2_FIXED;
    size_t size = family == 1 ? 12 : family == 2 ? 36 : 216;

    if (family > 3 || transport > 2)
        bad(out, "an unknown family or transport");
    else if (transport == 2)
        bad(out, "datagrams");
    else if (family == 0)
        out->kind = PROXY_HEADER_LOCAL; /* 2.2: "the receiver should ignore address information": its size is unknown */
    else if (n - V2_FIXED < size)
        bad(out, "shorter than its addresses");
    else if (!tlvs_are_sound(a + size, n - V2_FIXED - size))
        bad(out, "broken TLVs");
    else if (family == 1 && transport == 1) {
        set_v4(&out->source, a, get16(a + 8));
        set_v4(&out->destination, a + 4, get16(a + 10));
        out->kind = PROXY_HEADER_PROXY;
    } else if (family == 2 && transport == 1) {
        set_v6(&out->source, a, get16(a + 32));
        set_v6(&out->destination, a + 16, get16(a + 34));
        out->kind = PROXY_HEADER_PROXY;
    } else { /* an unspecified transport, unix sockets: as family 0 */
        out->kind = PROXY_HEADER_LOCAL;
    }
}

static void v2(struct proxy_header *out, const unsigned char *p, size_t n)
{
    size_t all;

    if (n < V2_FIXED) {
        more(out, V2_FIXED - n);
        return;
    }
    all = V2_FIXED + get16(p + 14);
    if (p[V2_COMMAND] >> 4 != 2)
        bad(out, "neither version 1 nor 2");
    else if ((p[V2_COMMAND] & 0xf) > 1)
        bad(out, "neither LOCAL nor PROXY");
    else if (all > PROXY_HEADER_MOST)
        bad(out, "the header is too long");
    else if (n < all)
        more(out, all - n);
    else if (n > all)
        bad(out, "more than the header was read");
    else if ((p[V2_COMMAND] & 0xf) == 0)
        out->kind = PROXY_HEADER_LOCAL; /* 2.2: "must accept this connection and must ignore the protocol block" */
    else
        v2_addresses(out, p, n);
}

void proxy_header_parse(struct proxy_header *out, const void *p, size_t n)
{
    size_t head = n < sizeof v2_signature ? n : sizeof v2_signature, v1_head = n < 6 ? n : 6;

    memset(out, 0, sizeof *out);
    if (n && memcmp(p, v2_signature, head) == 0) {
        if (n < sizeof v2_signature)
            more(out, sizeof v2_signature - n);
        else
            v2(out, p, n);
    } else if (memcmp(p, "PROXY ", v1_head) == 0) {
        if (n < sizeof v2_signature) /* shorter than any header of either version */
            more(out, sizeof v2_signature - n);
        else
            v1(out, p, n);
    } else {
        bad(out, "no header of the PROXY protocol");
    }
}
