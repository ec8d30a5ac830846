#include "base/clock.h"
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
    v.reason = tls_reason_name(o.reason);
    smtp_engine_answer_tls(s->engine, &v);
}

void session_ask_rcpt(struct session *s, const struct smtp_action *a)
{
    struct smtp_verdict v = {0};
    struct rcpt_verdict r;
    struct log_line l;

    rcpt_rule(&r, s->server->conf, a->rcpt_local, a->rcpt_domain);
    s->rcpt_reason = (uint8_t)r.reason;
    if (r.mailbox_count) {
        v.rcpt_ids = r.mailboxes;
        v.rcpt_id_count = r.mailbox_count;
        session_begin(s, &l, LOG_LEVEL_DEBUG, "smtp.rcpt-to");
        log_peer(&l, "to", a->rcpt_local);
        log_peer(&l, "domain", a->rcpt_domain);
        log_str(&l, "result", rcpt_reason_name(r.reason));
        log_end(&l);
    } else {
        v.code = r.code;
        v.enhanced = r.enhanced;
        v.text = r.text;
    }
    smtp_engine_answer(s->engine, &v);
}
