/* The header by which a proxy in front of us says who the client is: HAProxy's PROXY protocol, versions 1 and 2
 * (proxy-protocol.txt 2.1, 2.2). Pure: bytes in, a verdict out.
 *
 * What follows the header on the wire is the client's, and not a byte of it may be read with the header: the parser says
 * each time how many more may be taken. A header is either there or an error; nothing is guessed ("the receiver MUST NOT
 * try to guess whether the protocol header is present or not", 2). */
#ifndef NET_PROXY_HEADER_H
#define NET_PROXY_HEADER_H

#include "base/addr.h"

/* Version 1 is 107 bytes at most. Version 2 may carry 65,535 bytes of TLVs; 2 KiB hold a client's certificate name and
 * everything else that is in use, and more is refused. */
#define PROXY_HEADER_MOST 2064u

enum proxy_header_kind {
    PROXY_HEADER_MORE,  /* .wants more bytes may be read */
    PROXY_HEADER_PROXY, /* .source is the client */
    PROXY_HEADER_LOCAL, /* the proxy itself, or a client it knows nothing of: the connection's own address holds */
    PROXY_HEADER_BAD,   /* .why */
};

struct proxy_header {
    enum proxy_header_kind kind;
    size_t wants;
    struct addr source, destination;
    const char *why; /* static */
};

/* p: all that was read so far, n <= PROXY_HEADER_MOST. With PROXY and LOCAL the n bytes were the header and nothing else. */
void proxy_header_parse(struct proxy_header *out, const void *p, size_t n);

#endif
