/* A name server for tests: unbound with a signed and an unsigned zone, on a free port of the loopback. */
#ifndef TESTS_UNIT_DNS_SERVER_H
#define TESTS_UNIT_DNS_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct dns_server {
    char dir[64], resolver[64];
    const char *signed_zone, *plain_zone;
    unsigned port;
    pid_t pid;
};

/* Free for UDP and TCP, at this moment: somebody else may be quicker, so the server is started again then. */
static inline unsigned server_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;

    for (;;) {
        int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
            both;

        at.sin_port = 0;
        ck_assert_int_eq(bind(udp, (struct sockaddr *)&at, len), 0);
        ck_assert_int_eq(getsockname(udp, (struct sockaddr *)&at, &len), 0);
        both = bind(tcp, (struct sockaddr *)&at, len);
        close(udp);
        close(tcp);
        if (both == 0)
            return ntohs(at.sin_port);
    }
}

static inline void server_spawn(struct dns_server *s)
{
    char conf[160];
    FILE *f;

    s->port = server_free_port();
    snprintf(s->resolver, sizeof s->resolver, "127.0.0.1@%u", s->port);
    snprintf(conf, sizeof conf, "%s/unbound.conf", s->dir);
    f = fopen(conf, "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f,
            "server:\n interface: 127.0.0.1\n port: %u\n username: \"\"\n chroot: \"\"\n directory: \"%s\"\n pidfile: "
            "\"\"\n"
            " use-syslog: no\n logfile: \"%s/log\"\n do-daemonize: no\n module-config: \"iterator\"\n"
            " access-control: 127.0.0.0/8 allow\n local-zone: \"servfail.example\" always_refuse\n"
            "remote-control:\n control-enable: no\n"
            "auth-zone:\n name: \"signed.example\"\n zonefile: \"%s\"\n for-downstream: yes\n for-upstream: no\n"
            "auth-zone:\n name: \"plain.example\"\n zonefile: \"%s\"\n for-downstream: yes\n for-upstream: no\n",
            s->port, s->dir, s->dir, s->signed_zone, s->plain_zone);
    fclose(f);
    s->pid = fork();
    if (s->pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, 1);
        dup2(null, 2);
        execl("/usr/sbin/unbound", "unbound", "-d", "-c", conf, (char *)NULL);
        _exit(127);
    }
}

/* It listens: now, or not yet. */
static inline bool server_listens(struct dns_server *s)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)s->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool up = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;

    close(fd);
    if (!up && waitpid(s->pid, NULL, WNOHANG) == s->pid)
        server_spawn(s); /* its port was taken in the meantime */
    return up;
}

/* false: the server is missing, which was said. */
static inline bool server_start(struct dns_server *s, const char *signed_zone, const char *plain_zone)
{
    if (access("/usr/sbin/unbound", X_OK)) {
        printf("SKIP dns: unbound is not installed\n");
        return false;
    }
    snprintf(s->dir, sizeof s->dir, "/tmp/postern-dns.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    s->signed_zone = signed_zone;
    s->plain_zone = plain_zone;
    server_spawn(s);
    return true;
}

static inline void server_stop(struct dns_server *s)
{
    kill(s->pid, SIGTERM);
    waitpid(s->pid, NULL, 0);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const names[] = {"unbound.conf", "log", "other"};
        char path[160];

        snprintf(path, sizeof path, "%s/%s", s->dir, names[i]);
        unlink(path);
    }
    rmdir(s->dir);
}

#endif
