/* What relaying asks the DNS: where mail for a domain goes, and which certificates may serve there. Answers come from
 * libunbound, which validates DNSSEC itself; each says whether it is proven. No answer is ever guessed: what could not be
 * found out is "later", and never "none".
 *
 * RFC 5321 5.1 (MX, implicit MX, loops), 7505 (null MX), 7672 2.1 and 2.2 (which answers count for DANE, why a failing
 * TLSA lookup must defer). One thread; answers are given inside dns_process(), never inside the question. */
#ifndef DNS_DNS_H
#define DNS_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct dns;

struct dns_setup {
    const char *const *resolvers; /* "192.0.2.53", "127.0.0.1@5353"; NULL-terminated; NULL: those of resolv.conf */
    const char *resolv_conf;      /* NULL: /etc/resolv.conf */
    const char *trust_anchor;     /* file with the root's DS or DNSKEY; NULL: nothing is ever proven */
    const char *own_name;         /* A-label, for loops; NULL: not looked for */
    unsigned seed;                /* order among hosts of the same preference (RFC 5321 5.1) */
};

/* Reads the files: before the sandbox. Asks and starts a thread with the first question: behind it. -1 and e. */
int dns_new(struct dns **out, const struct dns_setup *s, struct err *e);
void dns_free(struct dns **d);   /* questions that are open are forgotten, nobody is called */
int dns_fd(const struct dns *d); /* readable: call dns_process() */
void dns_process(struct dns *d);

enum dns_verdict {
    DNS_FOUND,
    DNS_NO_DOMAIN, /* there is no such name: 5.1.2 */
    DNS_NO_HOST,   /* the name exists, and no host takes its mail: 5.4.4 */
    DNS_NULL_MX,   /* it says that it takes no mail: 556 5.1.10, RFC 7505 */
    DNS_LOOP,      /* the best host is this one, which does not deliver it: 5.4.6 */
    DNS_LATER,     /* servers fail, or the answer is forged: 4.4.3 */
};

#define DNS_HOSTS 32     /* of one domain, the best ones */
#define DNS_ADDRESSES 16 /* of one host */

struct dns_host {
    char *name; /* A-label, lower case, without the dot at the end */
    unsigned preference;
    bool secure; /* MX and those addresses that there are are proven: TLSA records of it count */
    bool later;  /* some of its addresses could not be found out */
    struct addr addresses[DNS_ADDRESSES];
    unsigned address_count; /* IPv6 and IPv4 in turn */
};

/* Belongs to the one who asks: dns_mail_free(). */
struct dns_mail {
    enum dns_verdict verdict;
    char *words;            /* for logs: "mail.example.net: SERVFAIL", "DNSSEC: signature expired ..." */
    bool implicit;          /* no MX: the domain's own addresses */
    bool secure;            /* the MX answer, or its absence, is proven */
    struct dns_host *hosts; /* best first */
    unsigned host_count;
};
void dns_mail_free(struct dns_mail **m);

struct dns_tlsa {
    uint8_t usage, selector, matching;
    uint8_t *data;
    size_t len;
};
struct dns_tlsa_set {
    enum dns_verdict verdict; /* DNS_FOUND, DNS_NO_HOST: proven or insecure absence, insecure records; DNS_LATER */
    char *words;
    struct dns_tlsa *records;
    unsigned count;
};
void dns_tlsa_set_free(struct dns_tlsa_set **s);

/* One question; gone when it is answered. NULL: it could not even be asked (no memory, no thread), nobody is called. */
struct dns_question;
/* domain: an A-label. */
struct dns_question *dns_ask_mail(struct dns *d, const char *domain, void (*answer)(void *arg, struct dns_mail *m),
                                  void *arg);
/* Addresses of one host alone, as the only host of the answer: for a next hop with a name. */
struct dns_question *dns_ask_host(struct dns *d, const char *host, void (*answer)(void *arg, struct dns_mail *m),
                                  void *arg);
/* Only for a host that is secure. */
struct dns_question *dns_ask_tlsa(struct dns *d, const char *host, uint16_t port,
                                  void (*answer)(void *arg, struct dns_tlsa_set *s), void *arg);
void dns_cancel(struct dns_question **q);

#endif
