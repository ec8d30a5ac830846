/* A worker's side, with a store that the test plays: what is said when, in how few words, and what happens to sessions
 * when the store is slow, full, gone or mad. */
#include <sys/mman.h>

#include "base/buf.h"
#include "unit/sink/meddle.h"
#include "unit/sink/rig.h"
#include "unit/suite.h"

static struct conf_mailbox boxes[3] = {{.local = "a", .domain = "x", .path = (char *)"/m/a"},
                                       {.local = "b", .domain = "x", .path = (char *)"/m/b"},
                                       {.local = "c", .domain = "x", .path = (char *)"/n/c", .delivery = 1}};
static struct conf_delivery deliveries[2] = {{.title = "m", .path = "/m/%u"}, {.title = "n", .path = "/n/%u"}};
static const struct conf conf = {.mailboxes = boxes, .mailbox_count = 3, .deliveries = deliveries, .delivery_count = 2};

static char room[CHAN_MAX + 4];

struct peer { /* the test as a store */
    int fd;
    struct sink *sink;
    int client_fd;
    int file[STORE_SLOTS]; /* memfds by slot */
    unsigned files;
    struct chan_msg m;
};

static void setup(struct peer *p)
{
    struct err e;
    int fd[2];

    memset(p, 0, sizeof *p);
    meddle.nth = 0;
    fsops = &fsops_real;
    ck_assert_int_eq(chan_pair(fd, &e), 0);
    p->fd = fd[0];
    p->client_fd = fd[1];
    p->sink = store_client_new(fd[1], &conf, &rig_events);
}

static void teardown(struct peer *p)
{
    store_client_free(&p->sink);
    close(p->client_fd);
    close(p->fd);
    for (unsigned i = 0; i < p->files; i++)
        close(p->file[i]);
}

/* The next message of the client, of this type; false: there is none. */
static bool said(struct peer *p, uint32_t type)
{
    struct err e;
    int r = chan_recv(p->fd, room, sizeof room, &p->m, &e);

    ck_assert_int_ge(r, 0);
    if (r == 1)
        ck_assert_uint_eq(p->m.type, type);
    return r == 1;
}

static unsigned wants(struct peer *p, uint32_t delivery)
{
    unsigned n = 0;

    while (said(p, STORE_WANT)) {
        struct store_want w;

        memcpy(&w, p->m.data, sizeof w);
        if (w.delivery == delivery)
            n += w.count;
    }
    return n;
}

static void give(struct peer *p, uint32_t delivery, unsigned count)
{
    struct store_file f[CHAN_FDS];
    int fds[CHAN_FDS];
    struct err e;

    for (unsigned i = 0; i < count; i++) {
        f[i] = (struct store_file){p->files, delivery};
        fds[i] = p->file[p->files++] = memfd_create("file", MFD_CLOEXEC);
    }
    ck_assert_int_eq(chan_send(p->fd, STORE_FILES, f, sizeof *f * count, fds, count, &e), 1);
    ck_assert_int_eq(store_client_readable(p->sink), 0);
}

static void reply(struct peer *p, uint32_t slot, enum sink_result r, int error)
{
    struct store_answer a = {slot, (uint32_t)r, error, 1};
    struct err e;

    ck_assert_int_eq(chan_send(p->fd, STORE_ANSWERS, &a, sizeof a, NULL, 0, &e), 1);
    ck_assert_int_eq(store_client_readable(p->sink), 0);
}

static struct sink_message *open_now(struct peer *p, struct rig_letter *l, uint32_t mailbox)
{
    struct sink_answer a;
    int pending;

    memset(l, 0, sizeof *l);
    return sink_open(p->sink, l, &mailbox, 1, &pending, &a);
}

static struct store_commit commit_said(struct peer *p)
{
    const uint8_t *d;
    size_t n;
    struct store_commit c;

    ck_assert(said(p, STORE_COMMIT));
    d = p->m.data;
    n = p->m.len;
    ck_assert_int_eq(store_commit_next(&d, &n, NULL, &c), 1);
    ck_assert_uint_eq(n, 0);
    return c;
}

START_TEST(files_are_asked_for_before_they_are_needed)
{
    struct peer p;

    setup(&p);
    store_client_flush(p.sink);
    ck_assert_uint_ge(wants(&p, 0), 4);
    store_client_flush(p.sink);
    ck_assert(!said(&p, STORE_WANT)); /* once is enough */
    teardown(&p);
}
END_TEST

START_TEST(a_small_message_is_one_write_and_one_record)
{
    struct peer p;
    struct rig_letter l;
    struct sink_message *m;
    struct store_commit c;
    char text[16] = "";

    setup(&p);
    give(&p, 0, 2);
    fsops = &meddle_ops;
    meddle.count[MEDDLE_WRITE] = 0;
    m = open_now(&p, &l, 1);
    ck_assert_ptr_nonnull(m);
    sink_write(m, "hello ", 6);
    sink_write(m, "world\n", 6);
    ck_assert_uint_eq(sink_written(m), 12);
    ck_assert_uint_eq(meddle.count[MEDDLE_WRITE], 0);
    sink_commit(m);
    ck_assert_uint_eq(meddle.count[MEDDLE_WRITE], 1);
    ck_assert_uint_eq(store_client_in_flight(p.sink), 1);
    store_client_flush(p.sink);
    c = commit_said(&p);
    ck_assert_uint_eq(c.size, 12);
    ck_assert_uint_eq(c.count, 1);
    ck_assert_uint_eq(store_commit_mailbox(&c, 0), 1);
    ck_assert_int_eq((int)pread(p.file[c.slot], text, sizeof text - 1, 0), 12);
    ck_assert_str_eq(text, "hello world\n");
    ck_assert(!l.answered);
    reply(&p, c.slot, SINK_OK, 0);
    ck_assert(l.answered);
    ck_assert_int_eq(l.answer.result, SINK_OK);
    ck_assert_uint_eq(store_client_in_flight(p.sink), 0);
    teardown(&p);
}
END_TEST

START_TEST(a_large_message_is_written_in_large_pieces)
{
    static char piece[10000];
    struct peer p;
    struct rig_letter l;
    struct sink_message *m;
    struct store_commit c;
    struct stat st;

    setup(&p);
    give(&p, 0, 4);
    fsops = &meddle_ops;
    meddle.count[MEDDLE_WRITE] = 0;
    memset(piece, 'x', sizeof piece);
    m = open_now(&p, &l, 0);
    for (int i = 0; i < 100; i++)
        sink_write(m, piece, sizeof piece);
    sink_commit(m);
    ck_assert_uint_eq(meddle.count[MEDDLE_WRITE], (1000000 + 65535) / 65536);
    store_client_flush(p.sink);
    c = commit_said(&p);
    ck_assert_uint_eq(c.size, 1000000);
    ck_assert_int_eq(fstat(p.file[c.slot], &st), 0);
    ck_assert_int_eq((int)st.st_size, 1000000);
    teardown(&p);
}
END_TEST

START_TEST(a_turn_is_one_message)
{
    struct peer p;
    struct rig_letter l[5];
    const uint8_t *d;
    size_t n;
    struct store_commit c;
    unsigned records = 0;

    setup(&p);
    give(&p, 0, 5);
    for (int i = 0; i < 5; i++) {
        struct sink_message *m = open_now(&p, &l[i], 0);

        sink_write(m, "x", 1);
        sink_commit(m);
    }
    store_client_flush(p.sink);
    ck_assert(said(&p, STORE_COMMIT));
    d = p.m.data;
    n = p.m.len;
    while (store_commit_next(&d, &n, NULL, &c) == 1)
        records++;
    ck_assert_uint_eq(records, 5);
    teardown(&p);
}
END_TEST

START_TEST(who_dribbles_holds_no_file)
{
    struct peer p;
    static struct rig_letter l[3000];
    struct sink_message *m = NULL;
    struct rig_letter last;

    setup(&p);
    give(&p, 0, 2);
    for (int i = 0; i < 3000; i++) {
        m = open_now(&p, &l[i], 0);
        ck_assert_ptr_nonnull(m);
        sink_write(m, "slowly", 6);
    }
    store_client_flush(p.sink);
    ck_assert_uint_le(wants(&p, 0), 300);
    m = open_now(&p, &last, 0);
    sink_commit(m);
    store_client_flush(p.sink);
    ck_assert(said(&p, STORE_COMMIT)); /* there was a file for the one that is finished */
    teardown(&p);
}
END_TEST

START_TEST(an_open_waits_for_its_file)
{
    struct peer p;
    struct rig_letter l = {0};
    struct sink_answer a;
    uint32_t to = 0;
    int pending = 0;

    setup(&p);
    ck_assert_ptr_null(sink_open(p.sink, &l, &to, 1, &pending, &a));
    ck_assert(pending);
    store_client_flush(p.sink);
    ck_assert_uint_ge(wants(&p, 0), 1);
    give(&p, 1, 1); /* another delivery's does not help */
    ck_assert(!l.opened);
    give(&p, 0, 1);
    ck_assert(l.opened);
    ck_assert_ptr_nonnull(l.m);
    sink_abort(&l.m);
    ck_assert_ptr_null(l.m);
    teardown(&p);
}
END_TEST

START_TEST(a_cancelled_open_hears_nothing)
{
    struct peer p;
    struct rig_letter l = {0}, other = {0};
    struct sink_answer a;
    uint32_t to = 0;
    int pending;

    setup(&p);
    sink_open(p.sink, &l, &to, 1, &pending, &a);
    sink_open(p.sink, &other, &to, 1, &pending, &a);
    sink_cancel(p.sink, &l);
    sink_cancel(p.sink, &l);
    give(&p, 0, 2);
    ck_assert(!l.opened);
    ck_assert(other.opened);
    teardown(&p);
}
END_TEST

START_TEST(no_files_is_an_answer)
{
    struct store_no_files nf = {0, ENOSPC};
    struct peer p;
    struct rig_letter l = {0};
    struct sink_answer a;
    struct err e;
    uint32_t to = 0;
    int pending;

    setup(&p);
    sink_open(p.sink, &l, &to, 1, &pending, &a);
    store_client_flush(p.sink);
    wants(&p, 0);
    ck_assert_int_eq(chan_send(p.fd, STORE_NO_FILES, &nf, sizeof nf, NULL, 0, &e), 1);
    ck_assert_int_eq(store_client_readable(p.sink), 0);
    ck_assert(l.opened);
    ck_assert_ptr_null(l.m);
    ck_assert_int_eq(l.answer.result, SINK_FULL);
    store_client_flush(p.sink);
    ck_assert_uint_ge(wants(&p, 0), 1); /* it goes on asking */
    teardown(&p);
}
END_TEST

START_TEST(a_failed_write_is_known_at_commit)
{
    static const struct {
        int error;
        enum sink_result result;
    } rows[] = {{ENOSPC, SINK_FULL}, {EDQUOT, SINK_QUOTA}, {EIO, SINK_FAILED}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer p;
        struct rig_letter l;
        struct sink_message *m;

        setup(&p);
        give(&p, 0, 1);
        fsops = &meddle_ops;
        meddle.op = MEDDLE_WRITE;
        meddle.nth = 1;
        meddle.seen = 0;
        meddle.error = rows[i].error;
        m = open_now(&p, &l, 0);
        sink_write(m, "x", 1);
        sink_commit(m);
        ck_assert(!l.answered); /* never from inside */
        store_client_flush(p.sink);
        ck_assert(l.answered);
        ck_assert_int_eq(l.answer.result, rows[i].result);
        ck_assert_int_eq(l.answer.error, rows[i].error);
        ck_assert(said(&p, STORE_DROP)); /* the file goes back, the message is not committed */
        ck_assert_uint_eq(p.m.len, 4);
        teardown(&p);
    }
}
END_TEST

START_TEST(a_write_may_come_in_parts)
{
    struct peer p;
    struct rig_letter l;
    struct sink_message *m;

    setup(&p);
    give(&p, 0, 1);
    fsops = &meddle_ops;
    meddle.op = MEDDLE_WRITE;
    meddle.nth = 1;
    meddle.seen = 0;
    meddle.error = EINTR;
    m = open_now(&p, &l, 0);
    sink_write(m, "x", 1);
    sink_commit(m);
    store_client_flush(p.sink);
    ck_assert_uint_eq(commit_said(&p).size, 1);
    teardown(&p);
}
END_TEST

START_TEST(an_abort_gives_the_file_back)
{
    static char big[70000];
    struct peer p;
    struct rig_letter l;
    struct sink_message *m;

    setup(&p);
    give(&p, 0, 4);
    m = open_now(&p, &l, 0);
    sink_write(m, big, sizeof big);
    sink_abort(&m);
    store_client_flush(p.sink);
    ck_assert(said(&p, STORE_DROP));
    sink_abort(&m); /* nothing there: nothing happens */
    teardown(&p);
}
END_TEST

START_TEST(a_dead_session_is_not_called)
{
    struct peer p;
    struct rig_letter l;
    struct sink_message *m;
    struct store_commit c;

    setup(&p);
    give(&p, 0, 1);
    m = open_now(&p, &l, 0);
    sink_commit(m);
    sink_forget(p.sink, &l);
    store_client_flush(p.sink);
    c = commit_said(&p); /* delivered all the same */
    reply(&p, c.slot, SINK_OK, 0);
    ck_assert(!l.answered);
    ck_assert_uint_eq(store_client_in_flight(p.sink), 0);
    teardown(&p);
}
END_TEST

START_TEST(two_commits_one_file)
{
    struct peer p;
    struct rig_letter a, b;
    struct sink_message *ma, *mb;

    setup(&p);
    give(&p, 0, 1);
    ma = open_now(&p, &a, 0);
    mb = open_now(&p, &b, 0);
    ck_assert_ptr_nonnull(ma);
    ck_assert_ptr_nonnull(mb);
    sink_write(ma, "a", 1);
    sink_write(mb, "bb", 2);
    sink_commit(ma);
    sink_commit(mb);
    store_client_flush(p.sink);
    ck_assert_uint_eq(commit_said(&p).size, 1);
    wants(&p, 0);
    give(&p, 0, 1);
    store_client_flush(p.sink);
    ck_assert_uint_eq(commit_said(&p).size, 2);
    teardown(&p);
}
END_TEST

/* As many clients as there are files, each with 64 KiB and then silent: whole messages go on being taken. */
START_TEST(the_last_files_are_for_commits)
{
    static char big[100000];
    struct peer p;
    struct rig_letter letter[6], quick;
    struct sink_message *slow[6], *m;

    setup(&p);
    give(&p, 0, 5);
    for (int i = 0; i < 6; i++)
        slow[i] = open_now(&p, &letter[i], 0);
    for (int i = 0; i < 6; i++)
        sink_write(slow[i], big, sizeof big);
    m = open_now(&p, &quick, 0);
    ck_assert_ptr_nonnull(m);
    sink_write(m, "x", 1);
    sink_commit(m);
    store_client_flush(p.sink);
    ck_assert_uint_eq(commit_said(&p).size, 1);
    ck_assert_uint_gt(wants(&p, 0), 0); /* and more are asked for */
    teardown(&p);
}
END_TEST

START_TEST(memory_ends_while_the_store_is_behind)
{
    static char big[300000];
    struct peer p;
    struct rig_letter a, b;
    struct sink_message *ma, *mb;

    setup(&p);
    give(&p, 0, 1);
    ma = open_now(&p, &a, 0);
    mb = open_now(&p, &b, 0);
    sink_write(ma, big, sizeof big); /* takes the file */
    for (int i = 0; i < 10; i++)
        sink_write(mb, big, sizeof big);
    sink_commit(mb);
    store_client_flush(p.sink);
    ck_assert(b.answered);
    ck_assert_int_eq(b.answer.result, SINK_FAILED);
    ck_assert_int_eq(b.answer.error, ENFILE);
    sink_commit(ma);
    store_client_flush(p.sink);
    while (chan_recv(p.fd, room, sizeof room, &p.m, NULL) == 1 && p.m.type != STORE_COMMIT)
        ;
    ck_assert_uint_eq(p.m.type, STORE_COMMIT);
    teardown(&p);
}
END_TEST

static void check_gone(struct peer *p, struct rig_letter *committed, struct rig_letter *waiting,
                       struct sink_message *open)
{
    struct sink_answer a;
    uint32_t to = 0;
    int pending;

    ck_assert(committed->answered);
    ck_assert_int_eq(committed->answer.result, SINK_FAILED);
    ck_assert(waiting->opened);
    ck_assert_ptr_null(waiting->m);
    sink_write(open, "x", 1);
    committed->answered = false;
    sink_commit(open);
    store_client_flush(p->sink);
    ck_assert(committed->answered);
    ck_assert_int_eq(committed->answer.result, SINK_FAILED);
    ck_assert_ptr_null(sink_open(p->sink, committed, &to, 1, &pending, &a));
    ck_assert(!pending);
    ck_assert_int_eq(a.result, SINK_FAILED);
    ck_assert(!store_client_wants_write(p->sink));
    ck_assert_int_eq(store_client_readable(p->sink), -1);
}

static void begin_all(struct peer *p, struct rig_letter *l, struct rig_letter *waiting, struct sink_message **open)
{
    struct sink_answer a;
    uint32_t to = 2;
    int pending;

    give(p, 0, 2);
    sink_commit(open_now(p, l, 0));
    *open = open_now(p, l, 0);
    memset(waiting, 0, sizeof *waiting);
    sink_open(p->sink, waiting, &to, 1, &pending, &a);
    ck_assert(pending);
    store_client_flush(p->sink);
    ck_assert(!l->answered);
}

START_TEST(a_dead_store_answers_everything)
{
    struct peer p;
    struct rig_letter l, waiting;
    struct sink_message *open;

    setup(&p);
    begin_all(&p, &l, &waiting, &open);
    shutdown(p.fd, SHUT_RDWR);
    ck_assert_int_eq(store_client_readable(p.sink), -1);
    check_gone(&p, &l, &waiting, open);
    teardown(&p);
}
END_TEST

START_TEST(a_mad_store_is_a_dead_one)
{
    static const struct {
        uint32_t type;
        uint32_t words[4];
        size_t len;
    } rows[] = {
        {999, {0}, 4},
        {STORE_ANSWERS, {STORE_SLOTS, 0, 0, 0}, 16},
        {STORE_ANSWERS, {5, 0, 0, 0}, 16}, /* nobody waits for it */
        {STORE_ANSWERS, {0, 99, 0, 0}, 16},
        {STORE_ANSWERS, {0, 0, 0, 0}, 15},
        {STORE_FILES, {3, 0, 0, 0}, 8}, /* without a descriptor */
        {STORE_NO_FILES, {7, 0, 0, 0}, 8},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer p;
        struct rig_letter l, waiting;
        struct sink_message *open;
        struct err e;

        setup(&p);
        begin_all(&p, &l, &waiting, &open);
        ck_assert_int_eq(chan_send(p.fd, rows[i].type, rows[i].words, rows[i].len, NULL, 0, &e), 1);
        ck_assert_int_eq(store_client_readable(p.sink), -1);
        check_gone(&p, &l, &waiting, open);
        teardown(&p);
    }
}
END_TEST

START_TEST(a_full_channel_is_tried_again)
{
    static uint32_t many[STORE_RCPTS];
    struct peer p;
    struct rig_letter l[40];
    unsigned count = 0, records = 0;
    struct sink_answer a;
    int pending;

    setup(&p);
    give(&p, 0, 40);
    while (count < 40 && !store_client_wants_write(p.sink)) {
        struct sink_message *m = sink_open(p.sink, &l[count], many, STORE_RCPTS, &pending, &a);

        memset(&l[count++], 0, sizeof *l);
        sink_commit(m);
        store_client_flush(p.sink);
    }
    ck_assert(store_client_wants_write(p.sink));
    while (records < count) {
        if (chan_recv(p.fd, room, sizeof room, &p.m, NULL) == 1)
            records += p.m.type == STORE_COMMIT;
        else
            store_client_flush(p.sink);
    }
    store_client_flush(p.sink);
    ck_assert(!store_client_wants_write(p.sink));
    teardown(&p);
}
END_TEST

START_TEST(too_many_recipients_are_refused_at_once)
{
    static uint32_t many[STORE_RCPTS + 1];
    struct peer p;
    struct rig_letter l = {0};
    struct sink_answer a;
    int pending;

    setup(&p);
    give(&p, 0, 1);
    ck_assert_ptr_null(sink_open(p.sink, &l, many, STORE_RCPTS + 1, &pending, &a));
    ck_assert(!pending);
    ck_assert_int_eq(a.result, SINK_FAILED);
    teardown(&p);
}
END_TEST

START_TEST(what_is_far_too_much_goes_back)
{
    static struct rig_letter l[250];
    struct sink_message *m[250];
    struct peer p;
    unsigned dropped = 0;

    setup(&p);
    give(&p, 0, 1);
    for (int i = 0; i < 250; i++)
        m[i] = open_now(&p, &l[i], 0);
    store_client_flush(p.sink);
    for (unsigned n = wants(&p, 0), k; n; n -= k) {
        k = n < 32 ? n : 32;
        give(&p, 0, k);
    }
    store_client_flush(p.sink);
    ck_assert(!said(&p, STORE_DROP));
    for (int i = 0; i < 250; i++)
        sink_abort(&m[i]);
    store_client_flush(p.sink);
    while (said(&p, STORE_DROP))
        dropped += (unsigned)(p.m.len / 4);
    ck_assert_uint_gt(dropped, 200);
    ck_assert_uint_lt(dropped, p.files); /* some stay at hand */
    teardown(&p);
}
END_TEST

SUITE_MAIN("store_client", files_are_asked_for_before_they_are_needed, a_small_message_is_one_write_and_one_record,
           a_large_message_is_written_in_large_pieces, a_turn_is_one_message, who_dribbles_holds_no_file,
           an_open_waits_for_its_file, a_cancelled_open_hears_nothing, no_files_is_an_answer,
           a_failed_write_is_known_at_commit, a_write_may_come_in_parts, an_abort_gives_the_file_back,
           a_dead_session_is_not_called, two_commits_one_file, the_last_files_are_for_commits,
           memory_ends_while_the_store_is_behind, a_dead_store_answers_everything, a_mad_store_is_a_dead_one,
           a_full_channel_is_tried_again, too_many_recipients_are_refused_at_once, what_is_far_too_much_goes_back)
