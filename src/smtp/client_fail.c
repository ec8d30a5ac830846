/* The end of a connection: by failure, by QUIT, or because it ended. */
#include "smtp/client_private.h"

#include <stdlib.h>
#include <string.h>

/* What a recipient without a certain result is told when the connection fails. */
struct verdict {
    const struct client_reply *reply;
    enum smtp_client_failure why;
    enum smtp_client_outcome outcome;
    enum smtp_client_stage stage;
    bool credit;  /* the replies that were held so far are theirs who hold them */
    bool content; /* it was reached: the envelope's replies are certain */
    bool untried;
    bool in_doubt;
};

static struct verdict judge(const struct smtp_client *c, enum smtp_client_failure why, enum smtp_client_outcome outcome,
                            const struct client_reply *r)
{
    struct verdict v = {.reply = r, .why = why, .outcome = outcome, .stage = smtp_client_stage(c)};

    v.content = c->state == CLIENT_CONTENT || c->state == CLIENT_END;
    /* Servers refuse, and hang up, with commands of ours still unread: what they said counts. But
     * when a reply did not come, or one came too many, those before it may stand in the wrong
     * places. RSET behind a group that was refused has none too many before it as long as it is not answered. */
    v.credit = v.content || why == SMTP_CLIENT_LOST || why == SMTP_CLIENT_SERVER_CLOSING || !c->offers.pipelining ||
               (c->state == CLIENT_RSET && why == SMTP_CLIENT_TIMED_OUT);
    /* A connection that was kept may have ended long ago: that is no failure of this message. */
    v.untried = c->transactions > 1 && why != SMTP_CLIENT_CONTENT;
    v.in_doubt = c->state == CLIENT_END && why != SMTP_CLIENT_SERVER_CLOSING;
    return v;
}

static void give_result(struct smtp_client *c, uint32_t index, const struct verdict *v)
{
    struct client_rcpt *rcpt = &c->rcpts[index];
    bool accepted = rcpt->state == CLIENT_RCPT_ACCEPTED && v->content;

    if (rcpt->state == CLIENT_RCPT_DONE)
        return;
    if (c->mail_refused && v->credit && rcpt->state != CLIENT_RCPT_PENDING)
        client_message_result(c, index, &c->refusal, client_reply_outcome(&c->refusal, SMTP_CLIENT_AT_MAIL),
                              SMTP_CLIENT_AT_MAIL, false);
    else if (rcpt->state == CLIENT_RCPT_REFUSED && v->credit)
        client_message_result(c, index, &rcpt->held,
                              client_reply_outcome(&rcpt->held, (enum smtp_client_stage)rcpt->stage),
                              (enum smtp_client_stage)rcpt->stage, false);
    else if (rcpt->state == CLIENT_RCPT_ACCEPTED && c->msg->probe && v->credit)
        client_message_result(c, index, &rcpt->held, SMTP_CLIENT_OK, SMTP_CLIENT_AT_RCPT, false);
    else if (accepted || !v->untried || v->outcome == SMTP_CLIENT_PERMANENT)
        client_message_result(c, index, v->reply, v->outcome, v->stage, accepted && v->in_doubt);
    else
        client_message_result(c, index, v->reply, SMTP_CLIENT_UNTRIED, v->stage, false);
}

static void fail_message(struct smtp_client *c, const struct verdict *v)
{
    uint32_t count = c->msg->rcpt_count;

    for (uint32_t i = 0; i < count; i++)
        give_result(c, i, v);
    client_message_free(c);
    client_emit(c, &(struct smtp_client_action){.kind = SMTP_CLIENT_MESSAGE_DONE});
}

void client_quit(struct smtp_client *c)
{
    client_send(c, "QUIT\r\n");
    c->state = CLIENT_QUIT;
}

void client_fail(struct smtp_client *c, enum smtp_client_failure why, enum smtp_client_outcome outcome,
                 struct client_reply *r, struct span said, enum client_goodbye bye)
{
    struct verdict v = judge(c, why, outcome, r);
    struct smtp_client_action a = {.kind = SMTP_CLIENT_FAILED, .failure = why, .outcome = outcome};

    if (c->state == CLIENT_QUIT || c->state == CLIENT_CLOSED) {
        c->state = CLIENT_CLOSED; /* whatever happens after QUIT is its end, and no failure */
        client_reply_free(r);
        return;
    }
    c->send_given = true; /* what was not sent yet never will be */
    client_emit_drop_given(c);
    if (c->msg && v.content && c->refusal.code) /* of a BDAT, while others are unanswered */
        client_group_refuse_accepted(c, SMTP_CLIENT_AT_END);
    if (c->msg)
        fail_message(c, &v);
    a.stage = v.stage;
    a.reply = client_emit_view(r);
    a.said = (struct peer_text){said.p, said.n < CLIENT_TEXT_MAX ? said.n : CLIENT_TEXT_MAX};
    client_emit(c, &a);
    if (bye == CLIENT_SAY_QUIT)
        client_quit(c);
    else
        c->state = CLIENT_CLOSED;
    client_reply_free(r);
}

void client_fail_closing(struct smtp_client *c)
{
    struct client_reply r = {0};

    /* RFC 5321 3.8: "An SMTP client that [...] receives a 421 [...] SHOULD treat the mail
     * transaction as if a 451 response had been received". It closes by itself: no QUIT. */
    client_reply_take(&c->in, &r);
    client_fail(c, SMTP_CLIENT_SERVER_CLOSING, SMTP_CLIENT_TEMPORARY, &r, (struct span){0}, CLIENT_JUST_CLOSE);
}

void client_fail_out_of_step(struct smtp_client *c)
{
    struct client_reply was = {0}, r = {0};
    enum smtp_client_stage stage = smtp_client_stage(c);

    client_reply_take(&c->in, &was);
    if (stage == SMTP_CLIENT_AT_IDLE)
        client_reply_local(&r, 451, "4.5.0", "a reply that nothing was asked for");
    else
        client_reply_local(&r, 451, "4.5.0", "a reply that cannot answer %s", smtp_client_stage_name(stage));
    client_reply_quote(&r, &was);
    client_fail(c, SMTP_CLIENT_OUT_OF_STEP, SMTP_CLIENT_TEMPORARY, &r, (struct span){was.text, was.text_len},
                CLIENT_JUST_CLOSE);
    client_reply_free(&was);
}

/* The beginning of a line that was never finished, if any, is what was said last. */
static void fail_silent(struct smtp_client *c, enum smtp_client_failure why, struct client_reply *r)
{
    struct buf line = c->in.line;

    c->in.line = (struct buf){0};
    client_fail(c, why, SMTP_CLIENT_TEMPORARY, r, (struct span){buf_data(&line), line.len}, CLIENT_JUST_CLOSE);
    buf_clear(&line);
}

void smtp_client_lost(struct smtp_client *c, const char *why)
{
    struct client_reply r = {0};

    client_emit_drop_given(c);
    client_reply_local(&r, 451, "4.4.2", "connection lost at %s%s%s", smtp_client_stage_name(smtp_client_stage(c)),
                       why ? ": " : "", why ? why : "");
    fail_silent(c, SMTP_CLIENT_LOST, &r);
}

void smtp_client_timed_out(struct smtp_client *c)
{
    struct client_reply r = {0};
    bool silent = c->state == CLIENT_GREETING && !c->in_tls && !c->progress && !c->in.line.len;

    client_emit_drop_given(c);
    client_reply_local(&r, 451, "4.4.2", "no answer at %s within %u s%s", smtp_client_stage_name(smtp_client_stage(c)),
                       smtp_client_timeout(c), silent ? " (a server that expects TLS at once is as silent)" : "");
    fail_silent(c, SMTP_CLIENT_TIMED_OUT, &r);
}
