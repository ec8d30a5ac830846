/* Certificates and listeners. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_build.h"

#define CONF_ADDRESSES 256 /* of one listener */

/* Titles are keys in the log, in JSON and in the snapshot. */
static void check_title(const struct conf_building *b, const struct conf_raw_section *s)
{
    size_t n = strlen(s->title);

    if (n == 0 || n > 63 || strspn(s->title, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != n)
        conf_problem_add(b->p, false, s->file, s->line, conf_sections[s->kind].name,
                         "use letters, digits, dot, hyphen and underscore, at most 63", "\"%s\" cannot be a title",
                         s->title);
}

static void certificates(const struct conf_building *b)
{
    struct conf *c = b->conf;
    const struct conf_raw_section **list = conf_build_sections(b, CONF_CERTIFICATE, &c->certificate_count);

    c->certificates = conf_keep(c, c->certificate_count * sizeof *c->certificates);
    for (unsigned i = 0; i < c->certificate_count; i++) {
        check_title(b, list[i]);
        c->certificates[i].title = conf_keep_text(c, list[i]->title);
        c->certificates[i].where = (struct conf_where){conf_keep_text(c, list[i]->file), list[i]->line};
        conf_value_fill(b, list[i], &c->certificates[i]);
    }
    free(list);
}

static void addresses(const struct conf_building *b, const struct conf_raw_section *sec, struct conf_listener *l)
{
    const struct conf_raw_setting *s = conf_raw_find(sec, "address");
    struct err e;

    if (!s)
        return;
    if (s->count > CONF_ADDRESSES) {
        conf_build_error(b, s, 0, "one wildcard address does the same", "more than %d addresses", CONF_ADDRESSES);
        return;
    }
    if (s->count == 0)
        conf_build_error(b, s, 0, "write {\"0.0.0.0:25\", \"[::]:25\"}", "the list is empty");
    l->addresses = conf_keep(b->conf, s->count * sizeof *l->addresses);
    for (unsigned i = 0; i < s->count; i++) {
        struct addr *a = &l->addresses[l->address_count];

        if (s->values[i].bad)
            continue;
        if (addr_parse(a, s->values[i].text, &e))
            conf_build_error(b, s, i, NULL, "%s", e.text);
        else if (a->ss.ss_family != AF_INET && a->ss.ss_family != AF_INET6)
            conf_build_error(b, s, i, "write an IP address and a port", "\"%s\": mail comes by TCP", s->values[i].text);
        else
            l->address_count++;
    }
}

/* Two listeners on one address: the second could never be bound. Port 0 is a different port each
 * time. */
static void address_twice(const struct conf_building *b, const struct conf_raw_section *sec, unsigned number)
{
    const struct conf *c = b->conf;
    const struct conf_listener *l = &c->listeners[number];
    const struct conf_raw_setting *s = conf_raw_find(sec, "address");
    char text[ADDR_TEXT];

    for (unsigned i = 0; i < l->address_count; i++) {
        for (unsigned k = 0; k <= number; k++) {
            const struct conf_listener *other = &c->listeners[k];

            for (unsigned m = 0; m < (k == number ? i : other->address_count); m++) {
                if (addr_port(&l->addresses[i]) == 0 || !addr_equal(&l->addresses[i], &other->addresses[m]))
                    continue;
                conf_build_error(b, s, s->count == l->address_count ? i : 0, "give each its own address or port",
                                 "%s is also an address of listener \"%s\" (line %u)",
                                 addr_text(&l->addresses[i], text), other->title, other->where.line);
            }
        }
    }
}

static void unknown_certificate(const struct conf_building *b, const struct conf_raw_setting *s, unsigned v)
{
    const struct conf *c = b->conf;
    const char **names = mem_alloc((c->certificate_count + 1) * sizeof *names), *nearest;
    char *remedy;

    for (unsigned i = 0; i < c->certificate_count; i++)
        names[i] = c->certificates[i].title;
    nearest = conf_nearest(names, s->values[v].text);
    remedy = nearest ? mem_printf("nearest: %s", nearest)
                     : mem_printf("write certificate \"%s\" { chain = ... key = ... }", s->values[v].text);
    conf_build_error(b, s, v, remedy, "there is no certificate \"%s\"", s->values[v].text);
    free(remedy);
    free(names);
}

static void uses_certificates(const struct conf_building *b, const struct conf_raw_section *sec,
                              struct conf_listener *l)
{
    const struct conf_raw_setting *s = conf_raw_find(sec, "certificate");
    const struct conf *c = b->conf;
    unsigned most = s && s->count > c->certificate_count ? s->count : c->certificate_count;

    l->certificates = conf_keep(b->conf, most * sizeof *l->certificates);
    l->certificates_named = s != NULL;
    for (unsigned i = 0; !s && i < c->certificate_count; i++)
        l->certificates[l->certificate_count++] = i;
    for (unsigned v = 0; s && v < s->count; v++) {
        unsigned i = 0;

        while (i < c->certificate_count && strcmp(c->certificates[i].title, s->values[v].text) != 0)
            i++;
        for (unsigned k = 0; k < l->certificate_count; k++)
            if (l->certificates[k] == i)
                conf_build_error(b, s, v, "remove one", "\"%s\" is named twice", s->values[v].text);
        if (i < c->certificate_count)
            l->certificates[l->certificate_count++] = i;
        else if (!s->values[v].bad)
            unknown_certificate(b, s, v);
    }
}

/* RFC 8314 3.3, DESIGN: a password is never asked for in clear. */
static void submission(const struct conf_building *b, const struct conf_raw_section *sec, struct conf_listener *l)
{
    const struct conf_raw_setting *role = conf_raw_find(sec, "role"), *require = conf_raw_find(sec, "require-tls"),
                                  *tls = conf_raw_find(sec, "tls");
    const struct conf *c = b->conf;

    if (l->tls == CONF_TLS_OFF)
        conf_build_error(b, tls, 0, "write tls = starttls or tls = implicit",
                         "role = submission needs TLS: nobody logs in in clear");
    if (require && !l->require_tls)
        conf_build_error(b, require, 0, "remove it", "role = submission implies require-tls");
    l->require_tls = true;
    if (!c->users && !c->auth_socket)
        conf_build_error(b, role, 0, "write users = FILE, or auth-socket = SOCKET", "there is nobody who could log in");
}

static void role_and_tls(const struct conf_building *b, const struct conf_raw_section *sec, struct conf_listener *l)
{
    const struct conf_raw_setting *require = conf_raw_find(sec, "require-tls");

    if (l->role == CONF_ROLE_SUBMISSION)
        submission(b, sec, l);
    if (!l->require_tls || !require)
        return;
    if (l->tls == CONF_TLS_OFF)
        conf_build_error(b, require, 0, "write tls = starttls or tls = implicit", "TLS is required and switched off");
    else if (l->role == CONF_ROLE_MX && l->tls == CONF_TLS_STARTTLS)
        conf_problem_add(b->p, true, require->file, require->line, "require-tls",
                         "keep it only where every sender is known to you",
                         "RFC 3207 4 forbids it on a server that an MX record points to: mail from "
                         "senders without TLS bounces");
}

/* Whoever is in one of these lists is believed, or served, whatever they say. */
static void too_wide(const struct conf_building *b, const struct conf_raw_section *sec, const char *option,
                     const struct net *nets, unsigned count, const char *what)
{
    const struct conf_raw_setting *s = conf_raw_find(sec, option);

    for (unsigned i = 0; i < count; i++)
        if (nets[i].bits == 0 || nets[i].bits == 96) /* ::/0, 0.0.0.0/0 */
            conf_problem_add(b->p, true, s->file, s->line, option, "write the networks that are yours", "%s", what);
}

static void listener(const struct conf_building *b, const struct conf_raw_section *sec, struct conf_listener *l)
{
    const struct conf_raw_setting *tls = conf_raw_find(sec, "tls");
    struct conf *c = b->conf;

    check_title(b, sec);
    l->title = conf_keep_text(c, sec->title);
    l->where = (struct conf_where){conf_keep_text(c, sec->file), sec->line};
    conf_value_fill(b, sec, l);
    l->tls_where = (struct conf_where){l->where.file, 0};
    if (tls)
        l->tls_where = (struct conf_where){conf_keep_text(c, tls->file), tls->count ? tls->values[0].line : tls->line};
    if (!l->hostname)
        l->hostname = c->hostname;
    addresses(b, sec, l);
    uses_certificates(b, sec, l);
    role_and_tls(b, sec, l);
    too_wide(b, sec, "proxy-from", l->proxy_from, l->proxy_from_count,
             "anybody may say that they are anybody: addresses in limits, log and relay-from mean nothing then");
    too_wide(b, sec, "relay-from", l->relay_from, l->relay_from_count,
             "the whole Internet may send through this server: an open relay");
}

void conf_listener_build(const struct conf_building *b)
{
    struct conf *c = b->conf;
    const struct conf_raw_section **list;

    certificates(b);
    list = conf_build_sections(b, CONF_LISTENER, &c->listener_count);
    c->listeners = conf_keep(c, c->listener_count * sizeof *c->listeners);
    for (unsigned i = 0; i < c->listener_count; i++) {
        listener(b, list[i], &c->listeners[i]);
        address_twice(b, list[i], i);
    }
    if (c->listener_count == 0 && b->parse_errors == 0)
        conf_problem_add(b->p, false, b->file, 0, "listener",
                         "write listener \"mx\" { address = {\"0.0.0.0:25\", \"[::]:25\"} }", "there is no listener");
    free(list);
}
