/* One message on its way to recipients that share a next hop: finds the hosts, tries one after the other, falls back to
 * clear text only where that is allowed, and says for each recipient, exactly once, what became of it.
 *
 * RFC 5321 5.1 (which host next), 7505 (null MX), 7672 (DANE: a failing TLSA lookup defers, never downgrades),
 * 7435 (opportunistic TLS), 8689 (REQUIRETLS). */
#ifndef RELAY_RELAY_TASK_H
#define RELAY_RELAY_TASK_H

#include "dns/dns.h"
#include "relay/relay_conn.h"
#include "sink/relay_msg.h"

/* A delivery of the configuration, as far as it says how to reach a next hop. */
enum relay_kind { RELAY_TO_HOST, RELAY_TO_MX };
struct relay_route {
    const char *title;
    enum relay_kind kind;
    bool lmtp, implicit_tls;
    enum relay_tls tls;  /* DANE: where the DNS has proven records; else as MAY, and never less than they ask */
    struct addr address; /* RELAY_TO_HOST, when it is numeric or a unix socket */
    const char *host;    /* RELAY_TO_HOST by name, and the name to verify of a numeric one; NULL */
    uint16_t port;
    const char *also;         /* another name that its certificate may have, or NULL */
    struct tls_client *trust; /* as relay_hop's */
    const char *user, *password;
};

/* With a message that is a probe fd is not looked at, and a result other than RELAY_DEFERRED is always the answer to a
 * RCPT, or what makes one impossible for that address: servers that cannot be reached, or refuse the connection or the
 * null sender, have said nothing of the recipient. */
struct relay_job {
    const struct relay_route *route;
    const char *domain; /* of the recipients: RELAY_TO_MX; NULL else */
    const struct smtp_client_message *message;
    int fd;
    uint64_t offset;
};

struct relay_desk; /* all transfers of a process, and connections kept for the next one */
struct relay_desk_setup {
    struct loop *loop;
    struct tls_client *tls;
    struct dns *dns; /* NULL: no route needs names */
    const char *hostname;
    unsigned connect_timeout, idle_seconds; /* how long a connection is kept without a message */
    unsigned kept_seconds; /* ... and at all: names, addresses and certificates may be others by then */
    unsigned idle_most;
};
struct relay_desk *relay_desk_new(const struct relay_desk_setup *s);
void relay_desk_free(struct relay_desk **d);          /* connections end; no events */
unsigned relay_desk_busy(const struct relay_desk *d); /* transfers under way */
void relay_desk_turn(struct relay_desk *d);           /* at the end of each turn of the loop */
void relay_desk_tick(struct relay_desk *d);           /* once a second */

struct relay_task;
struct relay_task_events {
    /* r->index is that of the job's message; number is the caller's to fill in. */
    void (*result)(void *arg, struct relay_result *r);
    void (*done)(void *arg,
                 enum relay_health health); /* each recipient has its result; the job is no longer looked at */
};
/* Events come from the loop, or from inside. job and what it points to stay the caller's until done(). */
void relay_task_start(struct relay_desk *d, const struct relay_job *job, const struct relay_task_events *events,
                      void *arg);
/* Ends what was started with that arg, and its connection, without a word to anybody. Not from inside an event. */
void relay_task_drop(struct relay_desk *d, const void *arg);

#endif
