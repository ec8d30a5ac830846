/* Recipients that only the next hop knows: it is asked by the relay, while the client waits for its reply to RCPT. */
#include <stdlib.h>
#include <string.h>

#include "session/session.h"
#include "smtp/mail_path.h"

struct asked_rcpt {
    struct verify_question *question;
    char *local, *domain, *orcpt; /* orcpt: or NULL */
    unsigned delivery, notify;
};

static void release(struct asked_rcpt **rp)
{
    struct asked_rcpt *r = *rp;

    free(r->local);
    free(r->domain);
    free(r->orcpt);
    free(r);
    *rp = NULL;
}

void session_cancel_verify(struct session *s)
{
    if (!s->asked_rcpt)
        return;
    verify_question_cancel(&s->asked_rcpt->question);
    release(&s->asked_rcpt);
}

static struct peer_text text_of(const char *s)
{
    return (struct peer_text){s, s ? strlen(s) : 0};
}

static int accept_it(struct session *s)
{
    const struct asked_rcpt *r = s->asked_rcpt;
    struct smtp_rcpt_params params = {.notify = r->notify, .orcpt = text_of(r->orcpt)};

    return session_away_add(s, r->delivery, text_of(r->local), text_of(r->domain), &params);
}

static void settle(struct session *s, const struct verify_answer *a)
{
    struct smtp_verdict v = {0};

    if (a->verdict == VERIFY_YES && accept_it(s) < 0)
        v = (struct smtp_verdict){.code = 452, .enhanced = "4.5.3", .text = "Too many recipients"};
    else if (a->verdict == VERIFY_NO)
        v = (struct smtp_verdict){
            .code = 550, .enhanced = a->enhanced, .text = "no such mailbox, says the server that has the mailboxes"};
    else if (a->verdict == VERIFY_UNKNOWN)
        v = (struct smtp_verdict){.code = 450,
                                  .enhanced = "4.4.3",
                                  .text = "the server that has the mailboxes cannot be asked at the moment"};
    session_log_verified(s, text_of(s->asked_rcpt->local), text_of(s->asked_rcpt->domain), a);
    release(&s->asked_rcpt);
    s->wait = SESSION_READ;
    smtp_engine_answer(s->engine, &v);
}

static void told(void *arg, const struct verify_answer *a)
{
    settle(arg, a);
    session_resume(arg);
}

static char *address_of(const struct asked_rcpt *r)
{
    struct buf text = {0};
    char *address;

    mail_path_quote(&text, span_str(r->local));
    buf_printf(&text, "@%s", r->domain);
    address = mem_strn(buf_data(&text), text.len);
    buf_clear(&text);
    return address;
}

bool session_ask_next_hop(struct session *s, const struct rcpt_verdict *v, struct peer_text domain,
                          const struct smtp_action *a)
{
    const char *route = s->server->conf->deliveries[v->delivery].title;
    struct verify_answer nobody = {.verdict = VERIFY_UNKNOWN, .text = text_of("the relay is not there")};
    struct asked_rcpt *r = mem_alloc(sizeof *r);
    char *address;

    r->local = mem_strn(a->rcpt_local.p, a->rcpt_local.n);
    r->domain = mem_strn(domain.p, domain.n);
    r->delivery = v->delivery;
    r->notify = a->rcpt_params.notify;
    if (a->rcpt_params.orcpt.p)
        r->orcpt = mem_strn(a->rcpt_params.orcpt.p, a->rcpt_params.orcpt.n);
    s->asked_rcpt = r;
    s->rcpt_reason = RCPT_VERIFY;
    s->wait = SESSION_VERIFY;
    if (!s->server->verify) { /* no relay has been introduced */
        settle(s, &nobody);
        return true;
    }
    address = address_of(r);
    r->question = verify_client_ask(s->server->verify, route, address, told, s);
    free(address);
    return false;
}
