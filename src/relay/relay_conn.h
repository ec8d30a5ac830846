/* One connection to one address of a next hop: TCP or a unix socket, TLS, the sending engine, and content read from
 * descriptors. It carries message after message; what to send, and whether to try elsewhere, is its owner's business.
 *
 * Events come from the loop, or from inside relay_conn_send() and relay_conn_quit(); never from relay_conn_open(). An event
 * may send or quit, it may not drop. After closed() the connection is gone. */
#ifndef RELAY_RELAY_CONN_H
#define RELAY_RELAY_CONN_H

#include "net/loop.h"
#include "smtp/client.h"
#include "tls/tls_client.h"

/* What must be true of TLS, from "no" to "proven by DANE". */
enum relay_tls { RELAY_TLS_NONE, RELAY_TLS_MAY, RELAY_TLS_REQUIRED, RELAY_TLS_VERIFY, RELAY_TLS_DANE };
const char *relay_tls_name(enum relay_tls t); /* "none", "may", ... */

/* Where to, and how. The owner keeps all of it alive until closed(). */
struct relay_hop {
    struct addr address;
    const char *host; /* for SNI, verification and logs; NULL: it is known by its address alone */
    const char *also; /* another name that its certificate may have (RFC 7672 3.2.2); NULL */
    bool lmtp, implicit_tls;
    enum relay_tls tls;
    const struct tls_tlsa *tlsa; /* for DANE */
    unsigned tlsa_count;
    struct tls_client *trust;    /* the CAs that count; NULL: the setup's */
    const char *user, *password; /* NULL: no login */
    bool detect_loop;            /* found by MX: a server with our own name is us */
};

struct relay_conn;

/* Why a connection is of no use. In words for people, and as a reply for reports. */
struct relay_failure {
    const char *reason; /* closed vocabulary: those of smtp_client_failure_name(), and "connect-failed" */
    const char *stage;  /* "connect", "greeting", "EHLO", ... */
    bool permanent;
    bool tls_broke;                 /* a handshake failed: an opportunistic owner may try again in clear */
    struct smtp_client_reply reply; /* code 0: no server said it */
    const char *words;              /* escaped; what was seen, in one line */
};

struct relay_conn_events {
    /* No message in hand: send one now or later, or quit. reusable false: quit is all that makes sense. */
    void (*ready)(void *arg, struct relay_conn *c, bool reusable);
    /* As SMTP_CLIENT_RCPT_RESULT. */
    void (*result)(void *arg, struct relay_conn *c, const struct smtp_client_action *a);
    void (*message_done)(void *arg, struct relay_conn *c);
    /* At most once, before closed(). */
    void (*failed)(void *arg, struct relay_conn *c, const struct relay_failure *f);
    void (*closed)(void *arg, struct relay_conn *c);
};

struct relay_conn_setup {
    struct loop *loop;
    struct tls_client *tls;
    const char *hostname; /* ours, for EHLO */
    const struct relay_conn_events *events;
    unsigned connect_timeout; /* seconds */
};

/* NULL and e: it cannot even begin ("network is unreachable"). */
struct relay_conn *relay_conn_open(const struct relay_conn_setup *s, const struct relay_hop *hop, void *arg,
                                   struct err *e);
/* At ready(). The message and fd stay the owner's until message_done(); content begins at `offset` of fd. */
void relay_conn_send(struct relay_conn *c, const struct smtp_client_message *m, int fd, uint64_t offset);
void relay_conn_quit(struct relay_conn *c);
/* At once, without a word to the server; nobody is called. */
void relay_conn_drop(struct relay_conn **c);
/* Once a second: time-outs of RFC 5321 4.5.3.2. */
void relay_conn_tick(struct relay_conn *c, int64_t now_us);

/* "mx.example.net[192.0.2.25]:25", and "TLSv1.3 TLS_AES_256_GCM_SHA384, verified by DANE", "" in clear: for logs and reports.
 * Valid as long as the connection, tls until the next call. */
const char *relay_conn_remote(const struct relay_conn *c);
const char *relay_conn_tls(struct relay_conn *c);

#endif
