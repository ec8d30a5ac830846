/* The auth process in a thread, a worker's client in front of it, and libgsasl as the mail program. */
#include <gsasl.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/auth_client.h"
#include "auth/auth_process.h"
#include "auth/dovecot.h"
#include "auth/secret.h"
#include "base/base64.h"
#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "unit/suite.h"

struct rig {
    struct conf_users *users;
    struct auth_setup setup;
    pthread_t thread;
    int leader;
    struct loop *loop;
    struct auth_client *client;
    /* the last answer */
    bool answered;
    enum auth_verdict verdict;
    char text[4096];
};
static struct rig rig;

static void say(void *arg, unsigned line, const char *text)
{
    (void)arg;
    ck_abort_msg("users:%u: %s", line, text);
}

static void *process(void *arg)
{
    auth_run(arg);
    return NULL;
}

static void introduce(void)
{
    struct err e;
    int fd[2];

    ck_assert_int_eq(chan_pair(fd, &e), 0);
    ck_assert_int_eq(chan_send_wait(rig.leader, 5000, AUTH_ADD_WORKER, NULL, 0, &fd[0], 1, &e), 1);
    close(fd[0]);
    auth_client_channel(rig.client, fd[1]);
}

static void no_end(void *arg)
{
    (void)arg;
}

static void wake_up(void *arg)
{
    (void)arg;
}

static void turn_once(void)
{
    loop_alarm(rig.loop, loop_now_us(rig.loop) + 50000, wake_up, NULL);
    loop_turn(rig.loop, true, no_end, NULL);
    auth_client_turn(rig.client);
}

static void start_with(const char *alice, const char *extra)
{
    char *text = mem_printf("alice@example.org:%s\n%s", alice, extra);
    struct err e;
    int fd[2];

    memset(&rig, 0, sizeof rig);
    log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    rig.users = conf_users_parse(text, strlen(text), say, NULL);
    ck_assert_int_eq(chan_pair(fd, &e), 0);
    rig.leader = fd[0];
    rig.setup = (struct auth_setup){.users = rig.users, .leader_fd = fd[1]};
    ck_assert_int_eq(pthread_create(&rig.thread, NULL, process, &rig.setup), 0);
    ck_assert_int_eq(loop_new(&rig.loop, &e), 0);
    rig.client = auth_client_new(rig.loop);
    introduce();
    while (!auth_client_mechanisms(rig.client))
        turn_once();
    free(text);
}

static void start(const char *extra)
{
    char *alice = secret_make("wonderland", NULL);

    start_with(alice, extra);
    free(alice);
}

static void stop(void)
{
    close(rig.leader);
    pthread_join(rig.thread, NULL);
    close(rig.setup.leader_fd);
    auth_client_free(&rig.client);
    loop_free(&rig.loop);
    conf_users_free(&rig.users);
}

/* A new process, for the same alice. */
static void restart(const char *extra)
{
    const struct conf_user *u = conf_users_find(rig.users, SPAN("alice@example.org"));
    char *alice = mem_printf("%s:SCRAM-SHA-256,%u,%s,%s,%s", u->hash, u->iterations, u->salt, u->stored, u->server);

    stop();
    start_with(alice, extra);
    free(alice);
}

static void on_answer(void *arg, enum auth_verdict v, const char *text)
{
    (void)arg;
    rig.answered = true;
    rig.verdict = v;
    snprintf(rig.text, sizeof rig.text, "%s", text);
}

static enum auth_verdict wait_answer(void)
{
    int64_t until = clock_now().mono_us + 25000000;

    while (!rig.answered && clock_now().mono_us < until)
        turn_once();
    ck_assert(rig.answered);
    rig.answered = false;
    return rig.verdict;
}

static struct auth_talk *begin(const char *mechanism, const char *text)
{
    struct auth_begin_msg m = {.has_text = text != NULL};
    struct err e;

    snprintf(m.mechanism, sizeof m.mechanism, "%s", mechanism);
    ck_assert_int_eq(addr_parse(&m.client, "192.0.2.1:1025", &e), 0);
    ck_assert_int_eq(addr_parse(&m.local, "127.0.0.1:587", &e), 0);
    return auth_begin(rig.client, &m, text ? text : "", text ? strlen(text) : 0, on_answer, NULL);
}

/* The whole exchange as a mail program has it. */
static enum auth_verdict log_in(const char *mechanism, const char *user, const char *password, const char *as)
{
    Gsasl *lib;
    Gsasl_session *s;
    struct auth_talk *t = NULL;
    enum auth_verdict v;
    char *out = NULL;
    int r = GSASL_NEEDS_MORE;

    ck_assert_int_eq(gsasl_init(&lib), GSASL_OK);
    ck_assert_int_eq(gsasl_client_start(lib, mechanism, &s), GSASL_OK);
    gsasl_property_set(s, GSASL_AUTHID, user);
    gsasl_property_set(s, GSASL_PASSWORD, password);
    if (as)
        gsasl_property_set(s, GSASL_AUTHZID, as);
    if (strcmp(mechanism, "LOGIN") != 0)
        r = gsasl_step64(s, NULL, &out);
    t = begin(mechanism, out);
    gsasl_free(out);
    while ((v = wait_answer()) == AUTH_CONTINUE) {
        out = NULL;
        r = gsasl_step64(s, rig.text, &out);
        if (r != GSASL_OK && r != GSASL_NEEDS_MORE) { /* the server does not know the password either */
            gsasl_free(out);
            auth_cancel(&t);
            v = AUTH_FAILED;
            break;
        }
        auth_step(t, out ? out : "", out ? strlen(out) : 0);
        gsasl_free(out);
    }
    gsasl_finish(s);
    gsasl_done(lib);
    return v;
}

START_TEST(each_mechanism)
{
    static const char *const names[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256"};

    start("");
    ck_assert_str_eq(auth_client_mechanisms(rig.client), "SCRAM-SHA-256 PLAIN LOGIN");
    for (size_t i = 0; i < 3; i++) {
        ck_assert_msg(log_in(names[i], "Alice@EXAMPLE.org", "wonderland", NULL) == AUTH_OK, "%s", names[i]);
        ck_assert_str_eq(rig.text, "alice@example.org");
        ck_assert_msg(log_in(names[i], "alice@example.org", "wonderlanD", NULL) == AUTH_FAILED, "%s", names[i]);
        ck_assert_str_eq(rig.text, "");
    }
    stop();
}
END_TEST

START_TEST(unknown_users)
{
    start("");
    ck_assert_int_eq(log_in("PLAIN", "bob@example.org", "wonderland", NULL), AUTH_FAILED);
    ck_assert_int_eq(log_in("SCRAM-SHA-256", "bob@example.org", "wonderland", NULL), AUTH_FAILED);
    ck_assert_int_eq(log_in("PLAIN", "", "", NULL), AUTH_FAILED);
    stop();
}
END_TEST

START_TEST(nobody_acts_for_another)
{
    char *bob = secret_make("builder", NULL), *line = mem_printf("bob@example.org:%s\n", bob);

    start(line);
    ck_assert_int_eq(log_in("PLAIN", "alice@example.org", "wonderland", "alice@example.org"), AUTH_OK);
    ck_assert_int_eq(log_in("PLAIN", "alice@example.org", "wonderland", "bob@example.org"), AUTH_FAILED);
    ck_assert_int_eq(log_in("PLAIN", "alice@example.org", "builder", NULL), AUTH_FAILED);
    ck_assert_int_eq(log_in("SCRAM-SHA-256", "alice@example.org", "wonderland", "ALICE@example.org"), AUTH_OK);
    ck_assert_int_eq(log_in("SCRAM-SHA-256", "alice@example.org", "wonderland", "bob@example.org"), AUTH_FAILED);
    stop();
    free(bob);
    free(line);
}
END_TEST

/* A made-up salt must not tell who exists: always the same for one name, another for another. */
START_TEST(a_made_up_salt_is_steady)
{
    static const unsigned char one[SECRET_SEED] = {1}, other[SECRET_SEED] = {2};
    struct secret_made_up a, b, c, d;

    ck_assert_int_eq(secret_make_up(&a, one, "bob@example.org"), 0);
    ck_assert_int_eq(secret_make_up(&b, one, "bob@example.org"), 0);
    ck_assert_int_eq(secret_make_up(&c, one, "eve@example.org"), 0);
    ck_assert_int_eq(secret_make_up(&d, other, "bob@example.org"), 0);
    ck_assert_str_eq(a.salt, b.salt);
    ck_assert_str_ne(a.salt, c.salt);
    ck_assert_str_ne(a.salt, d.salt);
    ck_assert_uint_eq(strlen(a.salt), 24); /* as long as one of ours */
}
END_TEST

/* What is shown to one who says this name first: salt and all, but for the nonce. */
static void salt_of(const char *user, char out[200])
{
    char *first = mem_printf("n,,n=%s,r=abc", user), text[400], challenge[400];
    struct auth_talk *t;
    size_t n;

    text[base64_encode(text, first, strlen(first))] = '\0';
    free(first);
    t = begin("SCRAM-SHA-256", text);
    ck_assert_int_eq(wait_answer(), AUTH_CONTINUE);
    auth_cancel(&t);
    ck_assert(base64_decode(challenge, &n, span_str(rig.text)));
    challenge[n] = '\0';
    ck_assert_ptr_nonnull(strstr(challenge, ",s="));
    snprintf(out, 200, "%s", strstr(challenge, ",s="));
}

/* One who exists has one salt however the name is written, and after a new start, too: so must one who does not. */
START_TEST(made_up_like_real)
{
    static const char *const names[2][2] = {{"alice@example.org", "ALICE@Example.ORG"},
                                            {"nobody@example.org", "NoBody@Example.ORG"}};
    char seen[2][2][200], again[200];

    start("");
    for (unsigned i = 0; i < 2; i++) {
        salt_of(names[i][0], seen[i][0]);
        salt_of(names[i][1], seen[i][1]);
        ck_assert_str_eq(seen[i][0], seen[i][1]);
    }
    ck_assert_str_ne(seen[0][0], seen[1][0]);
    restart("carol@example.org:$y$j9T$9HLb/eChSmMakbC8o8Ph30$9/3QFODr28gffZsiI2GIi7k4NUAWxUKDKDkq4QFZxl4:"
            "SCRAM-SHA-256,4096,MumqSuI4egEi2w0NzZTN1w==,e5/ZbMgu7IE2AAcpryWuJT02YiGwq8Pev3bAwW2NOdo=,"
            "tFReNx/tq/CmeiyvA4Q6HY84XaYjlXfxstzsfgalylY=\n");
    for (unsigned i = 0; i < 2; i++) {
        salt_of(names[i][0], again);
        ck_assert_str_eq(seen[i][0], again);
    }
    stop();
}
END_TEST

START_TEST(without_scram_secrets_it_is_not_offered)
{
    start("carol@example.org:$y$j9T$9HLb/eChSmMakbC8o8Ph30$9/3QFODr28gffZsiI2GIi7k4NUAWxUKDKDkq4QFZxl4\n");
    ck_assert_str_eq(auth_client_mechanisms(rig.client), "PLAIN LOGIN");
    begin("SCRAM-SHA-256", "biwsbj1hLHI9eA==");
    ck_assert_int_eq(wait_answer(), AUTH_UNKNOWN);
    begin("PLAI", "");
    ck_assert_int_eq(wait_answer(), AUTH_UNKNOWN);
    stop();
}
END_TEST

START_TEST(what_is_malformed)
{
    struct auth_talk *t;

    start("");
    begin("PLAIN", "eA==");
    ck_assert_int_eq(wait_answer(), AUTH_MALFORMED);
    t = begin("PLAIN", NULL);
    ck_assert_int_eq(wait_answer(), AUTH_CONTINUE);
    ck_assert_str_eq(rig.text, "");
    auth_step(t, "eA==", 4);
    ck_assert_int_eq(wait_answer(), AUTH_MALFORMED);
    begin("SCRAM-SHA-256", "eA==");
    ck_assert_int_eq(wait_answer(), AUTH_MALFORMED);
    stop();
}
END_TEST

START_TEST(cancelled_and_forgotten)
{
    struct auth_talk *t;

    start("");
    for (unsigned i = 0; i < 50; i++) {
        t = begin("PLAIN", "AGFsaWNlQGV4YW1wbGUub3JnAHdvbmRlcmxhbmQ=");
        auth_cancel(&t);
        ck_assert_ptr_null(t);
    }
    ck_assert_int_eq(log_in("PLAIN", "alice@example.org", "wonderland", NULL), AUTH_OK);
    stop();
}
END_TEST

START_TEST(a_dead_process)
{
    struct auth_talk *t;

    start("");
    t = begin("LOGIN", NULL);
    ck_assert_int_eq(wait_answer(), AUTH_CONTINUE);
    close(rig.leader);
    pthread_join(rig.thread, NULL);
    auth_step(t, "YWxpY2U=", 8);
    ck_assert_int_eq(wait_answer(), AUTH_UNAVAILABLE);
    begin("PLAIN", "eA==");
    ck_assert(!rig.answered); /* never from inside */
    ck_assert_int_eq(wait_answer(), AUTH_UNAVAILABLE);
    ck_assert_str_eq(auth_client_mechanisms(rig.client), "SCRAM-SHA-256 PLAIN LOGIN"); /* 454 is better than none */
    close(rig.setup.leader_fd);
    auth_client_free(&rig.client);
    loop_free(&rig.loop);
    conf_users_free(&rig.users);
}
END_TEST

/* It ends while the mail program thinks about a challenge: nobody is answered who has not asked. */
START_TEST(a_process_that_dies_between_two_steps)
{
    struct auth_talk *t, *other;

    start("");
    t = begin("LOGIN", NULL);
    ck_assert_int_eq(wait_answer(), AUTH_CONTINUE);
    other = begin("LOGIN", NULL);
    ck_assert_int_eq(wait_answer(), AUTH_CONTINUE);
    close(rig.leader);
    pthread_join(rig.thread, NULL);
    for (unsigned i = 0; i < 5; i++)
        turn_once();
    ck_assert(!rig.answered);
    auth_cancel(&other);
    auth_step(t, "YWxpY2U=", 8);
    ck_assert(!rig.answered);
    ck_assert_int_eq(wait_answer(), AUTH_UNAVAILABLE);
    close(rig.setup.leader_fd);
    auth_client_free(&rig.client);
    loop_free(&rig.loop);
    conf_users_free(&rig.users);
}
END_TEST

/* A step and the news that all is over cross: the worker is not cut off for that. */
START_TEST(a_step_for_what_has_ended)
{
    struct buf b = {0};
    struct err e;
    struct chan_msg m;
    char room[CHAN_MAX + 4];
    int fd[2];

    start("");
    ck_assert_int_eq(chan_pair(fd, &e), 0);
    ck_assert_int_eq(chan_send_wait(rig.leader, 5000, AUTH_ADD_WORKER, NULL, 0, &fd[0], 1, &e), 1);
    close(fd[0]);
    ck_assert_int_eq(chan_recv_wait(fd[1], 25000, room, sizeof room, &m, &e), 1);
    ck_assert_uint_eq(m.type, AUTH_MECHANISMS);
    auth_step_encode(&b, 77, "YQ==", 4);
    ck_assert_int_eq(chan_send_wait(fd[1], 5000, AUTH_STEP, buf_data(&b), b.len, NULL, 0, &e), 1);
    buf_clear(&b);
    auth_begin_encode(&b, &(struct auth_begin_msg){.number = 78, .mechanism = "PLAIN"}, "", 0);
    ck_assert_int_eq(chan_send_wait(fd[1], 5000, AUTH_BEGIN, buf_data(&b), b.len, NULL, 0, &e), 1);
    buf_clear(&b);
    ck_assert_int_eq(chan_recv_wait(fd[1], 25000, room, sizeof room, &m, &e), 1);
    ck_assert_uint_eq(m.type, AUTH_ANSWER);
    close(fd[1]);
    stop();
}
END_TEST

/* More exchanges are begun than are kept, and left lying: whoever comes then logs in. */
START_TEST(many_that_are_left_lying)
{
    struct auth_talk *first, *last = NULL;

    start("");
    first = begin("LOGIN", NULL);
    ck_assert_int_eq(wait_answer(), AUTH_CONTINUE);
    for (unsigned i = 0; i < 1100; i++) {
        last = begin("LOGIN", NULL);
        ck_assert_int_eq(wait_answer(), AUTH_CONTINUE);
    }
    ck_assert_int_eq(log_in("PLAIN", "alice@example.org", "wonderland", NULL), AUTH_OK);
    auth_step(last, "eA==", 4);
    ck_assert_int_eq(wait_answer(), AUTH_CONTINUE);
    auth_step(first, "eA==", 4);
    ck_assert_int_eq(wait_answer(), AUTH_UNAVAILABLE);
    stop();
}
END_TEST

static void no_answer(void *talk, enum auth_verdict v, const char *text, const char *name)
{
    (void)talk;
    (void)v;
    (void)text;
    (void)name;
}

static void ignore_change(void *arg)
{
    (void)arg;
}

/* The wrong socket of Dovecot, or of something else: it takes the connection and never says DONE. That is said, and tried
 * again, not waited for in silence. */
START_TEST(a_backend_without_a_greeting)
{
    static const struct auth_backend_events events = {no_answer, ignore_change};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct auth_backend *b;
    struct loop *l;
    char byte, *path = mem_printf("/tmp/test-auth-%ld", (long)getpid());
    struct err e;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), c;

    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(fd, 5), 0);
    ck_assert_int_eq(loop_new(&l, &e), 0);
    ck_assert_int_eq(dovecot_new(&b, l, path, &events, NULL, &e), 0);
    unlink(path);
    c = accept(fd, NULL, NULL);
    ck_assert_int_ge(c, 0);
    ck_assert_int_eq(send(c, "220 lmtp ready\r\n", 16, 0), 16);
    for (unsigned i = 0; i < 32; i++) {
        loop_turn(l, false, no_end, NULL);
        b->ops->tick(b);
    }
    while (recv(c, &byte, 1, MSG_DONTWAIT) == 1) /* our own greeting */
        ;
    ck_assert_int_eq(recv(c, &byte, 1, MSG_DONTWAIT), 0);
    b->ops->free(&b);
    loop_free(&l);
    close(c);
    close(fd);
    free(path);
}
END_TEST

static int raw_worker(void)
{
    struct err e;
    int fd[2];

    ck_assert_int_eq(chan_pair(fd, &e), 0);
    ck_assert_int_eq(chan_send_wait(rig.leader, 5000, AUTH_ADD_WORKER, NULL, 0, &fd[0], 1, &e), 1);
    close(fd[0]);
    return fd[1];
}

static void raw_send(int fd, uint32_t type, struct buf *b)
{
    (void)chan_send(fd, type, buf_data(b), b->len, NULL, 0, NULL);
    buf_clear(b);
}

/* The words of one exchange come twice at once, while a thread is at the first: that worker is shown the door. Words for
 * an exchange that has ended are no fault: they crossed its end on the way. */
START_TEST(a_worker_that_does_not_wait)
{
    struct auth_begin_msg m = {.number = 7, .has_text = 1, .mechanism = "LOGIN"};
    static char room[CHAN_MAX + 4];
    struct chan_msg got;
    struct buf b = {0};
    struct err e;
    int fd, r;

    start("");
    fd = raw_worker();
    auth_step_encode(&b, 99, "eA==", 4);
    raw_send(fd, AUTH_STEP, &b);
    ck_assert_int_eq(chan_recv_wait(fd, 5000, room, sizeof room, &got, &e), 1); /* the mechanisms */
    auth_begin_encode(&b, &(struct auth_begin_msg){.number = 5, .has_text = 1, .mechanism = "PLAIN"}, "eA==", 4);
    raw_send(fd, AUTH_BEGIN, &b);
    ck_assert_int_eq(chan_recv_wait(fd, 5000, room, sizeof room, &got, &e), 1);
    ck_assert_uint_eq(got.type, AUTH_ANSWER);
    auth_begin_encode(&b, &m, "eA==", 4);
    raw_send(fd, AUTH_BEGIN, &b);
    for (unsigned i = 0; i < 20; i++) {
        auth_step_encode(&b, 7, "eA==", 4);
        raw_send(fd, AUTH_STEP, &b);
    }
    while ((r = chan_recv_wait(fd, 5000, room, sizeof room, &got, &e)) == 1)
        ;
    ck_assert_int_eq(r, -1);
    close(fd);
    ck_assert_int_eq(log_in("PLAIN", "alice@example.org", "wonderland", NULL), AUTH_OK);
    stop();
}
END_TEST

/* Lines to Dovecot are made of these. */
START_TEST(what_is_handed_on_cannot_end_a_line)
{
    struct auth_begin_msg m = {.has_text = 1, .mechanism = "PLAIN", .session = "a1"}, out;
    const char *text;
    struct buf b = {0};

    auth_begin_encode(&b, &m, "eA==", 4);
    ck_assert_int_eq(auth_begin_decode(&out, &text, buf_data(&b), b.len), 0);
    buf_clear(&b);
    auth_begin_encode(&b, &m, "eA==\nAUTH", 9);
    ck_assert_int_eq(auth_begin_decode(&out, &text, buf_data(&b), b.len), -1);
    buf_clear(&b);
    strcpy(m.session, "a1\tb");
    auth_begin_encode(&b, &m, "eA==", 4);
    ck_assert_int_eq(auth_begin_decode(&out, &text, buf_data(&b), b.len), -1);
    buf_clear(&b);
    auth_step_encode(&b, 1, "e\tA", 3);
    ck_assert_int_eq(auth_step_decode(&m.number, &text, buf_data(&b), b.len), -1);
    buf_clear(&b);
}
END_TEST

/* A worker that was taken over sends what it likes: the process lives, and others are served. */
START_TEST(a_worker_that_talks_nonsense)
{
    static const char junk[] = "junk";
    uint32_t type;
    struct err e;
    int fd[2];

    start("");
    for (type = 0; type < 6; type++) {
        ck_assert_int_eq(chan_pair(fd, &e), 0);
        ck_assert_int_eq(chan_send_wait(rig.leader, 5000, AUTH_ADD_WORKER, NULL, 0, &fd[0], 1, &e), 1);
        close(fd[0]);
        (void)chan_send(fd[1], type, junk, sizeof junk, NULL, 0, NULL);
        close(fd[1]);
    }
    ck_assert_int_eq(log_in("PLAIN", "alice@example.org", "wonderland", NULL), AUTH_OK);
    stop();
}
END_TEST

START_TEST(guessers_wait_and_are_turned_away)
{
    int64_t before;

    start("");
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(log_in("PLAIN", "alice@example.org", "x", NULL), AUTH_FAILED);
    before = clock_now().mono_us;
    ck_assert_int_eq(log_in("PLAIN", "alice@example.org", "x", NULL), AUTH_FAILED);
    ck_assert_int_ge(clock_now().mono_us - before, 400000);
    stop();
}
END_TEST

SUITE_MAIN("auth", each_mechanism, unknown_users, nobody_acts_for_another, a_made_up_salt_is_steady,
           without_scram_secrets_it_is_not_offered, what_is_malformed, cancelled_and_forgotten, a_dead_process,
           a_process_that_dies_between_two_steps, a_step_for_what_has_ended, many_that_are_left_lying,
           a_backend_without_a_greeting, a_worker_that_does_not_wait, what_is_handed_on_cannot_end_a_line,
           made_up_like_real, a_worker_that_talks_nonsense, guessers_wait_and_are_turned_away)
