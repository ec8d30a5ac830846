#include "base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/text.h"

static int addr_parse_unix(struct addr *out, const char *path, struct err *e)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->ss;

    if (*path != '/')
        return err_set(e, "\"unix:%s\": the path must begin with /", path);
    if (strlen(path) >= sizeof un->sun_path)
        return err_set(e, "\"unix:%s\": a socket path may have at most %zu bytes", path, sizeof un->sun_path - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    out->len = (socklen_t)sizeof *un;
    return 0;
}

int addr_parse(struct addr *out, const char *text, struct err *e)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    uint64_t port;
    size_t n;

    memset(out, 0, sizeof *out);
    if (strncmp(text, "unix:", 5) == 0)
        return addr_parse_unix(out, text + 5, e);
    if (!colon || !text_u64(span_str(colon + 1), &port) || port > 65535)
        return err_set(e, "\"%s\" is not ADDRESS:PORT (\"0.0.0.0:25\", \"[::]:25\")", text);
    n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']' && n - 2 < sizeof host) {
        struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)&out->ss;

        memcpy(host, text + 1, n - 2);
        host[n - 2] = '\0';
        if (inet_pton(AF_INET6, host, &s6->sin6_addr) != 1)
            return err_set(e, "\"%s\": %s is not an IPv6 address", text, host);
        s6->sin6_family = AF_INET6;
        s6->sin6_port = htons((uint16_t)port);
        out->len = (socklen_t)sizeof *s6;
        return 0;
    }
    if (n < sizeof host) {
        struct sockaddr_in *s4 = (struct sockaddr_in *)&out->ss;

        memcpy(host, text, n);
        host[n] = '\0';
        if (inet_pton(AF_INET, host, &s4->sin_addr) == 1) {
            s4->sin_family = AF_INET;
            s4->sin_port = htons((uint16_t)port);
            out->len = (socklen_t)sizeof *s4;
            return 0;
        }
    }
    return err_set(e, "\"%s\": the address must be numeric, IPv6 in brackets (\"[::1]:25\")", text);
}

const char *addr_ip_text(const struct addr *a, char dst[ADDR_TEXT])
{
    struct addr_key k;
    char *p = dst;

    if (a->ss.ss_family == AF_UNIX) {
        snprintf(dst, ADDR_TEXT, "unix");
        return dst;
    }
    if (a->ss.ss_family != AF_INET && a->ss.ss_family != AF_INET6) {
        snprintf(dst, ADDR_TEXT, "-");
        return dst;
    }
    k = addr_key(a, 32, 128);
    if (memcmp(k.b, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
        inet_ntop(AF_INET, k.b + 12, p, ADDR_TEXT);
    else
        inet_ntop(AF_INET6, k.b, p, ADDR_TEXT);
    return dst;
}

const char *addr_text(const struct addr *a, char dst[ADDR_TEXT])
{
    char ip[ADDR_TEXT];

    if (a->ss.ss_family == AF_UNIX) {
        snprintf(dst, ADDR_TEXT, "unix:%s", ((const struct sockaddr_un *)&a->ss)->sun_path);
        return dst;
    }
    addr_ip_text(a, ip);
    snprintf(dst, ADDR_TEXT, a->ss.ss_family == AF_INET6 ? "[%.100s]:%u" : "%.100s:%u", ip, (unsigned)addr_port(a));
    return dst;
}

uint16_t addr_port(const struct addr *a)
{
    if (a->ss.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&a->ss)->sin_port);
    if (a->ss.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a->ss)->sin6_port);
    return 0;
}

void addr_set_port(struct addr *a, uint16_t port)
{
    if (a->ss.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&a->ss)->sin6_port = htons(port);
    else if (a->ss.ss_family == AF_INET)
        ((struct sockaddr_in *)&a->ss)->sin_port = htons(port);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    struct addr_key ka, kb;

    if (a->ss.ss_family != b->ss.ss_family)
        return false;
    if (a->ss.ss_family == AF_UNIX)
        return strcmp(((const struct sockaddr_un *)&a->ss)->sun_path, ((const struct sockaddr_un *)&b->ss)->sun_path) ==
               0;
    ka = addr_key(a, 32, 128);
    kb = addr_key(b, 32, 128);
    return memcmp(ka.b, kb.b, sizeof ka.b) == 0 && addr_port(a) == addr_port(b);
}

static void key_cut(uint8_t b[16], unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > i * 8 ? bits - i * 8 : 0;

        if (keep < 8)
            b[i] = (uint8_t)(b[i] & (0xff00u >> keep));
    }
}

struct addr_key addr_key(const struct addr *a, unsigned v4_bits, unsigned v6_bits)
{
    struct addr_key k = {{0}, 0};
    const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (a->ss.ss_family == AF_INET) {
        memcpy(k.b, mapped, 12);
        memcpy(k.b + 12, &((const struct sockaddr_in *)&a->ss)->sin_addr, 4);
        k.bits = (uint8_t)(96 + v4_bits);
    } else if (a->ss.ss_family == AF_INET6) {
        memcpy(k.b, &((const struct sockaddr_in6 *)&a->ss)->sin6_addr, 16);
        k.bits = (uint8_t)(memcmp(k.b, mapped, 12) == 0 ? 96 + v4_bits : v6_bits);
    }
    key_cut(k.b, k.bits);
    return k;
}

bool addr_is_loopback(const struct addr *a)
{
    struct addr_key k = addr_key(a, 32, 128);
    static const uint8_t one[16] = {[15] = 1};

    if (a->ss.ss_family == AF_UNIX)
        return true;
    if (k.b[10] == 0xff && k.b[11] == 0xff && k.b[12] == 127)
        return memcmp(k.b, "\0\0\0\0\0\0\0\0\0\0", 10) == 0;
    return memcmp(k.b, one, 16) == 0;
}

int net_parse(struct net *out, const char *text, struct err *e)
{
    char host[64];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    uint64_t bits;
    unsigned base, most;

    memset(out, 0, sizeof *out);
    if (n >= sizeof host)
        return err_set(e, "\"%.80s\" is not a network (\"192.0.2.0/24\", \"2001:db8::/32\")", text);
    memcpy(host, text, n);
    host[n] = '\0';
    if (inet_pton(AF_INET, host, out->b + 12) == 1) {
        out->b[10] = out->b[11] = 0xff;
        base = 96;
        most = 32;
    } else if (inet_pton(AF_INET6, host, out->b) == 1) {
        base = 0;
        most = 128;
    } else {
        return err_set(e, "\"%s\" is not a network (\"192.0.2.0/24\", \"2001:db8::/32\")", text);
    }
    bits = most;
    if (slash && (!text_u64(span_str(slash + 1), &bits) || bits > most))
        return err_set(e, "\"%s\": the prefix must be a number from 0 to %u", text, most);
    out->bits = (uint8_t)(base + bits);
    key_cut(out->b, out->bits);
    return 0;
}

bool net_has(const struct net *nets, unsigned count, const struct addr *a)
{
    struct addr_key k = addr_key(a, 32, 128);

    if (a->ss.ss_family != AF_INET && a->ss.ss_family != AF_INET6)
        return false;
    for (unsigned i = 0; i < count; i++) {
        uint8_t b[16];

        memcpy(b, k.b, 16);
        key_cut(b, nets[i].bits);
        if (memcmp(b, nets[i].b, 16) == 0)
            return true;
    }
    return false;
}
