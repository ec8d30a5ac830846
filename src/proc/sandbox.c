#include "proc/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

unsigned sandbox_descriptors(unsigned wanted)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return 1024;
    if (r.rlim_cur >= wanted)
        return wanted;
    if (r.rlim_max < wanted) {
        struct rlimit more = {wanted, wanted};

        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return wanted;
    }
    r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &r);
    return (unsigned)r.rlim_cur;
}

static int enter_chroot(const char *dir, struct err *e)
{
    struct stat st;

    if (mkdir(dir, 0555) < 0 && errno != EEXIST)
        return err_set(e, "mkdir %s: %s", dir, strerror(errno));
    if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != 0 || st.st_mode & 022)
        return err_set(e, "%s must be a directory of root's that nobody else can write to", dir);
    if (chdir(dir) < 0 || chroot(".") < 0)
        return err_set(e, "chroot %s: %s", dir, strerror(errno));
    return 0;
}

/* Nothing this process or its children do can give capabilities back. */
static void drop_bounding_set(void)
{
    for (unsigned long cap = 0; cap < 64; cap++)
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
            (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

/* Keeps these capabilities, permitted and effective, and no others. */
static int set_capabilities(uint32_t mask)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2] = {{mask, mask, 0}, {0, 0, 0}};

    return (int)syscall(SYS_capset, &h, d);
}

#define CAP_BIT(c) (UINT32_C(1) << (c))

static int become_user(const struct sandbox *s, struct err *e)
{
    uint32_t keep = s->keep_setfsuid ? CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) : 0;

    if (!s->drop)
        return 0;
    drop_bounding_set();
    if (keep)
        (void)prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (setgroups(0, NULL) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 || setresuid(s->uid, s->uid, s->uid) < 0)
        return err_set(e, "becoming user %s: %s", s->user, strerror(errno));
    if (set_capabilities(keep) < 0)
        return err_set(e, "capset: %s", strerror(errno));
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return 0;
}

/* What must not work any more; the exit status of a throw-away child is the index of the first that does, plus 1. */
static const char *const forbidden[] = {
    "opening /etc/passwd",
    "making a socket of a kind it has no use for",
    "starting a program",
    "becoming root",
    "tracing",
};

static int first_possible(const struct sandbox *s, bool files_closed)
{
    char *argv[] = {NULL};

    if (files_closed && open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
        return 1;
    if (socket(s->profile == SANDBOX_RELAY ? AF_NETLINK : AF_INET, SOCK_STREAM, 0) >= 0)
        return 2;
    if (execve("/bin/true", argv, argv) == 0 || errno != EPERM)
        return 3;
    if (s->drop && setresuid(0, 0, 0) == 0)
        return 4;
#ifndef POSTERN_SANITIZED
    if (syscall(SYS_ptrace, 0, 0, 0, 0) == 0)
        return 5;
#endif
    return 0;
}

/* The child is made before the sandbox is in place (afterwards nothing can fork), enters
 * the same sandbox itself and tries. */
static int self_test(const struct sandbox *s, struct err *e)
{
    char words[SANDBOX_WORDS];
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return err_set(e, "fork for the sandbox's test: %s", strerror(errno));
    if (pid == 0) {
        struct err mine;

        char calls[SANDBOX_WORDS];

        if (sandbox_landlock(s, words, &mine) < 0 || sandbox_seccomp(s, calls, &mine) < 0)
            _exit(100);
        /* a store without Landlock opens what its user may: that is said in the line, and no failure */
        _exit(first_possible(s, s->profile != SANDBOX_STORE || strncmp(words, "none", 4) != 0));
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_set(e, "waiting for the sandbox's test: %s", strerror(errno));
    if (!WIFEXITED(status))
        return err_set(e, "the sandbox's test died of signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == 100)
        return err_set(e, "the sandbox cannot be put in place");
    if (WEXITSTATUS(status))
        return err_set(e, "the sandbox does not hold: %s is still possible", forbidden[WEXITSTATUS(status) - 1]);
    return 0;
}

int sandbox_enter(const struct sandbox *s, struct err *e)
{
    struct rlimit none = {0, 0};
    char fs[SANDBOX_WORDS], calls[SANDBOX_WORDS];
    struct log_line l;

    (void)setrlimit(RLIMIT_CORE, &none);
    if (s->chroot && enter_chroot(s->chroot, e) < 0)
        return -1;
    if (become_user(s, e) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(e, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
    if (self_test(s, e) < 0)
        return -1;
    if (sandbox_landlock(s, fs, e) < 0 || sandbox_seccomp(s, calls, e) < 0)
        return -1;
    log_begin(&l, LOG_LEVEL_INFO, "sandbox.ready");
    log_str(&l, "user", s->drop ? s->user : "the starting user");
    log_str(&l, "chroot", s->chroot ? "empty" : s->profile == SANDBOX_WORKER ? "none (not root)" : "none");
    log_str(&l, "landlock", fs);
    log_str(&l, "seccomp", calls);
    log_str(&l, "selfTest", "passed");
    log_end(&l);
    return 0;
}
