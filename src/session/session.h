/* One SMTP session: the only place where protocol, transport, policy and storage meet. Private to src/session.
 *
 * A session is never freed while anything of its own is on the stack: session_end() marks it, the end of the loop's
 * turn frees it. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "auth/auth_client.h"
#include "net/listener.h"
#include "net/stream.h"
#include "policy/admit.h"
#include "policy/rcpt_rule.h"
#include "policy/tls_offer.h"
#include "relay/verify_client.h"
#include "session/server.h"
#include "sink/store_client.h"
#include "smtp/engine.h"
#include "smtp/fixup.h"

struct session;

struct throttle { /* a log line that many clients cause: once a minute, with a count */
    int64_t last_us;
    unsigned held;
};

#define SESSION_LINES_MOST 100 /* lines above debug that the words of one session may cause; the rest is counted */

struct left_entry { /* clients of one network that left without TLS */
    struct addr_key key;
    unsigned count;
    int64_t since_us;
};
#define LEFT_TABLE 256
#define LEFT_WARN_AFTER 5

struct listener_state {
    const struct conf_listener *conf;
    const struct tls_listener_facts *facts; /* of an "off" listener, too */
    struct tls_listener *tls;
    struct smtp_profile profile, diagnostic; /* the second for diagnostic networks */
    struct throttle not_configured[TLS_REASON_COUNT];
    struct throttle refused[ADMIT_NETWORK + 1];
    struct throttle proxy_invalid;
};

struct accept_state { /* one listening socket */
    struct server *server;
    struct listener *listener;
    const struct server_socket *socket;
};

struct server {
    const struct server_setup *setup;
    const struct conf *conf;
    struct loop *loop;
    struct listener_state *listeners;
    struct accept_state *accepts;
    struct sink *sink;
    struct watch *store_watch, *leader_watch;
    struct session *first;   /* all sessions */
    struct session *dead;    /* to be freed at the end of the turn */
    struct proxied *proxied; /* connections whose proxy has not said yet who the client is */
    unsigned proxied_count;
    unsigned sessions;
    uint64_t next_id;
    struct auth_client *auth;
    struct verify_client *verify; /* NULL: no domain asks a next hop, or no relay yet */
    int64_t started_us;
    bool accepting, draining, store_gone, reported, leaderless, ready_said;
    int64_t force_us; /* when shutting down: sessions are cut off then; 0: no */
    struct left_entry left[LEFT_TABLE];
};

enum session_wait {
    SESSION_GREET,   /* the banner is delayed */
    SESSION_READ,    /* for the client */
    SESSION_AUTH,    /* for the auth process */
    SESSION_VERIFY,  /* for the relay, which asks a next hop */
    SESSION_OPENING, /* for a file from the store */
    SESSION_COMMITTING,
    SESSION_STARTTLS, /* the 220 is on its way */
    SESSION_HANDSHAKE,
    SESSION_CLOSING, /* the last reply is on its way */
    SESSION_LINGER,  /* it is out; the peer has two seconds to read it */
    SESSION_DEAD,
};

struct session {
    struct session *prev, *next;
    struct server *server;
    struct listener_state *listener;
    const struct server_socket *socket;
    struct stream stream;
    struct smtp_engine *engine;
    struct tls_conn *tls_next; /* held from before the 220 until the handshake */
    struct sink_message *message;
    struct auth_talk *talk;        /* an AUTH exchange, NULL: none */
    struct session_away *away;     /* recipients for the queue, NULL: none */
    struct asked_rcpt *asked_rcpt; /* one that a next hop is asked about, NULL: none */
    struct fixup *fixup;           /* NULL: the content passes as it is */
    struct addr peer;              /* the client, whoever connected */
    struct addr proxy;             /* who connected for it; no address: itself */
    struct addr_key address_key, network_key;
    uint64_t id;
    enum session_wait wait;
    uint8_t reason;      /* enum tls_reason as offered at the last EHLO */
    bool offered, asked; /* ... and whether it was; a TLS view was asked for */
    uint8_t rcpt_reason; /* enum rcpt_reason of the refusal whose event comes next */
    bool counted, exempt, in_tls, pumping, withheld;
    bool may_relay;              /* to any domain: has logged in, or need not */
    bool in_transaction, mailed; /* MAIL is open; MAIL was accepted once */
    uint32_t opened;             /* messages, for their ids */
    char message_id[40];
    int64_t started_us, deadline_us, activity_us;
    int64_t rate_from_us; /* a line or a message began; 0: nothing is owed */
    uint64_t rate_bytes;
    uint64_t messages, bytes;
    uint32_t rcpts;
    uint32_t lines, held_lines; /* of SESSION_LINES_MOST, and those that were not written */
    const char *ended;          /* how, for the log */
};

/* server.c: server_run() in steps, for tests. NULL and e: no event loop. */
struct server *server_new(const struct server_setup *setup, struct err *e);
int server_turn(struct server *v, bool wait);
void server_free(struct server **v);
void server_check_drained(struct server *v);

/* session.c */
/* proxy: who connected, if that is not the client; NULL: nobody between. */
void session_start(struct accept_state *a, int fd, const struct addr *peer, const struct addr *proxy);
void session_greet(struct session *s); /* TLS is up where it is implicit, the delay is over */

/* session_proxy.c: a connection from a network of proxy-from; its header is read, then a session starts. */
void session_proxied(struct accept_state *a, int fd, const struct addr *peer);
void session_proxied_tick(struct server *v, int64_t now);
void session_proxied_free(struct server *v); /* closes them all: shutting down */

/* session_pump.c */
void session_io(void *arg, unsigned what); /* the descriptor is ready */
void session_resume(struct session *s);    /* something it waited for is here */
void session_pump(struct session *s);
void session_flush(struct session *s); /* what was said, as far as it goes */

/* session_end.c */
void session_end(struct session *s, const char *how);    /* at once */
void session_finish(struct session *s, const char *how); /* once what was said is out */
/* Our own last words, past the engine: time limits, memory. */
void session_say(struct session *s, const char *reply, const char *how);
void session_linger(struct session *s); /* all is said: the peer has two seconds to read it */
void session_free_dead(struct server *v);

/* session_data.c: actions that concern a message. True: goes on now; false: waits for the store. */
bool session_open_message(struct session *s);
void session_abort(struct session *s); /* the open message, if there is one */
void session_content(struct session *s, struct span bytes);
bool session_commit(struct session *s);
void session_opened(void *session, struct sink_message *m, const struct sink_answer *a);
void session_committed(void *session, const struct sink_answer *a);

/* session_away.c: recipients for the queue, of one transaction. */
void session_away_reset(struct session *s);
uint32_t session_away_count(const struct session *s);
size_t session_away_memory(const struct session *s);
/* local: without quotes. -1: more than one file of the queue takes. */
int session_away_add(struct session *s, unsigned delivery, struct peer_text local, struct peer_text domain,
                     const struct smtp_rcpt_params *params);
/* Appends the head of the queue's file; there is somebody. -1 and e: what a client said does not fit into it. */
int session_away_head(const struct session *s, struct buf *out, struct err *e);

/* session_auth.c: as session_open_message() */
bool session_ask_auth(struct session *s, const struct smtp_action *a);
void session_cancel_auth(struct session *s);

/* session_verify.c: does the next hop take this recipient? domain: what stands for an empty one. As
 * session_open_message(). */
bool session_ask_next_hop(struct session *s, const struct rcpt_verdict *v, struct peer_text domain,
                          const struct smtp_action *a);
void session_cancel_verify(struct session *s);

/* session_policy.c */
void session_ask_sender(struct session *s, const struct smtp_action *a);
void session_offer(struct session *s, struct tls_offer *o);
void session_ask_tls(struct session *s);
bool session_ask_rcpt(struct session *s, const struct smtp_action *a); /* as session_open_message() */

/* session_tls.c */
bool session_start_tls(struct session *s, const struct smtp_action *a); /* as session_open_message() */
void session_starttls_written(struct session *s);                       /* the 220 is out: handshake */
void session_implicit(struct session *s);
void session_handshake_io(struct session *s); /* the descriptor is ready */
void session_handshake_late(struct session *s);

/* session_timer.c */
void session_deadline(struct session *s); /* from its state */
void session_tick(struct server *v);      /* once a second, and when an alarm rings */
void session_alarm(struct server *v, int64_t at_us);

/* session_log.c */
void session_log_event(struct session *s, const struct smtp_action *a);
void session_log_verified(struct session *s, struct peer_text local, struct peer_text domain,
                          const struct verify_answer *a);
struct sender_verdict;
void session_log_sender(struct session *s, struct peer_text sender, const struct sender_verdict *v);
void session_log_end(struct session *s);
void session_log_not_offered(struct session *s, struct peer_text hello);
void session_log_refused(struct session *s, const struct admit_verdict *v);
void session_log_close(struct session *s, enum smtp_close why);
void session_begin(struct session *s, struct log_line *l, enum log_level level, const char *event);
/* May this line be written now, or was one of its kind within interval_us? *held: how many were held back since. */
bool throttle_opens(struct throttle *t, int64_t now_us, int64_t interval_us, unsigned *held);

static inline void session_count_in(struct server *v, enum share_counter c)
{
    share_add(v->setup->share, v->setup->slot, c, 1);
}

static inline void session_count(struct session *s, enum share_counter c, int64_t n)
{
    share_add(s->server->setup->share, s->server->setup->slot, c, n);
}

#endif
