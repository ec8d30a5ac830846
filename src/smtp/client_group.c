/* A transaction's commands: MAIL, RCPT for each recipient, DATA; all at once where PIPELINING is
 * offered (RFC 2920), else one by one. BDAT is no part of the group: content is not sent before the
 * recipients' replies are known.
 * A probe has RSET in DATA's place, and its results wait for that reply, too: with a reply too many among those before, a
 * refusal would stand there, and no recipient gets the 250 of another's command. RFC 2920 3.1: "RSET, MAIL FROM, SEND
 * FROM, SOML FROM, SAML FROM, and RCPT TO can all appear anywhere in a pipelined command group." */
#include "smtp/client_private.h"

#include <inttypes.h>

/* Of what comes behind the recipients: DATA, or a probe's RSET. */
static uint32_t last_index(const struct smtp_client *c)
{
    return 1 + c->chosen_count;
}

static bool is_printable(const char *s)
{
    if (!s || !*s)
        return false;
    for (; *s; s++)
        if (*s < 33 || *s > 126)
            return false;
    return true;
}

static bool uses_utf8(const struct smtp_client *c)
{
    bool needed = c->msg->smtputf8;

    for (const char *s = c->msg->sender; *s; s++)
        needed |= (unsigned char)*s >= 0x80;
    for (uint32_t i = 0; i < c->chosen_count; i++)
        needed |= c->rcpts[c->chosen[i]].non_ascii;
    return needed && c->offers.smtputf8;
}

/* Nothing is used that was not offered (RFC 5321 2.2.1). */
static void send_mail(struct smtp_client *c)
{
    const struct smtp_client_message *m = c->msg;
    const struct smtp_client_offers *o = &c->offers;

    client_send(c, "MAIL FROM:<%s>", m->sender);
    if (o->size && !m->probe)
        client_send(c, " SIZE=%" PRIu64, m->size + m->lines);
    if (o->eight_bit && m->content_8bit)
        client_send(c, " BODY=8BITMIME");
    if (uses_utf8(c))
        client_send(c, " SMTPUTF8");
    if (m->requiretls && o->requiretls && c->tls_verified)
        client_send(c, " REQUIRETLS");
    if (o->dsn && m->ret != SMTP_CLIENT_RET_NONE)
        client_send(c, " RET=%s", m->ret == SMTP_CLIENT_RET_FULL ? "FULL" : "HDRS");
    if (o->dsn && is_printable(m->envid))
        client_send(c, " ENVID=%s", m->envid);
    client_send(c, "\r\n");
    c->transactions++;
}

static void send_notify(struct smtp_client *c, unsigned notify)
{
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    const char *before = " NOTIFY=";

    if (notify & SMTP_CLIENT_NOTIFY_NEVER) /* RFC 3461 4.1: NEVER stands alone */
        notify = SMTP_CLIENT_NOTIFY_NEVER;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(notify & 1u << i))
            continue;
        client_send(c, "%s%s", before, names[i]);
        before = ",";
    }
}

static void send_rcpt(struct smtp_client *c, const struct smtp_client_rcpt *rcpt)
{
    client_send(c, "RCPT TO:<%s>", rcpt->address);
    if (c->offers.dsn)
        send_notify(c, rcpt->notify);
    if (c->offers.dsn && is_printable(rcpt->orcpt))
        client_send(c, " ORCPT=%s", rcpt->orcpt);
    client_send(c, "\r\n");
}

static void send_command(struct smtp_client *c)
{
    uint32_t i = c->sent++;

    if (i == 0)
        send_mail(c);
    else if (i < last_index(c))
        send_rcpt(c, &c->msg->rcpts[c->chosen[i - 1]]);
    else
        client_send(c, c->msg->probe ? "RSET\r\n" : "DATA\r\n");
}

void client_group_begin(struct smtp_client *c)
{
    c->by_data = !c->msg->probe && (c->profile->lmtp || c->profile->no_chunking || !c->offers.chunking);
    c->commands = last_index(c) + (c->by_data || c->msg->probe ? 1 : 0);
    c->answered = c->sent = c->accepted = 0;
    c->data_open = c->mail_refused = false;
    c->state = CLIENT_GROUP;
    client_reader_clear(&c->in);
    do
        send_command(c);
    while (c->offers.pipelining && c->sent < c->commands);
}

static void refuse(struct client_rcpt *rcpt, const struct client_reply *r, enum smtp_client_stage stage)
{
    client_reply_copy(&rcpt->held, r);
    rcpt->state = CLIENT_RCPT_REFUSED;
    rcpt->stage = (uint8_t)stage;
}

void client_group_refuse_accepted(struct smtp_client *c, enum smtp_client_stage stage)
{
    for (uint32_t i = 0; i < c->chosen_count; i++) {
        struct client_rcpt *rcpt = &c->rcpts[c->chosen[i]];

        if (rcpt->state == CLIENT_RCPT_ACCEPTED)
            refuse(rcpt, &c->refusal, stage);
    }
}

/* RFC 2920 3.1: a server may answer DATA by 354 though it took no recipient, and the pipelining
 * client "SHOULD send a single dot". Nobody gets an empty message by that, since nobody was
 * accepted. */
static void end_without_recipients(struct smtp_client *c)
{
    client_message_settle(c);
    if (!c->profile->lmtp) {
        client_message_next_after(c, ".", CLIENT_EMPTY_END);
        return;
    }
    /* RFC 2033 4.2: DATA "MUST" be refused then, since the dot has as many replies as recipients:
     * none to wait for */
    client_fail_out_of_step(c);
}

static void end_of_probe(struct smtp_client *c)
{
    for (uint32_t i = 0; i < c->chosen_count; i++) {
        struct client_rcpt *rcpt = &c->rcpts[c->chosen[i]];

        if (rcpt->state == CLIENT_RCPT_ACCEPTED)
            client_message_result(c, c->chosen[i], &rcpt->held, SMTP_CLIENT_OK, SMTP_CLIENT_AT_RCPT, false);
    }
    client_message_settle(c);
    client_message_next(c);
}

/* All replies are there, and each could be what its command is answered with. */
static void end_of_group(struct smtp_client *c)
{
    bool reset = c->offers.pipelining || !c->mail_refused; /* a MAIL that stood alone opened nothing */

    if (c->mail_refused) {
        for (uint32_t i = 0; i < c->chosen_count; i++)
            refuse(&c->rcpts[c->chosen[i]], &c->refusal, SMTP_CLIENT_AT_MAIL);
        c->accepted = 0;
    }
    if (c->msg->probe) {
        end_of_probe(c);
    } else if (c->accepted && (c->data_open || !c->by_data)) {
        client_content_begin(c);
    } else if (c->data_open) {
        end_without_recipients(c);
    } else {
        client_group_refuse_accepted(c, SMTP_CLIENT_AT_DATA);
        if (!c->offers.pipelining) /* else by RSET's reply: after one too many DATA's own refusal would stand there */
            client_message_settle(c);
        if (reset)
            client_message_next_after(c, "RSET", CLIENT_RSET);
        else
            client_message_next(c);
    }
}

static void on_mail(struct smtp_client *c)
{
    if (c->in.code < 300)
        return;
    client_reply_take(&c->in, &c->refusal);
    c->mail_refused = true;
    if (!c->offers.pipelining)
        c->commands = 1; /* nothing else was sent, and nothing will be */
}

static void on_rcpt(struct smtp_client *c, struct client_rcpt *rcpt)
{
    struct client_reply r = {0};

    if (c->in.code < 300) {
        rcpt->state = CLIENT_RCPT_ACCEPTED;
        c->accepted++;
        if (c->msg->probe)
            client_reply_take(&c->in, &rcpt->held);
        return;
    }
    client_reply_take(&c->in, &r);
    refuse(rcpt, &r, SMTP_CLIENT_AT_RCPT);
    /* 452, or the old 552; not when it is told that this mailbox is the one that is full (RFC 3463
     * X.2.x) */
    rcpt->too_many = (r.code == 452 || r.code == 552) && r.enhanced[2] != '2';
    client_reply_free(&r);
}

static void on_data(struct smtp_client *c)
{
    c->data_open = c->in.code < 400;
    if (!c->data_open && !c->mail_refused)
        client_reply_take(&c->in, &c->refusal);
}

void client_group_reply(struct smtp_client *c)
{
    uint32_t i = c->answered;
    bool is_data = c->by_data && i == last_index(c), is_rset = c->msg->probe && i == last_index(c);

    if (c->in.code == 421) {
        client_fail_closing(c);
        return;
    }
    /* A 354 in another's place, anything good but 354 to DATA, anything but 250 to RSET: a reply is missing, or was too
     * many. */
    if ((c->in.code < 400 && (c->in.code >= 300) != is_data) || (is_rset && c->in.code >= 400)) {
        client_fail_out_of_step(c);
        return;
    }
    if (i == 0)
        on_mail(c);
    else if (is_data)
        on_data(c);
    else if (!is_rset)
        on_rcpt(c, &c->rcpts[c->chosen[i - 1]]);
    c->answered++;
    if (!c->offers.pipelining && c->answered == last_index(c) && !c->accepted && !c->msg->probe)
        c->commands = c->answered; /* nobody to send content to */
    if (c->answered == c->commands)
        end_of_group(c);
    else if (!c->offers.pipelining)
        send_command(c);
}
