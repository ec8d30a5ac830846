/* Private to src/dns. */
#ifndef DNS_DNS_PRIVATE_H
#define DNS_DNS_PRIVATE_H

#include <unbound.h>

#include "dns/dns.h"

enum { DNS_TYPE_A = 1, DNS_TYPE_MX = 15, DNS_TYPE_AAAA = 28, DNS_TYPE_TLSA = 52 };
enum { DNS_RCODE_OK = 0, DNS_RCODE_NXDOMAIN = 3 };

struct dns {
    struct ub_ctx *ub;
    char *own_name;
    unsigned seed;
    struct dns_question *first;
};

/* One lookup of libunbound; a question has one or several. */
struct dns_lookup {
    struct dns_question *q;
    unsigned host; /* index, of an address lookup */
    int id;        /* for ub_cancel */
    bool open;
};

struct dns_question {
    struct dns *dns;
    struct dns_question *next, **at;
    struct dns_mail *mail; /* of dns_ask_mail and dns_ask_host */
    void (*mail_answer)(void *, struct dns_mail *);
    void (*tlsa_answer)(void *, struct dns_tlsa_set *);
    void *arg;
    struct dns_lookup main;                    /* MX or TLSA */
    struct dns_lookup addresses[DNS_HOSTS][2]; /* AAAA, A */
    unsigned open;
    char *words; /* of the first address lookup that failed */
};

/* What an answer as a whole means; words: malloc'd where it is DNS_LATER. */
enum dns_verdict dns_result_verdict(int status, const struct ub_result *r, char **words);

/* dns_parse.c: names and numbers from rdata, which comes from anywhere. */
/* An uncompressed name in the form of struct dns_host; "" for the root. NULL: not a host name that mail could go to.
 * malloc'd. */
char *dns_parse_name(const unsigned char *p, size_t n);
/* Takes an MX answer into m: hosts sorted, shuffled among equals by seed, cut to DNS_HOSTS. false: null MX. */
bool dns_parse_mx(struct dns_mail *m, char *const *data, const int *len, unsigned seed);
void dns_parse_addresses(struct dns_host *h, const struct ub_result *r, int family);
/* IPv6 and IPv4 in turn, RFC 8305 4 in spirit: a broken family costs one time-out and not all of them. */
void dns_interleave(struct dns_host *h);
struct dns_tlsa_set *dns_parse_tlsa(const struct ub_result *r);

#endif
