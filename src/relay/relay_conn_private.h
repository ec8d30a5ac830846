/* A connection seen from inside. Private to relay_conn.c (sockets, TLS, time) and relay_conn_talk.c (the engine). */
#ifndef RELAY_RELAY_CONN_PRIVATE_H
#define RELAY_RELAY_CONN_PRIVATE_H

#include "net/stream.h"
#include "relay/relay_conn.h"
#include "relay/relay_sasl.h"

enum relay_conn_state { RELAY_CONNECTING, RELAY_HANDSHAKE, RELAY_TALKING, RELAY_GONE };

struct relay_conn {
    struct relay_conn_setup setup;
    const struct relay_hop *hop;
    void *arg;
    enum relay_conn_state state;
    struct stream stream;
    struct smtp_client_profile profile;
    struct smtp_client *engine;
    struct tls_target target;
    int64_t since_us; /* beginning of what is waited for */
    uint32_t progress;
    const char
        *lost; /* the other side is gone, which the engine hears when it has heard everything else; NULL: it is there */
    bool lost_told;
    bool pumping; /* inside pump(): a callback calls back */
    bool quitting;
    bool in_tls, verified;
    bool ready_said; /* the owner knows, and has not answered */
    int fd;          /* of the message in hand, its content from offset on */
    uint64_t offset;
    struct relay_sasl *sasl;
    char *tls_words, *sasl_words; /* why the handshake, or the login, failed on our side */
    char *remote, *tls_text;
};

/* relay_conn.c */
void relay_conn_close(struct relay_conn *c);     /* closed() is said, c is gone */
bool relay_conn_begin_tls(struct relay_conn *c); /* false: it cannot begin, which the engine was told */
void relay_conn_handshake(struct relay_conn *c);

/* relay_conn_talk.c */
void relay_conn_pump(struct relay_conn *c); /* carries out what the engine wants, until it rests; c may be gone */

#endif
