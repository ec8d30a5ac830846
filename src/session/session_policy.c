#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "policy/sender_rule.h"
#include "session/session.h"

void session_offer(struct session *s, struct tls_offer *o)
{
    struct tls_session_facts f = {.in_tls = s->in_tls, .withheld = s->withheld};

    tls_offer(o, s->listener->facts, &f, clock_now().real_us / 1000000);
}

void session_ask_tls(struct session *s)
{
    struct smtp_tls_view v = {0};
    struct tls_offer o;

    session_offer(s, &o);
    if (!s->in_tls) { /* what was offered in clear is what the log of the session tells */
        s->asked = true;
        s->offered = o.offered;
        s->reason = (uint8_t)o.reason;
    }
    v.advertise = o.advertised;
    v.accept = o.offered;
    v.code = o.code;
    v.enhanced = o.enhanced;
    v.text = o.text;
    v.require = o.require;
    v.require_broken = o.require_broken;
    v.auth = s->listener->profile.auth ? auth_client_mechanisms(s->server->auth) : NULL;
    v.reason = tls_reason_name(o.reason);
    smtp_engine_answer_tls(s->engine, &v);
}

static int by_user(const void *key, const void *list)
{
    return strcmp(key, ((const struct conf_sender_list *)list)->user);
}

/* What the sender-file says of somebody who has logged in. */
static const struct conf_sender_list *senders_of(const struct conf *c, const char *user)
{
    return c->sender_list_count ? bsearch(user, c->sender_lists, c->sender_list_count, sizeof *c->sender_lists, by_user)
                                : NULL;
}

void session_ask_sender(struct session *s, const struct smtp_action *a)
{
    struct peer_text who = smtp_engine_identity(s->engine);
    const struct conf *c = s->server->conf;
    const struct conf_sender_list *list;
    struct sender_verdict r = {.code = 0};
    struct smtp_verdict v = {0};

    session_away_reset(s);
    if (who.n) { /* else role mx, or relay-from: from anybody */
        list = senders_of(c, who.p);
        sender_rule(&r, c, who.p, list ? list->senders : NULL, list ? list->sender_count : 0, a->sender);
        if (r.reason == SENDER_NOT_YOURS && c->senders_unavailable)
            r = (struct sender_verdict){SENDER_UNAVAILABLE, 451, "4.3.0",
                                        "the list of senders cannot be read at the moment"};
    }
    if (r.code >= 400) {
        v.code = r.code;
        v.enhanced = r.enhanced;
        v.text = r.text;
        session_log_sender(s, a->sender, &r);
    }
    smtp_engine_answer(s->engine, &v);
}

/* Is it the mailbox's own name that was written, and no alias of it? Then it goes on as it was written, with its tag
 * (RFC 5233), which may mean something to the next server. */
static bool is_its_name(const struct conf_mailbox *m, const struct rcpt_verdict *r, struct peer_text local)
{
    size_t n = strlen(m->local);

    return r->mailbox_count == 1 &&
           (r->reason == RCPT_OK ? local.n == n : r->reason == RCPT_SUBADDRESS && local.n > n) &&
           strncasecmp(m->local, local.p, n) == 0;
}

static int send_mailbox(struct session *s, const struct conf_mailbox *m, const struct rcpt_verdict *r,
                        const struct smtp_action *a)
{
    struct peer_text local = a->rcpt_local;

    if (!is_its_name(m, r, local))
        local = (struct peer_text){m->local, strlen(m->local)};
    return session_away_add(s, m->delivery, local, (struct peer_text){m->domain, strlen(m->domain)}, &a->rcpt_params);
}

/* Somebody here whose sender wants to hear of it: the queue, which makes reports, is told as well (RFC 3461 6.2). */
static int want_report(struct session *s, const struct conf_mailbox *m, const struct smtp_action *a)
{
    if (!s->listener->profile.dsn || !(a->rcpt_params.notify & SMTP_NOTIFY_SUCCESS))
        return 0;
    return session_away_add(s, m->delivery, a->rcpt_local, (struct peer_text){m->domain, strlen(m->domain)},
                            &a->rcpt_params);
}

/* Those in Maildirs for the engine, the others for the queue. */
static int take_mailboxes(struct session *s, const struct rcpt_verdict *r, const struct smtp_action *a, uint32_t *here,
                          uint32_t *count)
{
    const struct conf *c = s->server->conf;
    int rc = 0;

    for (unsigned i = 0; i < r->mailbox_count && rc == 0; i++) {
        const struct conf_mailbox *m = &c->mailboxes[r->mailboxes[i]];

        if (c->deliveries[m->delivery].type == CONF_DELIVERY_MAILDIR)
            here[(*count)++] = r->mailboxes[i];
        if (c->deliveries[m->delivery].type == CONF_DELIVERY_MAILDIR)
            rc = want_report(s, m, a);
        else
            rc = send_mailbox(s, m, r, a);
    }
    return rc;
}

/* A bare <postmaster> of a gateway is the postmaster of its first such domain. */
static struct peer_text domain_of(const struct session *s, const struct smtp_action *a)
{
    const struct conf *c = s->server->conf;

    for (unsigned i = 0; i < c->domain_count && a->rcpt_domain.n == 0; i++)
        if (c->domains[i].accept_any || c->domains[i].verify_recipients)
            return (struct peer_text){c->domains[i].name, strlen(c->domains[i].name)};
    return a->rcpt_domain;
}

static void take(struct session *s, const struct rcpt_verdict *r, const struct smtp_action *a)
{
    uint32_t *here = mem_alloc((r->mailbox_count + 1) * sizeof *here);
    struct smtp_verdict v = {.rcpt_ids = here};
    struct log_line l;
    int rc;

    rc = r->away ? session_away_add(s, r->delivery, a->rcpt_local, domain_of(s, a), &a->rcpt_params)
                 : take_mailboxes(s, r, a, here, &v.rcpt_id_count);
    if (rc < 0) {
        v = (struct smtp_verdict){.code = 452, .enhanced = "4.5.3", .text = "Too many recipients"};
    } else {
        session_begin(s, &l, LOG_LEVEL_DEBUG, "smtp.rcpt-to");
        log_peer(&l, "to", a->rcpt_local);
        log_peer(&l, "domain", a->rcpt_domain);
        log_str(&l, "result", rcpt_reason_name(r->reason));
        log_end(&l);
    }
    smtp_engine_answer(s->engine, &v);
    free(here);
}

bool session_ask_rcpt(struct session *s, const struct smtp_action *a)
{
    struct smtp_verdict v = {0};
    struct rcpt_verdict r;

    rcpt_rule(&r, s->server->conf, a->rcpt_local, a->rcpt_domain, s->may_relay);
    s->rcpt_reason = (uint8_t)r.reason;
    if (r.reason == RCPT_VERIFY)
        return session_ask_next_hop(s, &r, domain_of(s, a), a);
    if (r.mailbox_count || r.away) {
        take(s, &r, a);
        return true;
    }
    v.code = r.code;
    v.enhanced = r.enhanced;
    v.text = r.text;
    smtp_engine_answer(s->engine, &v);
    return true;
}
