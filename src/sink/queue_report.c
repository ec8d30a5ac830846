/* Reports of the queue: delays, failures, successes. Each is published like a message before the line that says so is
 * written; a crash between the two makes it twice. RFC 3461 5.2, 6.1. */
#include "sink/queue_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "smtp/dsn.h"

enum news { NEWS_FAILED, NEWS_SUCCESS, NEWS_DELAYED, NEWS_KINDS };

struct report {
    struct queue *q;
    struct queue_message *m;
    enum news news;
    char id[QUEUE_FILE_ID_MOST + 1];
    struct dsn_rcpt *rcpts;
    uint32_t *index; /* of those the news are about, told or not */
    bool *told;
    uint32_t count, told_count;
};

/* ---- about whom */

static bool is_news(const struct report *r, uint32_t i, const bool *late)
{
    const struct queue_rcpt_log *log = &r->m->file->state->rcpts[i];

    if (r->news == NEWS_DELAYED)
        return log->state == QUEUE_WAITING && late[i];
    if (log->reported || log->state == QUEUE_WAITING)
        return false;
    return (r->news == NEWS_FAILED) == (log->state == QUEUE_FAILED || log->state == QUEUE_EXPIRED);
}

static enum dsn_action action_of(const struct queue_rcpt_log *log)
{
    static const enum dsn_action action[] = {DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_FAILED, DSN_FAILED};

    return action[log->state];
}

static bool is_owed(const struct report *r, uint32_t i)
{
    const struct queue_head *h = r->m->file->head;
    const struct queue_rcpt_log *log = &r->m->file->state->rcpts[i];

    if (!dsn_is_wanted(action_of(log), h->rcpts[i].notify, h->sender))
        return false;
    /* a next server that speaks DSN has taken over what is owed (RFC 3461 5.2.1) */
    return log->state != QUEUE_DELIVERED || r->q->hooks.is_final(r->q->hooks.arg, h->rcpts[i].route.p);
}

static void add(struct report *r, uint32_t i)
{
    const struct queue_rcpt *rcpt = &r->m->file->head->rcpts[i];
    const struct queue_rcpt_log *log = &r->m->file->state->rcpts[i];

    r->index[r->count] = i;
    r->told[r->count++] = is_owed(r, i);
    if (!r->told[r->count - 1])
        return;
    r->rcpts[r->told_count++] = (struct dsn_rcpt){
        .address = rcpt->address,
        .orcpt = rcpt->orcpt,
        .action = action_of(log),
        .expired = log->state == QUEUE_EXPIRED,
        .code = log->reply.code,
        .enhanced = log->reply.code ? log->reply.enhanced : NULL,
        .local = log->reply.said != QUEUE_SAID_BY,
        .text = log->reply.text,
        .remote = log->reply.remote,
        .last_try_us = log->last_try_us,
    };
}

/* ---- the text */

static const char *when(char dst[64], int64_t us)
{
    clock_rfc5322(dst, us);
    return dst;
}

static int put_original(const struct report *r, struct buf *out, bool full, struct err *e)
{
    const struct queue_loaded *l = r->m->file;
    struct dsn_original d = {.full = full};
    int fd = queue_disk_open(&r->q->disk, r->m->id), rc = -1;
    char room[16384];

    if (fd < 0)
        return err_set(e, "%s", strerror(errno));
    for (uint64_t at = 0; at < l->head->size && !d.done;) {
        uint64_t left = l->head->size - at;
        ssize_t n = pread(fd, room, left < sizeof room ? (size_t)left : sizeof room, (off_t)(l->content_at + at));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err_set(e, "%s", n < 0 ? strerror(errno) : "it became shorter");
            goto out;
        }
        dsn_original(&d, out, room, (size_t)n);
        at += (uint64_t)n;
    }
    rc = 0;
out:
    close(fd);
    return rc;
}

static void make_boundary(char dst[48])
{
    unsigned char random[16] = {0};

    (void)!getrandom(random, sizeof random, 0);
    snprintf(dst, 48, "postern");
    for (unsigned i = 0; i < sizeof random; i++)
        snprintf(dst + 7 + (size_t)2 * i, 3, "%02x", random[i]);
}

static int make_text(const struct report *r, struct buf *out, struct err *e)
{
    const struct queue_head *h = r->m->file->head;
    char boundary[48], date[CLOCK_RFC5322_LEN], arrived[CLOCK_RFC5322_LEN], until[CLOCK_RFC5322_LEN];
    /* RFC 8689 5: "the server MUST behave as if RET=HDRS was present" */
    bool whole = r->news == NEWS_FAILED && h->ret != QUEUE_RET_HDRS && !h->requiretls;
    struct dsn_facts f = {
        .hostname = r->q->hostname,
        .id = r->id,
        .boundary = boundary,
        .date = date,
        .arrived = arrived,
        .give_up = until,
        .when = when,
        .to = h->sender,
        .envid = h->envid,
        .received_from = h->client_name,
        .smtputf8 = h->smtputf8,
        .original_8bit = h->body_8bit,
        .full = whole && h->size <= DSN_FULL_MOST,
        .cut = whole && h->size > DSN_FULL_MOST ? "It is too large to come back whole." : NULL,
        .rcpts = r->rcpts,
        .rcpt_count = r->told_count,
    };
    int rc;

    make_boundary(boundary);
    clock_rfc5322(date, r->q->now_us);
    clock_rfc5322(arrived, h->arrived_us);
    clock_rfc5322(until, h->arrived_us + r->q->table.retry.max_age_us);
    dsn_begin(out, &f);
    rc = put_original(r, out, f.full, e);
    dsn_end(out, &f);
    return rc;
}

/* ---- where it goes */

static int queue_it(const struct report *r, const struct queue_home *home, const struct buf *text, struct err *e)
{
    const struct queue_head *h = r->m->file->head;
    struct queue_rcpt to = {
        .address = h->sender, .route = {home->route, strlen(home->route)}, .notify = QUEUE_NOTIFY_NEVER};
    struct queue_head head = {
        .size = text->len,
        .arrived_us = r->q->now_us,
        .sender = {"", 0},
        .client_name = {"", 0},
        .body_8bit = h->body_8bit || h->smtputf8,
        .smtputf8 = h->smtputf8,
        .requiretls = h->requiretls, /* RFC 8689 5: it "MUST also specify the REQUIRETLS SMTP option" */
        .rcpts = &to,
        .rcpt_count = 1,
    };
    struct buf file = {0};
    int rc;

    if (home->address)
        to.address = (struct peer_text){home->address, strlen(home->address)};
    memcpy(head.id, r->id, sizeof head.id);
    rc = queue_file_write(&file, &head, e);
    if (rc == 0) {
        buf_append(&file, buf_data(text), text->len);
        rc = queue_disk_publish(&r->q->disk, r->id, &file, e);
    }
    buf_clear(&file);
    if (rc == 0)
        queue_look_at(r->q, r->id);
    return rc;
}

static int deliver_it(const struct report *r, const struct queue_home *home, const struct buf *text, struct err *e)
{
    static const char path[] = "Return-Path: <>\n";
    struct buf mail = {0};
    int error;

    buf_append(&mail, path, sizeof path - 1);
    buf_append(&mail, buf_data(text), text->len);
    error = r->q->hooks.deliver(r->q->hooks.arg, home->mailboxes, home->mailbox_count, buf_data(&mail), mail.len);
    buf_clear(&mail);
    return error ? err_set(e, "%s", strerror(error)) : 0;
}

static void say(const struct report *r, const char *event, const struct err *e)
{
    static const char *const kind[] = {"failed", "success", "delayed"};
    struct log_line l;

    log_begin(&l, e ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, event);
    log_str(&l, "id", r->m->id);
    log_str(&l, "report", r->id);
    log_peer(&l, "to", r->m->file->head->sender);
    log_str(&l, "reason", kind[r->news]);
    log_int(&l, "rcpts", r->told_count);
    log_str(&l, "details", e ? e->text : NULL);
    log_end(&l);
}

static int send_it(struct report *r)
{
    struct queue_home home = {0};
    struct buf text = {0};
    struct err e = {""};
    int rc;

    r->q->hooks.home(r->q->hooks.arg, &home, r->m->file->head->sender);
    if (home.way == QUEUE_WAY_NONE) { /* nobody to tell, and no way to: said here, once */
        err_set(&e, "no way leads to this sender");
        say(r, "queue.report-impossible", &e);
        r->told_count = 0;
        return 0;
    }
    snprintf(r->id, sizeof r->id, "r%llx-%x", (unsigned long long)r->q->now_us, r->q->next_report++);
    rc = make_text(r, &text, &e);
    if (rc == 0)
        rc = home.way == QUEUE_WAY_LOCAL ? deliver_it(r, &home, &text, &e) : queue_it(r, &home, &text, &e);
    free(home.address);
    buf_clear(&text);
    say(r, rc == 0 ? "queue.report" : "queue.report-failed", rc == 0 ? NULL : &e);
    return rc;
}

static int tell(struct report *r, const bool *late)
{
    int rc = 0;

    for (uint32_t i = 0; i < r->m->rcpts; i++)
        if (is_news(r, i, late))
            add(r, i);
    if (r->told_count)
        rc = send_it(r);
    for (uint32_t i = 0; i < r->count && rc == 0; i++) {
        struct queue_entry en = {.at_us = r->q->now_us,
                                 .rcpt = r->index[i],
                                 .kind = r->news == NEWS_DELAYED ? QUEUE_ENTRY_DELAY_NOTICE : QUEUE_ENTRY_REPORTED};

        if (r->told[i] && r->told_count)
            memcpy(en.report, r->id, sizeof en.report);
        queue_take_entry(r->m, &en);
    }
    return rc;
}

int queue_report(struct queue *q, struct queue_message *m, const bool *late)
{
    int rc = 0;

    for (unsigned news = 0; news < NEWS_KINDS; news++) {
        struct report r = {.q = q, .m = m, .news = (enum news)news};

        r.rcpts = mem_alloc(m->rcpts * sizeof *r.rcpts);
        r.index = mem_alloc(m->rcpts * sizeof *r.index);
        r.told = mem_alloc(m->rcpts * sizeof *r.told);
        if (tell(&r, late) < 0)
            rc = -1;
        free(r.rcpts);
        free(r.index);
        free(r.told);
    }
    return rc;
}
