#include "sink/store_home.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "policy/rcpt_rule.h"
#include "sink/fsops.h"
#include "smtp/mail_path.h"

/* ---- where */

/* Those in Maildirs, as far as there are any. */
static unsigned those_here(struct store_home *h, const struct rcpt_verdict *v)
{
    const struct conf *c = h->conf;
    unsigned n = 0;

    h->here = mem_grow(h->here, (v->mailbox_count + 1) * sizeof *h->here);
    for (unsigned i = 0; i < v->mailbox_count; i++)
        if (c->deliveries[c->mailboxes[v->mailboxes[i]].delivery].type == CONF_DELIVERY_MAILDIR)
            h->here[n++] = v->mailboxes[i];
    return n;
}

/* A mailbox that another server holds: under its own name, whatever alias led to it. */
static void send_to_mailbox(const struct store_home *h, struct queue_home *out, unsigned mailbox)
{
    const struct conf_mailbox *m = &h->conf->mailboxes[mailbox];
    struct buf text = {0};

    mail_path_quote(&text, span_str(m->local));
    buf_printf(&text, "@%s", m->domain);
    *out = (struct queue_home){.way = QUEUE_WAY_ROUTE,
                               .route = h->conf->deliveries[m->delivery].title,
                               .address = mem_strn(buf_data(&text), text.len)};
    buf_clear(&text);
}

/* A report is ours: it may go to any domain. */
static void judge(const struct store_home *h, struct rcpt_verdict *v, struct peer_text address)
{
    const char *at = memrchr(address.p, '@', address.n);
    size_t n = at ? (size_t)(at - address.p) : address.n;
    struct peer_text domain = at ? (struct peer_text){at + 1, address.n - n - 1} : (struct peer_text){"", 0};
    char *local = mem_alloc(n + 1);

    n = mail_path_unquote(local, (struct span){address.p, n});
    rcpt_rule(v, h->conf, (struct peer_text){local, n}, domain, true);
    free(local);
}

static void find_home(void *arg, struct queue_home *out, struct peer_text address)
{
    struct store_home *h = arg;
    struct rcpt_verdict v;
    unsigned here;

    judge(h, &v, address);
    here = those_here(h, &v);
    *out = (struct queue_home){.way = QUEUE_WAY_NONE};
    if (here)
        *out = (struct queue_home){.way = QUEUE_WAY_LOCAL, .mailboxes = h->here, .mailbox_count = here};
    else if (v.mailbox_count)
        send_to_mailbox(h, out, v.mailboxes[0]);
    else if (v.away)
        *out = (struct queue_home){.way = QUEUE_WAY_ROUTE, .route = h->conf->deliveries[v.delivery].title};
}

/* ---- into mailboxes */

struct letter {
    int fd, tmp; /* tmp: where it has a name for a while, -1: nameless */
    char name[NAMES_MOST];
};

static int create(struct store_home *h, uint32_t mailbox, struct letter *l)
{
    const struct delivery *d = maildir_delivery(h->maildirs, mailbox);
    struct maildir *dir = maildir_get(h->maildirs, mailbox);

    *l = (struct letter){.fd = -1, .tmp = -1};
    if (!dir)
        return -1;
    delivery_act_as(d);
    l->fd = fsops->create(dir->fd, d->conf->file_mode);
    delivery_act_as(NULL);
    if (l->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        static _Thread_local unsigned number;

        names_make(l->name, clock_now().real_us, (int)getpid(), ++number, "report", 0);
        l->tmp = maildir_open_part(h->maildirs, mailbox, "tmp");
        delivery_act_as(d);
        l->fd = l->tmp < 0 ? -1 : fsops->create_named(l->tmp, l->name, d->conf->file_mode);
        delivery_act_as(NULL);
    }
    maildir_put(h->maildirs, dir);
    return l->fd;
}

static void discard(struct store_home *h, uint32_t mailbox, struct letter *l)
{
    if (l->tmp >= 0) {
        delivery_act_as(maildir_delivery(h->maildirs, mailbox));
        (void)fsops->unlink(l->tmp, l->name);
        delivery_act_as(NULL);
        close(l->tmp);
    }
    if (l->fd >= 0)
        close(l->fd);
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t w = fsops->write(fd, p, n);

        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return -1;
        p += w;
        n -= (size_t)w;
    }
    return fsops->flush_data(fd);
}

static int deliver(void *arg, const unsigned *mailboxes, unsigned count, const char *text, size_t n)
{
    struct store_home *h = arg;
    struct message m = {
        .fd = -1, .queued = {.fd = -1}, .size = n, .mailboxes = mailboxes, .count = count, .mailbox = UINT32_MAX};
    struct letter l;
    struct stat st;

    if (!h->publish) {
        names_host(h->host, h->conf->hostname);
        h->publish = publish_new(h->maildirs, h->flusher, h->host, h->procfd, NULL);
    }
    if (create(h, mailboxes[0], &l) < 0 || write_all(l.fd, text, n) < 0 || fstat(l.fd, &st) < 0) {
        m.error = errno ? errno : EIO;
    } else {
        m.fd = l.fd;
        m.dev = st.st_dev;
        m.delivery = maildir_delivery(h->maildirs, mailboxes[0]);
        publish_message(h->publish, &m);
        publish_end(h->publish);
    }
    discard(h, mailboxes[0], &l);
    return m.error;
}

/* ---- routes */

/* Titles of deliveries come and go with reloads: one that is gone is no mx and no LMTP, and the relay says so. */
static const struct conf_delivery *route_of(const struct store_home *h, const char *title)
{
    for (unsigned i = 0; i < h->conf->delivery_count; i++)
        if (strcmp(h->conf->deliveries[i].title, title) == 0)
            return &h->conf->deliveries[i];
    return NULL;
}

static bool by_domain(void *arg, const char *route)
{
    const struct conf_delivery *d = route_of(arg, route);

    return d && d->type == CONF_DELIVERY_MX;
}

static bool is_final(void *arg, const char *route)
{
    const struct conf_delivery *d = route_of(arg, route);

    return d && (d->type == CONF_DELIVERY_LMTP || d->type == CONF_DELIVERY_MAILDIR);
}

static bool is_here(void *arg, const char *route)
{
    const struct conf_delivery *d = route_of(arg, route);

    return d && d->type == CONF_DELIVERY_MAILDIR;
}

void store_home_hooks(struct queue_hooks *out, struct store_home *h)
{
    *out = (struct queue_hooks){.home = find_home,
                                .deliver = deliver,
                                .by_domain = by_domain,
                                .is_here = is_here,
                                .is_final = is_final,
                                .arg = h};
}

void store_home_end(struct store_home *h)
{
    if (h->publish)
        publish_free(&h->publish);
    free(h->here);
    h->here = NULL;
}
