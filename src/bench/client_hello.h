/* What a ClientHello says (RFC 8446 4.1.2), from its bytes: the server of a scenario may never answer it. Pure. */
#ifndef BENCH_CLIENT_HELLO_H
#define BENCH_CLIENT_HELLO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_HELLO_LIST 256
#define CLIENT_HELLO_PROTOCOLS 8
#define CLIENT_HELLO_PRINT 37
#define CLIENT_HELLO_NAME 256

struct client_hello {
    uint16_t versions[CLIENT_HELLO_LIST], ciphers[CLIENT_HELLO_LIST], groups[CLIENT_HELLO_LIST],
        signatures[CLIENT_HELLO_LIST],
        extensions[CLIENT_HELLO_LIST]; /* at most so many of each; GREASE (RFC 8701) is left out */
    unsigned version_count, cipher_count, group_count, signature_count, extension_count;
    char sni[CLIENT_HELLO_NAME];                          /* "": none, or none that can be a host's name */
    bool has_sni;                                         /* whatever stands in it */
    char alpn[CLIENT_HELLO_PROTOCOLS][CLIENT_HELLO_NAME]; /* printable, the first so many */
    unsigned alpn_count;
    uint8_t alpn_ends[2]; /* first and last octet of the first one */
    bool resumes;         /* a ticket or a pre-shared key */
    bool asks_status;     /* for a stapled OCSP response (RFC 6066 8) */
    size_t size;          /* of the handshake message */
};

enum client_hello_verdict { CLIENT_HELLO_OK, CLIENT_HELLO_MORE, CLIENT_HELLO_NONE };
/* p: what came, from the first record on; the message may be spread over several. MORE: it is not all there yet. NONE: that
 * is no ClientHello. */
enum client_hello_verdict client_hello_parse(struct client_hello *out, const void *p, size_t n);
/* segments: how many of TCP brought it; 0: nobody knows. */
json_t *client_hello_json(const struct client_hello *h, unsigned segments);
/* A fingerprint of the software that sent it, by the rules of JA4: version, SNI, how many ciphers and extensions, ALPN; then
 * twelve digits of SHA-256 of the ciphers, sorted; then of the extensions, sorted, and the signature algorithms. Neither the
 * host nor randomness goes into it. */
void client_hello_print(const struct client_hello *h, char out[CLIENT_HELLO_PRINT]);

#endif
