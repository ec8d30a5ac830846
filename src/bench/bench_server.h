/* Listeners, each with its scenario, and the sessions that come to them; one loop. */
#ifndef BENCH_BENCH_SERVER_H
#define BENCH_BENCH_SERVER_H

#include "base/addr.h"
#include "bench/bench_count.h"
#include "bench/bench_totals.h"
#include "bench/mail_store.h"
#include "bench/transcript.h"
#include "net/loop.h"

struct bench_server;
struct bench_port;

struct bench_server_setup {
    struct loop *loop;
    struct transcript_book *book;
    struct mail_store *mail; /* NULL: messages are not kept */
    const char *hostname, *pki_dir;
    uint64_t seed;
    int64_t silence_us; /* of a sender, then its session ends; 0: ten minutes, which is longer than any waits */
};

struct bench_server *bench_server_new(const struct bench_server_setup *s);
void bench_server_free(struct bench_server **v);
void bench_server_end_sessions(struct bench_server *v);
const struct bench_totals *bench_server_totals(const struct bench_server *v); /* so far; as long as the server */

struct bench_port_setup {
    const struct addr *address; /* port 0: a free one */
    const struct bench_scenario *scenario;
    const char *name;                    /* of the listener; NULL: its address */
    const char *lease;                   /* "" for none; with one counters and chance are the port's own */
    uint64_t seed;                       /* of the lease's */
    const struct bench_choices *choices; /* what else may be played there; NULL: nothing. Must outlive the port */
    const struct net *clients;           /* who may come; NULL: everybody. As above */
    unsigned client_count;
    bool implicit; /* TLS from the first byte, also where the scenario does not say so */
    bool no_tls;   /* STARTTLS is neither offered nor taken, and no certificate is needed */
};
/* Listens there and plays the scenario, as far as it lets anybody in (scenario.listen). NULL and e. */
struct bench_port *bench_port_open(struct bench_server *v, const struct bench_port_setup *s, struct err *e);
void bench_port_end_sessions(struct bench_port *p);
void bench_port_close(struct bench_port **p); /* its sessions go on */
const struct addr *bench_port_address(const struct bench_port *p);
/* Whoever is in stays in. The port is kept whatever is done at it. -1 and e: it is as it was, or down. */
int bench_port_listen(struct bench_port *p, enum bench_listen how, struct err *e);
enum bench_listen bench_port_listens(const struct bench_port *p);
unsigned bench_port_sessions(const struct bench_port *p); /* open now */

/* From the next session on. -1 and e: as it was. */
int bench_port_play(struct bench_port *p, const struct bench_scenario *sc, struct err *e);
const struct bench_scenario *bench_port_scenario(const struct bench_port *p);
/* Can it be played, as far as TLS goes? -1 and e. */
int bench_server_try(struct bench_server *v, const struct bench_scenario *sc, struct err *e);
/* Nobody is to be played it any more: true when nobody is, and then nothing of it is kept. */
bool bench_server_forget(struct bench_server *v, const struct bench_scenario *sc);

#endif
