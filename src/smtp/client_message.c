/* A message in hand: what this server can never take, which recipients go in which transaction, and
 * when all have their results. */
#include "smtp/client_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/mail_path.h"

/* RFC 5321 4.5.3.1.8: "The minimum total number of recipients that MUST be buffered is 100
 * recipients": so many are taken everywhere; more would only be found out by trying. */
#define ROUND_MAX 100

/* Is it a path that may stand on the wire? What came from outside was parsed when it came; that it
 * is asked again here keeps line ends and brackets from ever becoming commands. */
static bool is_path(const char *address, struct mail_path *path)
{
    char *text = mem_printf("<%s>", address);
    struct span s = span_str(text);
    bool ok = (mail_path_parse(path, s, MAIL_PATH_REVERSE) == MAIL_PATH_OK ||
               mail_path_parse(path, s, MAIL_PATH_FORWARD) == MAIL_PATH_OK) &&
              path->used == s.n;

    free(text);
    return ok;
}

/* What is wrong with the message for this server, as a reply of our own. False: nothing. No message
 * is changed to make it fit: what its sender signed and what arrives are the same. */
static bool is_impossible(const struct smtp_client *c, const struct smtp_client_message *m, struct client_reply *r)
{
    const struct smtp_client_offers *o = &c->offers;
    struct mail_path path;
    /* RFC 8689 5: with the null sender it "SHOULD NOT cause a bounce message to be discarded" */
    bool requiretls = m->requiretls && *m->sender;

    if (!is_path(m->sender, &path))
        client_reply_local(r, 553, "5.1.7", "the sender address cannot be sent");
    else if (requiretls && !c->in_tls) /* RFC 8689 4.2.1 */
        client_reply_local(r, 554, "5.7.30", "REQUIRETLS was asked for, and the connection is in clear");
    else if (requiretls && !c->tls_verified)
        client_reply_local(r, 554, "5.7.30", "REQUIRETLS was asked for, and the server's certificate is not verified");
    else if (requiretls && !o->requiretls)
        client_reply_local(r, 554, "5.7.30", "REQUIRETLS was asked for, and the server does not offer it");
    else if ((m->smtputf8 || path.non_ascii) && !o->smtputf8) /* RFC 6531 3.2 */
        client_reply_local(r, 553, "5.6.7", "SMTPUTF8 is needed, and the server does not offer it");
    else if (m->content_8bit && !o->eight_bit) /* RFC 6152 3 */
        client_reply_local(r, 554, "5.6.3", "the content has 8-bit bytes, and the server does not offer 8BITMIME");
    else if (o->size_max && m->size + m->lines > o->size_max) /* RFC 1870 6.1 */
        client_reply_local(r, 552, "5.3.4", "the message has %" PRIu64 " bytes, the server takes at most %" PRIu64,
                           m->size + m->lines, o->size_max);
    else
        return false;
    return true;
}

void client_message_result(struct smtp_client *c, uint32_t index, const struct client_reply *r,
                           enum smtp_client_outcome outcome, enum smtp_client_stage stage, bool in_doubt)
{
    struct smtp_client_action a = {
        .kind = SMTP_CLIENT_RCPT_RESULT,
        .index = index,
        .outcome = outcome,
        .stage = stage,
        .reply = client_emit_view(r),
        .relayed = outcome == SMTP_CLIENT_OK && !c->offers.dsn && !c->msg->probe,
        .in_doubt = in_doubt,
    };

    assert(c->rcpts[index].state != CLIENT_RCPT_DONE);
    client_emit(c, &a);
    if (c->rcpts[index].state == CLIENT_RCPT_PENDING)
        c->pending--;
    c->rcpts[index].state = CLIENT_RCPT_DONE;
}

void client_message_free(struct smtp_client *c)
{
    for (uint32_t i = 0; c->msg && i < c->msg->rcpt_count; i++)
        client_reply_free(&c->rcpts[i].held);
    free(c->rcpts);
    free(c->chosen);
    client_reply_free(&c->refusal);
    c->rcpts = NULL;
    c->chosen = NULL;
    c->msg = NULL;
    c->chosen_count = c->accepted = c->pending = c->round_max = 0;
    c->mail_refused = false;
}

/* The same result for all that have none. */
static void result_for_rest(struct smtp_client *c, const struct client_reply *r, enum smtp_client_outcome o)
{
    for (uint32_t i = 0; i < c->msg->rcpt_count; i++)
        if (c->rcpts[i].state != CLIENT_RCPT_DONE)
            client_message_result(c, i, r, o, SMTP_CLIENT_AT_MAIL, false);
}

static void check_recipients(struct smtp_client *c)
{
    struct client_reply r = {0};

    for (uint32_t i = 0; i < c->msg->rcpt_count; i++) {
        struct mail_path path;

        if (!is_path(c->msg->rcpts[i].address, &path) || path.mailbox.n == 0)
            client_reply_local(&r, 553, "5.1.3", "the recipient address cannot be sent");
        else if (path.non_ascii && !c->offers.smtputf8)
            client_reply_local(&r, 553, "5.6.7", "the address needs SMTPUTF8, and the server does not offer it");
        else {
            c->rcpts[i].non_ascii = path.non_ascii;
            continue;
        }
        client_message_result(c, i, &r, SMTP_CLIENT_PERMANENT, SMTP_CLIENT_AT_RCPT, false);
    }
    client_reply_free(&r);
}

static struct span domain_of(const char *address)
{
    const char *at = strrchr(address, '@');

    return span_str(at ? at + 1 : "");
}

/* RFC 9422 5.3 RCPTDOMAINMAX: would this recipient bring in a domain too many? */
static bool fits_domains(const struct smtp_client *c, uint32_t index, uint32_t *domains)
{
    const struct smtp_client_rcpt *rcpts = c->msg->rcpts;
    struct span mine = domain_of(rcpts[index].address);

    if (!c->offers.rcpt_domain_max)
        return true;
    for (uint32_t i = 0; i < c->chosen_count; i++)
        if (span_is_nocase(mine, domain_of(rcpts[c->chosen[i]].address).p))
            return true;
    return *domains < c->offers.rcpt_domain_max && ++*domains;
}

static void choose(struct smtp_client *c)
{
    uint32_t max = ROUND_MAX, domains = 0;

    if (c->offers.rcpt_max && c->offers.rcpt_max < max)
        max = c->offers.rcpt_max;
    if (c->round_max && c->round_max < max)
        max = c->round_max;
    c->chosen_count = 0;
    for (uint32_t i = 0; i < c->msg->rcpt_count && c->chosen_count < max; i++) {
        if (c->rcpts[i].state != CLIENT_RCPT_PENDING || !fits_domains(c, i, &domains))
            continue;
        c->rcpts[i].state = CLIENT_RCPT_CHOSEN;
        c->rcpts[i].too_many = false;
        c->chosen[c->chosen_count++] = i;
        c->pending--;
    }
}

static void done(struct smtp_client *c)
{
    client_message_free(c);
    client_emit(c, &(struct smtp_client_action){.kind = SMTP_CLIENT_MESSAGE_DONE});
}

static void go_on(struct smtp_client *c)
{
    struct client_reply r = {0};

    if (c->pending && c->offers.mail_max && c->transactions >= c->offers.mail_max) {
        /* RFC 9422 5.1: after MAILMAX transactions "the client SHOULD end the session" and open
         * another */
        client_reply_local(&r, 451, "4.7.0", "the server takes %u messages in one connection", c->offers.mail_max);
        result_for_rest(c, &r, SMTP_CLIENT_UNTRIED);
        client_reply_free(&r);
    }
    if (c->pending) {
        choose(c);
        client_group_begin(c);
        return;
    }
    done(c);
    client_hello_ready(c);
}

void client_message_begin(struct smtp_client *c, const struct smtp_client_message *m)
{
    struct client_reply r = {0};

    c->msg = m;
    c->rcpts = mem_alloc(m->rcpt_count * sizeof *c->rcpts);
    c->chosen = mem_alloc(ROUND_MAX * sizeof *c->chosen);
    c->pending = m->rcpt_count;
    if (is_impossible(c, m, &r))
        result_for_rest(c, &r, SMTP_CLIENT_PERMANENT);
    else
        check_recipients(c);
    client_reply_free(&r);
    go_on(c);
}

void client_message_too_late(struct smtp_client *c, const struct smtp_client_message *m)
{
    struct client_reply r = {0};

    c->msg = m;
    c->rcpts = mem_alloc(m->rcpt_count * sizeof *c->rcpts);
    c->pending = m->rcpt_count;
    client_reply_local(&r, 451, "4.4.2", "the connection had ended before");
    result_for_rest(c, &r, SMTP_CLIENT_UNTRIED);
    client_reply_free(&r);
    done(c);
}

/* "Too many recipients" is no refusal of anybody as long as others were taken (RFC
 * 5321 4.5.3.1.10): they wait for the next transaction. */
static void put_off(struct smtp_client *c, struct client_rcpt *rcpt)
{
    if (!c->round_max || c->accepted < c->round_max)
        client_emit_event(c, SMTP_CLIENT_EVENT_TOO_MANY_RCPTS, &rcpt->held);
    c->round_max = c->accepted;
    rcpt->state = CLIENT_RCPT_PENDING;
    c->pending++;
}

void client_message_settle(struct smtp_client *c)
{
    for (uint32_t i = 0; i < c->chosen_count; i++) {
        struct client_rcpt *rcpt = &c->rcpts[c->chosen[i]];
        enum smtp_client_stage stage = (enum smtp_client_stage)rcpt->stage;

        if (rcpt->state == CLIENT_RCPT_REFUSED && rcpt->too_many && c->accepted)
            put_off(c, rcpt);
        else if (rcpt->state == CLIENT_RCPT_REFUSED)
            client_message_result(c, c->chosen[i], &rcpt->held, client_reply_outcome(&rcpt->held, stage), stage, false);
        client_reply_free(&rcpt->held);
    }
    c->chosen_count = 0;
    client_reply_free(&c->refusal);
    c->mail_refused = false;
    if (!c->pending)
        done(c);
}

void client_message_next(struct smtp_client *c)
{
    if (c->msg)
        go_on(c);
    else
        client_hello_ready(c);
}

void client_message_next_after(struct smtp_client *c, const char *command, enum client_state state)
{
    client_send(c, "%s\r\n", command);
    c->state = (uint8_t)state;
}

void client_message_after_reply(struct smtp_client *c)
{
    if (c->in.code == 421) {
        client_fail_closing(c);
    } else if (c->in.code >= 300 && (c->state == CLIENT_RSET || c->in.code < 400)) {
        client_fail_out_of_step(c);
    } else {
        if (c->chosen_count) /* they waited for this */
            client_message_settle(c);
        client_message_next(c);
    }
}
