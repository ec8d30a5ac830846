#include <string.h>

#include "policy/tls_offer.h"

static const struct {
    const char *name, *hint;
} reasons[TLS_REASON_COUNT] = {
    [TLS_OK] = {"ok", "Nothing needs to be done."},
    [TLS_ALREADY_TLS] = {"already-tls", "Nothing needs to be done: the session is encrypted."},
    [TLS_OFF_BY_CONFIG] = {"off-by-config",
                           "Write tls = starttls for this listener and reload, if it is to offer TLS."},
    [TLS_WITHHELD_FROM_CLIENT] = {"withheld-from-client",
                                  "Take the client's network out of no-starttls-for, if it is to be offered TLS."},
    [TLS_NO_CERTIFICATE] =
        {"no-certificate",
         "Write a certificate section with chain and key (and name it in the listener), then reload."},
    [TLS_UNREADABLE] = {"unreadable",
                        "Put the file there, or give the user that starts postern the right to read it and to "
                        "search every directory on its path."},
    [TLS_UNPARSABLE] = {"unparsable",
                        "Replace the file by a complete PEM file; a renewal that was cut short can be run again."},
    [TLS_KEY_ENCRYPTED] = {"key-encrypted", "Store the key without a passphrase: openssl pkey -in KEY -out NEWKEY."},
    [TLS_KEY_MISMATCH] = {"key-mismatch",
                          "Put chain and key of the same issue in place: this key belongs to another certificate."},
    [TLS_NOT_FOR_SERVERS] =
        {"not-for-servers",
         "Get a certificate with the extended key usage serverAuth; this one is for another purpose."},
    [TLS_TOO_WEAK] =
        {"too-weak", "Get a certificate with a key of at least 2048 bits RSA or P-256, signed with SHA-256 or better."},
    [TLS_HANDSHAKE_FAILED] =
        {"handshake-failed",
         "Get another certificate: no handshake with this one succeeds; details names OpenSSL's error."},
    [TLS_NOT_YET_VALID] = {"not-yet-valid",
                           "Check this machine's clock; otherwise wait, or put the previous certificate back."},
    [TLS_EXPIRED] = {"expired", "Renew the certificate: the new files are taken within seconds, without a reload."},
    [TLS_IMPLICIT] =
        {"implicit-tls",
         "Nothing needs to be done: on this port TLS begins with the first byte, STARTTLS does not belong here."},
};

static const struct {
    const char *name, *hint;
} warnings[TLS_WARNING_COUNT] = {
    {"self-signed", "Get a certificate from a CA that senders know; those that verify refuse this one."},
    {"untrusted", "Senders that verify do not know this CA; use one that the public root programs include."},
    {"intermediate-missing",
     "Put the CA's intermediate certificate into the chain file, behind the server's own (fullchain.pem)."},
    {"hostname-mismatch",
     "Get a certificate for the listener's hostname, which MX records point to, or correct hostname."},
    {"expiring", "Renew the certificate; look why the automatic renewal has not done so."},
    {"key-readable", "Take the others' right to read the key: chmod 600."},
    {"rare-key", "Add an RSA or P-256 certificate beside it: many senders cannot use Ed25519 or P-521."},
    {"version-fails", "One of TLS 1.2 and 1.3 cannot use this certificate; add one with an ordinary RSA or P-256 key."},
    {"chain-order", "Put the server's certificate first, then each issuer behind the one it signed, and nothing else "
                    "into the chain file."},
};

const char *tls_reason_name(enum tls_reason r)
{
    return reasons[r].name;
}

int tls_reason_by_name(const char *name)
{
    for (int i = 0; i < TLS_REASON_COUNT; i++)
        if (strcmp(reasons[i].name, name) == 0)
            return i;
    return -1;
}

const char *tls_reason_hint(enum tls_reason r)
{
    return reasons[r].hint;
}

static unsigned index_of(unsigned bit)
{
    unsigned i = 0;

    while (i + 1 < TLS_WARNING_COUNT && !(bit & 1u << i))
        i++;
    return i;
}

const char *tls_warning_name(unsigned bit)
{
    return warnings[index_of(bit)].name;
}

const char *tls_warning_hint(unsigned bit)
{
    return warnings[index_of(bit)].hint;
}
