#include "relay/relay_task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "relay/relay_desk.h"

#define TRIES 8 /* connections for one transfer; what is left waits for the next try of the queue */
#define TEXT 600

/* ---- results */

static struct peer_text words(const char *text)
{
    return (struct peer_text){text ? text : "", text ? strlen(text) : 0};
}

/* The store keeps classes apart: what is deferred has a 4xx, whatever the server called it. */
static void fit_class(struct relay_result *r)
{
    char class = r->outcome == RELAY_DEFERRED ? '4' : r->outcome == RELAY_FAILED ? '5' : '2';

    if (r->code / 100 != class - '0')
        r->code = class == '4' ? 451 : class == '5' ? 550 : 250;
    if (r->enhanced[0] != class)
        r->enhanced[0] = class;
}

static void say(struct relay_task *t, uint32_t i, const struct relay_result *r)
{
    struct relay_result own = *r;

    if (t->told[i])
        return;
    t->told[i] = true;
    t->left--;
    own.index = i;
    fit_class(&own);
    t->events->result(t->arg, &own);
}

/* Everybody who has none yet gets this one, and the task ends. */
static void end_all(struct relay_task *t, const struct relay_result *r)
{
    struct relay_result own = *r;

    if (t->job->message->probe)
        own.outcome = RELAY_DEFERRED;
    for (uint32_t i = 0; i < t->job->message->rcpt_count; i++)
        say(t, i, &own);
    relay_task_end(t);
}

static struct relay_result judgement(enum relay_outcome outcome, uint16_t code, const char *enhanced, const char *text)
{
    struct relay_result r = {.outcome = outcome, .code = code, .local = true, .text = words(text)};

    snprintf(r.enhanced, sizeof r.enhanced, "%s", enhanced);
    return r;
}

static void end_with_last(struct relay_task *t)
{
    struct relay_result none = judgement(RELAY_DEFERRED, 451, "4.4.1", "no host could be reached");

    end_all(t, t->last.code ? &t->last : &none);
}

static bool is_about_tls(const struct relay_failure *f)
{
    return strncmp(f->reason, "tls-", 4) == 0;
}

/* The reason shown is that of the last host, except that a host that spoke counts more than one that was not there. */
static void remember(struct relay_task *t, const char *remote, const char *tls, const struct relay_failure *f)
{
    bool spoke = f->reply.code && !f->reply.local;

    if (t->last.code && !t->last.local && !spoke)
        return;
    free(t->last_text);
    free(t->last_remote);
    free(t->last_tls);
    t->last_text = spoke ? mem_str(f->words) : mem_printf("%s at %s: %s", f->reason, f->stage, f->words);
    t->last_remote = mem_str(remote);
    t->last_tls = mem_str(tls);
    t->last = judgement(f->permanent && spoke ? RELAY_FAILED : RELAY_DEFERRED, f->reply.code ? f->reply.code : 451,
                        f->reply.code     ? f->reply.enhanced
                        : is_about_tls(f) ? "4.7.5"
                                          : "4.4.1",
                        t->last_text);
    t->last.local = !spoke;
    t->last.remote = words(t->last_remote);
    t->last.tls = words(t->last_tls);
    if (f->reply.code == 421)
        t->health = RELAY_HEALTH_BUSY;
}

static void log_failure(const struct relay_task *t, const char *remote, const struct relay_failure *f)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_WARN, is_about_tls(f) ? "relay.tls-failed" : "relay.connection-failed");
    log_str(&l, "delivery", t->job->route->title);
    log_str(&l, "domain", t->job->domain);
    log_str(&l, "remote", remote);
    log_str(&l, "reason", f->reason);
    log_str(&l, "tls", relay_tls_name(t->tls));
    log_str(&l, "stage", f->stage);
    log_int(&l, "code", f->reply.code);
    log_str(&l, "details", f->words);
    log_end(&l);
}

/* ---- one connection after the other */

static void next_host(struct relay_task *t);

/* A report does not: RFC 8689 5 lets it go by any way there is rather than be lost. */
static bool insists_on_tls(const struct relay_task *t)
{
    return t->job->message->requiretls && *t->job->message->sender;
}

static void connect_to(struct relay_task *t, enum relay_tls tls)
{
    struct relay_candidate *k = &t->candidates[t->at];
    struct err e;

    /* RFC 8689 4.2.1: this message goes only to a server whose certificate is verified; so does a password */
    if ((insists_on_tls(t) || (t->job->route->user && k->address.ss.ss_family != AF_UNIX)) && tls < RELAY_TLS_VERIFY)
        tls = RELAY_TLS_VERIFY;
    t->tls = tls;
    t->again = t->elsewhere = false;
    if (relay_desk_take(t, k, tls))
        return;
    if (++t->tries > TRIES) {
        end_with_last(t);
        return;
    }
    if (relay_desk_open(t, k, tls, &e) < 0) {
        struct relay_failure f = {.reason = "connect-failed", .stage = "connect", .words = e.text};
        char where[ADDR_TEXT];

        remember(t, addr_text(&k->address, where), "", &f);
        log_failure(t, where, &f);
        t->at++;
        next_host(t);
    }
}

/* RFC 7672 2.2: records that are there and cannot be used still demand TLS, without authentication. */
static enum relay_tls tls_by_tlsa(const struct relay_candidate *k)
{
    for (unsigned i = 0; i < k->tlsa_count; i++)
        if (tls_tlsa_is_usable(&k->tlsa[i]))
            return RELAY_TLS_DANE;
    return k->tlsa_count ? RELAY_TLS_REQUIRED : RELAY_TLS_MAY;
}

static void got_tlsa(void *arg, struct dns_tlsa_set *s)
{
    struct relay_task *t = arg;
    struct relay_candidate *k = &t->candidates[t->at];

    t->question = NULL;
    if (s->verdict == DNS_LATER) { /* RFC 7672 2.1.1: "MUST be treated as [...] the MX host [...] unreachable" */
        struct relay_failure f = {.reason = "tls-dane-lookup", .stage = "TLSA lookup", .words = s->words};

        remember(t, k->host, "", &f);
        log_failure(t, k->host, &f);
        dns_tlsa_set_free(&s);
        t->at++;
        next_host(t);
        return;
    }
    relay_candidate_tlsa(k, s);
    connect_to(t, tls_by_tlsa(k));
}

static void next_host(struct relay_task *t)
{
    struct relay_candidate *k;

    if (t->at >= t->candidate_count) {
        end_with_last(t);
        return;
    }
    k = &t->candidates[t->at];
    if (t->job->route->tls != RELAY_TLS_DANE) {
        connect_to(t, t->job->route->tls);
        return;
    }
    if (!k->secure || !k->host) {
        connect_to(t, RELAY_TLS_MAY);
        return;
    }
    t->question = dns_ask_tlsa(t->desk->setup.dns, k->host, addr_port(&k->address), got_tlsa, t);
    if (!t->question) {
        struct relay_failure f = {
            .reason = "tls-dane-lookup", .stage = "TLSA lookup", .words = "the resolver cannot be asked"};

        remember(t, k->host, "", &f);
        t->at++;
        next_host(t);
    }
}

/* ---- where to */

static void got_mail(void *arg, struct dns_mail *m)
{
    static const struct {
        uint16_t code;
        const char *enhanced, *text;
    } refusals[] = {
        [DNS_NO_DOMAIN] = {550, "5.1.2", "the domain does not exist"},
        [DNS_NO_HOST] = {550, "5.4.4", "the domain has no host that takes mail"},
        [DNS_NULL_MX] = {556, "5.1.10", "the domain takes no mail (null MX)"},
        [DNS_LOOP] = {554, "5.4.6", "the best mail host of the domain is this server, which does not take its mail"},
        [DNS_LATER] = {451, "4.4.3", "the mail hosts of the domain cannot be found out"},
    };
    struct relay_task *t = arg;
    enum dns_verdict v = m->verdict;
    struct relay_result r;
    char text[TEXT];

    t->question = NULL;
    if (v == DNS_FOUND) {
        relay_task_candidates(t, m);
        dns_mail_free(&m);
        next_host(t);
        return;
    }
    snprintf(text, sizeof text, "%s%s%s", refusals[v].text, m->words ? ": " : "", m->words ? m->words : "");
    dns_mail_free(&m);
    r = judgement(v == DNS_LATER ? RELAY_DEFERRED : RELAY_FAILED, refusals[v].code, refusals[v].enhanced, text);
    if (v != DNS_LATER)
        t->health = RELAY_HEALTH_GOOD; /* nothing is wrong with the way there: there is none */
    end_all(t, &r);
}

static void find_hosts(struct relay_task *t)
{
    const struct relay_route *r = t->job->route;
    struct dns *dns = t->desk->setup.dns;

    if (r->kind == RELAY_TO_HOST && r->address.len) {
        relay_task_fixed(t);
        next_host(t);
        return;
    }
    t->question = r->kind == RELAY_TO_MX ? dns_ask_mail(dns, t->job->domain, got_mail, t)
                                         : dns_ask_host(dns, r->host, got_mail, t);
    if (!t->question)
        end_with_last(t);
}

void relay_task_start(struct relay_desk *d, const struct relay_job *job, const struct relay_task_events *events,
                      void *arg)
{
    struct relay_task *t = relay_desk_add(d);

    t->job = job;
    t->events = events;
    t->arg = arg;
    t->left = job->message->rcpt_count;
    t->told = mem_alloc(job->message->rcpt_count);
    find_hosts(t);
}

/* ---- what the connection says */

/* Only those without an outcome; their place in the whole list is kept. */
static void choose_rcpts(struct relay_task *t)
{
    const struct smtp_client_message *m = t->job->message;

    free(t->rcpts);
    free(t->places);
    t->rcpts = mem_alloc(sizeof *t->rcpts * (t->left + 1));
    t->places = mem_alloc(sizeof *t->places * (t->left + 1));
    t->message = *m;
    t->message.rcpts = t->rcpts;
    t->message.rcpt_count = 0;
    for (uint32_t i = 0; i < m->rcpt_count; i++)
        if (!t->told[i]) {
            t->places[t->message.rcpt_count] = i;
            t->rcpts[t->message.rcpt_count++] = m->rcpts[i];
        }
}

void relay_task_ready(struct relay_task *t, bool reusable)
{
    if (!reusable || t->elsewhere) {
        relay_conn_quit(t->conn);
        return;
    }
    choose_rcpts(t);
    relay_conn_send(t->conn, &t->message, t->job->fd, t->job->offset);
}

/* RFC 8689 4.2.1: "If any of the above steps fails, the client MUST issue a QUIT to the server and repeat steps 2 through 4
 * with each host on the recipient domain's list of MX hosts". The last one's judgement is the message's. */
static bool another_may(const struct relay_task *t, const struct smtp_client_action *a)
{
    return a->outcome == SMTP_CLIENT_PERMANENT && a->reply.local && strcmp(a->reply.enhanced, "5.7.30") == 0 &&
           t->at + 1 < t->candidate_count;
}

void relay_task_result(struct relay_task *t, const struct smtp_client_action *a)
{
    static const enum relay_outcome outcomes[] = {[SMTP_CLIENT_OK] = RELAY_DELIVERED,
                                                  [SMTP_CLIENT_TEMPORARY] = RELAY_DEFERRED,
                                                  [SMTP_CLIENT_PERMANENT] = RELAY_FAILED};
    struct relay_result r = {.code = a->reply.code, .local = a->reply.local, .text = a->reply.text};

    if (a->outcome == SMTP_CLIENT_UNTRIED) {
        t->again = true;
        return;
    }
    if (another_may(t, a)) {
        t->elsewhere = true;
        return;
    }
    r.outcome = outcomes[a->outcome];
    if (r.outcome == RELAY_DELIVERED && a->relayed && !t->job->route->lmtp) /* LMTP's 250: it is in the mailbox */
        r.outcome = RELAY_RELAYED;
    if (r.outcome == RELAY_FAILED && t->job->message->probe && a->stage != SMTP_CLIENT_AT_RCPT)
        r.outcome = RELAY_DEFERRED;
    snprintf(r.enhanced, sizeof r.enhanced, "%s", a->reply.enhanced);
    r.remote = words(relay_conn_remote(t->conn));
    r.tls = words(relay_conn_tls(t->conn));
    /* A message that this server can never take (too large for it, SMTPUTF8 ...) is no news of the way there: or anybody who
     * sends such messages would hold up everybody else's. */
    if ((!a->reply.local && a->reply.code) || a->outcome == SMTP_CLIENT_PERMANENT)
        t->health = a->reply.code == 421 ? RELAY_HEALTH_BUSY : RELAY_HEALTH_GOOD;
    say(t, t->places[a->index], &r);
}

/* The message is off the connection's hands; what is not decided goes on elsewhere, when the connection has closed. */
void relay_task_message_done(struct relay_task *t)
{
    if (t->left)
        return;
    relay_desk_leave(t);
    relay_task_end(t);
}

void relay_task_failed(struct relay_task *t, const struct relay_failure *f)
{
    const char *remote = relay_conn_remote(t->conn);

    remember(t, remote, relay_conn_tls(t->conn), f);
    log_failure(t, remote, f);
    /* RFC 7435: encryption that fails is no reason to keep the mail where nobody asked for encryption. REQUIRETLS did. */
    t->in_clear = f->tls_broke && t->tls == RELAY_TLS_MAY && !insists_on_tls(t);
    /* a host that refuses for good speaks for the domain (RFC 5321 5.1 speaks of hosts that cannot be reached) */
    t->refused = f->permanent && f->reply.code && !f->reply.local && strcmp(f->reason, "auth-refused") != 0;
}

void relay_task_closed(struct relay_task *t)
{
    t->conn = NULL;
    if (t->in_clear) {
        t->in_clear = false;
        connect_to(t, RELAY_TLS_NONE);
    } else if (t->again) {
        connect_to(t, t->tls); /* it was kept from an earlier message, and over: another one to the same host */
    } else if (t->refused) {
        end_with_last(t);
    } else {
        t->at++;
        next_host(t);
    }
}
