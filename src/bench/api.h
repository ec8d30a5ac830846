/* The HTTP/JSON API of a bench that serves (docs/bench.md): leases and waiting for what happens in them, sessions, messages,
 * scenarios, listeners. For programs on the same machine: it asks for a token, and for a Host that is meant for it, since a
 * browser's page can make any name point to the loopback (DNS rebinding). */
#ifndef BENCH_API_H
#define BENCH_API_H

#include "bench/bench_server.h"
#include "bench/bench_shelf.h"
#include "bench/lease.h"
#include "bench/listener_list.h"
#include "bench/mail_store.h"
#include "bench/session_list.h"

#define API_CONNECTIONS 1024u
#define API_WAITS 768u /* of these; the rest is for whoever does not wait */

struct api;

struct api_setup {
    struct loop *loop;
    struct bench_server *server;
    struct bench_shelf *shelf;
    struct lease_table *leases;
    struct listener_list *listeners;
    struct session_list *sessions;
    struct mail_store *mail; /* NULL: messages are not kept */
    struct transcript_book *book;
    const char *out, *pki;     /* directories: transcripts (NULL: none), certificates */
    const char *hostname;      /* of the certificates */
    const struct addr *listen; /* where the API listens */
    const struct net *clients; /* who may ask; NULL: everybody who can reach it, and has the token */
    unsigned client_count;
    const struct addr *leases_at;
    const char *token_file;
    bool write; /* scenarios and listeners may be changed */
    uint64_t seed;
};

/* The token file is made, for its owner alone, when it is not there. What is pointed to outlives the API. -1 and e. */
int api_open(struct api **out, const struct api_setup *s, struct err *e);
void api_close(struct api **a);
const struct addr *api_address(const struct api *a);
/* A line of a transcript was made; leases have taken it already. l: whose it is, or NULL. */
void api_line(struct api *a, struct lease *l, const json_t *line);

#endif
