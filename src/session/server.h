/* A worker's whole life after its sandbox is in place: accept, TLS, SMTP, storage, timers, until drained. */
#ifndef SESSION_SERVER_H
#define SESSION_SERVER_H

#include "base/share.h"
#include "conf/conf.h"
#include "tls/cert_store.h"

struct server_socket {
    int fd;            /* listening, non-blocking, shared with the other workers */
    unsigned listener; /* index into conf->listeners */
    struct addr local; /* as bound (port 0 resolved) */
};

/* Messages on leader_fd (chan.h), leader -> worker. */
enum server_order {
    SERVER_ACCEPT = 1, /* start accepting: the generation is active */
    SERVER_DRAIN,      /* stop accepting; sessions end by themselves, 60 s of silence outside a transaction: 421 */
    SERVER_SHUTDOWN,   /* stop accepting; 421 outside DATA now, limits.shutdown_data_time for DATA, then return */
    SERVER_AUTH,       /* with one descriptor: a channel to an auth process (auth/auth_msg.h) */
    SERVER_VERIFY,     /* with one descriptor: a channel to a relay (relay/verify_msg.h) */
    SERVER_CLOSE_OLD,  /* a fifth generation appeared: 421 at the next boundary outside a transaction */
};
/* worker -> leader */
enum server_report {
    SERVER_READY = 100, /* loop runs, store channel answered */
    SERVER_DRAINED,     /* no session left after DRAIN, SHUTDOWN: the process returns next */
};

struct server_setup {
    const struct conf *conf;
    struct tls_listener *const *tls; /* per listener, NULL entries for tls = off */
    const struct server_socket *sockets;
    unsigned socket_count;
    int leader_fd; /* chan; EOF: the leader died: finish running commits, close, return within 2 s */
    int store_fd;  /* chan to the store */
    struct share *share;
    int slot;
    unsigned generation;
    unsigned number; /* worker index */
};

/* Returns the process's exit code. */
int server_run(const struct server_setup *s);

#endif
