/* seccomp(2) by libseccomp: a list of what may be called, EPERM for everything else, so that a surprise costs one
 * operation and a line in the kernel's log instead of a process. */
#include <errno.h>
#include <linux/fs.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "proc/sandbox.h"

/* What any program needs: memory, time, signals, its own end, reading and writing what is open. */
static const int common[] = {
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(pipe2),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mprotect),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(futex),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(fcntl),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(getrusage),
    SCMP_SYS(dup),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(membarrier),
    SCMP_SYS(prlimit64),
};

static const int worker_only[] = {
    SCMP_SYS(accept4),    SCMP_SYS(accept),      SCMP_SYS(shutdown),    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(ioctl),
};

/* Connections to other servers, and libunbound with its thread. */
static const int relay_only[] = {
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(ioctl),
    SCMP_SYS(socketpair),
    SCMP_SYS(pread64),
    SCMP_SYS(clone),
    SCMP_SYS(clone3),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(sched_getaffinity),
};

static const int auth_only[] = {SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(sched_getaffinity), SCMP_SYS(setsockopt),
                                SCMP_SYS(getsockopt)};
static const int auth_connects[] = {SCMP_SYS(connect), SCMP_SYS(shutdown)};

static const int store_only[] = {
    SCMP_SYS(openat),          SCMP_SYS(openat2),    SCMP_SYS(newfstatat),      SCMP_SYS(statx),
    SCMP_SYS(linkat),          SCMP_SYS(unlinkat),   SCMP_SYS(renameat),        SCMP_SYS(renameat2),
    SCMP_SYS(mkdirat),         SCMP_SYS(fsync),      SCMP_SYS(fdatasync),       SCMP_SYS(syncfs),
    SCMP_SYS(sync_file_range), SCMP_SYS(fchmod),     SCMP_SYS(fchmodat),        SCMP_SYS(fchown),
    SCMP_SYS(fchownat),        SCMP_SYS(getdents64), SCMP_SYS(copy_file_range), SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),       SCMP_SYS(clone),      SCMP_SYS(clone3),          SCMP_SYS(sched_getaffinity),
    SCMP_SYS(fstatfs),         SCMP_SYS(pread64),    SCMP_SYS(pwrite64),        SCMP_SYS(readlinkat),
    SCMP_SYS(getsockopt),      SCMP_SYS(setsockopt), SCMP_SYS(faccessat),       SCMP_SYS(faccessat2),
    SCMP_SYS(umask),           SCMP_SYS(dup3),       SCMP_SYS(flock),
};

#ifdef POSTERN_SANITIZED
/* AddressSanitizer and its leak check look around in /proc and start a tracer thread. */
static const int sanitizer[] = {
    SCMP_SYS(openat),
    SCMP_SYS(open),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(clone),
    SCMP_SYS(clone3),
    SCMP_SYS(prctl),
    SCMP_SYS(ptrace),
    SCMP_SYS(wait4),
    SCMP_SYS(getdents64),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(statx),
    SCMP_SYS(getppid),
    SCMP_SYS(tgkill),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(access),
    SCMP_SYS(getrlimit),
    SCMP_SYS(setrlimit),
    SCMP_SYS(unlink),
    SCMP_SYS(kill),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pread64),
};
#endif

static int allow(scmp_filter_ctx c, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int r = seccomp_rule_add(c, SCMP_ACT_ALLOW, calls[i], 0);

        if (r < 0 && r != -EEXIST && r != -EDOM) /* -EDOM: not a call of this architecture */
            return r;
    }
    return 0;
}

#define ALLOW(c, list) allow((c), (list), sizeof(list) / sizeof *(list))

/* Memory may be mapped, never from a file by a worker, never writable and executable. */
static int allow_mmap(scmp_filter_ctx c)
{
    return seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Attributes of directories (pool.c spreads them over the disk), no other ioctl. */
static int allow_attributes(scmp_filter_ctx c)
{
    int r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FS_IOC_GETFLAGS, 0));

    return r < 0 ? r
                 : seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FS_IOC_SETFLAGS, 0));
}

static int allow_store(scmp_filter_ctx c)
{
    int r = ALLOW(c, store_only);

    return r < 0 ? r : allow_attributes(c);
}

static int allow_relay(scmp_filter_ctx c)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6};
    int r = ALLOW(c, relay_only);

    for (size_t i = 0; i < sizeof families / sizeof *families && r == 0; i++)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
    return r;
}

static int allow_auth(scmp_filter_ctx c, bool connects)
{
    int r = ALLOW(c, auth_only);

    if (r == 0 && connects)
        r = ALLOW(c, auth_connects);
    if (r == 0 && connects)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    return r;
}

static int allow_profile(scmp_filter_ctx c, const struct sandbox *s)
{
    switch (s->profile) {
    case SANDBOX_WORKER:
        return ALLOW(c, worker_only);
    case SANDBOX_RELAY:
        return allow_relay(c);
    case SANDBOX_AUTH:
        return allow_auth(c, s->connects);
    default:
        return allow_store(c);
    }
}

static int allow_fsuid(scmp_filter_ctx c)
{
    static const int calls[] = {SCMP_SYS(setfsuid), SCMP_SYS(setfsgid)};

    return ALLOW(c, calls);
}

int sandbox_seccomp(const struct sandbox *s, char words[SANDBOX_WORDS], struct err *e)
{
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    static const char *const words_of[] = {"sockets it is given", "sockets to other servers", "channels and threads",
                                           "files by descriptor"};
    const char *what = words_of[s->profile];
    int r;

    if (!c)
        return err_set(e, "seccomp_init failed");
    r = ALLOW(c, common);
    if (r == 0)
        r = allow_mmap(c);
    if (r == 0)
        r = allow_profile(c, s);
    if (r == 0 && s->keep_setfsuid)
        r = allow_fsuid(c);
#ifdef POSTERN_SANITIZED
    if (r == 0)
        r = ALLOW(c, sanitizer);
    if (r == 0)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 0);
#endif
    if (r == 0)
        r = seccomp_attr_set(c, SCMP_FLTATR_CTL_TSYNC, 1);
    (void)seccomp_attr_set(c, SCMP_FLTATR_CTL_LOG, 1); /* older kernels cannot */
    if (r == 0)
        r = seccomp_load(c);
    seccomp_release(c);
    if (r < 0)
        return err_set(e, "seccomp: %s", strerror(-r));
#ifdef POSTERN_SANITIZED
    snprintf(words, SANDBOX_WORDS, "%s, widened for a sanitizer build", what);
#else
    snprintf(words, SANDBOX_WORDS, "%s", what);
#endif
    return 0;
}
