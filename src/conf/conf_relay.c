/* What concerns mail on its way out: relay, queue, dns, and who may send as whom. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf_domain.h"
#include "conf/conf_idn.h"
#include "conf/conf_users.h"

#define DEFAULT_ANCHOR "/usr/share/dns/root.key"
#define RESOLVERS 16

static struct conf_raw_section none(enum conf_section_kind kind)
{
    return (struct conf_raw_section){.kind = kind, .title = (char *)""};
}

/* ---- relay */

static void relay(const struct conf_building *b)
{
    const struct conf_raw_section *sec = conf_build_only(b, CONF_RELAY);
    const struct conf_raw_setting *s = sec ? conf_raw_find(sec, "delivery") : NULL;
    struct conf *c = b->conf;

    c->relay = UINT_MAX;
    if (!sec)
        return;
    conf_value_fill(b, sec, c);
    if (!s || s->bad)
        return;
    c->relay = conf_delivery_find(b, s);
    if (c->relay == UINT_MAX)
        return;
    if (c->deliveries[c->relay].type != CONF_DELIVERY_SMTP && c->deliveries[c->relay].type != CONF_DELIVERY_MX)
        conf_build_error(b, s, 0, "write delivery \"out\" { type = mx } and name that",
                         "delivery \"%s\" does not lead to other domains", s->values[0].text);
}

/* Who may send, and no way out, or the other way round. */
static void relay_from(const struct conf_building *b)
{
    const struct conf *c = b->conf;

    for (unsigned i = 0; i < c->listener_count && c->relay == UINT_MAX; i++)
        if (c->listeners[i].relay_from_count)
            conf_problem_add(b->p, false, c->listeners[i].where.file, c->listeners[i].where.line, "relay-from",
                             "write relay { delivery = ... }", "listener \"%s\": there is no way for their mail to go",
                             c->listeners[i].title);
}

/* ---- queue */

static void queue(const struct conf_building *b)
{
    const struct conf_raw_section *sec = conf_build_only(b, CONF_QUEUE), empty = none(CONF_QUEUE);
    struct conf_queue *q = &b->conf->queue;

    if (!sec)
        sec = &empty;
    conf_value_fill(b, sec, b->conf);
    if (q->longest_retry < q->first_retry)
        conf_problem_add(b->p, false, sec->file ? sec->file : b->file, sec->line, "longest-retry", NULL,
                         "it is shorter than first-retry");
    if (q->per_destination > q->transfers)
        q->per_destination = q->transfers;
}

/* ---- dns */

static void resolver(const struct conf_building *b, const struct conf_raw_setting *s, unsigned v, const char **to)
{
    const char *text = s->values[v].text, *port = strrchr(text, ':');
    char *numeric = strchr(text, ':') == port && port ? mem_str(text) : mem_printf("%s:53", text);
    struct addr a;
    struct err e;
    char ip[ADDR_TEXT];

    if (*text == '[' && port && port[-1] == ']') {
        free(numeric);
        numeric = mem_str(text);
    } else if (*text != '[' && strchr(text, ':') != port) {
        free(numeric);
        numeric = mem_printf("[%s]:53", text); /* IPv6 alone */
    }
    if (addr_parse(&a, numeric, &e) < 0 || a.ss.ss_family == AF_UNIX || addr_port(&a) == 0)
        conf_build_error(b, s, v, "write \"192.0.2.53\", \"127.0.0.1:5353\" or \"[::1]:53\"",
                         "\"%s\" is not an address of a resolver", text);
    else { /* as libunbound wants it */
        char *at = mem_printf("%s@%u", addr_ip_text(&a, ip), addr_port(&a));

        *to = conf_keep_text(b->conf, at);
        free(at);
    }
    free(numeric);
}

static void dns(const struct conf_building *b)
{
    const struct conf_raw_section *sec = conf_build_only(b, CONF_DNS), empty = none(CONF_DNS);
    const struct conf_raw_setting *s = sec ? conf_raw_find(sec, "resolver") : NULL;
    struct conf *c = b->conf;
    unsigned n = 0;

    conf_value_fill(b, sec ? sec : &empty, c);
    if (!c->trust_anchor && access(DEFAULT_ANCHOR, R_OK) == 0)
        c->trust_anchor = DEFAULT_ANCHOR;
    if (!s || !s->count)
        return;
    if (s->count > RESOLVERS)
        conf_build_error(b, s, 0, NULL, "more than %d resolvers", RESOLVERS);
    c->resolvers = conf_keep(c, (s->count + 1) * sizeof(char *));
    for (unsigned v = 0; v < s->count; v++)
        if (!s->values[v].bad)
            resolver(b, s, v, &c->resolvers[n++]);
}

/* ---- senders */

/* "Alice@EXAMPLE.org" -> "alice@example.org"; star: "*@example.org" is allowed. NULL: said. */
static const char *full_address(const struct conf_building *b, struct span text, bool star, const struct conf_place *at)
{
    const char *sign = text.n ? memrchr(text.p, '@', text.n) : NULL;
    char local[CONF_NAME_MAX + 1] = "*", domain[CONF_IDN_LEN], *joined;
    struct span left = {text.p, sign ? (size_t)(sign - text.p) : 0};
    const char *kept;
    struct err e;

    if (!sign || !left.n) {
        conf_domain_say(b, at, "write local@domain", "\"%.*s\" is not an address", (int)text.n, text.p);
        return NULL;
    }
    if (conf_idn_ascii(domain, (struct span){sign + 1, text.n - left.n - 1}, &e) ||
        (!(star && span_is(left, "*")) && conf_mailbox_name(local, left, &e))) {
        conf_domain_say(b, at, NULL, "%s", e.text);
        return NULL;
    }
    joined = mem_printf("%s@%s", local, domain);
    kept = conf_keep_text(b->conf, joined);
    free(joined);
    return kept;
}

static struct span trimmed(const char *p, const char *end)
{
    while (p < end && strchr(" \t", *p))
        p++;
    while (end > p && strchr(" \t", end[-1]))
        end--;
    return (struct span){p, (size_t)(end - p)};
}

struct senders {
    const struct conf_building *b;
    unsigned cap;
};

/* "alice@example.org: sales@example.org, *@example.net" */
static void sender_line(void *arg, struct span text, const struct conf_place *at)
{
    struct senders *all = arg;
    struct conf *c = all->b->conf;
    const char *colon = memchr(text.p, ':', text.n), *end = text.p + text.n, *p;
    struct conf_sender_list l = {0};
    unsigned cap = 1;

    if (!colon) {
        conf_domain_say(all->b, at, "write user@domain: address, address", "a line without a colon");
        return;
    }
    l.user = full_address(all->b, trimmed(text.p, colon), false, at);
    for (p = colon; (p = memchr(p, ',', (size_t)(end - p))); p++)
        cap++;
    l.senders = conf_keep(c, cap * sizeof(char *));
    for (p = colon + 1; p <= end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *one = full_address(all->b, trimmed(p, comma ? comma : end), true, at);

        if (one)
            l.senders[l.sender_count++] = one;
        p = comma ? comma + 1 : end + 1;
    }
    if (!l.user)
        return;
    if (c->sender_list_count == all->cap) {
        all->cap = all->cap ? all->cap * 2 : 16;
        c->sender_lists = mem_grow(c->sender_lists, all->cap * sizeof *c->sender_lists);
    }
    c->sender_lists[c->sender_list_count++] = l;
}

static int by_user(const void *a, const void *b)
{
    return strcmp(((const struct conf_sender_list *)a)->user, ((const struct conf_sender_list *)b)->user);
}

static void senders(const struct conf_building *b)
{
    const struct conf_raw_setting *s = conf_raw_find(&b->raw->sections[0], "sender-file");
    struct conf *c = b->conf;
    struct senders all = {b, 0};
    struct conf_sender_list *grown;

    if (!s || s->bad)
        return;
    c->senders_unavailable = conf_lines(b, s,
                                        "until it can be read, senders that only this file allows get 451 and their "
                                        "mail waits",
                                        sender_line, &all) < 0;
    grown = c->sender_lists;
    c->sender_lists = conf_keep(c, c->sender_list_count * sizeof *c->sender_lists);
    if (c->sender_list_count) {
        memcpy(c->sender_lists, grown, c->sender_list_count * sizeof *c->sender_lists);
        qsort(c->sender_lists, c->sender_list_count, sizeof *c->sender_lists, by_user);
    }
    free(grown);
    for (unsigned i = 1; i < c->sender_list_count; i++)
        if (by_user(&c->sender_lists[i - 1], &c->sender_lists[i]) == 0)
            conf_problem_add(b->p, false, s->file, s->line, "sender-file", "put both lines into one",
                             "%s stands in it twice", c->sender_lists[i].user);
}

/* ---- users */

struct users_place {
    const struct conf_building *b;
    const char *file;
};

static void say_user(void *arg, unsigned line, const char *text)
{
    const struct users_place *at = arg;

    conf_problem_add(at->b->p, false, at->file, line, "users", NULL, "%s", text);
}

/* Only tried: whoever checks passwords reads the file itself, so that its hashes are nowhere else. */
static void users(const struct conf_building *b)
{
    const struct conf_raw_setting *s = conf_raw_find(&b->raw->sections[0], "users"),
                                  *socket = conf_raw_find(&b->raw->sections[0], "auth-socket");
    const struct conf *c = b->conf;
    struct users_place at = {b, c->users};
    struct conf_users *u;
    char *text = NULL;
    struct err e = {""};
    size_t len = 0;

    if (s && socket)
        conf_build_error(b, socket, 0, "remove one", "users of a file, and Dovecot's");
    if (!s || !c->users)
        return;
    if (b->reader->read(b->reader->arg, c->users, &text, &len, &e) < 0) {
        conf_build_error(b, s, 0, "make it with: postern passwd -c FILE USER", "%s", e.text);
        return;
    }
    u = conf_users_parse(text, len, say_user, &at);
    if (u && u->count == 0)
        conf_problem_add(b->p, true, s->file, s->line, "users", "add them with: postern passwd FILE USER",
                         "%s: nobody can log in yet", c->users);
    conf_users_free(&u);
    explicit_bzero(text, len);
    free(text);
}

void conf_relay_build(const struct conf_building *b)
{
    users(b);
    relay(b);
    relay_from(b);
    queue(b);
    dns(b);
    senders(b);
}
