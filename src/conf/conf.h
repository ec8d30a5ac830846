/* The configuration as a typed, immutable snapshot. Text in, snapshot or problems out; nothing else in the
 * program knows libconfuse. All pointers belong to the snapshot and die with conf_free(). */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/log.h"

enum conf_role { CONF_ROLE_MX, CONF_ROLE_SUBMISSION };
enum conf_tls { CONF_TLS_OFF, CONF_TLS_STARTTLS, CONF_TLS_IMPLICIT };
enum conf_without { CONF_WITHOUT_OMIT, CONF_WITHOUT_TEMPFAIL, CONF_WITHOUT_CLOSE, CONF_WITHOUT_REFUSE_START };

struct conf_where { /* where an option stands, for "switched off in line 12 of /etc/..." */
    const char *file;
    unsigned line; /* 0: the default, not written anywhere */
};

struct conf_certificate {
    const char *title;
    const char *chain_file, *key_file; /* absolute, or relative to the configuration file's directory */
    struct conf_where where;
};

struct conf_listener {
    const char *title;
    struct addr *addresses;
    unsigned address_count;
    enum conf_role role;
    enum conf_tls tls;
    struct conf_where where, tls_where;
    unsigned *certificates; /* indices into conf.certificates; all of them when not named */
    unsigned certificate_count;
    bool certificates_named; /* certificate = {...} stood there (possibly empty) */
    enum conf_without without_certificate;
    bool withhold_expired; /* expired = withhold */
    bool require_tls;
    struct net *no_starttls_for;
    unsigned no_starttls_for_count;
    struct net *relay_from; /* may send anywhere without logging in */
    unsigned relay_from_count;
    struct net *proxy_from; /* proxies, which say by a header who the client is */
    unsigned proxy_from_count;
    bool hide_client;     /* Received: does not name the client */
    const char *hostname; /* the listener's own or the global one */
};

enum conf_delivery_type {
    CONF_DELIVERY_MAILDIR,
    CONF_DELIVERY_LMTP, /* these three by the queue and the relay */
    CONF_DELIVERY_SMTP,
    CONF_DELIVERY_MX,
};

/* What must be true of TLS towards a next hop; UNSET only while the text is read. */
enum conf_next_tls {
    CONF_NEXT_TLS_NONE,
    CONF_NEXT_TLS_MAY,
    CONF_NEXT_TLS_REQUIRED,
    CONF_NEXT_TLS_VERIFY,
    CONF_NEXT_TLS_DANE,
    CONF_NEXT_TLS_UNSET
};

/* The place that lmtp and smtp hand mail to: numeric, a unix socket, or a name. */
struct conf_next_hop {
    struct addr address;  /* ss_family AF_UNSPEC: by name */
    const char *host;     /* A-label; NULL: by address */
    uint16_t port;        /* by name */
    const char *tls_name; /* the name its certificate must have; NULL: host, or any where that is not known */
    enum conf_next_tls tls;
    bool implicit_tls;
    const char *user, *password_file; /* NULL: no login */
    const char *ca_file;              /* NULL: the machine's own */
};

struct conf_delivery {
    const char *title;
    enum conf_delivery_type type;
    const char *path;           /* maildir: template with %d and %u, absolute after load; else NULL */
    const char *owner;          /* user name or NULL: conf.user */
    const char *group;          /* group name or NULL */
    mode_t file_mode, dir_mode; /* 0600 and 0700 by default */
    struct conf_next_hop next;  /* lmtp, smtp; of mx: tls and ca_file */
    struct conf_where where;
};

struct conf_mailbox {   /* its index in conf.mailboxes is the number that store and workers speak of */
    const char *local;  /* lower case */
    const char *domain; /* A-label, lower case */
    unsigned delivery;  /* index into conf.deliveries */
    char *path;         /* template expanded; %d and %u come from the configuration only, never from peers. "" where
                         * the delivery is no maildir: such a mailbox is a recipient for the queue */
};

/* One address after expansion: local@domain (or catch-all: local == "") stands for these mailboxes. */
struct conf_address {
    const char *local;
    unsigned *mailboxes;
    unsigned mailbox_count;
};

struct conf_domain {
    const char *name;               /* A-label, lower case */
    struct conf_address *addresses; /* sorted by local (strcmp), for bsearch; aliases fully expanded */
    unsigned address_count;
    struct conf_address *catch_all; /* or NULL */
    char subaddress_separator;      /* '+' by default, 0: off */
    bool unavailable;               /* its mailbox file could not be read and no last good one exists: 451, never 550 */
    unsigned delivery;              /* index into conf.deliveries */
    bool accept_any;                /* who is not in the list is taken all the same (lmtp, smtp, mx only) */
    bool verify_recipients;         /* ... or asked for at the next hop (lmtp, smtp only) */
    struct conf_where where;
};

struct conf_limits { /* seconds, bytes, counts; every one an option, RFC 5321's values as floor */
    uint64_t max_message_size;
    unsigned max_recipients, max_messages, max_errors, max_line, max_hops, max_body_line;
    unsigned command_timeout, data_timeout, reply_timeout, session_time, greet_delay_ms;
    unsigned min_rate; /* bytes per second inside a line or body, after a grace period */
    unsigned max_connections, max_per_address, max_per_network; /* network: /24, /64 */
    size_t session_memory;
    unsigned busy_percent, busy_timeout;     /* above 80 %: 30 s without an accepted command */
    unsigned drain_idle, shutdown_data_time; /* 60 s, 5 s */
};

struct conf_sender_list { /* what a user may send as, beside what is its own */
    const char *user;     /* a full address, lower case */
    const char **senders; /* "local@domain" or "*@domain" */
    unsigned sender_count;
};

struct conf_queue {
    unsigned first_retry, longest_retry, delay_notice, max_age; /* seconds; delay_notice 0: never */
    unsigned transfers, per_destination;
};

enum conf_log_target { CONF_LOG_STDERR, CONF_LOG_SYSLOG, CONF_LOG_FILE };

struct conf {
    const char *file; /* as given */
    const char *hostname;
    const char *state_dir;
    const char *user, *worker_user;  /* NULL: the current user; worker_user not given: the same pointer as user */
    const char *relay_user;          /* as worker_user */
    const char *users, *auth_socket; /* who may log in: our file, or Dovecot's socket; both NULL: nobody */
    const char *group;
    unsigned workers; /* resolved: never 0 */
    bool lab;         /* floors of RFC 5321 may be undercut: tests only */
    struct conf_limits limits;
    bool normalize_newlines;
    struct net *trusted_networks; /* exempt from counting limits; loopback always is */
    unsigned trusted_network_count;
    struct net *diagnostic_networks; /* may see the reason in HELP STARTTLS */
    unsigned diagnostic_network_count;
    enum log_format log_format;
    enum log_level log_level;
    enum conf_log_target log_target;
    const char *log_file;

    struct conf_certificate *certificates;
    unsigned certificate_count;
    struct conf_listener *listeners;
    unsigned listener_count;
    struct conf_delivery *deliveries;
    unsigned delivery_count;
    struct conf_domain *domains; /* sorted by name */
    unsigned domain_count;
    struct conf_mailbox *mailboxes;
    unsigned mailbox_count;
    unsigned relay;                        /* the delivery for mail to other domains, UINT_MAX: none is sent there */
    struct conf_sender_list *sender_lists; /* sorted by user */
    unsigned sender_list_count;
    bool senders_unavailable; /* the file with them could not be read */
    struct conf_queue queue;
    const char **resolvers; /* NULL-terminated; NULL: those of resolv.conf */
    const char *trust_anchor;
    unsigned postmaster; /* mailbox index for bare <postmaster>, UINT_MAX when no domain exists */
};

/* One thing wrong with the text. Warnings do not stop a load. */
struct conf_problem {
    bool warning;
    char *file;
    unsigned line;
    char *option; /* or NULL */
    char *text;   /* what is wrong */
    char *remedy; /* what to do, or NULL */
};
struct conf_problems {
    struct conf_problem *list;
    unsigned count;
    unsigned errors; /* those that are not warnings */
};
void conf_problems_free(struct conf_problems *p);
void conf_problem_add(struct conf_problems *p, bool warning, const char *file, unsigned line, const char *option,
                      const char *remedy, const char *fmt, ...) __attribute__((format(printf, 7, 8)));
/* "postern.conf:12: tls: unknown value \"strattls\"; nearest: starttls". Caller frees. */
char *conf_problem_text(const struct conf_problem *p);

/* How to read other files the text names (mailbox lists); the leader answers from disk or from its
 * snapshot. Returns 0 and a malloc'd NUL-terminated *text, or -1 and e. */
struct conf_reader {
    int (*read)(void *arg, const char *path, char **text, size_t *len, struct err *e);
    void *arg;
};
/* Regular files of text up to 64 MiB, without NUL bytes. arg is not used. */
int conf_read_disk(void *arg, const char *path, char **text, size_t *len, struct err *e);

/* Parses text (NUL-terminated) as the content of `file`. 0 and *out when no errors (warnings possible),
 * else -1 and *out NULL. All problems are in *p at once, in file and line order; some may be there already. Opens
 * nothing but through reader: mailbox-file, alias-file and include("FILE"). One load at a time: libconfuse's
 * scanner is global. */
int conf_load(struct conf **out, const char *file, const char *text, const struct conf_reader *reader,
              struct conf_problems *p);
void conf_free(struct conf **c);

/* Only state-dir, for the commands that ask the daemon: works on files that are broken elsewhere.
 * Returns a malloc'd string, or NULL and e. */
char *conf_state_dir_only(const char *file, struct err *e);

/* The configuration reference, generated from the option table: for docs and postern.conf(5). */
void conf_write_markdown(int fd);
void conf_write_man(int fd, const char *version, const char *date);

/* For tests of the table: names of every option as "section.option", NULL-terminated. */
const char *const *conf_option_names(void);

#endif
