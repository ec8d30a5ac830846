#include "bench/run_command.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"

extern char **environ;

struct run_command {
    pid_t pid;
    bool ended;
    int code, signal;
};

/* Those of words stand first, so they win. */
static char **environment(char *const *words)
{
    size_t n = 0, k = 0;
    char **env;

    while (environ[n])
        n++;
    while (words[k])
        k++;
    env = mem_alloc((n + k + 1) * sizeof *env);
    memcpy(env, words, k * sizeof *env);
    memcpy(env + k, environ, n * sizeof *env);
    return env;
}

/* Signals are as they were before this program wanted them for itself. */
static void attributes(posix_spawnattr_t *attr)
{
    sigset_t none, ours;

    sigemptyset(&none);
    sigemptyset(&ours);
    sigaddset(&ours, SIGPIPE);
    posix_spawnattr_init(attr);
    posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(attr, 0);
    posix_spawnattr_setsigmask(attr, &none);
    posix_spawnattr_setsigdefault(attr, &ours);
}

int run_command_start(struct run_command **out, char *const *argv, char *const *words, const char *log, struct err *e)
{
    struct run_command *c = mem_alloc(sizeof *c);
    char **env = environment(words);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    int rc;

    attributes(&attr);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    rc = posix_spawnp(&c->pid, argv[0], &files, &attr, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    free(env);
    if (rc) {
        free(c);
        c = NULL;
        err_set(e, "%s: %s", argv[0], strerror(rc));
    }
    *out = c;
    return rc ? -1 : 0;
}

bool run_command_ended(struct run_command *c)
{
    siginfo_t info = {0};

    if (c->ended)
        return true;
    /* while it is not reaped, its number and its group's are nobody else's */
    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != c->pid)
        return false;
    (void)killpg(c->pid, SIGKILL);
    (void)waitpid(c->pid, NULL, 0);
    c->ended = true;
    c->code = info.si_code == CLD_EXITED ? info.si_status : -1;
    c->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    return true;
}

void run_command_stop(struct run_command *c, bool now)
{
    if (!c->ended)
        (void)killpg(c->pid, now ? SIGKILL : SIGTERM);
}

int run_command_status(const struct run_command *c, int *signal)
{
    *signal = c->signal;
    return c->code;
}

void run_command_free(struct run_command **cp)
{
    struct run_command *c = *cp;

    if (!c)
        return;
    if (!c->ended) {
        (void)killpg(c->pid, SIGKILL);
        (void)waitpid(c->pid, NULL, 0);
    }
    free(c);
    *cp = NULL;
}

void run_log_tail(const char *log, char *dst, size_t cap)
{
    FILE *f = fopen(log, "re");
    char *line = NULL;
    size_t room = 0;

    *dst = '\0';
    while (f && getline(&line, &room, f) >= 0) {
        size_t blank = strspn(line, " \t\r\n"), k = 0;

        if (!line[blank])
            continue;
        for (const char *p = line + blank; *p && *p != '\r' && *p != '\n' && k + 1 < cap; p++)
            dst[k++] = *p >= ' ' && *p <= '~' ? *p : '?';
        dst[k] = '\0';
    }
    free(line);
    if (f)
        fclose(f);
}
