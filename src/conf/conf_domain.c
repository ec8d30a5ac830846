/* Domains and their recipients: names from lists and files become sorted addresses. Nothing here is
 * quadratic: a hundred thousand mailboxes are a usual number. */
#include "conf/conf_domain.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_idn.h"

void conf_domain_say(const struct conf_building *b, const struct conf_place *at, const char *remedy, const char *fmt,
                     ...)
{
    char text[1024];
    va_list ap;

    if (at->said && ++*at->said > CONF_PLACE_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    conf_problem_add(b->p, false, at->file, at->line, at->option, remedy, "%s", text);
}

void conf_domain_say_rest(const struct conf_building *b, const struct conf_place *at)
{
    if (*at->said > CONF_PLACE_MAX)
        conf_problem_add(b->p, false, at->file, at->line, at->option, NULL, "and %u more like these",
                         *at->said - CONF_PLACE_MAX);
}

static int by_local(const void *a, const void *b)
{
    return strcmp(((const struct conf_name *)a)->local, ((const struct conf_name *)b)->local);
}

static int by_domain(const void *a, const void *b)
{
    return strcmp((*(struct conf_names *const *)a)->domain.name, (*(struct conf_names *const *)b)->domain.name);
}

struct conf_names *conf_domain_by_name(const struct conf_domains *d, const char *name)
{
    struct conf_names key = {.domain.name = name}, *k = &key, **found;

    found = d->count ? bsearch(&k, d->sorted, d->count, sizeof(struct conf_names *), by_domain) : NULL;
    return found ? *found : NULL;
}

struct conf_name *conf_domain_name(const struct conf_names *n, const char *local)
{
    struct conf_name key = {.local = (char *)(uintptr_t)local};

    return n->count ? bsearch(&key, n->list, n->count, sizeof key, by_local) : NULL;
}

static void unknown_delivery(const struct conf_building *b, const struct conf_raw_setting *s)
{
    const struct conf *c = b->conf;
    const char **names = mem_alloc((c->delivery_count + 1) * sizeof *names), *nearest, *title = s->values[0].text;
    char *remedy;

    for (unsigned i = 0; i < c->delivery_count; i++)
        names[i] = c->deliveries[i].title;
    nearest = conf_nearest(names, title);
    remedy = nearest ? mem_printf("nearest: %s", nearest)
                     : mem_printf("write delivery \"%s\" { type = maildir path = \"/var/mail/%%d/%%u\" }", title);
    conf_build_error(b, s, 0, remedy, "there is no delivery \"%s\"", title);
    free(remedy);
    free(names);
}

unsigned conf_delivery_find(const struct conf_building *b, const struct conf_raw_setting *s)
{
    const struct conf *c = b->conf;

    for (unsigned i = 0; i < c->delivery_count; i++)
        if (strcmp(c->deliveries[i].title, s->values[0].text) == 0)
            return i;
    unknown_delivery(b, s);
    return UINT_MAX;
}

static void deliver(const struct conf_building *b, struct conf_names *n)
{
    const struct conf_raw_setting *s = conf_raw_find(n->section, "deliver");
    const struct conf *c = b->conf;

    if (s && !s->bad)
        n->domain.delivery = conf_delivery_find(b, s);
    else if (!s && c->delivery_count != 1 && (c->delivery_count || b->parse_errors == 0))
        conf_problem_add(b->p, false, n->section->file, n->section->line, "deliver",
                         c->delivery_count ? "name one of them"
                                           : "write delivery \"local\" { type = maildir path = \"/var/mail/%d/%u\" }",
                         c->delivery_count ? "there are several deliveries" : "there is no delivery");
    if (n->domain.delivery == UINT_MAX)
        n->domain.delivery = 0; /* said */
}

/* Mail for people that nobody knows to exist must be refused while the sender is there, else it comes back to somebody
 * who may never have written it. */
static void recipients(const struct conf_building *b, const struct conf_names *n)
{
    static const char *const lists[] = {"mailboxes", "mailbox-file", "aliases", "alias-file"};
    const struct conf_raw_setting *any = conf_raw_find(n->section, "accept-any"),
                                  *verify = conf_raw_find(n->section, "verify-recipients");
    const struct conf *c = b->conf;
    enum conf_delivery_type type =
        n->domain.delivery < c->delivery_count ? c->deliveries[n->domain.delivery].type : CONF_DELIVERY_MAILDIR;
    bool listed = false;

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        listed = listed || conf_raw_find(n->section, lists[i]);
    if (n->domain.accept_any && type == CONF_DELIVERY_MAILDIR)
        conf_build_error(b, any, 0, "write catch-all = NAME", "a Maildir belongs to a mailbox that is known");
    else if (n->domain.accept_any)
        conf_problem_add(b->p, true, any->file, any->line, "accept-any", "prefer mailbox-file or verify-recipients",
                         "what the next server refuses will bounce to senders who may be forged (backscatter)");
    if (n->domain.verify_recipients && type != CONF_DELIVERY_LMTP && type != CONF_DELIVERY_SMTP)
        conf_build_error(b, verify, 0, "remove it", "only a delivery of type lmtp or smtp can be asked");
    if (n->domain.verify_recipients && n->domain.accept_any)
        conf_build_error(b, verify, 0, "remove one", "recipients are verified, and any is accepted");
    if (type != CONF_DELIVERY_MAILDIR && !listed && !n->domain.accept_any && !n->domain.verify_recipients)
        conf_problem_add(b->p, false, n->section->file, n->section->line, "domain",
                         "add mailbox-file = FILE, or verify-recipients = yes, or accept-any = yes",
                         "nobody knows who has a mailbox in %s", n->domain.name);
    if (type != CONF_DELIVERY_MAILDIR && c->relay == UINT_MAX)
        conf_problem_add(b->p, true, n->section->file, n->section->line, "domain",
                         "write relay { delivery = ... }, with a delivery of type mx or smtp",
                         "mail of %s that fails after it was taken cannot be reported to senders elsewhere",
                         n->domain.name);
}

static void separator(const struct conf_building *b, struct conf_names *n)
{
    const struct conf_raw_setting *s = conf_raw_find(n->section, "subaddress-separator");
    const char *text;

    n->domain.subaddress_separator = '+';
    if (!s || s->bad)
        return;
    text = s->values[0].text;
    if (strlen(text) > 1 || (*text && (!strchr("+-_=.~!#$%&*|", *text))))
        conf_build_error(b, s, 0, "write \"+\", another single character like - or =, or \"\"",
                         "\"%s\" cannot separate subaddresses", text);
    n->domain.subaddress_separator = *text;
}

static void start(struct conf_domains *d, const struct conf_raw_section *sec)
{
    const struct conf_building *b = d->b;
    struct conf_names *n = &d->all[d->count];
    char name[CONF_IDN_LEN];
    struct err e;

    if (conf_idn_ascii(name, span_str(sec->title), &e)) {
        conf_problem_add(b->p, false, sec->file, sec->line, "domain", NULL, "%s", e.text);
        return;
    }
    *n = (struct conf_names){.section = sec};
    n->domain.name = conf_keep_text(b->conf, name);
    n->domain.where = (struct conf_where){conf_keep_text(b->conf, sec->file), sec->line};
    conf_value_fill(b, sec, &n->domain);
    deliver(b, n);
    recipients(b, n);
    separator(b, n);
    d->count++;
    conf_mailbox_read(d, n);
    conf_alias_read(d, n);
}

/* Sorted by name, the same domain only once ("EXAMPLE.org" and "example.org" are one). */
static void sort_domains(struct conf_domains *d)
{
    d->sorted = mem_alloc(d->count * sizeof(struct conf_names *));
    for (unsigned i = 0; i < d->count; i++)
        d->sorted[i] = &d->all[i];
    qsort(d->sorted, d->count, sizeof(struct conf_names *), by_domain);
    for (unsigned i = 1; i < d->count; i++) {
        const struct conf_raw_section *a = d->sorted[i - 1]->section, *b = d->sorted[i]->section;

        if (by_domain(&d->sorted[i - 1], &d->sorted[i]) == 0)
            conf_problem_add(d->b->p, false, a->line > b->line ? a->file : b->file,
                             a->line > b->line ? a->line : b->line, "domain", "put both into one section",
                             "%s is configured twice; first in line %u", d->sorted[i]->domain.name,
                             a->line > b->line ? b->line : a->line);
    }
}

/* Sorts the names; says and drops those that stand there twice. */
static void sort_names(const struct conf_building *b, struct conf_names *n)
{
    unsigned kept = 0, said = 0;
    struct conf_place at = {NULL, 0, NULL, &said};

    if (n->count)
        qsort(n->list, n->count, sizeof *n->list, by_local);
    for (unsigned i = 0; i < n->count; i++) {
        struct conf_name *name = &n->list[i], *last = kept ? &n->list[kept - 1] : NULL;

        if (!last || strcmp(last->local, name->local) != 0) {
            n->list[kept++] = *name;
            continue;
        }
        at.option = name->alias ? "aliases" : "mailboxes";
        at.file = name->line > last->line ? name->file : last->file;
        at.line = name->line > last->line ? name->line : last->line;
        if (name->alias && last->alias)
            conf_domain_say(b, &at, "put their targets into one", "a second alias %s of %s", name->local,
                            n->domain.name);
        else if (name->alias || last->alias)
            conf_domain_say(b, &at, "give them different names", "%s is both a mailbox and an alias of %s", name->local,
                            n->domain.name);
        else if (++said <= CONF_PLACE_MAX)
            conf_problem_add(b->p, true, at.file, at.line, at.option, "remove one", "%s stands there twice",
                             name->local);
    }
    conf_domain_say_rest(b, &at);
    n->count = kept;
}

/* The number of a mailbox is its place in the text; the paths come last, when the array stays where
 * it is. */
static void finish_mailboxes(struct conf *c, struct conf_domains *d)
{
    struct conf_mailbox *grown = c->mailboxes;

    c->mailboxes = conf_keep(c, c->mailbox_count * sizeof *c->mailboxes);
    if (c->mailbox_count)
        memcpy(c->mailboxes, grown, c->mailbox_count * sizeof *c->mailboxes);
    free(grown);
    d->stamps = mem_alloc(c->mailbox_count * sizeof *d->stamps);
    for (unsigned i = 0; i < c->mailbox_count && c->delivery_count; i++) {
        struct conf_mailbox *m = &c->mailboxes[i];

        m->path = conf_delivery_path(c, &c->deliveries[m->delivery], m->local, m->domain);
    }
}

static void addresses(struct conf *c, struct conf_names *n, unsigned *numbers)
{
    struct conf_domain *domain = &n->domain;

    domain->addresses = conf_keep(c, n->count * sizeof *domain->addresses);
    for (unsigned i = 0; i < n->count; i++) {
        const struct conf_name *name = &n->list[i];
        struct conf_address *a = &domain->addresses[domain->address_count];

        *a = (struct conf_address){name->local, &numbers[name->mailbox], 1};
        if (name->alias) {
            a->mailboxes = name->alias->mailboxes;
            a->mailbox_count = name->alias->count;
        }
        domain->address_count += a->mailbox_count > 0; /* none: all its targets are in a file not readable now */
    }
}

static struct conf_address *address(const struct conf_domain *d, const char *local)
{
    size_t lo = 0, hi = d->address_count;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int cmp = strcmp(d->addresses[mid].local, local);

        if (cmp == 0)
            return &d->addresses[mid];
        if (cmp < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static void catch_all(const struct conf_building *b, struct conf_names *n)
{
    const struct conf_raw_setting *s = conf_raw_find(n->section, "catch-all");
    char local[CONF_NAME_MAX + 1];
    struct conf_address *a;
    struct err e;

    if (!s || s->bad)
        return;
    if (conf_mailbox_name(local, span_str(s->values[0].text), &e)) {
        conf_build_error(b, s, 0, NULL, "%s", e.text);
        return;
    }
    a = address(&n->domain, local);
    if (a) {
        n->domain.catch_all = conf_keep(b->conf, sizeof *a);
        *n->domain.catch_all = (struct conf_address){"", a->mailboxes, a->mailbox_count};
    } else if (!n->domain.unavailable) {
        conf_build_error(b, s, 0, "add it to mailboxes", "there is no mailbox or alias %s in %s", local,
                         n->domain.name);
    }
}

/* RFC 5321 4.5.1: "postmaster" without a domain must be taken. It is the postmaster of the server's
 * own domain where that is configured, else of the first domain; where nobody is named so, its
 * first mailbox. */
static void postmaster(struct conf *c, const struct conf_domains *d)
{
    const struct conf_names *own = conf_domain_by_name(d, c->hostname);
    const char *dot = strchr(c->hostname, '.');

    if (!own && dot)
        own = conf_domain_by_name(d, dot + 1);
    for (unsigned i = 0; i <= d->count && c->postmaster == UINT_MAX; i++) {
        const struct conf_names *n = i == 0 ? own : &d->all[i - 1];
        const struct conf_address *a = n ? address(&n->domain, "postmaster") : NULL;

        if (a)
            c->postmaster = a->mailboxes[0];
    }
    if (c->postmaster == UINT_MAX && c->mailbox_count)
        c->postmaster = 0;
}

/* One Maildir for two people would be a leak: a delivery that serves several domains needs %d. */
static void shared_paths(const struct conf_building *b, const struct conf_domains *d)
{
    const struct conf *c = b->conf;
    const struct conf_names **first = mem_alloc((c->delivery_count + 1) * sizeof(struct conf_names *));

    for (unsigned i = 0; i < d->count && c->delivery_count; i++) {
        const struct conf_names *n = &d->all[i];
        const struct conf_delivery *to = &c->deliveries[n->domain.delivery];

        if (!first[n->domain.delivery]) {
            first[n->domain.delivery] = n;
        } else if (!conf_delivery_uses(to->path, 'd')) {
            conf_problem_add(b->p, false, to->where.file, to->where.line, "path", "put %d into the path",
                             "mailboxes of %s and %s would share directories", first[n->domain.delivery]->domain.name,
                             n->domain.name);
            break;
        }
    }
    free(first);
}

static void publish(struct conf *c, struct conf_domains *d)
{
    c->domain_count = d->count;
    c->domains = conf_keep(c, d->count * sizeof *c->domains);
    for (unsigned i = 0; i < d->count; i++)
        c->domains[i] = d->sorted[i]->domain;
}

void conf_domain_build(const struct conf_building *b)
{
    struct conf *c = b->conf;
    struct conf_domains d = {.b = b};
    struct conf_place at = {b->file, 0, "aliases", NULL};
    const struct conf_raw_section **list;
    unsigned count, *numbers;

    list = conf_build_sections(b, CONF_DOMAIN, &count);
    d.all = mem_alloc(count * sizeof *d.all);
    for (unsigned i = 0; i < count; i++)
        start(&d, list[i]);
    free(list);
    sort_domains(&d);
    for (unsigned i = 0; i < d.count; i++)
        sort_names(b, &d.all[i]);
    finish_mailboxes(c, &d);
    numbers = conf_keep(c, c->mailbox_count * sizeof *numbers);
    for (unsigned i = 0; i < c->mailbox_count; i++)
        numbers[i] = i;
    for (unsigned i = 0; i < d.count; i++)
        conf_alias_resolve(&d, &d.all[i]);
    at.said = &d.alias_said;
    conf_domain_say_rest(b, &at);
    for (unsigned i = 0; i < d.count; i++) {
        addresses(c, &d.all[i], numbers);
        catch_all(b, &d.all[i]);
    }
    postmaster(c, &d);
    shared_paths(b, &d);
    publish(c, &d);
    if (count == 0 && c->relay == UINT_MAX && b->parse_errors == 0) /* with it all domains are elsewhere */
        conf_problem_add(b->p, true, b->file, 0, "domain", "write domain \"example.org\" { mailboxes = {\"alice\"} }",
                         "there is no domain: every recipient will be refused");
    for (unsigned i = 0; i < d.count; i++)
        free(d.all[i].list);
    free(d.all);
    free(d.sorted);
    free(d.stamps);
}
