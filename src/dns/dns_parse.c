#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dns/dns_private.h"

/* RFC 1035 3.1. Bytes that are in no host name (RFC 952, and the underscore that some use) make the name unusable: it is
 * going to stand in logs, in SNI and in comparisons. */
char *dns_parse_name(const unsigned char *p, size_t n)
{
    char out[254]; /* RFC 1035 2.3.4: 255 octets on the wire */
    size_t len = 0;

    while (n && *p) {
        size_t label = *p;

        if (label > 63 || label + 1 >= n || len + label + (len > 0) >= sizeof out)
            return NULL;
        if (len)
            out[len++] = '.';
        for (size_t i = 1; i <= label; i++) {
            if (!isalnum(p[i]) && p[i] != '-' && p[i] != '_')
                return NULL;
            out[len++] = (char)p[i];
        }
        p += label + 1;
        n -= label + 1;
    }
    if (n != 1)
        return NULL;
    out[len] = '\0';
    text_lower(out, len);
    return mem_str(out);
}

static int by_preference(const void *a, const void *b)
{
    const struct dns_host *x = a, *y = b;

    return x->preference < y->preference ? -1 : x->preference > y->preference;
}

/* RFC 5321 5.1: "If there are multiple destinations with the same preference [...] the sender-SMTP MUST randomize them". */
static void shuffle_equals(struct dns_host *h, unsigned n, unsigned seed)
{
    for (unsigned from = 0, end; from < n; from = end) {
        for (end = from + 1; end < n && h[end].preference == h[from].preference; end++)
            ;
        for (unsigned left = end - from; left > 1; left--) {
            unsigned pick = from + (unsigned)rand_r(&seed) % left;
            struct dns_host swap = h[pick];

            h[pick] = h[from + left - 1];
            h[from + left - 1] = swap;
        }
    }
}

bool dns_parse_mx(struct dns_mail *m, char *const *data, const int *len, unsigned seed)
{
    unsigned count = 0, roots = 0;

    while (data[count])
        count++;
    m->hosts = mem_alloc(sizeof *m->hosts * (count + 1));
    for (unsigned i = 0; i < count; i++) {
        const unsigned char *p = (const unsigned char *)data[i];
        char *name = len[i] > 2 ? dns_parse_name(p + 2, (size_t)len[i] - 2) : NULL;

        if (name && !*name)
            roots++;
        if (!name || !*name) {
            free(name);
            continue;
        }
        m->hosts[m->host_count++] = (struct dns_host){.name = name, .preference = (unsigned)p[0] << 8 | p[1]};
    }
    if (m->host_count)
        qsort(m->hosts, m->host_count, sizeof *m->hosts, by_preference);
    shuffle_equals(m->hosts, m->host_count, seed);
    while (m->host_count > DNS_HOSTS)
        free(m->hosts[--m->host_count].name);
    /* RFC 7505 3: a null MX stands alone; among others it is not one */
    return !(roots && !m->host_count);
}

void dns_parse_addresses(struct dns_host *h, const struct ub_result *r, int family)
{
    for (unsigned i = 0; r->data[i] && h->address_count < DNS_ADDRESSES; i++) {
        struct addr *a = &h->addresses[h->address_count];
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

        *a = (struct addr){0};
        if (family == AF_INET && r->len[i] == 4) {
            memcpy(&v4.sin_addr, r->data[i], 4);
            memcpy(&a->ss, &v4, sizeof v4);
            a->len = sizeof v4;
        } else if (family == AF_INET6 && r->len[i] == 16) {
            memcpy(&v6.sin6_addr, r->data[i], 16);
            memcpy(&a->ss, &v6, sizeof v6);
            a->len = sizeof v6;
        } else {
            continue;
        }
        h->address_count++;
    }
}

void dns_interleave(struct dns_host *h)
{
    struct addr out[DNS_ADDRESSES];
    unsigned n = 0, at[2] = {0, 0};

    for (unsigned turn = 0; n < h->address_count; turn ^= 1) {
        int family = turn ? AF_INET : AF_INET6;

        while (at[turn] < h->address_count && h->addresses[at[turn]].ss.ss_family != family)
            at[turn]++;
        if (at[turn] < h->address_count)
            out[n++] = h->addresses[at[turn]++];
    }
    memcpy(h->addresses, out, sizeof *out * n);
}

struct dns_tlsa_set *dns_parse_tlsa(const struct ub_result *r)
{
    struct dns_tlsa_set *s = mem_alloc(sizeof *s);
    unsigned count = 0;

    while (r->data[count])
        count++;
    s->records = mem_alloc(sizeof *s->records * (count + 1));
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *p = (const uint8_t *)r->data[i];

        if (r->len[i] < 4) /* RFC 6698 2.1: three numbers and at least a byte */
            continue;
        s->records[s->count++] =
            (struct dns_tlsa){.usage = p[0],
                              .selector = p[1],
                              .matching = p[2],
                              .len = (size_t)r->len[i] - 3,
                              .data = (uint8_t *)mem_strn((const char *)p + 3, (size_t)r->len[i] - 3)};
    }
    return s;
}
