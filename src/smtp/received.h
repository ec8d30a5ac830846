/* The header fields a receiving server puts in front of a message: Return-Path (RFC 5321 4.4) and
 * Received (RFC 5321 4.4, RFC 3848 and 6531 for the "with" keyword, TLS facts as a comment). */
#ifndef SMTP_RECEIVED_H
#define SMTP_RECEIVED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

struct received_facts {
    struct peer_text sender; /* Return-Path */
    struct peer_text hello;  /* what the client called itself */
    const char *client_ip;   /* numeric; IPv6 without "IPv6:"; NULL: nothing is told of the client */
    bool client_ipv6;
    const char *by; /* our hostname */
    bool esmtp, tls, smtputf8, authenticated;
    const char *tls_version; /* "TLSv1.3", when tls */
    const char *tls_cipher;
    const char *id;             /* printable, ours */
    struct peer_text only_rcpt; /* "" : no "for" clause */
    const char *date;           /* RFC 5322 date-time */
};

/* Append "Return-Path: ...\n", which only a final delivery adds, and "Received: ...\n": folded, LF line ends. Peer bytes
 * that are not allowed in the place where they stand are replaced by '?', so they can neither end a line nor a comment. */
void received_return_path(struct buf *out, const struct received_facts *f);
void received_write(struct buf *out, const struct received_facts *f);

#endif
