/* Aliases: "name = target, target". A target is a local part of the same domain or local@domain of
 * another configured one, and may itself be an alias. What each stands for is worked out once, at
 * load. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "conf/conf_domain.h"
#include "conf/conf_idn.h"

static struct span trim(const char *p, const char *end)
{
    while (p < end && strchr(" \t", *p))
        p++;
    while (end > p && strchr(" \t", end[-1]))
        end--;
    return (struct span){p, (size_t)(end - p)};
}

static void alias(struct conf_domains *d, struct conf_names *n, struct span text, const struct conf_place *at)
{
    const char *equal = memchr(text.p, '=', text.n), *end = text.p + text.n;
    char local[CONF_NAME_MAX + 1];
    struct conf_alias *a;
    struct err e;

    if (!equal) {
        conf_domain_say(d->b, at, "write name=target,target", "\"%.*s\" is not an alias", (int)text.n, text.p);
        return;
    }
    if (conf_mailbox_name(local, trim(text.p, equal), &e)) {
        conf_domain_say(d->b, at, NULL, "%s", e.text);
        return;
    }
    a = conf_keep(d->b->conf, sizeof *a);
    a->at = *at;
    a->at.said = &d->alias_said;
    a->targets = conf_keep_span(d->b->conf, equal + 1, (size_t)(end - equal - 1));
    conf_mailbox_add(d, n, local, at)->alias = a;
}

void conf_alias_read(struct conf_domains *d, struct conf_names *n)
{
    const struct conf_raw_setting *s = conf_raw_find(n->section, "aliases"),
                                  *file = conf_raw_find(n->section, "alias-file");
    unsigned said = 0;

    for (unsigned i = 0; s && i < s->count; i++) {
        struct conf_place at = {s->file, s->values[i].line, "aliases", &said};

        if (!s->values[i].bad)
            alias(d, n, span_str(s->values[i].text), &at);
    }
    if (file && !file->bad)
        conf_mailbox_lines(d, n, file, alias);
}

struct walk { /* the aliases on the way to the one in hand */
    struct conf_domains *d;
    struct {
        const struct conf_names *in;
        const struct conf_name *name;
    } step[CONF_ALIAS_DEPTH];
    unsigned depth;
};

static void say_loop(struct walk *w, const struct conf_name *again)
{
    struct buf chain = {0};
    unsigned i = 0;

    while (i < w->depth && w->step[i].name != again)
        i++;
    for (; i < w->depth; i++)
        buf_printf(&chain, "%s@%s -> ", w->step[i].name->local, w->step[i].in->domain.name);
    buf_printf(&chain, "%s", again->local);
    conf_domain_say(w->d->b, &again->alias->at, "let one of them name a mailbox", "a loop of aliases: %s",
                    buf_str(&chain));
    buf_clear(&chain);
}

/* Nearest name of the domain, where looking is cheap. */
static char *nearest_name(const struct conf_names *n, const char *local)
{
    const char **names, *best;
    char *remedy;

    if (n->count > 1000)
        return NULL;
    names = mem_alloc((n->count + 1) * sizeof *names);
    for (unsigned i = 0; i < n->count; i++)
        names[i] = n->list[i].local;
    best = conf_nearest(names, local);
    remedy = best ? mem_printf("nearest: %s", best) : NULL;
    free(names);
    return remedy;
}

/* The name a target means, or NULL: said, or (domain unavailable) not to be known now. */
static struct conf_name *target(struct walk *w, const struct conf_names *own, const struct conf_alias *a,
                                struct span text, const struct conf_names **in)
{
    const struct conf_building *b = w->d->b;
    const char *sign = memrchr(text.p, '@', text.n);
    char local[CONF_NAME_MAX + 1], domain[CONF_IDN_LEN], *remedy;
    struct conf_name *found;
    struct err e;

    *in = own;
    if (sign) {
        struct span right = {sign + 1, (size_t)(text.p + text.n - sign - 1)};

        if (conf_idn_ascii(domain, right, &e)) {
            conf_domain_say(b, &a->at, NULL, "%s", e.text);
            return NULL;
        }
        *in = conf_domain_by_name(w->d, domain);
        if (!*in) {
            conf_domain_say(b, &a->at, "name a mailbox of a configured domain",
                            "%.*s is in a domain that is not configured: postern does not forward mail", (int)text.n,
                            text.p);
            return NULL;
        }
        text.n = (size_t)(sign - text.p);
    }
    if (conf_mailbox_name(local, text, &e)) {
        conf_domain_say(b, &a->at, NULL, "%s", e.text);
        return NULL;
    }
    found = conf_domain_name(*in, local);
    if (found || (*in)->domain.unavailable)
        return found;
    remedy = nearest_name(*in, local);
    conf_domain_say(b, &a->at, remedy, "there is no mailbox or alias %s in %s", local, (*in)->domain.name);
    free(remedy);
    return NULL;
}

static void resolve(struct walk *w, const struct conf_names *in, struct conf_name *name);

/* Goes through the targets: follow makes sure that they are resolved, else their mailboxes are put
 * together. */
static void each_target(struct walk *w, const struct conf_names *in, struct conf_alias *a, struct conf_name **list,
                        unsigned *count)
{
    const char *p = a->targets, *end = p + strlen(p);

    *count = 0;
    while (p <= end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        struct span text = trim(p, comma ? comma : end);
        const struct conf_names *where;
        struct conf_name *t;

        p = comma ? comma + 1 : end + 1;
        if (text.n == 0) {
            conf_domain_say(w->d->b, &a->at, "write name=target,target",
                            "an alias without a target, or a comma too many");
            continue;
        }
        t = target(w, in, a, text, &where);
        if (!t)
            continue;
        if (t->alias)
            resolve(w, where, t);
        list[(*count)++] = t;
    }
}

static unsigned commas(const char *p)
{
    unsigned n = 0;

    while ((p = strchr(p, ',')) != NULL) {
        p++;
        n++;
    }
    return n;
}

static void collect(struct walk *w, struct conf_alias *a, struct conf_name *const *list, unsigned count)
{
    struct conf_domains *d = w->d;
    unsigned most = 0;

    if (count == 1 && list[0]->alias) { /* a chain shares what it leads to */
        a->mailboxes = list[0]->alias->mailboxes;
        a->count = list[0]->alias->count;
        return;
    }
    for (unsigned i = 0; i < count; i++)
        most += list[i]->alias ? list[i]->alias->count : 1;
    if (most > CONF_ALIAS_TOTAL - d->total) {
        conf_domain_say(d->b, &a->at, "let aliases stand for fewer mailboxes",
                        "all aliases together stand for more than %u mailboxes", CONF_ALIAS_TOTAL);
        return;
    }
    d->total += most;
    d->stamp++;
    a->mailboxes = conf_keep(d->b->conf, most * sizeof *a->mailboxes);
    for (unsigned i = 0; i < count; i++) {
        const unsigned *from = list[i]->alias ? list[i]->alias->mailboxes : &list[i]->mailbox;
        unsigned n = list[i]->alias ? list[i]->alias->count : 1;

        for (unsigned k = 0; k < n; k++) {
            if (d->stamps[from[k]] == d->stamp) /* delivered once, however many ways lead there */
                continue;
            d->stamps[from[k]] = d->stamp;
            a->mailboxes[a->count++] = from[k];
        }
    }
}

static void resolve(struct walk *w, const struct conf_names *in, struct conf_name *name)
{
    struct conf_alias *a = name->alias;
    struct conf_name **list;
    unsigned count;

    if (a->state == CONF_ALIAS_DONE)
        return;
    if (a->state == CONF_ALIAS_ACTIVE) {
        say_loop(w, name);
        return;
    }
    if (w->depth == CONF_ALIAS_DEPTH) {
        conf_domain_say(w->d->b, &a->at, "let it name mailboxes", "aliases of aliases, more than %u deep",
                        CONF_ALIAS_DEPTH);
        a->state = CONF_ALIAS_DONE;
        return;
    }
    a->state = CONF_ALIAS_ACTIVE;
    w->step[w->depth].in = in;
    w->step[w->depth++].name = name;
    list = mem_alloc((commas(a->targets) + 1) * sizeof(struct conf_name *));
    each_target(w, in, a, list, &count);
    collect(w, a, list, count);
    free(list);
    w->depth--;
    a->state = CONF_ALIAS_DONE;
}

void conf_alias_resolve(struct conf_domains *d, struct conf_names *n)
{
    struct walk w = {.d = d};

    for (unsigned i = 0; i < n->count; i++)
        if (n->list[i].alias)
            resolve(&w, n, &n->list[i]);
}
