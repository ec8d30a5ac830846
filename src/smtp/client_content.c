/* Content on the wire, and the replies after it. It comes with LF and leaves with CRLF; lines that
 * begin with a dot get another (RFC 5321 4.5.2), or it goes in BDAT frames as it is (RFC 3030). */
#include "smtp/client_private.h"

#include <assert.h>
#include <string.h>

void client_content_begin(struct smtp_client *c)
{
    client_reader_clear(&c->in);
    c->state = CLIENT_CONTENT;
    c->offset = 0;
    c->bdats = c->bdats_answered = c->end_answered = 0;
    c->line_start = true;
    if (c->msg->size == 0)
        client_content_put(c, "", 0);
}

bool client_content_wanted(const struct smtp_client *c)
{
    /* without PIPELINING each BDAT waits for the reply to the one before (RFC 3030 4.2) */
    return c->state == CLIENT_CONTENT && (c->offers.pipelining || c->bdats == c->bdats_answered);
}

/* Nothing that is left over here can be dot, CR and LF in an order that another parser takes for
 * the end of the message: there is no CR but ours (CVE-2023-51764 and its family). */
static void put_line(struct smtp_client *c, const char *p, size_t n, bool whole)
{
    if (c->by_data && c->line_start && n && *p == '.')
        buf_append(&c->send, ".", 1);
    buf_append(&c->send, p, n);
    if (whole)
        buf_append(&c->send, "\r\n", 2);
    c->line_start = whole;
}

static void put_lines(struct smtp_client *c, const char *p, size_t n)
{
    const char *end = p + n, *lf;

    while (p < end && (lf = memchr(p, '\n', (size_t)(end - p)))) {
        put_line(c, p, (size_t)(lf - p), true);
        p = lf + 1;
    }
    if (p < end)
        put_line(c, p, (size_t)(end - p), false);
}

static size_t count_lf(const char *p, size_t n)
{
    const char *end = p + n;
    size_t count = 0;

    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        count++;
        p++;
    }
    return count;
}

static void fail_bare_cr(struct smtp_client *c)
{
    struct client_reply r = {0};

    client_reply_local(&r, 554, "5.6.0", "the content has a CR that ends no line");
    client_fail(c, SMTP_CLIENT_CONTENT, SMTP_CLIENT_PERMANENT, &r, (struct span){0}, CLIENT_JUST_CLOSE);
}

void client_content_put(struct smtp_client *c, const char *p, size_t n)
{
    bool last = c->offset + n == c->msg->size;

    assert(c->offset + n <= c->msg->size);
    if (n && memchr(p, '\r', n)) {
        fail_bare_cr(c);
        return;
    }
    c->offset += n;
    if (!c->by_data) {
        client_send(c, "BDAT %zu%s\r\n", n + count_lf(p, n), last ? " LAST" : "");
        c->bdats++;
    }
    put_lines(c, p, n);
    if (!last)
        return;
    /* the dot must stand at the beginning of a line */
    if (c->by_data)
        client_send(c, "%s.\r\n", c->line_start ? "" : "\r\n");
    c->state = CLIENT_END;
}

/* ---- replies */

/* The server does not know BDAT after all: the accepted ones are tried again, by DATA. */
static bool is_chunking_broken(const struct smtp_client *c)
{
    return c->bdats_answered == 1 && (c->in.code == 500 || c->in.code == 502 || c->in.code == 503 || c->in.code == 504);
}

static void chunking_is_broken(struct smtp_client *c)
{
    client_emit_event(c, SMTP_CLIENT_EVENT_CHUNKING_BROKEN, &c->refusal);
    c->offers.chunking = false;
    for (uint32_t i = 0; i < c->chosen_count; i++) {
        if (c->rcpts[c->chosen[i]].state != CLIENT_RCPT_ACCEPTED)
            continue;
        c->rcpts[c->chosen[i]].state = CLIENT_RCPT_PENDING;
        c->pending++;
    }
}

static void end_refused(struct smtp_client *c)
{
    client_group_refuse_accepted(c, SMTP_CLIENT_AT_END);
    client_message_settle(c);
    client_message_next_after(c, "RSET", CLIENT_RSET);
}

/* Every BDAT has its reply (RFC 3030 4.2). After one that was refused the others on their way are
 * refused, too. */
static void on_bdat(struct smtp_client *c)
{
    c->bdats_answered++;
    if (c->in.code >= 400 && !c->refusal.code) {
        client_reply_take(&c->in, &c->refusal);
        if (is_chunking_broken(c))
            chunking_is_broken(c);
        c->state = CLIENT_END; /* no more is sent */
    }
    if (c->refusal.code && c->bdats_answered == c->bdats)
        end_refused(c);
}

/* While content flows by DATA there is nothing to reply to. What comes is a refusal before its
 * time, or a server that shuts down: it is heard, and since a message once begun cannot be taken
 * back, the connection ends. Before any content was sent, and between BDATs, a reply is one too
 * many: its place among the replies before is unknown, so it is nobody's. */
static void on_early(struct smtp_client *c)
{
    struct client_reply was = {0}, r = {0};

    if (c->in.code == 421) {
        client_fail_closing(c);
        return;
    }
    if (c->in.code < 400 || !c->by_data || c->offset == 0) {
        client_fail_out_of_step(c);
        return;
    }
    client_reply_take(&c->in, &was);
    client_reply_local(&r, 451, "4.5.0", "refused before the end of the content");
    client_reply_quote(&r, &was);
    /* LMTP: one reply would be one recipient's, nobody can tell whose */
    if (!c->profile->lmtp || c->accepted == 1) {
        client_reply_copy(&c->refusal, &was);
        client_group_refuse_accepted(c, SMTP_CLIENT_AT_CONTENT);
    }
    client_fail(c, SMTP_CLIENT_OUT_OF_STEP, SMTP_CLIENT_TEMPORARY, &r, (struct span){0}, CLIENT_JUST_CLOSE);
    client_reply_free(&was);
}

void client_content_reply(struct smtp_client *c)
{
    if (c->by_data || c->bdats_answered == c->bdats)
        on_early(c);
    else if (c->in.code == 421)
        client_fail_closing(c);
    else if (c->in.code >= 300 && c->in.code < 400)
        client_fail_out_of_step(c);
    else
        on_bdat(c);
}

/* The next accepted recipient that has no result: LMTP gives replies in the order of the RCPTs that
 * were accepted (RFC 2033 4.2). */
static uint32_t next_accepted(const struct smtp_client *c)
{
    uint32_t i = 0;

    while (c->rcpts[c->chosen[i]].state != CLIENT_RCPT_ACCEPTED)
        i++;
    return c->chosen[i];
}

static void result_of_end(struct smtp_client *c, uint32_t index, const struct client_reply *r)
{
    client_message_result(c, index, r, client_reply_outcome(r, SMTP_CLIENT_AT_END), SMTP_CLIENT_AT_END, false);
}

static void on_final(struct smtp_client *c)
{
    struct client_reply r = {0};

    client_reply_take(&c->in, &r);
    if (c->profile->lmtp) {
        result_of_end(c, next_accepted(c), &r);
        c->end_answered++;
    } else {
        for (; c->end_answered < c->accepted; c->end_answered++)
            result_of_end(c, next_accepted(c), &r);
    }
    client_reply_free(&r);
    if (c->end_answered < c->accepted)
        return;
    client_message_settle(c);
    client_message_next(c);
}

void client_content_end_reply(struct smtp_client *c)
{
    if (c->in.code == 421)
        client_fail_closing(c);
    else if (c->in.code >= 300 && c->in.code < 400)
        client_fail_out_of_step(c);
    else if (!c->by_data && (c->in.code >= 400 || c->refusal.code || c->bdats_answered + 1 < c->bdats))
        on_bdat(c);
    else
        on_final(c);
}
