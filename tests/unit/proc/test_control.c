/* The control socket: paths of any length, clients that talk nonsense, too much, or not at all. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "proc/control.h"
#include "unit/suite.h"

static char dir[400];
static pid_t server;
static struct control *control;

/* {"command":"status"} gets {"ok":true,"said":"status"}; "later" gets nothing; "long" a long answer. */
static void handler(void *arg, unsigned client, const json_t *request)
{
    const char *command = json_string_value(json_object_get(request, "command"));

    (void)arg;
    if (command && strcmp(command, "later") == 0)
        return;
    if (command && strcmp(command, "long") == 0) {
        char *text = malloc(1 << 20);

        memset(text, 'x', (1 << 20) - 1);
        text[(1 << 20) - 1] = '\0';
        control_answer(control, client, json_pack("{s:b,s:s}", "ok", 1, "text", text));
        free(text);
        return;
    }
    control_answer(control, client, json_pack("{s:b,s:s}", "ok", 1, "said", command ? command : ""));
}

static void serve(int listen_fd)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(25);
    control = control_new(handler, NULL);
    for (;;) {
        struct pollfd p[CONTROL_CLIENTS + 1];
        unsigned n = control_poll(control, p);

        p[n] = (struct pollfd){.fd = listen_fd, .events = POLLIN};
        poll(p, n + 1, 100);
        control_pump(control, p, n, clock_now().mono_us);
        if (p[n].revents)
            control_accept(control, listen_fd, clock_now().mono_us);
    }
}

static void begin(void)
{
    struct err e;
    int fd;

    snprintf(dir, sizeof dir, "/tmp/postern-control.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(dir + strlen(dir), sizeof dir - strlen(dir), "/%0200d", 1); /* longer than sun_path */
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    fd = control_listen(dir, geteuid(), getegid(), &e);
    ck_assert_msg(fd >= 0, "%s", e.text);
    server = fork();
    if (server == 0)
        serve(fd);
    close(fd);
}

static void end(void)
{
    char path[500];

    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    snprintf(path, sizeof path, "%s/control.sock", dir);
    unlink(path);
    rmdir(dir);
    *strrchr(dir, '/') = '\0';
    rmdir(dir);
}

static int ask(const char *command, size_t *len)
{
    json_t *request = json_pack("{s:s}", "command", command), *reply = NULL;
    struct err e;
    int r = control_ask(dir, request, 5000, &reply, &e);

    if (r == 0) {
        ck_assert(json_is_true(json_object_get(reply, "ok")));
        *len = strlen(json_string_value(json_object_get(reply, strcmp(command, "long") == 0 ? "text" : "said")));
    }
    json_decref(request);
    json_decref(reply);
    return r;
}

static int raw(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d/control.sock", at);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    close(at);
    return fd;
}

START_TEST(questions_and_answers)
{
    struct stat st;
    char path[500];
    size_t n;

    begin();
    snprintf(path, sizeof path, "%s/control.sock", dir);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0660);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(ask("status", &n), 0);
        ck_assert_uint_eq(n, 6);
    }
    ck_assert_int_eq(ask("long", &n), 0);
    ck_assert_uint_eq(n, (1 << 20) - 1);
    end();
}
END_TEST

START_TEST(nonsense_is_cut_off_and_others_are_served)
{
    static const char *const words[] = {"\n",         "{\n",    "[]\n", "null\n", "\"command\"\n", "{\"command\":1}\n",
                                        "\x00\xff\n", "{} {}\n"};
    char big[20000], answer[200];
    int quiet[5];
    size_t n;

    begin();
    for (unsigned i = 0; i < 5; i++)
        quiet[i] = raw(); /* these say nothing, all the time */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        int fd = raw();

        ck_assert_int_gt((int)send(fd, words[i], strlen(words[i]) ? strlen(words[i]) : 3, MSG_NOSIGNAL), 0);
        while (read(fd, answer, sizeof answer) > 0) /* an error or nothing, but an end */
            ;
        close(fd);
        ck_assert_int_eq(ask("status", &n), 0);
    }
    {
        int fd = raw();

        memset(big, '{', sizeof big);
        (void)!send(fd, big, sizeof big, MSG_NOSIGNAL);
        while (read(fd, answer, sizeof answer) > 0)
            ;
        close(fd);
    }
    ck_assert_int_eq(ask("status", &n), 0);
    for (unsigned i = 0; i < 5; i++)
        close(quiet[i]);
    end();
}
END_TEST

/* It asks for much and reads nothing: nobody else waits for it. */
START_TEST(one_that_never_reads)
{
    int fd;
    size_t n;

    begin();
    fd = raw();
    ck_assert_int_gt((int)send(fd, "{\"command\":\"long\"}\n", 19, MSG_NOSIGNAL), 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(ask("status", &n), 0);
    close(fd);
    ck_assert_int_eq(ask("long", &n), 0);
    end();
}
END_TEST

START_TEST(nobody_is_there)
{
    json_t *request = json_pack("{s:s}", "command", "status"), *reply = NULL;
    struct err e;

    ck_assert_int_eq(control_ask("/no/such/directory", request, 100, &reply, &e), -1);
    ck_assert_ptr_null(reply);
    ck_assert_ptr_nonnull(strstr(e.text, "/no/such/directory"));
    json_decref(request);
}
END_TEST

SUITE_MAIN("control", questions_and_answers, nonsense_is_cut_off_and_others_are_served, one_that_never_reads,
           nobody_is_there)
