/* SIGKILL at every step of a commit, and power cuts: what was answered with 250 is there, whole, in every mailbox; nothing
 * half-written is ever visible; the next store starts on what is left. */
#include <sys/mman.h>

#include "sink/commit.h"
#include "sink/flush.h"
#include "sink/fsops.h"
#include "unit/sink/rig.h"
#include "unit/suite.h"

#define LETTERS 5u
#define MAILBOXES 3u
#define SHADOW_MOST 400u
#define STEPS_MOST 400u

/* ---- what a disk may forget: told by the store's process, read by the test when it is dead */

struct shadow_name {
    ino_t dir, ino;
    char name[NAME_MAX + 1];
    bool durable;
};

struct shadow {
    pthread_mutex_t lock;
    unsigned steps, die_at; /* 0: never */
    unsigned name_count, flushed_count;
    struct shadow_name names[SHADOW_MOST];
    ino_t flushed[SHADOW_MOST];
    bool all_flushed_once; /* some syncfs was made */
};

static struct shadow *shadow;
static struct fsops table;
static bool no_nameless;

static ino_t inode_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static void on_step(const char *name)
{
    (void)name;
    pthread_mutex_lock(&shadow->lock);
    if (++shadow->steps == shadow->die_at)
        kill(getpid(), SIGKILL);
    pthread_mutex_unlock(&shadow->lock);
}

static void add_name(int dirfd, const char *name, ino_t ino)
{
    pthread_mutex_lock(&shadow->lock);
    if (shadow->name_count == SHADOW_MOST)
        RIG_DIE("more names than the shadow holds");
    {
        struct shadow_name *n = &shadow->names[shadow->name_count++];

        *n = (struct shadow_name){.dir = inode_of(dirfd), .ino = ino};
        snprintf(n->name, sizeof n->name, "%s", name);
    }
    pthread_mutex_unlock(&shadow->lock);
}

static int on_link(int procfd, int fd, int todir, const char *to)
{
    int r = fsops_real.link(procfd, fd, todir, to);

    if (r == 0)
        add_name(todir, to, inode_of(fd));
    return r;
}

static int on_mkdir(int dirfd, const char *name, mode_t mode)
{
    int r = fsops_real.mkdir(dirfd, name, mode);
    struct stat st;

    if (r == 0 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        add_name(dirfd, name, st.st_ino);
    return r;
}

/* The real flush comes first: what is marked is what a process that goes on may count on. */
static int on_flush_data(int fd)
{
    int r = fsops_real.flush_data(fd);

    pthread_mutex_lock(&shadow->lock);
    if (r == 0 && shadow->flushed_count < SHADOW_MOST)
        shadow->flushed[shadow->flushed_count++] = inode_of(fd);
    pthread_mutex_unlock(&shadow->lock);
    return r;
}

static int on_flush_dir(int fd)
{
    int r = fsops_real.flush_dir(fd);
    ino_t dir = inode_of(fd);

    pthread_mutex_lock(&shadow->lock);
    for (unsigned i = 0; i < shadow->name_count && r == 0; i++)
        shadow->names[i].durable |= shadow->names[i].dir == dir;
    pthread_mutex_unlock(&shadow->lock);
    return r;
}

/* Of a whole file system: every name, and the data of every file that has one by now. */
static int on_flush_fs(int fd)
{
    unsigned names;
    int r;

    pthread_mutex_lock(&shadow->lock);
    names = shadow->name_count;
    pthread_mutex_unlock(&shadow->lock);
    r = fsops_real.flush_fs(fd);
    pthread_mutex_lock(&shadow->lock);
    for (unsigned i = 0; i < names && r == 0; i++)
        shadow->names[i].durable = true;
    shadow->all_flushed_once |= r == 0;
    pthread_mutex_unlock(&shadow->lock);
    return r;
}

/* What syncfs did to this file's data is asked file by file. */
static int on_flush_check(int fd)
{
    int r = fsops_real.flush_check(fd);

    pthread_mutex_lock(&shadow->lock);
    if (r == 0 && shadow->all_flushed_once && shadow->flushed_count < SHADOW_MOST)
        shadow->flushed[shadow->flushed_count++] = inode_of(fd);
    pthread_mutex_unlock(&shadow->lock);
    return r;
}

static int without_nameless(int dirfd, mode_t mode)
{
    (void)dirfd;
    (void)mode;
    errno = EOPNOTSUPP;
    return -1;
}

static void watch(void)
{
    table = fsops_real;
    table.step = on_step;
    table.link = on_link;
    table.mkdir = on_mkdir;
    table.flush_data = on_flush_data;
    table.flush_dir = on_flush_dir;
    table.flush_fs = on_flush_fs;
    table.flush_check = on_flush_check;
    if (no_nameless)
        table.create = without_nameless;
    fsops = &table;
}

static void shadow_new(unsigned die_at)
{
    pthread_mutexattr_t attr;

    if (!shadow)
        shadow = mmap(NULL, sizeof *shadow, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(shadow, 0, sizeof *shadow);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shadow->lock, &attr);
    shadow->die_at = die_at;
}

/* ---- the power is gone */

static bool is_flushed(ino_t ino)
{
    for (unsigned i = 0; i < shadow->flushed_count; i++)
        if (shadow->flushed[i] == ino)
            return true;
    return false;
}

static const struct shadow_name *shadow_of(ino_t ino, const char *name)
{
    for (unsigned i = 0; i < shadow->name_count; i++)
        if (shadow->names[i].ino == ino && strcmp(shadow->names[i].name, name) == 0)
            return &shadow->names[i];
    return NULL;
}

static bool names_are_kept;

/* The two extremes of what a disk may hold: every name that was not flushed is gone, with all below it; or every name is
 * there, and of files that were not flushed nothing but zeroes. */
static int cut_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    const struct shadow_name *n = shadow_of(st->st_ino, path + f->base);

    if (flag == FTW_F && !is_flushed(st->st_ino) && (names_are_kept || !n || n->durable))
        (void)!truncate(path, 0);
    if (n && !n->durable && !names_are_kept) {
        if (flag == FTW_F)
            unlink(path);
        else
            nftw(path, rig_remove_one, 64, FTW_DEPTH | FTW_PHYS);
    }
    return 0;
}

static void cut_power(const struct rig_conf *c)
{
    nftw(c->dir, cut_one, 64, FTW_DEPTH | FTW_PHYS);
}

/* ---- letters */

static const char *text_of(unsigned i)
{
    static char text[LETTERS][9000];

    if (!*text[i])
        for (unsigned n = 0; n < 300; n++)
            snprintf(text[i] + strlen(text[i]), sizeof text[i] - strlen(text[i]), "letter %u, line %u\n", i, n);
    return text[i];
}

struct found {
    unsigned count[LETTERS];
};

static void look(void *arg, const char *path, const char *text, size_t n)
{
    struct found *f = arg;

    for (unsigned i = 0; i < LETTERS; i++)
        if (n == strlen(text_of(i)) && memcmp(text, text_of(i), n) == 0) {
            f->count[i]++;
            return;
        }
    ck_abort_msg("%s: %zu bytes that were never sent as a whole", path, n);
}

static void check(const struct rig_conf *c, const struct rig_letter *l, unsigned step)
{
    for (uint32_t m = 0; m < MAILBOXES; m++) {
        struct found f = {0};

        rig_mail(c, m, look, &f);
        for (unsigned i = 0; i < LETTERS; i++) {
            ck_assert_msg(f.count[i] <= 1, "step %u: letter %u is %u times in mailbox %u", step, i, f.count[i], m);
            ck_assert_msg(!l[i].answered || l[i].answer.result != SINK_OK || f.count[i] == 1,
                          "step %u: letter %u was accepted and is not in mailbox %u", step, i, m);
        }
    }
}

/* Letters first to end - 1 to all mailboxes, until each has its answer. false: the store is gone. */
static bool send_group(struct rig_worker *w, struct rig_letter *l, unsigned first, unsigned end)
{
    static const uint32_t to[MAILBOXES] = {0, 1, 2};
    int64_t until = clock_now().mono_us + RIG_DEADLINE_MS * INT64_C(1000);
    unsigned answered = 0;

    for (unsigned i = first; i < end; i++) {
        int pending = 0;

        l[i].m = sink_open(w->sink, &l[i], to, MAILBOXES, &pending, &l[i].answer);
        while (pending && !l[i].opened && clock_now().mono_us < until)
            if (rig_turn(w, 5) < 0)
                return false;
        if (!l[i].m)
            continue;
        sink_write(l[i].m, text_of(i), strlen(text_of(i)));
        rig_commit(&l[i]);
    }
    while (answered < end - first) {
        if (rig_turn(w, 5) < 0)
            return false;
        answered = 0;
        for (unsigned i = first; i < end; i++)
            answered += l[i].answered;
        ck_assert_msg(clock_now().mono_us < until, "no answers");
    }
    return true;
}

/* Two groups: in the second nothing has to be made any more but names. */
static void send_all(struct rig_worker *w, struct rig_letter *l)
{
    memset(l, 0, sizeof *l * LETTERS);
    if (send_group(w, l, 0, 2))
        (void)send_group(w, l, 2, LETTERS);
}

/* One life of a store that ends at that step. false: it has fewer steps. */
static bool die_at(unsigned step, bool power)
{
    struct rig_letter l[LETTERS];
    struct rig_store s;
    struct rig_worker w;
    struct rig_conf c;
    bool died;

    rig_conf_new(&c, NULL, MAILBOXES);
    shadow_new(step);
    rig_store_start_with(&s, &c, watch);
    rig_worker_new(&w, &s, &c);
    send_all(&w, l);
    died = shadow->steps >= step;
    if (!died) /* all was answered: the moment behind the last step counts most */
        kill(s.pid, SIGKILL);
    rig_worker_free(&w);
    rig_store_end(&s);
    if (power)
        cut_power(&c);
    check(&c, l, step);
    if (died) { /* and the next one goes on */
        char hidden[PATH_MAX + 32];
        struct sink_answer a;
        uint32_t to = 0;

        shadow_new(0);
        rig_store_start_with(&s, &c, watch);
        rig_worker_new(&w, &s, &c);
        ck_assert_int_eq(rig_send(&w, &to, 1, text_of(0), &a), SINK_OK);
        rig_worker_free(&w);
        ck_assert_int_eq(rig_store_end(&s), 0);
        snprintf(hidden, sizeof hidden, "%s/mail/.postern-tmp", c.dir);
        ck_assert_msg(rig_names_below(hidden, DT_REG) == 0 || no_nameless, "step %u: something is left", step);
    }
    rig_conf_free(&c);
    return died;
}

static void every_step(bool power)
{
    unsigned step = 1;

    commit_threads = 1; /* so that the steps come in one order */
    while (step < STEPS_MOST && die_at(step, power))
        step++;
    ck_assert_msg(step > 15, "only %u steps", step);
    ck_assert_uint_lt(step, STEPS_MOST);
}

START_TEST(killed_at_every_step)
{
    every_step(false);
}
END_TEST

START_TEST(killed_at_every_step_with_named_files)
{
    no_nameless = true;
    every_step(false);
}
END_TEST

/* Each way of flushing alone, so that none leans on the other. */
START_TEST(power_cut_that_loses_names_flush_for_each)
{
    flush_force = 0;
    every_step(true);
}
END_TEST

START_TEST(power_cut_that_loses_names_flush_for_all)
{
    flush_force = 1;
    every_step(true);
}
END_TEST

START_TEST(power_cut_that_loses_data_flush_for_each)
{
    flush_force = 0;
    names_are_kept = true;
    every_step(true);
}
END_TEST

START_TEST(power_cut_that_loses_data_flush_for_all)
{
    flush_force = 1;
    names_are_kept = true;
    every_step(true);
}
END_TEST

/* ---- a quota that is used up: 452 4.2.2, and no trace of the message */

static int links;

static int second_link_over_quota(int procfd, int fd, int todir, const char *to)
{
    if (++links == 2) {
        errno = EDQUOT;
        return -1;
    }
    return fsops_real.link(procfd, fd, todir, to);
}

static int over_quota(int fd)
{
    (void)fd;
    errno = EDQUOT;
    return -1;
}

static ssize_t write_over_quota(int fd, const void *p, size_t n)
{
    (void)fd;
    (void)p;
    (void)n;
    errno = EDQUOT;
    return -1;
}

static void quota_at_link(void)
{
    table = fsops_real;
    table.link = second_link_over_quota;
    fsops = &table;
}

static void quota_at_flush(void)
{
    table = fsops_real;
    table.flush_data = over_quota;
    table.flush_fs = over_quota;
    fsops = &table;
}

/* With delayed allocation a quota may be met as late as that. after: how the answer must look a second time. */
static void refused_by_quota(void (*before)(void), uint32_t whose, enum sink_result after)
{
    static const uint32_t to[MAILBOXES] = {0, 1, 2};
    struct sink_answer a;
    struct rig_store s;
    struct rig_worker w;
    struct rig_conf c;

    rig_conf_new(&c, NULL, MAILBOXES);
    rig_store_start_with(&s, &c, before);
    rig_worker_new(&w, &s, &c);
    ck_assert_int_eq(rig_send(&w, to, MAILBOXES, text_of(0), &a), SINK_QUOTA);
    ck_assert_int_eq(a.error, EDQUOT);
    ck_assert_uint_eq(a.mailbox, whose);
    for (uint32_t m = 0; m < MAILBOXES; m++)
        ck_assert_uint_eq(rig_mail(&c, m, NULL, NULL), 0);
    fsops = &fsops_real;
    ck_assert_int_eq(rig_send(&w, to, MAILBOXES, text_of(1), &a), after);
    rig_worker_free(&w);
    ck_assert_int_eq(rig_store_end(&s), 0);
    rig_conf_free(&c);
}

START_TEST(quota_met_by_a_name)
{
    refused_by_quota(quota_at_link, 1, SINK_OK);
}
END_TEST

START_TEST(quota_met_by_a_flush)
{
    refused_by_quota(quota_at_flush, UINT32_MAX, SINK_QUOTA);
}
END_TEST

START_TEST(quota_met_by_a_write)
{
    table = fsops_real;
    table.write = write_over_quota; /* in the worker's process, which is this one */
    fsops = &table;
    refused_by_quota(NULL, UINT32_MAX, SINK_OK);
}
END_TEST

SUITE_MAIN("power", killed_at_every_step, killed_at_every_step_with_named_files,
           power_cut_that_loses_names_flush_for_each, power_cut_that_loses_names_flush_for_all,
           power_cut_that_loses_data_flush_for_each, power_cut_that_loses_data_flush_for_all, quota_met_by_a_name,
           quota_met_by_a_flush, quota_met_by_a_write)
