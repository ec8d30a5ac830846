/* Is STARTTLS offered on this listener to this session, and if not, why and what to do? One pure function
 * answers; EHLO, the STARTTLS verb, the log, check, why and status read the value it returns.
 * The table is docs/starttls.md; RFC 3207. First matching row wins. */
#ifndef POLICY_TLS_OFFER_H
#define POLICY_TLS_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The closed vocabulary of reason=. Those from UNREADABLE to HANDSHAKE_FAILED are verdicts on one
 * certificate that make it unusable; NOT_YET_VALID and EXPIRED depend on now. */
enum tls_reason {
    TLS_OK,
    TLS_ALREADY_TLS,          /* "already-tls" */
    TLS_OFF_BY_CONFIG,        /* "off-by-config" */
    TLS_WITHHELD_FROM_CLIENT, /* "withheld-from-client" */
    TLS_NO_CERTIFICATE,       /* "no-certificate" */
    TLS_UNREADABLE,
    TLS_UNPARSABLE,
    TLS_KEY_ENCRYPTED,
    TLS_KEY_MISMATCH,
    TLS_NOT_FOR_SERVERS,
    TLS_TOO_WEAK,
    TLS_HANDSHAKE_FAILED,
    TLS_NOT_YET_VALID,
    TLS_EXPIRED,
    TLS_IMPLICIT, /* "implicit-tls": nothing to offer, and correct */
    TLS_REASON_COUNT
};
const char *tls_reason_name(enum tls_reason r);
/* -1 when it is not one of ours. */
int tls_reason_by_name(const char *name);
/* One imperative sentence for the administrator: what to do about it. Never NULL. */
const char *tls_reason_hint(enum tls_reason r);

/* Warnings never withdraw the offer. */
enum tls_warning {
    TLS_WARN_SELF_SIGNED = 1 << 0,
    TLS_WARN_UNTRUSTED = 1 << 1, /* not by the system's CAs */
    TLS_WARN_INTERMEDIATE_MISSING = 1 << 2,
    TLS_WARN_HOSTNAME_MISMATCH = 1 << 3,
    TLS_WARN_EXPIRING = 1 << 4,      /* within 14 days: made by tls_offer from now, not at load */
    TLS_WARN_KEY_READABLE = 1 << 5,  /* key file readable by others */
    TLS_WARN_RARE_KEY = 1 << 6,      /* only Ed25519 or P-521: many senders cannot */
    TLS_WARN_VERSION_FAILS = 1 << 7, /* one of TLS 1.2 and 1.3 fails in the proof */
    TLS_WARN_CHAIN_ORDER = 1 << 8, /* the chain file is out of order, or holds certificates that do not belong to it */
    TLS_WARNING_COUNT = 9
};
const char *tls_warning_name(unsigned bit); /* "self-signed", ...; bit is one of the above */
const char *tls_warning_hint(unsigned bit);
#define TLS_EXPIRING_DAYS 14

/* What is known of one loaded certificate: made by src/tls, only read here. */
struct tls_cert_facts {
    const char *title;             /* section title in the configuration */
    enum tls_reason fault;         /* TLS_OK, or UNREADABLE..HANDSHAKE_FAILED */
    const char *details;           /* names file, path component or OpenSSL's error; "" when usable */
    int64_t not_before, not_after; /* seconds since the epoch; 0, 0 when unknown */
    unsigned warnings;             /* tls_warning bits, without EXPIRING */
};

enum tls_mode { TLS_MODE_OFF, TLS_MODE_STARTTLS, TLS_MODE_IMPLICIT };
enum tls_without { TLS_WITHOUT_OMIT, TLS_WITHOUT_TEMPFAIL, TLS_WITHOUT_CLOSE, TLS_WITHOUT_REFUSE_START };

struct tls_listener_facts {
    enum tls_mode mode;
    enum tls_without without;
    bool withhold_expired; /* expired = withhold */
    bool require_tls;
    const struct tls_cert_facts *certs;
    size_t cert_count;
};

struct tls_session_facts {
    bool in_tls;
    bool withheld; /* client's network is in no-starttls-for */
};

struct tls_offer {
    enum tls_reason reason;
    bool offered;    /* a handshake would succeed, and policy allows it */
    bool advertised; /* EHLO shows it: offered, or tempfail without a usable certificate */
    bool wanted;     /* the listener is meant to have TLS: absence is a fault worth an error */
    int cert;        /* index of the certificate the verdict speaks of, -1 when none */
    const char *details;
    const char *hint;
    uint16_t code; /* reply to STARTTLS: 220, 502, 503, 454 */
    const char *enhanced;
    const char *text;
    bool close_at_greeting; /* without-certificate = close: 421 instead of the banner */
    bool refuse_start;      /* without-certificate = refuse-start */
    bool serves;            /* STARTTLS works, or (implicit) the listener may be opened */
    bool require;           /* require-tls holds for this session, which is in clear */
    bool require_broken;
    unsigned warnings; /* of the certificate at .cert, EXPIRING included */
    const char *event; /* event name to log for this state, NULL when there is nothing to say */
};

/* Is this certificate usable at `now`: its fault, or NOT_YET_VALID / EXPIRED, or TLS_OK. */
enum tls_reason tls_cert_reason(const struct tls_cert_facts *c, int64_t now);
/* Whole days until not_after (negative when past); INT_MIN when unknown. */
int tls_days_left(const struct tls_cert_facts *c, int64_t now);

/* session == NULL: the listener as such, for check, why, start and reload lines. */
void tls_offer(struct tls_offer *out, const struct tls_listener_facts *l, const struct tls_session_facts *session,
               int64_t now);

#endif
