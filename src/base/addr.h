/* Socket addresses and networks. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

struct addr {
    socklen_t len; /* 0: no address */
    struct sockaddr_storage ss;
};

#define ADDR_TEXT 128 /* enough for addr_text() and net_text() */

/* "127.0.0.1:25", "[::1]:25", "unix:/path". Numbers only: no name is ever looked up. */
int addr_parse(struct addr *out, const char *text, struct err *e);
const char *addr_text(const struct addr *a, char dst[ADDR_TEXT]);    /* as parsed, with the port */
const char *addr_ip_text(const struct addr *a, char dst[ADDR_TEXT]); /* address alone; v4-mapped as v4 */
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port); /* of an IP address */
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_is_loopback(const struct addr *a);

/* The 16 bytes of the address (IPv4 as v4-mapped, RFC 4291 2.5.5.2), cut to prefix bits of its own
 * family (32 or 24 for v4, 128 or 64 for v6). The key of every table that counts clients. */
struct addr_key {
    uint8_t b[16];
    uint8_t bits; /* 0..128 in the mapped form */
};
struct addr_key addr_key(const struct addr *a, unsigned v4_bits, unsigned v6_bits);

struct net {
    uint8_t b[16]; /* mapped form */
    uint8_t bits;
};
int net_parse(struct net *out, const char *text, struct err *e); /* "192.0.2.0/24", "::1" */
bool net_has(const struct net *nets, unsigned count, const struct addr *a);

#endif
