#include "conf/conf_options.h"

#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "conf/conf.h"

#define FIELD(s, f) .at = offsetof(struct s, f), .width = sizeof(((struct s *)0)->f)
#define LIMIT(f) .at = offsetof(struct conf, limits.f), .width = sizeof(((struct conf_limits *)0)->f)
#define NETS(s, f, c) .at = offsetof(struct s, f), .count_at = offsetof(struct s, c)
#define OWN .at = CONF_NO_FIELD
#define WORDS(...)                                                                                                     \
    .words = (const char *const[])                                                                                     \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define HOUR 3600
#define DAY UINT64_C(86400)
#define KIB ((uint64_t)1024)

const struct conf_section_row conf_sections[CONF_SECTIONS] = {
    [CONF_GLOBAL] = {"", false, NULL, "Options that stand outside of every section."},
    [CONF_CERTIFICATE] = {"certificate", true, "a name of your choice",
                          "A certificate chain and its key. Listeners name it by its title; a "
                          "listener that names none "
                          "uses every certificate, chosen by the name the client asks for (SNI)."},
    [CONF_LISTENER] = {"listener", true, "a name of your choice, seen in the log and in \"postern why\"",
                       "Addresses on which postern listens, and what it offers there."},
    [CONF_DOMAIN] = {"domain", true, "the domain, in A-labels or in Unicode",
                     "A domain whose mail is taken, and its recipients. Mail for any other domain is refused."},
    [CONF_DELIVERY] = {"delivery", true, "a name of your choice",
                       "Where accepted mail goes: into Maildirs here, or by way of the queue to another server."},
    [CONF_RELAY] = {"relay", false, NULL,
                    "Where mail to other domains goes, from clients that may send it: users who have logged in, and "
                    "those of relay-from. Without this "
                    "section postern sends nothing to other domains, reports of failure excepted."},
    [CONF_QUEUE] = {"queue", false, NULL, "How long and how often delivery to another server is tried."},
    [CONF_DNS] = {"dns", false, NULL, "Who is asked for the next hops of mail, and what proves the answers (DNSSEC)."},
    [CONF_LOG] = {"log", false, NULL, "How and where events are written."},
};

const struct conf_option conf_options[] = {
    /* ---- global */
    {CONF_GLOBAL, "hostname", CONF_HOST, .sample = "mx.example.org", FIELD(conf, hostname),
     .help = "The name of this server: in the greeting, in EHLO, in Received: fields and in file "
             "names. It should be the name that "
             "the MX record points to (RFC 5321 2.3.5). Default: the system's host name."},
    {CONF_GLOBAL, "state-dir", CONF_PATH, .fallback = "/var/lib/postern", FIELD(conf, state_dir),
     .help = "Directory of the control socket and of what must survive a restart."},
    {CONF_GLOBAL, "user", CONF_TEXT, .sample = "postern", FIELD(conf, user),
     .help = "The account that owns state and mail; the store runs as it. Started without root, "
             "everything runs as the current user "
             "and this option is not used. Default: the current user."},
    {CONF_GLOBAL, "worker-user", CONF_TEXT, .sample = "postern-worker", FIELD(conf, worker_user),
     .help = "The account that the workers run as: they meet the network and need no file at all. "
             "Default: the account of user, which "
             "is weaker, and the log says so."},
    {CONF_GLOBAL, "relay-user", CONF_TEXT, .sample = "postern-relay", FIELD(conf, relay_user),
     .help = "The account that the relay runs as: it connects to other servers and needs no file. Default: the account "
             "of user, which is weaker, and the log says so."},
    {CONF_GLOBAL, "group", CONF_TEXT, .sample = "postern", FIELD(conf, group),
     .help = "The group of state and control socket: its members may ask the daemon (status, why). "
             "Default: the primary group of user."},
    {CONF_GLOBAL, "workers", CONF_COUNT, .fallback = "0", RANGE(0, 8), FIELD(conf, workers),
     .help = "Processes that serve connections. 0: one per CPU, at most 8."},
    {CONF_GLOBAL, "lab", CONF_BOOL, .fallback = "no", FIELD(conf, lab),
     .help = "Only for tests: limits below the floors of RFC 5321 become possible. Warned about at "
             "every start."},
    {CONF_GLOBAL, "max-message-size", CONF_SIZE, .fallback = "50M", RANGE(1, UINT64_C(1) << 40), .zero = "no limit",
     .floor = 64 * KIB, .rfc = "RFC 5321 4.5.3.1.7", LIMIT(max_message_size),
     .help = "Largest message, in bytes as sent (SIZE, RFC 1870). A larger one gets 552 5.3.4, and "
             "the session goes on."},
    {CONF_GLOBAL, "max-recipients", CONF_COUNT, .fallback = "1000", RANGE(1, 100000), .floor = 100,
     .rfc = "RFC 5321 4.5.3.1.8", LIMIT(max_recipients),
     .help = "Recipients of one message. More get 452 4.5.3, and the sender brings them in another "
             "message."},
    {CONF_GLOBAL, "max-messages-per-session", CONF_COUNT, .fallback = "1000", RANGE(1, 1000000), .zero = "no limit",
     LIMIT(max_messages),
     .help = "Messages in one connection (MAILMAX, RFC 9422). The next gets 421 4.7.0 and the "
             "connection is closed."},
    {CONF_GLOBAL, "max-errors", CONF_COUNT, .fallback = "20", RANGE(1, 100000), .zero = "no limit", LIMIT(max_errors),
     .help = "Refused commands in one connection; after that many it gets 421 4.7.0 and is closed."},
    {CONF_GLOBAL, "max-line-length", CONF_COUNT, .fallback = "512", RANGE(64, 65536), .floor = 512,
     .rfc = "RFC 5321 4.5.3.1.4", LIMIT(max_line),
     .help = "Bytes of a command line with its CRLF; what offered extensions add comes on top. A "
             "longer one is read to its end and gets one 500."},
    {CONF_GLOBAL, "max-received-hops", CONF_COUNT, .fallback = "100", RANGE(1, 10000), .floor = 100,
     .rfc = "RFC 5321 6.3", LIMIT(max_hops),
     .help = "Received: fields in a message; more mean a mail loop and get 554 5.4.6."},
    {CONF_GLOBAL, "max-body-line", CONF_COUNT, .fallback = "0", RANGE(1, UINT_MAX), .zero = "no limit", .floor = 998,
     .rfc = "RFC 5321 4.5.3.1.6", LIMIT(max_body_line),
     .help = "Bytes of a line of the message without its CRLF. A longer one gets 550 5.6.0 after "
             "the end of the message."},
    {CONF_GLOBAL, "command-timeout", CONF_SECONDS, .fallback = "5m", RANGE(1, DAY), .floor = 300,
     .rfc = "RFC 5321 4.5.3.2.7", LIMIT(command_timeout),
     .help =
         "Silence while a command is awaited, then 421 4.4.2. A TLS handshake has the same time, at most 60 seconds."},
    {CONF_GLOBAL, "data-timeout", CONF_SECONDS, .fallback = "5m", RANGE(1, DAY), .floor = 180,
     .rfc = "RFC 5321 4.5.3.2.5", LIMIT(data_timeout),
     .help = "Silence inside a message, then 421 4.4.2 and the message is forgotten."},
    {CONF_GLOBAL, "reply-timeout", CONF_SECONDS, .fallback = "5m", RANGE(1, DAY), .floor = 300,
     .rfc = "RFC 5321 4.5.3.2", LIMIT(reply_timeout),
     .help = "How long a client may take to accept a reply before the connection is closed."},
    {CONF_GLOBAL, "session-time", CONF_SECONDS, .fallback = "2h", RANGE(1, 7 * DAY), .zero = "no limit", .floor = 600,
     .rfc = "RFC 5321 4.5.3.2.6", LIMIT(session_time),
     .help = "Longest life of a connection, however busy; then 421 4.4.2."},
    {CONF_GLOBAL, "min-rate", CONF_COUNT, .fallback = "100", RANGE(1, 1000000), .zero = "no minimum", LIMIT(min_rate),
     .help = "Bytes per second that a client must bring inside a line or a message, after the first minute. Idle times "
             "between commands "
             "do not count. Ends senders that drip a byte a second to hold connections."},
    {CONF_GLOBAL, "greet-delay", CONF_MILLIS, .fallback = "0", RANGE(0, 60000), LIMIT(greet_delay_ms),
     .help = "Wait this long before the greeting, to notice clients that talk before it "
             "(\"500ms\", \"2s\"). It slows every sender down."},
    {CONF_GLOBAL, "max-connections", CONF_COUNT, .fallback = "20000", RANGE(1, 1000000), LIMIT(max_connections),
     .help = "Connections at once, over all listeners and workers. One more gets 421 4.3.2."},
    {CONF_GLOBAL, "max-connections-per-address", CONF_COUNT, .fallback = "100", RANGE(1, 1000000),
     LIMIT(max_per_address),
     .help = "Connections at once from one address. One more gets 421 4.7.0. Loopback and "
             "trusted-networks are exempt."},
    {CONF_GLOBAL, "max-connections-per-network", CONF_COUNT, .fallback = "500", RANGE(1, 1000000),
     LIMIT(max_per_network),
     .help = "Connections at once from one network: /24 of IPv4, /64 of IPv6. One more gets 421 "
             "4.7.0. Loopback and trusted-networks are exempt."},
    {CONF_GLOBAL, "session-memory", CONF_SIZE, .fallback = "1M", RANGE(64 * KIB, KIB *KIB *KIB), LIMIT(session_memory),
     .help = "Memory of one session. A session that reaches it ends with 421; no other session is "
             "hurt."},
    {CONF_GLOBAL, "busy-percent", CONF_COUNT, .fallback = "80", RANGE(1, 100), LIMIT(busy_percent),
     .help = "Above this share of max-connections, a connection without an accepted command is "
             "given busy-timeout only."},
    {CONF_GLOBAL, "busy-timeout", CONF_SECONDS, .fallback = "30", RANGE(1, DAY), LIMIT(busy_timeout),
     .help = "From the beginning of a connection until its first accepted command, while busy-percent of "
             "max-connections is exceeded; then 421 4.4.2."},
    {CONF_GLOBAL, "drain-idle", CONF_SECONDS, .fallback = "60", RANGE(1, DAY), LIMIT(drain_idle),
     .help = "After a reload or during a drain, a session of the old generation with no message "
             "open and this much silence gets 421 4.3.2."},
    {CONF_GLOBAL, "shutdown-data-time", CONF_SECONDS, .fallback = "5", RANGE(0, HOUR), LIMIT(shutdown_data_time),
     .help = "At a stop (SIGTERM), how long messages that are being sent may still be finished."},
    {CONF_GLOBAL, "bare-newline", CONF_WORD, .fallback = "refuse", WORDS("refuse", "normalize"),
     FIELD(conf, normalize_newlines),
     .help = "A CR or LF that is not part of CRLF inside a message: refuse it with 550 5.5.2 (RFC "
             "5321 2.3.8), or repair it. It never ends "
             "a message either way (SMTP smuggling, CVE-2023-51764)."},
    {CONF_GLOBAL, "trusted-networks", CONF_NETS, .list = true, .fallback = "",
     .sample = "{\"192.0.2.0/24\", \"2001:db8::/32\"}", NETS(conf, trusted_networks, trusted_network_count),
     .help = "Networks exempt from the limits per address and per network, never from "
             "max-connections. They may not relay either: see relay-from."},
    {CONF_GLOBAL, "diagnostic-networks", CONF_NETS, .list = true, .fallback = "127.0.0.0/8 ::1",
     .sample = "{\"127.0.0.0/8\", \"::1\"}", NETS(conf, diagnostic_networks, diagnostic_network_count),
     .help = "Networks whose clients are told by HELP STARTTLS why STARTTLS is not offered."},

    {CONF_GLOBAL, "users", CONF_PATH, .sample = "/etc/postern/users", FIELD(conf, users),
     .help = "File of those who may log in on listeners of role submission: one \"user@domain:hash\" per line, written "
             "by \"postern passwd FILE USER\". Read at start and reload."},
    {CONF_GLOBAL, "auth-socket", CONF_PATH, .sample = "/run/dovecot/auth-client", FIELD(conf, auth_socket),
     .help = "Instead of users: Dovecot's auth-client socket. Dovecot checks the passwords, its mechanisms are what is "
             "offered. Login names must be full addresses. The account of worker-user must be able to connect to it."},
    {CONF_GLOBAL, "sender-file", CONF_OWN, .sample = "/etc/postern/senders", OWN,
     .help = "What users may send as beside their own address and its aliases: one \"user@domain: address, *@domain\" "
             "per line; # begins a comment."},

    /* ---- certificate */
    {CONF_CERTIFICATE, "chain", CONF_PATH, .required = true,
     .sample = "/etc/letsencrypt/live/mx.example.org/fullchain.pem", FIELD(conf_certificate, chain_file),
     .help = "PEM file: the server's certificate first, then the intermediate ones. A renewal is noticed within "
             "seconds, no reload is needed."},
    {CONF_CERTIFICATE, "key", CONF_PATH, .required = true, .sample = "/etc/letsencrypt/live/mx.example.org/privkey.pem",
     FIELD(conf_certificate, key_file),
     .help = "PEM file: the private key, without passphrase. Other users must not be able to read it."},

    /* ---- listener */
    {CONF_LISTENER, "address", CONF_OWN, .list = true, .required = true, .sample = "{\"0.0.0.0:25\", \"[::]:25\"}", OWN,
     .help = "Numeric addresses with ports. IPv6 addresses never take IPv4 connections: write "
             "both. Port 0 takes a free port and reports it."},
    {CONF_LISTENER, "role", CONF_WORD, .fallback = "mx", WORDS("mx", "submission"), FIELD(conf_listener, role),
     .help = "mx: takes mail for the configured domains from anybody, offers no AUTH. submission: takes mail to any "
             "domain from users who have logged in, inside TLS only (RFC 6409): AUTH is offered there and require-tls "
             "holds."},
    {CONF_LISTENER, "tls", CONF_WORD, .fallback = "starttls", WORDS("off", "starttls", "implicit"),
     FIELD(conf_listener, tls),
     .help = "off: clear text only. starttls: clear text, and TLS after STARTTLS (RFC 3207). "
             "implicit: TLS from the first byte; STARTTLS "
             "is then rightly absent."},
    {CONF_LISTENER, "certificate", CONF_OWN, .list = true, .sample = "{\"mx\"}", OWN,
     .help = "Titles of certificate sections, in order of preference where the client asks for no "
             "known name. Default: every certificate."},
    {CONF_LISTENER, "without-certificate", CONF_WORD, .fallback = "omit",
     WORDS("omit", "tempfail", "close", "refuse-start"), FIELD(conf_listener, without_certificate),
     .help = "What the outside sees while no certificate is usable. omit: EHLO has no STARTTLS. "
             "tempfail: STARTTLS is shown and answered "
             "454. close: 421 instead of a greeting. refuse-start: the daemon does not start."},
    {CONF_LISTENER, "expired", CONF_WORD, .fallback = "serve", WORDS("serve", "withhold"),
     FIELD(conf_listener, withhold_expired),
     .help = "A certificate outside its dates: serve it, since most senders do not look, or treat "
             "it as unusable. It is reported either way."},
    {CONF_LISTENER, "require-tls", CONF_BOOL, .fallback = "no", FIELD(conf_listener, require_tls),
     .help = "Refuse mail in clear text: 530 5.7.0; while no certificate is usable, 454 4.7.0, so that mail waits at "
             "the sender. RFC 3207 4 forbids this on a server that the "
             "MX record of a domain points to."},
    {CONF_LISTENER, "no-starttls-for", CONF_NETS, .list = true, .fallback = "", .sample = "{\"198.51.100.7\"}",
     NETS(conf_listener, no_starttls_for, no_starttls_for_count),
     .help = "Networks that are not offered STARTTLS: for a peer whose TLS is broken."},
    {CONF_LISTENER, "relay-from", CONF_NETS, .list = true, .fallback = "", .sample = "{\"192.0.2.16/28\"}",
     NETS(conf_listener, relay_from, relay_from_count),
     .help = "Networks whose clients may send to other domains (section relay) without logging in: for printers, cron "
             "and applications. Keep it small: whoever is in it sends in your name."},
    {CONF_LISTENER, "proxy-from", CONF_NETS, .list = true, .fallback = "", .sample = "{\"192.0.2.80\"}",
     NETS(conf_listener, proxy_from, proxy_from_count),
     .help = "Networks of proxies (HAProxy, a load balancer) that send a header of the PROXY protocol, version 1 or 2, "
             "before anything else. The client it names is the client for everything: limits, relay-from, the log, "
             "Received. From these networks nothing is taken without it, from others nothing with it."},
    {CONF_LISTENER, "hide-client", CONF_BOOL, .fallback = "no", FIELD(conf_listener, hide_client),
     .help = "The Received: field that is added does not name the client's address and host name, for users who do "
             "not want their whereabouts in every message."},
    {CONF_LISTENER, "hostname", CONF_HOST, .sample = "mx2.example.org", FIELD(conf_listener, hostname),
     .help = "The name used on this listener. Default: the global hostname."},

    /* ---- domain */
    {CONF_DOMAIN, "mailboxes", CONF_OWN, .list = true, .sample = "{\"alice\", \"bob\"}", OWN,
     .help = "Local parts that have a mailbox. Compared without regard to case."},
    {CONF_DOMAIN, "mailbox-file", CONF_OWN, .sample = "/etc/postern/mailboxes", OWN,
     .help = "File with more of them, one per line; # begins a comment. Read at start and reload. "
             "While it cannot be read, recipients that stand nowhere else get 451 and the mail waits at the sender; "
             "the catch-all does not take it."},
    {CONF_DOMAIN, "aliases", CONF_OWN, .list = true, .sample = "{\"postmaster=alice\", \"team=alice,bob\"}", OWN,
     .help = "Other names for mailboxes of this domain, or of another configured one "
             "(\"sales=carol@example.com\"). An alias may lead to "
             "aliases; loops are refused."},
    {CONF_DOMAIN, "alias-file", CONF_OWN, .sample = "/etc/postern/aliases", OWN,
     .help = "File with more of them, one \"name=target,target\" per line; # begins a comment."},
    {CONF_DOMAIN, "catch-all", CONF_OWN, .sample = "alice", OWN,
     .help = "The mailbox (or alias) that takes mail for every local part that has no mailbox. "
             "Invites mail to guessed addresses."},
    {CONF_DOMAIN, "subaddress-separator", CONF_OWN, .fallback = "+", OWN,
     .help = "alice+anything is alice's (RFC 5233). One character; \"\" switches this off."},
    {CONF_DOMAIN, "deliver", CONF_OWN, .sample = "local", OWN,
     .help = "Title of the delivery section. May be left out while there is only one."},
    {CONF_DOMAIN, "accept-any", CONF_BOOL, .fallback = "no", FIELD(conf_domain, accept_any),
     .help = "Only where the delivery is another server: take mail for every local part, known or not. What the other "
             "server then refuses comes back to senders who may never have written it (backscatter): prefer a "
             "mailbox-file, or verify-recipients."},
    {CONF_DOMAIN, "verify-recipients", CONF_BOOL, .fallback = "no", FIELD(conf_domain, verify_recipients),
     .help = "Only where the delivery is lmtp or smtp: whether a local part that is in no list exists is asked there, "
             "and remembered for a while. While it cannot be asked the sender gets 450 and comes again."},

    /* ---- delivery */
    {CONF_DELIVERY, "type", CONF_WORD, .fallback = "maildir", WORDS("maildir", "lmtp", "smtp", "mx"),
     FIELD(conf_delivery, type),
     .help =
         "maildir: one file per message. lmtp: to a mail store such as Dovecot (RFC 2033). smtp: to one server, a "
         "smarthost or an internal one. mx: to the servers that the DNS names for each recipient's domain. The last "
         "three go by way of the queue."},
    {CONF_DELIVERY, "path", CONF_PATH, .sample = "/var/mail/%d/%u", FIELD(conf_delivery, path),
     .help = "maildir needs it. The Maildir: %d is the domain, %u the mailbox, %% a percent sign. Missing "
             "directories are created."},
    {CONF_DELIVERY, "owner", CONF_TEXT, .sample = "vmail", FIELD(conf_delivery, owner),
     .help = "The account that owns the files. Default: user."},
    {CONF_DELIVERY, "group", CONF_TEXT, .sample = "vmail", FIELD(conf_delivery, group),
     .help = "The group of the files. Default: the primary group of the owner."},
    {CONF_DELIVERY, "file-mode", CONF_MODE, .fallback = "0600", RANGE(0400, 0777), FIELD(conf_delivery, file_mode),
     .help = "Mode of message files."},
    {CONF_DELIVERY, "directory-mode", CONF_MODE, .fallback = "0700", RANGE(0700, 07777), FIELD(conf_delivery, dir_mode),
     .help = "Mode of directories that are created."},
    {CONF_DELIVERY, "address", CONF_OWN, .sample = "smarthost.example.net:587", OWN,
     .help = "lmtp and smtp need it: \"192.0.2.5:25\", \"[2001:db8::5]:25\", \"mail.example.net:587\" or "
             "\"unix:/run/dovecot/lmtp\". A name's addresses are asked for at each connection. Default port: 25, for "
             "lmtp 24."},
    {CONF_DELIVERY, "tls", CONF_WORD, WORDS("none", "may", "required", "verify", "dane"),
     FIELD(conf_delivery, next.tls), .sample = "verify",
     .help = "What is asked of the other server. none: clear text. may: TLS if it offers it, and clear text on a new "
             "connection if the handshake fails. required: TLS, whoever it is; without it mail waits in the queue and "
             "the log says what was seen. verify: TLS with a certificate of a trusted CA for its name. dane: as its "
             "TLSA records demand where DNSSEC proves them (RFC 7672), else as may. Default: dane for mx, may for "
             "smtp, none for a unix socket, and verify where user is given."},
    {CONF_DELIVERY, "implicit-tls", CONF_BOOL, .fallback = "no", FIELD(conf_delivery, next.implicit_tls),
     .help = "TLS from the first byte, without STARTTLS: port 465 of a smarthost."},
    {CONF_DELIVERY, "tls-name", CONF_HOST, .sample = "mail.example.net", FIELD(conf_delivery, next.tls_name),
     .help = "The name that the certificate must have. Default: the name in address."},
    {CONF_DELIVERY, "ca-file", CONF_PATH, .sample = "/etc/ssl/our-ca.pem", FIELD(conf_delivery, next.ca_file),
     .help = "PEM file with the CAs that are trusted for tls = verify. Default: those of the machine."},
    {CONF_DELIVERY, "user", CONF_TEXT, .sample = "relay@example.org", FIELD(conf_delivery, next.user),
     .help =
         "Log in at the smarthost under this name (SCRAM-SHA-256, PLAIN or LOGIN). A password goes only to "
         "a server whose certificate is verified: tls is verify then, and may be nothing else but on a unix socket."},
    {CONF_DELIVERY, "password-file", CONF_PATH, .sample = "/etc/postern/smarthost-password",
     FIELD(conf_delivery, next.password_file),
     .help = "File whose first line is the password. Other users must not be able to read it. Read at start and "
             "reload."},

    /* ---- relay */
    {CONF_RELAY, "delivery", CONF_OWN, .required = true, .sample = "smarthost", OWN,
     .help = "Title of the delivery that takes mail to other domains: of type smtp (a smarthost) or mx (directly)."},

    /* ---- queue */
    {CONF_QUEUE, "first-retry", CONF_SECONDS, .fallback = "1m", RANGE(1, HOUR), FIELD(conf, queue.first_retry),
     .help = "After a first failure that may pass. The gaps then double up to longest-retry, each a fifth longer or "
             "shorter by chance."},
    {CONF_QUEUE, "longest-retry", CONF_SECONDS, .fallback = "3h", RANGE(1, 2 * DAY), FIELD(conf, queue.longest_retry),
     .help = "The longest gap between two tries."},
    {CONF_QUEUE, "delay-notice", CONF_SECONDS, .fallback = "4h", RANGE(60, 30 * DAY), .zero = "never",
     FIELD(conf, queue.delay_notice), .help = "Age at which a sender is told that a message is still on its way."},
    {CONF_QUEUE, "max-age", CONF_SECONDS, .fallback = "5d", RANGE(60, 30 * DAY), .floor = 4 * DAY,
     .rfc = "RFC 5321 4.5.4.1", FIELD(conf, queue.max_age),
     .help = "Age at which a message that could not be delivered goes back to its sender."},
    {CONF_QUEUE, "transfers", CONF_COUNT, .fallback = "100", RANGE(1, 1000), FIELD(conf, queue.transfers),
     .help = "Messages that are being sent at once, all together."},
    {CONF_QUEUE, "transfers-per-destination", CONF_COUNT, .fallback = "20", RANGE(1, 1000),
     FIELD(conf, queue.per_destination),
     .help = "... and to one destination: a delivery, or for mx one domain. A destination that refuses connections is "
             "left alone for a while."},

    /* ---- dns */
    {CONF_DNS, "resolver", CONF_OWN, .list = true, .sample = "{\"192.0.2.53\", \"127.0.0.1:5353\"}", OWN,
     .help = "Resolvers to ask. Default: those of /etc/resolv.conf. postern validates DNSSEC itself, so they need not "
             "be trusted, but must pass DNSSEC data on."},
    {CONF_DNS, "trust-anchor", CONF_PATH, .sample = "/usr/share/dns/root.key", FIELD(conf, trust_anchor),
     .help = "File with the key of the DNS root (DS or DNSKEY records). Default: /usr/share/dns/root.key where that "
             "exists (Debian's package dns-root-data). Without it nothing is proven and tls = dane is as may."},

    /* ---- log */
    {CONF_LOG, "format", CONF_WORD, .fallback = "logfmt", WORDS("logfmt", "json"), FIELD(conf, log_format),
     .help = "key=value, or one JSON object per line."},
    {CONF_LOG, "level", CONF_WORD, .fallback = "info", WORDS("error", "warn", "info", "debug", "trace"),
     FIELD(conf, log_level), .help = "Least important events that are written."},
    {CONF_LOG, "target", CONF_WORD, .fallback = "stderr", WORDS("stderr", "syslog", "file"), FIELD(conf, log_target),
     .help = "stderr (which systemd's journal reads), syslog (facility mail), or a file, reopened "
             "at SIGUSR1."},
    {CONF_LOG, "file", CONF_PATH, .sample = "/var/log/postern.log", FIELD(conf, log_file),
     .help = "The file, where target is file."},
};
const size_t conf_option_count = sizeof conf_options / sizeof *conf_options;

const struct conf_option *conf_option_find(enum conf_section_kind section, const char *name)
{
    for (size_t i = 0; i < conf_option_count; i++)
        if (conf_options[i].section == section && strcmp(conf_options[i].name, name) == 0)
            return &conf_options[i];
    return NULL;
}

bool conf_option_known(const char *name)
{
    for (size_t i = 0; i < conf_option_count; i++)
        if (strcmp(conf_options[i].name, name) == 0)
            return true;
    return false;
}

enum conf_section_kind conf_section_find(const char *name)
{
    for (unsigned k = CONF_GLOBAL + 1; k < CONF_SECTIONS; k++)
        if (strcmp(conf_sections[k].name, name) == 0)
            return (enum conf_section_kind)k;
    return CONF_SECTIONS;
}

/* Meant, if at most a third of the letters are wrong. */
static void nearer(const char **best, unsigned *least, const char *candidate, const char *name)
{
    unsigned d = text_distance(candidate, name);
    size_t longer = strlen(candidate) > strlen(name) ? strlen(candidate) : strlen(name);

    if (d < *least && (size_t)d * 3 <= longer + 1) {
        *least = d;
        *best = candidate;
    }
}

const char *conf_option_nearest(enum conf_section_kind section, const char *name)
{
    const char *best = NULL;
    unsigned least = UINT_MAX;

    for (size_t i = 0; i < conf_option_count; i++)
        if (conf_options[i].section == section)
            nearer(&best, &least, conf_options[i].name, name);
    for (unsigned k = CONF_GLOBAL + 1; section == CONF_GLOBAL && k < CONF_SECTIONS; k++)
        nearer(&best, &least, conf_sections[k].name, name);
    return best;
}

const char *conf_nearest(const char *const *names, const char *name)
{
    const char *best = NULL;
    unsigned least = UINT_MAX;

    for (; *names; names++)
        nearer(&best, &least, *names, name);
    return best;
}

const char *const *conf_option_names(void)
{
    static char text[sizeof conf_options / sizeof *conf_options][64];
    static const char *names[sizeof conf_options / sizeof *conf_options + 1];

    for (size_t i = 0; i < conf_option_count && !names[i]; i++) {
        const char *section = conf_sections[conf_options[i].section].name;
        size_t n = strlen(section);

        memcpy(text[i], section, n);
        if (n)
            text[i][n++] = '.';
        memcpy(text[i] + n, conf_options[i].name, strlen(conf_options[i].name));
        names[i] = text[i];
    }
    return names;
}
