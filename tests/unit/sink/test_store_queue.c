/* Messages for the queue through a real store process: alone, beside mailboxes, all or none; and a report that comes back
 * into a mailbox. */
#include "sink/queue_file.h"
#include "unit/sink/queue_rig.h"
#include "unit/suite.h"

#define ID "6b03d3bf000001"

struct qstore {
    struct rig_conf c;
    struct conf_domain domain;
    struct conf_address address;
    unsigned mailbox;
    char *state;
    struct rig_store s;
    struct rig_worker w;
};

/* Mailboxes u0 ... as ever; u0@example.org is known; a delivery of type smtp called "out". */
static void begin(struct qstore *q)
{
    memset(q, 0, sizeof *q);
    rig_conf_new(&q->c, NULL, 3);
    q->state = mem_printf("%s/state", q->c.dir);
    mkdir(q->state, 0700);
    q->c.deliveries[1] = (struct conf_delivery){.title = "out", .type = CONF_DELIVERY_SMTP};
    q->c.conf.delivery_count = 2;
    q->c.conf.state_dir = q->state;
    q->address = (struct conf_address){.local = "u0", .mailboxes = &q->mailbox, .mailbox_count = 1};
    q->domain = (struct conf_domain){.name = "example.org", .addresses = &q->address, .address_count = 1};
    q->c.conf.domains = &q->domain;
    q->c.conf.domain_count = 1;
    rig_store_start(&q->s, &q->c);
    rig_worker_new(&q->w, &q->s, &q->c);
}

static void end(struct qstore *q)
{
    rig_worker_free(&q->w);
    ck_assert_int_eq(rig_store_end(&q->s), 0);
    rig_conf_free(&q->c);
    free(q->state);
}

static void envelope(struct buf *out, const char *id)
{
    struct queue_rcpt to = {.address = {"bob@example.net", 15}, .route = {"out", 3}};
    struct queue_head h = {.arrived_us = clock_now().real_us,
                           .sender = {"u0@example.org", 14},
                           .client_name = {"", 0},
                           .rcpts = &to,
                           .rcpt_count = 1};
    struct err e;

    snprintf(h.id, sizeof h.id, "%s", id);
    ck_assert_int_eq(queue_file_write(out, &h, &e), 0);
}

static enum sink_result put(struct qstore *q, const uint32_t *to, uint32_t count, const char *id, const char *text)
{
    struct buf head = {0};
    struct sink_queue sq = {.id = id};
    struct rig_letter l = {0};
    int pending;

    envelope(&head, id);
    sq.head = buf_data(&head);
    sq.head_size = head.len;
    l.m = sink_open_queued(q->w.sink, &l, to, count, &sq, &pending, &l.answer);
    if (pending)
        rig_wait(&q->w, &l.opened, "file");
    buf_clear(&head);
    if (!l.m)
        return l.answer.result;
    sink_write_local(l.m, "Return-Path: <x>\n", 17);
    sink_write(l.m, text, strlen(text));
    rig_commit(&l);
    rig_wait(&q->w, &l.answered, "answer");
    return l.answer.result;
}

static unsigned queued(const struct qstore *q)
{
    char *path = mem_printf("%s/queue", q->state);
    unsigned n = rig_names_below(path, DT_REG);

    free(path);
    return n;
}

static void is_mail(void *arg, const char *path, const char *text, size_t n)
{
    (void)path;
    ck_assert_uint_eq(n, strlen(arg));
    ck_assert_mem_eq(text, arg, n);
}

static int a_relay(const struct qstore *q)
{
    struct err e;
    int fd[2];

    ck_assert_int_eq(chan_pair(fd, &e), 0);
    ck_assert_int_eq(chan_send_wait(q->s.leader_fd, RIG_DEADLINE_MS, STORE_ADD_RELAY, NULL, 0, &fd[1], 1, &e), 1);
    close(fd[1]);
    return fd[0];
}

START_TEST(for_the_queue_alone)
{
    static struct rig_transfer t;
    struct qstore q;
    char *text;
    int relay;

    begin(&q);
    ck_assert_int_eq(put(&q, NULL, 0, ID, RIG_CONTENT), SINK_OK);
    ck_assert_uint_eq(queued(&q), 1);
    relay = a_relay(&q);
    rig_relay_get(relay, &t);
    ck_assert_str_eq(t.t.id, ID);
    ck_assert_uint_eq(t.t.size, strlen(RIG_CONTENT));
    text = rig_content(&t);
    ck_assert_str_eq(text, RIG_CONTENT);
    free(text);
    rig_relay_all(relay, &t, RELAY_DELIVERED, RELAY_HEALTH_GOOD);
    queue_rig_until(queued(&q) == 0, "the end");
    close(relay);
    end(&q);
}
END_TEST

START_TEST(beside_mailboxes)
{
    static const uint32_t to[] = {0, 2};
    static struct rig_transfer t;
    static char want[] = "Return-Path: <x>\n" RIG_CONTENT;
    struct qstore q;
    char *text;
    int relay;

    begin(&q);
    ck_assert_int_eq(put(&q, to, 2, ID, RIG_CONTENT), SINK_OK);
    ck_assert_uint_eq(rig_mail(&q.c, 0, is_mail, want), 1);
    ck_assert_uint_eq(rig_mail(&q.c, 2, is_mail, want), 1);
    relay = a_relay(&q);
    rig_relay_get(relay, &t);
    text = rig_content(&t);
    ck_assert_str_eq(text, RIG_CONTENT);
    free(text);
    close(t.fd);
    close(relay);
    end(&q);
}
END_TEST

START_TEST(all_or_none)
{
    static const uint32_t to[] = {0};
    static char want[] = "Return-Path: <x>\n" RIG_CONTENT;
    struct qstore q;

    begin(&q);
    ck_assert_int_eq(put(&q, to, 1, ID, RIG_CONTENT), SINK_OK);
    ck_assert_int_eq(put(&q, to, 1, ID, RIG_CONTENT), SINK_FAILED); /* the name is taken */
    ck_assert_uint_eq(rig_mail(&q.c, 0, is_mail, want), 1);
    ck_assert_uint_eq(queued(&q), 1);
    ck_assert_int_eq(put(&q, to, 1, "6b03d3bf000002", RIG_CONTENT), SINK_OK);
    ck_assert_uint_eq(queued(&q), 2);
    end(&q);
}
END_TEST

START_TEST(large_ones)
{
    static const uint32_t to[] = {1};
    static char text[3 << 20];
    struct qstore q;

    memset(text, 'x', sizeof text - 2);
    text[sizeof text - 2] = '\n';
    begin(&q);
    ck_assert_int_eq(put(&q, NULL, 0, "a1", "x\n"), SINK_OK); /* so that files are at hand */
    ck_assert_int_eq(put(&q, to, 1, "a2", text), SINK_OK);
    ck_assert_int_eq(put(&q, NULL, 0, "a3", text), SINK_OK);
    ck_assert_uint_eq(queued(&q), 3);
    end(&q);
}
END_TEST

START_TEST(aborted_ones_leave_nothing)
{
    static const uint32_t to[] = {1};
    static const char text[40000];
    struct qstore q;
    struct buf head = {0};
    struct sink_queue sq = {.id = ID};
    struct sink_answer a;

    begin(&q);
    ck_assert_int_eq(put(&q, to, 1, "a1", "x\n"), SINK_OK);
    envelope(&head, ID);
    sq.head = buf_data(&head);
    sq.head_size = head.len;
    for (unsigned i = 0; i < 100; i++) {
        struct rig_letter l = {0};
        int pending;

        l.m = sink_open_queued(q.w.sink, &l, to, 1, &sq, &pending, &a);
        if (pending)
            rig_wait(&q.w, &l.opened, "file");
        for (unsigned k = 0; k < 3; k++)
            sink_write(l.m, text, sizeof text);
        sink_abort(&l.m);
        rig_turn(&q.w, 1);
    }
    ck_assert_int_eq(put(&q, to, 1, "a2", "x\n"), SINK_OK);
    ck_assert_uint_eq(queued(&q), 2);
    buf_clear(&head);
    end(&q);
}
END_TEST

struct mail_seen {
    unsigned reports;
};

static void look(void *arg, const char *path, const char *text, size_t n)
{
    struct mail_seen *s = arg;

    (void)path;
    s->reports += memmem(text, n, "Action: failed\n", 15) != NULL && strncmp(text, "Return-Path: <>\n", 16) == 0;
}

START_TEST(a_report_comes_into_the_mailbox)
{
    static struct rig_transfer t;
    struct mail_seen seen = {0};
    struct qstore q;
    int relay;

    begin(&q);
    ck_assert_int_eq(put(&q, NULL, 0, ID, RIG_CONTENT), SINK_OK);
    relay = a_relay(&q);
    rig_relay_get(relay, &t);
    rig_relay_all(relay, &t, RELAY_FAILED, RELAY_HEALTH_GOOD);
    queue_rig_until(queued(&q) == 0, "the end");
    ck_assert_uint_eq(rig_mail(&q.c, 0, look, &seen), 1);
    ck_assert_uint_eq(seen.reports, 1);
    close(relay);
    end(&q);
}
END_TEST

START_TEST(orders_of_the_leader)
{
    static char room[CHAN_MAX + 4];
    int memory = memfd_create("answer", 0);
    struct chan_msg m;
    char text[4096] = "";
    struct qstore q;
    struct err e;

    begin(&q);
    ck_assert_int_eq(put(&q, NULL, 0, ID, RIG_CONTENT), SINK_OK);
    for (int64_t until = clock_now().mono_us + RIG_DEADLINE_MS * INT64_C(1000); !strstr(text, "\"count\":1");) {
        ck_assert_int_eq(ftruncate(memory, 0), 0);
        lseek(memory, 0, SEEK_SET);
        ck_assert_int_eq(chan_send_wait(q.s.leader_fd, RIG_DEADLINE_MS, STORE_QUEUE_ASK, "list", 4, &memory, 1, &e), 1);
        do {
            ck_assert_int_lt(clock_now().mono_us, until);
            poll(NULL, 0, 5);
            text[pread(memory, text, sizeof text - 1, 0)] = '\0';
        } while (!strstr(text, "{\"ok\":"));
    }
    ck_assert_ptr_nonnull(strstr(text, "\"id\":\"" ID "\""));
    close(memory);
    ck_assert_int_eq(chan_send_wait(q.s.leader_fd, RIG_DEADLINE_MS, STORE_QUEUE_DRAIN, NULL, 0, NULL, 0, &e), 1);
    ck_assert_int_eq(chan_recv_wait(q.s.leader_fd, RIG_DEADLINE_MS, room, sizeof room, &m, &e), 1);
    ck_assert_uint_eq(m.type, STORE_QUEUE_LET_GO);
    ck_assert_int_eq(put(&q, NULL, 0, "a2", RIG_CONTENT), SINK_OK); /* mail is taken until the end */
    end(&q);
}
END_TEST

SUITE_MAIN("store_queue", for_the_queue_alone, beside_mailboxes, all_or_none, large_ones, aborted_ones_leave_nothing,
           a_report_comes_into_the_mailbox, orders_of_the_leader)
