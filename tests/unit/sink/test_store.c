/* The store as a process of its own, on a real file system: what arrives, where, with which rights, and what a worker
 * that is broken or hostile can do. */
#include <sys/mount.h>
#include <sys/resource.h>

#include "sink/names.h"
#include "sink/pool.h"
#include "unit/sink/rig.h"
#include "unit/suite.h"

static struct rig_conf c;
static struct rig_store s;
static struct rig_worker w;

struct expect {
    const char *text;
    unsigned found;
};

static void compare(void *arg, const char *path, const char *text, size_t n)
{
    struct expect *e = arg;

    (void)path;
    if (n == strlen(e->text) && memcmp(text, e->text, n) == 0)
        e->found++;
}

static unsigned found(uint32_t mailbox, const char *text)
{
    struct expect e = {text, 0};

    rig_mail(&c, mailbox, compare, &e);
    return e.found;
}

static void begin(unsigned mailboxes)
{
    rig_conf_new(&c, NULL, mailboxes);
}

static void start(void)
{
    rig_store_start(&s, &c);
    rig_worker_new(&w, &s, &c);
}

static void finish(void)
{
    rig_worker_free(&w);
    ck_assert_int_eq(rig_store_end(&s), 0);
    rig_conf_free(&c);
}

START_TEST(a_message_arrives_with_its_rights)
{
    char path[PATH_MAX + 64];
    uint32_t to = 1;
    struct stat st;

    begin(3);
    start();
    ck_assert_int_eq(rig_send(&w, &to, 1, "Subject: one\n\nhello\n", NULL), SINK_OK);
    ck_assert_uint_eq(found(1, "Subject: one\n\nhello\n"), 1);
    ck_assert_uint_eq(rig_mail(&c, 0, NULL, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        static const char *const parts[] = {"new", "cur", "tmp"};

        snprintf(path, sizeof path, "%s/%s", c.conf.mailboxes[1].path, parts[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0700);
    }
    finish();
}
END_TEST

static void check_mode(void *arg, const char *path, const char *text, size_t n)
{
    struct stat st;

    (void)text;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, *(mode_t *)arg);
    ck_assert_uint_eq(st.st_nlink, 1);
    ck_assert_ptr_nonnull(strstr(path, ".mx.example.org,S="));
    ck_assert_uint_eq(strtoul(strstr(path, ",S=") + 3, NULL, 10), n);
}

START_TEST(modes_are_those_of_the_configuration)
{
    mode_t mode = 0660;
    uint32_t to = 0;
    struct stat st;

    begin(1);
    c.deliveries[0].file_mode = mode;
    c.deliveries[0].dir_mode = 02770;
    umask(077);
    start();
    ck_assert_int_eq(rig_send(&w, &to, 1, "x", NULL), SINK_OK);
    ck_assert_uint_eq(rig_mail(&c, 0, check_mode, &mode), 1);
    ck_assert_int_eq(stat(c.conf.mailboxes[0].path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0770);
    finish();
}
END_TEST

START_TEST(empty_and_large_messages)
{
    static char line[1001];
    struct rig_letter l;
    uint32_t to[] = {0, 1};

    begin(2);
    start();
    ck_assert_int_eq(rig_send(&w, to, 1, "", NULL), SINK_OK);
    ck_assert(rig_open(&w, &l, to, 2));
    memset(line, 'x', 1000);
    for (int i = 0; i < 5000; i++)
        sink_write(l.m, line, 1000);
    rig_commit(&l);
    rig_wait(&w, &l.answered, "answer");
    ck_assert_int_eq(l.answer.result, SINK_OK);
    ck_assert_uint_eq(rig_mail(&c, 0, NULL, NULL), 2);
    ck_assert_uint_eq(rig_mail(&c, 1, NULL, NULL), 1);
    finish();
}
END_TEST

START_TEST(recipients_share_one_file)
{
    static uint32_t to[1000];
    unsigned count = 0;

    begin(1000);
    for (uint32_t i = 0; i < 1000; i++)
        to[i] = 999 - i;
    start();
    ck_assert_int_eq(rig_send(&w, to, 1000, "to all\n", NULL), SINK_OK);
    for (uint32_t i = 0; i < 1000; i++)
        count += found(i, "to all\n");
    ck_assert_uint_eq(count, 1000);
    ck_assert_int_eq(rig_send(&w, to, 1000, "again\n", NULL), SINK_OK);
    for (uint32_t i = 0; i < 1000; i++)
        count += found(i, "again\n");
    ck_assert_uint_eq(count, 2000);
    finish();
}
END_TEST

START_TEST(mailboxes_may_share_a_directory)
{
    uint32_t to[] = {0, 1, 2};

    begin(3);
    for (int i = 1; i < 3; i++) {
        free(c.conf.mailboxes[i].path);
        c.conf.mailboxes[i].path = mem_str(c.conf.mailboxes[0].path);
    }
    start();
    ck_assert_int_eq(rig_send(&w, to, 3, "once\n", NULL), SINK_OK);
    ck_assert_uint_eq(rig_mail(&c, 0, NULL, NULL), 1);
    finish();
}
END_TEST

START_TEST(a_path_without_variables)
{
    uint32_t to = 0;

    begin(1);
    c.deliveries[0].path = c.conf.mailboxes[0].path;
    start();
    ck_assert_int_eq(rig_send(&w, &to, 1, "x\n", NULL), SINK_OK);
    ck_assert_uint_eq(found(0, "x\n"), 1);
    finish();
}
END_TEST

START_TEST(many_at_once_from_several_workers)
{
    static struct rig_letter l[3][200];
    struct rig_worker more[3];
    unsigned arrived = 0;
    bool all = false;

    begin(7);
    start();
    for (int k = 0; k < 3; k++)
        rig_worker_new(&more[k], &s, &c);
    for (int k = 0; k < 3; k++)
        for (uint32_t i = 0; i < 200; i++) {
            uint32_t to[] = {i % 7, (i + 1) % 7};

            ck_assert(rig_open(&more[k], &l[k][i], to, 2));
            sink_write(l[k][i].m, "many\n", 5);
            rig_commit(&l[k][i]);
        }
    for (int64_t until = clock_now().mono_us + 20 * INT64_C(1000000); !all && clock_now().mono_us < until;) {
        all = true;
        for (int k = 0; k < 3; k++) {
            rig_turn(&more[k], 1);
            all = all && store_client_in_flight(more[k].sink) == 0;
        }
    }
    ck_assert(all);
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 200; i++)
            ck_assert_int_eq(l[k][i].answer.result, SINK_OK);
        rig_worker_free(&more[k]);
    }
    for (uint32_t i = 0; i < 7; i++)
        arrived += found(i, "many\n");
    ck_assert_uint_eq(arrived, 1200);
    finish();
}
END_TEST

/* ---- what happens to directories */

START_TEST(a_vanished_mailbox_is_made_again)
{
    uint32_t to = 0;
    char gone[PATH_MAX + 8];

    begin(1);
    start();
    ck_assert_int_eq(rig_send(&w, &to, 1, "1\n", NULL), SINK_OK);
    ck_assert_int_eq(nftw(c.conf.mailboxes[0].path, rig_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    ck_assert_int_eq(rig_send(&w, &to, 1, "2\n", NULL), SINK_OK);
    ck_assert_uint_eq(found(0, "2\n"), 1);
    /* renamed: the open directory still works, but nobody reads it */
    snprintf(gone, sizeof gone, "%s.old", c.conf.mailboxes[0].path);
    ck_assert_int_eq(rename(c.conf.mailboxes[0].path, gone), 0);
    for (int64_t until = clock_now().mono_us + 10 * INT64_C(1000000); !rig_mail(&c, 0, NULL, NULL);) {
        ck_assert_int_eq(rig_send(&w, &to, 1, "3\n", NULL), SINK_OK);
        ck_assert_int_lt(clock_now().mono_us, until);
    }
    finish();
}
END_TEST

START_TEST(a_base_that_is_gone_is_said_and_comes_back)
{
    char base[PATH_MAX + 8], away[PATH_MAX + 16];
    uint32_t to = 0;
    struct sink_answer a = {0};
    int64_t until;

    begin(1);
    start();
    ck_assert_int_eq(rig_send(&w, &to, 1, "1\n", NULL), SINK_OK);
    snprintf(base, sizeof base, "%s/mail", c.dir);
    snprintf(away, sizeof away, "%s/away", c.dir);
    ck_assert_int_eq(rename(base, away), 0);
    until = clock_now().mono_us + 10 * INT64_C(1000000);
    while (rig_send(&w, &to, 1, "2\n", &a) == SINK_OK)
        ck_assert_int_lt(clock_now().mono_us, until);
    ck_assert_int_eq(a.result, SINK_FAILED);
    ck_assert_int_eq(rename(away, base), 0);
    while (rig_send(&w, &to, 1, "3\n", &a) != SINK_OK)
        ck_assert_int_lt(clock_now().mono_us, until);
    ck_assert_uint_eq(found(0, "3\n"), 1);
    /* another directory in its place is taken, as the configuration names it */
    ck_assert_int_eq(rename(base, away), 0);
    ck_assert_int_eq(mkdir(base, 0755), 0);
    while (!found(0, "4\n")) {
        rig_send(&w, &to, 1, "4\n", &a);
        ck_assert_int_lt(clock_now().mono_us, until);
    }
    finish();
}
END_TEST

/* The owner of a mailbox owns what is below it and may put anything there. */
static void check_planted(const char *below, bool link)
{
    char path[PATH_MAX + 64], out[PATH_MAX + 16];
    uint32_t to = 0;
    struct sink_answer a;
    struct stat st;

    begin(1);
    snprintf(out, sizeof out, "%s/outside", c.dir);
    ck_assert_int_eq(mkdir(out, 0777), 0);
    start();
    ck_assert_int_eq(rig_send(&w, &to, 1, "1\n", NULL), SINK_OK);
    rig_worker_free(&w);
    ck_assert_int_eq(rig_store_end(&s), 0);
    snprintf(path, sizeof path, "%s/mail/example.org%s", c.dir, below);
    ck_assert_int_eq(nftw(path, rig_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    if (link)
        ck_assert_int_eq(symlink(out, path), 0);
    else
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    start();
    ck_assert_int_eq(rig_send(&w, &to, 1, "2\n", &a), SINK_FAILED);
    ck_assert_uint_eq(a.mailbox, 0);
    ck_assert_int_eq(rmdir(out), 0); /* nothing was put there */
    ck_assert_int_eq(lstat(path, &st), 0);
    finish();
}

START_TEST(links_are_not_followed)
{
    check_planted("", true);
    check_planted("/u0", true);
    check_planted("/u0/new", true);
    check_planted("/u0", false);
    check_planted("/u0/new", false);
}
END_TEST

START_TEST(all_recipients_or_none)
{
    char path[PATH_MAX + 16];
    uint32_t to[] = {0, 1, 2};
    struct sink_answer a;

    begin(3);
    start();
    ck_assert_int_eq(rig_send(&w, to, 1, "first\n", NULL), SINK_OK);
    snprintf(path, sizeof path, "%s", c.conf.mailboxes[2].path);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); /* a file where the mailbox should be */
    ck_assert_int_eq(rig_send(&w, to, 3, "all\n", &a), SINK_FAILED);
    ck_assert_uint_eq(a.mailbox, 2);
    ck_assert_uint_eq(found(0, "all\n") + found(1, "all\n"), 0);
    ck_assert_int_eq(rig_send(&w, to, 2, "two\n", &a), SINK_OK);
    finish();
}
END_TEST

/* ---- other file systems and owners */

START_TEST(another_file_system_gets_a_copy)
{
    uint32_t to[] = {0, 1, 2, 3};
    char base[PATH_MAX + 8];
    struct stat here, there;

    begin(2);
    snprintf(base, sizeof base, "/dev/shm/postern-store.%d", (int)getpid());
    if (stat(c.dir, &here) < 0 || stat("/dev/shm", &there) < 0 || here.st_dev == there.st_dev ||
        mkdir(base, 0755) < 0) {
        printf("SKIP another_file_system_gets_a_copy: /dev/shm is no second file system here\n");
        rig_conf_free(&c);
        return;
    }
    c.deliveries[1] = (struct conf_delivery){
        .title = "shm", .path = mem_printf("%s/%%d/%%u", base), .file_mode = 0640, .dir_mode = 0750};
    c.conf.delivery_count = 2;
    rig_mailboxes(&c, 2, 1, base);
    start();
    ck_assert_int_eq(rig_send(&w, to, 4, "both\n", NULL), SINK_OK);
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_uint_eq(found(i, "both\n"), 1);
    ck_assert_int_eq(rig_send(&w, to + 2, 2, "there\n", NULL), SINK_OK);
    ck_assert_uint_eq(found(3, "there\n"), 1);
    nftw(base, rig_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free((void *)(uintptr_t)c.deliveries[1].path);
    finish();
}
END_TEST

static void check_owner(void *arg, const char *path, const char *text, size_t n)
{
    struct stat st;

    (void)text;
    (void)n;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, *(uid_t *)arg);
}

START_TEST(another_owner_gets_files_of_his_own)
{
    uint32_t to[] = {0, 1, 2, 3};
    uid_t root = 0, nobody = 65534;
    char base[PATH_MAX + 8];
    struct stat st;

    begin(2);
    if (geteuid() != 0) {
        printf("SKIP another_owner_gets_files_of_his_own: needs root\n");
        rig_conf_free(&c);
        return;
    }
    snprintf(base, sizeof base, "%s/theirs", c.dir);
    c.deliveries[1] = (struct conf_delivery){.title = "theirs",
                                             .path = mem_printf("%s/%%d/%%u", base),
                                             .owner = "nobody",
                                             .file_mode = 0600,
                                             .dir_mode = 0700};
    c.conf.delivery_count = 2;
    rig_mailboxes(&c, 2, 1, base);
    start();
    ck_assert_int_eq(rig_send(&w, to, 4, "all\n", NULL), SINK_OK);
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_uint_eq(rig_mail(&c, i, check_owner, i < 2 ? &root : &nobody), 1);
    ck_assert_int_eq(rig_send(&w, to + 2, 2, "theirs\n", NULL), SINK_OK);
    ck_assert_int_eq(stat(c.conf.mailboxes[2].path, &st), 0);
    ck_assert_uint_eq(st.st_uid, nobody);
    free((void *)(uintptr_t)c.deliveries[1].path);
    finish();
}
END_TEST

START_TEST(an_owner_that_does_not_exist)
{
    uint32_t to = 0;
    struct sink_answer a;

    begin(1);
    c.deliveries[0].owner = "no-such-user-anywhere";
    start();
    /* without root the owner is not looked at: all files are the current user's */
    ck_assert_int_eq(rig_send(&w, &to, 1, "x\n", &a), geteuid() == 0 ? SINK_FAILED : SINK_OK);
    finish();
}
END_TEST

/* ---- workers that are broken or hostile */

/* Says something raw on a channel of its own; true: the store closed it. */
static bool is_refused(uint32_t type, const void *data, size_t len, bool with_descriptor)
{
    static char room[CHAN_MAX + 4];
    int fd = rig_store_add(&s), r;
    struct chan_msg m;
    struct err e;

    ck_assert_int_eq(chan_send(fd, type, data, len, &fd, with_descriptor, &e), 1);
    do {
        r = chan_recv_wait(fd, 3000, room, sizeof room, &m, &e);
        if (r == 1)
            chan_msg_close(&m);
    } while (r == 1);
    close(fd);
    return r < 0;
}

START_TEST(nonsense_ends_the_channel_and_nothing_else)
{
    uint32_t words[8] = {0}, to = 0;
    struct store_want want = {0, 1};

    begin(1);
    start();
    ck_assert(is_refused(999, words, 4, false));
    ck_assert(is_refused(STORE_COMMIT, NULL, 0, false));
    ck_assert(is_refused(STORE_COMMIT, words, 20, false));
    words[1] = 1; /* a record for a slot it does not hold */
    ck_assert(is_refused(STORE_COMMIT, words, 20, false));
    ck_assert(is_refused(STORE_DROP, words, 4, false));
    ck_assert(is_refused(STORE_DROP, words, 3, false));
    words[0] = 77;
    ck_assert(is_refused(STORE_WANT, words, 8, false));
    ck_assert(is_refused(STORE_WANT, words, 7, false));
    ck_assert(is_refused(STORE_WANT, &want, sizeof want, true)); /* descriptors go one way only */
    ck_assert(is_refused(STORE_ANSWERS, words, 16, false));
    ck_assert_int_eq(rig_send(&w, &to, 1, "others are served\n", NULL), SINK_OK);
    finish();
}
END_TEST

static struct store_file take_one(int fd, int *file)
{
    static char room[CHAN_MAX + 4];
    struct store_want want = {0, 1};
    struct store_file f;
    struct chan_msg m;
    struct err e;

    ck_assert_int_eq(chan_send(fd, STORE_WANT, &want, sizeof want, NULL, 0, &e), 1);
    ck_assert_int_eq(chan_recv_wait(fd, 5000, room, sizeof room, &m, &e), 1);
    ck_assert_uint_eq(m.type, STORE_FILES);
    ck_assert_int_eq(store_file_decode(m.data, 0, 1, &f), 0);
    *file = chan_msg_take(&m, 0);
    return f;
}

static struct store_answer commit_raw(int fd, uint32_t slot, uint64_t size)
{
    static char room[CHAN_MAX + 4];
    struct buf b = {0};
    struct store_answer a;
    struct chan_msg m;
    struct err e;
    uint32_t to = 0;

    store_commit_add(&b, slot, size, &to, 1);
    ck_assert_int_eq(chan_send(fd, STORE_COMMIT, buf_data(&b), b.len, NULL, 0, &e), 1);
    ck_assert_int_eq(chan_recv_wait(fd, 5000, room, sizeof room, &m, &e), 1);
    ck_assert_uint_eq(m.type, STORE_ANSWERS);
    ck_assert_int_eq(store_answer_decode(m.data, 0, &a), 0);
    buf_clear(&b);
    return a;
}

START_TEST(a_size_that_lies_is_not_published)
{
    int fd, file;
    struct store_file f;

    begin(1);
    start();
    fd = rig_store_add(&s);
    f = take_one(fd, &file);
    ck_assert_int_eq((int)write(file, "abc", 3), 3);
    ck_assert_uint_eq(commit_raw(fd, f.slot, 4).result, SINK_FAILED);
    close(file);
    f = take_one(fd, &file);
    ck_assert_int_eq((int)write(file, "abc", 3), 3);
    ck_assert_uint_eq(commit_raw(fd, f.slot, 2).result, SINK_FAILED);
    close(file);
    ck_assert_uint_eq(rig_mail(&c, 0, NULL, NULL), 0);
    f = take_one(fd, &file);
    ck_assert_int_eq((int)write(file, "abc", 3), 3);
    ck_assert_uint_eq(commit_raw(fd, f.slot, 3).result, SINK_OK);
    close(file);
    close(fd);
    finish();
}
END_TEST

START_TEST(descriptors_are_for_writing_only)
{
    char byte;
    int fd, file;

    begin(1);
    start();
    fd = rig_store_add(&s);
    take_one(fd, &file);
    ck_assert_int_eq((int)read(file, &byte, 1), -1);
    ck_assert_int_eq(fcntl(file, F_GETFL) & O_ACCMODE, O_WRONLY);
    close(file);
    close(fd);
    finish();
}
END_TEST

START_TEST(a_greedy_worker_gets_its_share)
{
    static char room[CHAN_MAX + 4];
    struct store_want want = {0, STORE_SLOTS};
    struct rlimit was, few = {200, 200};
    unsigned files = 0;
    uint32_t to = 0;
    struct chan_msg m;
    struct err e;
    int fd;

    begin(1);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
    few.rlim_max = was.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    rig_store_start(&s, &c);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
    rig_worker_new(&w, &s, &c);
    fd = rig_store_add(&s);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(chan_send(fd, STORE_WANT, &want, sizeof want, NULL, 0, &e), 1);
    while (chan_recv_wait(fd, 300, room, sizeof room, &m, &e) == 1) {
        ck_assert_uint_eq(m.type, STORE_FILES);
        files += m.nfds;
        chan_msg_close(&m);
    }
    ck_assert_uint_ge(files, 16);
    ck_assert_uint_le(files, 100);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(rig_send(&w, &to, 1, "others are served\n", NULL), SINK_OK);
    close(fd);
    finish();
}
END_TEST

START_TEST(a_worker_that_dies_leaves_nothing_half)
{
    char hidden[PATH_MAX + 32];
    struct rig_worker dies;
    struct rig_letter l[20];
    uint32_t to = 0;

    begin(1);
    start();
    rig_worker_new(&dies, &s, &c);
    for (int i = 0; i < 20; i++) {
        ck_assert(rig_open(&dies, &l[i], &to, 1));
        sink_write(l[i].m, "whole\n", 6);
        if (i % 2)
            rig_commit(&l[i]);
    }
    store_client_flush(dies.sink); /* handed over, then the worker is gone before the answer */
    rig_worker_free(&dies);
    for (int64_t until = clock_now().mono_us + 10 * INT64_C(1000000); rig_mail(&c, 0, NULL, NULL) < 10;)
        ck_assert_int_lt(clock_now().mono_us, until);
    ck_assert_int_eq(rig_send(&w, &to, 1, "other\n", NULL), SINK_OK);
    ck_assert_uint_eq(found(0, "whole\n"), 10);
    snprintf(hidden, sizeof hidden, "%s/mail/.postern-tmp", c.dir);
    ck_assert_uint_eq(rig_names_below(hidden, DT_REG), 0);
    finish();
}
END_TEST

/* Another directory from time to time; the ones before are gone when the next store has started, and no file is left. */
START_TEST(files_are_made_in_changing_places)
{
    char hidden[PATH_MAX + 32], first[NAME_MAX + 1], second[NAME_MAX + 1];
    uint32_t to = 0;

    pool_place_files = 8;
    begin(1);
    start();
    snprintf(hidden, sizeof hidden, "%s/mail/.postern-tmp", c.dir);
    ck_assert_int_eq(rig_send(&w, &to, 1, "one\n", NULL), SINK_OK);
    ck_assert(rig_a_name_in(hidden, first));
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(rig_send(&w, &to, 1, "more\n", NULL), SINK_OK);
    ck_assert(rig_a_name_in(hidden, second));
    ck_assert_str_ne(first, second);
    ck_assert_uint_eq(rig_names_below(hidden, DT_DIR), 1); /* what was left is removed */
    ck_assert_uint_eq(rig_names_below(hidden, DT_REG), 0);
    ck_assert_uint_eq(found(0, "more\n"), 100);
    finish();
}
END_TEST

START_TEST(the_end_of_the_leader_ends_the_store)
{
    struct rig_letter l[50];
    uint32_t to = 0;
    int64_t began;
    unsigned ok = 0;

    begin(1);
    start();
    for (int i = 0; i < 50; i++) {
        ck_assert(rig_open(&w, &l[i], &to, 1));
        sink_write(l[i].m, "last\n", 5);
        rig_commit(&l[i]);
    }
    store_client_flush(w.sink);
    began = clock_now().mono_us;
    close(s.leader_fd);
    while (store_client_in_flight(w.sink)) /* all are answered, the worker's channel still open */
        rig_turn(&w, 20);
    for (int i = 0; i < 50; i++)
        ok += l[i].answer.result == SINK_OK;
    ck_assert_uint_eq(ok, 50);
    ck_assert_uint_eq(found(0, "last\n"), 50);
    ck_assert_int_eq(rig_store_wait(&s, 5000), 0); /* a worker that stays does not keep it */
    ck_assert_int_le(clock_now().mono_us - began, 2500000);
    rig_worker_free(&w);
    rig_conf_free(&c);
}
END_TEST

START_TEST(a_base_that_cannot_be_made_is_not_fatal)
{
    uint32_t to[] = {0, 1};
    struct sink_answer a;
    char file[PATH_MAX + 8];

    begin(1);
    snprintf(file, sizeof file, "%s/file", c.dir);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    c.deliveries[1] = (struct conf_delivery){
        .title = "bad", .path = mem_printf("%s/x/%%u", file), .file_mode = 0600, .dir_mode = 0700};
    c.conf.delivery_count = 2;
    snprintf(file, sizeof file, "%s/file/x", c.dir);
    rig_mailboxes(&c, 1, 1, file);
    start();
    ck_assert_int_eq(rig_send(&w, to, 1, "good\n", NULL), SINK_OK);
    ck_assert_int_eq(rig_send(&w, to + 1, 1, "bad\n", &a), SINK_FAILED);
    ck_assert_int_eq(rig_send(&w, to, 2, "both\n", &a), SINK_FAILED);
    ck_assert_uint_eq(found(0, "both\n"), 0);
    free((void *)(uintptr_t)c.deliveries[1].path);
    finish();
}
END_TEST

SUITE_MAIN("store", a_message_arrives_with_its_rights, modes_are_those_of_the_configuration, empty_and_large_messages,
           recipients_share_one_file, mailboxes_may_share_a_directory, a_path_without_variables,
           many_at_once_from_several_workers, a_vanished_mailbox_is_made_again,
           a_base_that_is_gone_is_said_and_comes_back, links_are_not_followed, all_recipients_or_none,
           another_file_system_gets_a_copy, another_owner_gets_files_of_his_own, an_owner_that_does_not_exist,
           nonsense_ends_the_channel_and_nothing_else, a_size_that_lies_is_not_published,
           descriptors_are_for_writing_only, a_greedy_worker_gets_its_share, a_worker_that_dies_leaves_nothing_half,
           files_are_made_in_changing_places, the_end_of_the_leader_ends_the_store,
           a_base_that_cannot_be_made_is_not_fatal)
