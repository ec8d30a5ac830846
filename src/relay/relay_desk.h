/* Transfers and the connections they use. Private to src/relay. */
#ifndef RELAY_RELAY_DESK_H
#define RELAY_RELAY_DESK_H

#include "relay/relay_task.h"

/* A place that may take the message. */
struct relay_candidate {
    struct addr address;
    char *host;  /* NULL: by address alone */
    bool secure; /* its name and addresses are proven by DNSSEC */
    bool mx;
    struct tls_tlsa *tlsa; /* owned, with its data */
    unsigned tlsa_count;
};

struct relay_task {
    struct relay_task *next, **link;
    struct relay_desk *desk;
    const struct relay_job *job;
    const struct relay_task_events *events;
    void *arg;
    bool *told; /* per recipient */
    uint32_t left;

    struct relay_candidate *candidates;
    unsigned candidate_count, at, tries;
    struct dns_question *question;

    struct relay_conn *conn;
    enum relay_tls tls; /* of this connection */
    bool again;         /* nothing was learned: it was over before it began */
    bool elsewhere;     /* this host does not do REQUIRETLS; the next one may */
    bool in_clear, refused;
    struct smtp_client_message message; /* the job's, with those recipients that have no outcome */
    struct smtp_client_rcpt *rcpts;
    uint32_t *places;

    struct relay_result last; /* why it has not worked so far; code 0: nothing is known */
    char *last_text, *last_remote, *last_tls;
    enum relay_health health;
};

/* A connection, what it is good for, and whose it is. */
struct relay_link {
    struct relay_link *next, **link;
    struct relay_desk *desk;
    struct relay_conn *conn;
    struct relay_hop hop;
    char *host, *also;     /* hop.host, hop.also */
    struct tls_tlsa *tlsa; /* hop.tlsa */
    const struct relay_route *route;
    struct relay_task *transfer; /* NULL: idle, or about to end */
    bool idle, start;            /* start: a transfer took it and has not been told */
    int64_t opened_us, idle_since_us;
};

struct relay_desk {
    struct relay_desk_setup setup;
    struct relay_conn_setup conn;
    struct relay_task *transfers;
    struct relay_link *links;
    unsigned busy, idle;
};

struct relay_task *relay_desk_add(struct relay_desk *d);
void relay_task_end(struct relay_task *t); /* done() is called, t is gone */

/* From a DNS answer, or from the route itself. */
void relay_task_candidates(struct relay_task *t, const struct dns_mail *m);
void relay_task_fixed(struct relay_task *t);
void relay_candidate_tlsa(struct relay_candidate *k, struct dns_tlsa_set *s); /* takes s */

/* An idle connection to that place under that demand: t->conn; ready() follows from relay_desk_turn(). false: none. */
bool relay_desk_take(struct relay_task *t, const struct relay_candidate *k, enum relay_tls tls);
/* A new one: t->conn. -1 and e: it cannot even begin. */
int relay_desk_open(struct relay_task *t, const struct relay_candidate *k, enum relay_tls tls, struct err *e);
/* The transfer has no more use for its connection, which is kept for others or told to quit. */
void relay_desk_leave(struct relay_task *t);

/* relay_task.c, called with the events of its connection. */
void relay_task_ready(struct relay_task *t, bool reusable);
void relay_task_result(struct relay_task *t, const struct smtp_client_action *a);
void relay_task_message_done(struct relay_task *t);
void relay_task_failed(struct relay_task *t, const struct relay_failure *f);
void relay_task_closed(struct relay_task *t);

#endif
