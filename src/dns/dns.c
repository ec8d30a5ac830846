#include "dns/dns.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dns/dns_private.h"

#define CLASS_IN 1

/* ---- the resolver */

static int use_resolvers(struct dns *d, const struct dns_setup *s, struct err *e)
{
    const char *file = s->resolv_conf ? s->resolv_conf : "/etc/resolv.conf";
    int r = 0;

    if (!s->resolvers) {
        /* without the file libunbound asks the root servers itself, which is as good */
        (void)ub_ctx_resolvconf(d->ub, file);
        (void)ub_ctx_hosts(d->ub, NULL); /* the machine's own names, as everybody expects them */
    }
    for (unsigned i = 0; s->resolvers && s->resolvers[i] && r == 0; i++)
        if ((r = ub_ctx_set_fwd(d->ub, s->resolvers[i])))
            err_set(e, "resolver \"%s\": %s", s->resolvers[i], ub_strerror(r));
    /* libunbound does not ask addresses of the machine itself unless told so; systemd-resolved has one */
    if (r == 0)
        r = ub_ctx_set_option(d->ub, "do-not-query-localhost:", "no");
    return r ? -1 : 0;
}

/* Line by line, since libunbound would open the file with the first question, when no file can be opened any more. */
static int trust(struct dns *d, const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    char line[4096];
    unsigned n = 0, keys = 0;
    int r = 0;

    if (!f)
        return err_set(e, "trust anchor %s: %s", path, strerror(errno));
    while (r == 0 && fgets(line, sizeof line, f)) {
        line[strcspn(line, ";\r\n")] = '\0';
        n++;
        if (line[strspn(line, " \t")] == '\0')
            continue;
        r = ub_ctx_add_ta(d->ub, line);
        keys++;
    }
    fclose(f);
    if (r)
        return err_set(e, "trust anchor %s:%u: %s", path, n, ub_strerror(r));
    return keys ? 0 : err_set(e, "trust anchor %s: it holds no DS or DNSKEY record", path);
}

int dns_new(struct dns **out, const struct dns_setup *s, struct err *e)
{
    struct dns *d = mem_alloc(sizeof *d);

    d->ub = ub_ctx_create();
    d->own_name = s->own_name ? mem_str(s->own_name) : NULL;
    d->seed = s->seed;
    if (!d->ub) {
        err_set(e, "libunbound cannot be used: out of memory");
        dns_free(&d);
        return -1;
    }
    if ((s->trust_anchor && trust(d, s->trust_anchor, e) < 0) || use_resolvers(d, s, e) < 0) {
        dns_free(&d);
        return -1;
    }
    (void)ub_ctx_async(d->ub, 1); /* a thread, not a process */
    *out = d;
    return 0;
}

void dns_free(struct dns **dp)
{
    struct dns *d = *dp;

    if (!d)
        return;
    while (d->first) {
        struct dns_question *q = d->first;

        dns_cancel(&q);
    }
    if (d->ub)
        ub_ctx_delete(d->ub);
    free(d->own_name);
    free(d);
    *dp = NULL;
}

int dns_fd(const struct dns *d)
{
    return ub_fd(d->ub);
}

void dns_process(struct dns *d)
{
    (void)ub_process(d->ub);
}

/* ---- results */

enum dns_verdict dns_result_verdict(int status, const struct ub_result *r, char **words)
{
    static const char *const rcodes[] = {"no error", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};

    if (status) {
        *words = mem_printf("the resolver failed: %s", ub_strerror(status));
        return DNS_LATER;
    }
    if (r->bogus) { /* RFC 7672 2.1.1: forged or broken is as good as no answer */
        *words = mem_printf("%s: DNSSEC: %s", r->qname, r->why_bogus ? r->why_bogus : "the answer cannot be validated");
        return DNS_LATER;
    }
    if (r->rcode == DNS_RCODE_NXDOMAIN || r->nxdomain)
        return DNS_NO_DOMAIN;
    if (r->rcode != DNS_RCODE_OK) {
        *words =
            mem_printf("%s: %s", r->qname,
                       (size_t)r->rcode < sizeof rcodes / sizeof *rcodes ? rcodes[r->rcode] : "an error of its server");
        return DNS_LATER;
    }
    return r->havedata ? DNS_FOUND : DNS_NO_HOST;
}

static void close_question(struct dns_question *q)
{
    *q->at = q->next;
    if (q->next)
        q->next->at = q->at;
    dns_mail_free(&q->mail);
    free(q->words);
    free(q);
}

static void cancel_lookup(struct dns_question *q, struct dns_lookup *l)
{
    if (l->open)
        ub_cancel(q->dns->ub, l->id);
    l->open = false;
}

void dns_cancel(struct dns_question **qp)
{
    struct dns_question *q = *qp;

    if (!q)
        return;
    cancel_lookup(q, &q->main);
    for (unsigned i = 0; i < DNS_HOSTS; i++)
        for (unsigned k = 0; k < 2; k++)
            cancel_lookup(q, &q->addresses[i][k]);
    close_question(q);
    *qp = NULL;
}

static void lookup(struct dns_question *q, struct dns_lookup *l, const char *name, int type, ub_callback_type done)
{
    int r;

    l->q = q;
    r = ub_resolve_async(q->dns->ub, name, type, CLASS_IN, l, done, &l->id);
    l->open = r == 0;
    q->open += r == 0;
    if (r && !q->words)
        q->words = mem_printf("the resolver failed: %s", ub_strerror(r));
}

/* ---- addresses */

static void finish_mail(struct dns_question *q)
{
    struct dns_mail *m = q->mail;
    unsigned with = 0, later = 0;

    for (unsigned i = 0; i < m->host_count; i++) {
        dns_interleave(&m->hosts[i]);
        with += m->hosts[i].address_count > 0;
        later += m->hosts[i].later;
    }
    m->verdict = with ? DNS_FOUND : later ? DNS_LATER : DNS_NO_HOST;
    if (!m->words && q->words) {
        m->words = q->words;
        q->words = NULL;
    }
    q->mail = NULL;
    q->mail_answer(q->arg, m);
    close_question(q);
}

static void got_address(void *arg, int status, struct ub_result *r)
{
    struct dns_lookup *l = arg;
    struct dns_question *q = l->q;
    struct dns_host *h = &q->mail->hosts[l->host];
    bool is_v4 = l == &q->addresses[l->host][1];
    char *words = NULL;
    enum dns_verdict v = dns_result_verdict(status, r, &words);

    l->open = false;
    if (v == DNS_FOUND) {
        dns_parse_addresses(h, r, is_v4 ? AF_INET : AF_INET6);
        h->secure = h->secure && r->secure;
    } else if (v == DNS_LATER) {
        /* what came is as good as its own proof: an answer that somebody spoils must not take DANE off the others */
        h->later = true;
    }
    if (words && !q->words)
        q->words = words;
    else
        free(words);
    ub_resolve_free(r);
    if (--q->open == 0)
        finish_mail(q);
}

/* false: not one could be asked. */
static bool ask_addresses(struct dns_question *q)
{
    struct dns_mail *m = q->mail;

    for (unsigned i = 0; i < m->host_count; i++) {
        m->hosts[i].secure = m->secure;
        q->addresses[i][0].host = q->addresses[i][1].host = i;
        lookup(q, &q->addresses[i][0], m->hosts[i].name, DNS_TYPE_AAAA, got_address);
        lookup(q, &q->addresses[i][1], m->hosts[i].name, DNS_TYPE_A, got_address);
        m->hosts[i].later = !q->addresses[i][0].open && !q->addresses[i][1].open;
    }
    return q->open > 0;
}

/* ---- MX */

static void add_host(struct dns_mail *m, const char *name)
{
    m->hosts = mem_alloc(sizeof *m->hosts);
    m->hosts[0] = (struct dns_host){.name = mem_str(name)};
    m->host_count = 1;
}

/* RFC 5321 5.1: hosts that are no better than ourselves lead back here. false: none is better. */
static bool drop_from_ourselves(struct dns_mail *m, const char *own)
{
    for (unsigned i = 0; own && i < m->host_count; i++) {
        unsigned least;

        if (strcmp(m->hosts[i].name, own) != 0)
            continue;
        least = m->hosts[i].preference;
        while (m->host_count && m->hosts[m->host_count - 1].preference >= least)
            free(m->hosts[--m->host_count].name);
        return m->host_count > 0;
    }
    return true;
}

static void end_mail(struct dns_question *q, enum dns_verdict v)
{
    struct dns_mail *m = q->mail;

    q->mail = NULL;
    m->verdict = v;
    q->mail_answer(q->arg, m);
    close_question(q);
}

static void got_mx(void *arg, int status, struct ub_result *r)
{
    struct dns_lookup *l = arg;
    struct dns_question *q = l->q;
    struct dns_mail *m = q->mail;
    enum dns_verdict v = dns_result_verdict(status, r, &m->words);
    bool null_mx = false;

    l->open = false;
    q->open--;
    m->secure = r && r->secure;
    if (v == DNS_FOUND) {
        null_mx = !dns_parse_mx(m, r->data, r->len, q->dns->seed++);
    } else if (v == DNS_NO_HOST) { /* no MX: "treated as if it was associated with an implicit MX RR, preference 0" */
        m->implicit = true;
        add_host(m, r->qname);
        v = DNS_FOUND;
    }
    ub_resolve_free(r);
    if (null_mx)
        end_mail(q, DNS_NULL_MX);
    else if (v != DNS_FOUND)
        end_mail(q, v);
    else if (!drop_from_ourselves(m, q->dns->own_name))
        end_mail(q, DNS_LOOP);
    else if (m->host_count == 0)
        end_mail(q, DNS_NO_HOST);
    else if (!ask_addresses(q))
        finish_mail(q);
}

/* ---- questions */

static struct dns_question *open_question(struct dns *d, void *arg)
{
    struct dns_question *q = mem_alloc(sizeof *q);

    q->dns = d;
    q->arg = arg;
    q->next = d->first;
    q->at = &d->first;
    if (d->first)
        d->first->at = &q->next;
    d->first = q;
    return q;
}

struct dns_question *dns_ask_mail(struct dns *d, const char *domain, void (*answer)(void *, struct dns_mail *),
                                  void *arg)
{
    struct dns_question *q = open_question(d, arg);

    q->mail = mem_alloc(sizeof *q->mail);
    q->mail_answer = answer;
    lookup(q, &q->main, domain, DNS_TYPE_MX, got_mx);
    if (q->main.open)
        return q;
    close_question(q);
    return NULL;
}

struct dns_question *dns_ask_host(struct dns *d, const char *host, void (*answer)(void *, struct dns_mail *), void *arg)
{
    struct dns_question *q = open_question(d, arg);

    q->mail = mem_alloc(sizeof *q->mail);
    q->mail->secure = true;
    q->mail_answer = answer;
    add_host(q->mail, host);
    if (ask_addresses(q))
        return q;
    close_question(q);
    return NULL;
}

/* ---- TLSA */

static void got_tlsa(void *arg, int status, struct ub_result *r)
{
    struct dns_question *q = ((struct dns_lookup *)arg)->q;
    struct dns_tlsa_set *s = NULL;
    char *words = NULL;
    enum dns_verdict v = dns_result_verdict(status, r, &words);

    q->main.open = false;
    /* RFC 7672 2.2.1: insecure records are as if they were not there, a failed lookup is not */
    if (v == DNS_FOUND && r->secure)
        s = dns_parse_tlsa(r);
    else
        s = mem_alloc(sizeof *s);
    s->verdict = v == DNS_LATER ? DNS_LATER : s->count ? DNS_FOUND : DNS_NO_HOST;
    s->words = words;
    ub_resolve_free(r);
    q->tlsa_answer(q->arg, s);
    close_question(q);
}

struct dns_question *dns_ask_tlsa(struct dns *d, const char *host, uint16_t port,
                                  void (*answer)(void *, struct dns_tlsa_set *), void *arg)
{
    struct dns_question *q = open_question(d, arg);
    char *name = mem_printf("_%u._tcp.%s", port, host); /* RFC 6698 3 */

    q->tlsa_answer = answer;
    lookup(q, &q->main, name, DNS_TYPE_TLSA, got_tlsa);
    free(name);
    if (q->main.open)
        return q;
    close_question(q);
    return NULL;
}

void dns_mail_free(struct dns_mail **mp)
{
    struct dns_mail *m = *mp;

    if (!m)
        return;
    for (unsigned i = 0; i < m->host_count; i++)
        free(m->hosts[i].name);
    free(m->hosts);
    free(m->words);
    free(m);
    *mp = NULL;
}

void dns_tlsa_set_free(struct dns_tlsa_set **sp)
{
    struct dns_tlsa_set *s = *sp;

    if (!s)
        return;
    for (unsigned i = 0; i < s->count; i++)
        free(s->records[i].data);
    free(s->records);
    free(s->words);
    free(s);
    *sp = NULL;
}
