/* Of the bench server's own files: bench_server.c (the whole, time), bench_port.c (where it listens), bench_conn.c (one
 * connection: what its session wants done, and what comes), bench_conn_tls.c (its TLS). Nobody else includes this. */
#ifndef BENCH_BENCH_SERVER_OWN_H
#define BENCH_BENCH_SERVER_OWN_H

#include "bench/bench_server.h"
#include "bench/bench_tls.h"
#include "net/listener.h"

struct bench_port {
    struct bench_port *next;
    struct bench_server *server;
    const struct bench_scenario *scenario;
    const struct bench_choices *choices;
    const struct net *clients;
    unsigned client_count;
    bool implicit, no_tls;
    struct bench_count *count; /* its own, with a lease; NULL: the server's */
    char *name, *lease;        /* name: NULL: its address */
    struct addr address;
    enum bench_listen how;
    int held;                      /* keeps the port while nobody is let in; -1: the listener has it */
    struct listener *listener;     /* NULL: nobody is let in */
    unsigned sessions, handshakes; /* handshakes: begun */
    bool closed;
};

struct bench_conn {
    struct bench_conn *next, **link;
    struct bench_port *port;
    int fd;
    struct watch *watch;
    struct bench_session *session;
    struct transcript *transcript;
    struct mail_draft *draft; /* NULL: messages are not kept */
    struct bench_tls_conn *tls;
    const struct bench_scenario *tls_scenario; /* whose context it is of; NULL: none yet */
    struct buf out;                            /* of one send, what is left of it */
    int64_t resume_us;                         /* a pause; 0: none */
    int64_t deadline_us, heard_us;
    int64_t flood_us;   /* that it began; 0: there was none */
    int64_t tls_us;     /* when TLS was to begin */
    struct buf hello;   /* the ClientHello, as far as it has come */
    unsigned segments;  /* of TCP, before it */
    bool unread;        /* until the end of the pause */
    bool peeking;       /* for the ClientHello, before anybody answers it */
    bool shaking_later; /* what the scenario does before it answers one is not done yet */
    bool handshaking, deaf, hung, ended, idle_said;
    bool wants_write, write_waits; /* OpenSSL: to read it must write; to write it must read */
    bool held;                     /* nothing is read until some of what is to be done is done */
    bool no_smtp;                  /* what comes is of a handshake that nobody answers */
    bool refused;                  /* a handshake */
    const char *how;               /* it was that no more came: "closed", "reset", "cut" (TLS without close_notify) */
    char client[ADDR_TEXT];
};

/* Made when it is first needed, one for each scenario. */
struct bench_ctx {
    struct bench_ctx *next;
    const struct bench_scenario *scenario;
    struct bench_tls_ctx *tls;
};

struct bench_server {
    struct bench_server_setup setup;
    struct bench_count *count;
    struct bench_names *names;
    struct bench_port *ports;
    struct bench_conn *conns;
    struct bench_ctx *contexts;
    unsigned ticks;
    struct bench_totals totals;
    uint64_t told; /* messages whose time has been noted */
};

/* bench_port.c: frees it when it is closed and its last session has ended. */
void bench_port_drop(struct bench_port *p);

/* bench_conn.c; fd: the connection's. */
void bench_conn_begin(struct bench_port *p, int fd, const struct addr *peer);
void bench_conn_end(struct bench_conn *c, const char *by, const char *reason); /* reason: as of transcript_end() */
void bench_conn_tick(struct bench_conn *c, int64_t now_us);                    /* it may be gone */
void bench_conn_resume(struct bench_conn *c, int64_t now_us);                  /* it may be gone */

/* bench_conn_tls.c */
enum bench_conn_tls {
    BENCH_CONN_TLS_WAITS, /* for more bytes */
    BENCH_CONN_TLS_UP,
    BENCH_CONN_TLS_ANSWERED, /* the scenario has something to do; there will be no TLS, or later */
    BENCH_CONN_TLS_REFUSED,  /* noted; OpenSSL has said why in an alert, perhaps */
    BENCH_CONN_TLS_FAILED,   /* noted; the connection is of no use any more */
};
void bench_conn_tls_expect(struct bench_conn *c); /* a ClientHello may come from here on */
void bench_conn_tls_begin(struct bench_conn *c);
enum bench_conn_tls bench_conn_tls_go(struct bench_conn *c); /* while it is handshaking and something has come */
void bench_conn_tls_give_up(struct bench_conn *c); /* no handshake any more; what is sent now is sent in clear */
void bench_conn_tls_act(struct bench_conn *c, enum bench_then then);
void bench_conn_tls_news(struct bench_conn *c);
void bench_conn_tls_end(struct bench_conn *c); /* what is to be told of it at the end */

/* bench_server.c. The scenario's context, made when it is first asked for, the server's. NULL and e. */
struct bench_tls_ctx *bench_server_tls(struct bench_server *v, const struct bench_scenario *sc, struct err *e);
/* bench_conn_resume() is called then. */
void bench_server_alarm(struct bench_server *v, int64_t at_us);

#endif
