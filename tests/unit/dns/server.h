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

#include "base/text.h"

struct dns_server {
    char dir[64], resolver[64], anchor[128];
    unsigned port;
    pid_t pid;
};

static inline void server_shell(char *line)
{
    ck_assert_msg(system(line) == 0, "%s", line);
    free(line);
}

static inline unsigned server_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* false: a tool is missing, which was said. */
static inline bool server_start(struct dns_server *s, const char *signed_zone, const char *plain_zone)
{
    int null;

    if (access("/usr/sbin/unbound", X_OK) || system("command -v ldns-signzone >/dev/null")) {
        printf("SKIP dns: unbound or ldnsutils is not installed\n");
        return false;
    }
    snprintf(s->dir, sizeof s->dir, "/tmp/postern-dns.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    s->port = server_free_port();
    snprintf(s->resolver, sizeof s->resolver, "127.0.0.1@%u", s->port);
    snprintf(s->anchor, sizeof s->anchor, "%s/anchor", s->dir);
    server_shell(mem_printf("cp %s %s/signed.zone && cp %s %s/plain.zone", signed_zone, s->dir, plain_zone, s->dir));
    server_shell(mem_printf("cd %s && k=$(ldns-keygen -a ECDSAP256SHA256 -k signed.example) && "
                            "ldns-signzone -o signed.example signed.zone $k && cp $k.ds anchor", s->dir));
    {
        char conf[160];
        FILE *f;

        snprintf(conf, sizeof conf, "%s/unbound.conf", s->dir);
        f = fopen(conf, "w");
        ck_assert_ptr_nonnull(f);
        fprintf(f,
                "server:\n interface: 127.0.0.1\n port: %u\n username: \"\"\n chroot: \"\"\n directory: \"%s\"\n pidfile: \"\"\n"
                " use-syslog: no\n logfile: \"%s/log\"\n do-daemonize: no\n module-config: \"iterator\"\n"
                " access-control: 127.0.0.0/8 allow\n local-zone: \"servfail.example\" always_refuse\n "
                "remote-control:\n control-enable: no\n"
                "auth-zone:\n name: \"signed.example\"\n zonefile: \"%s/signed.zone.signed\"\n for-downstream: yes\n for-upstream: no\n"
                "auth-zone:\n name: \"plain.example\"\n zonefile: \"%s/plain.zone\"\n for-downstream: yes\n for-upstream: no\n",
                s->port, s->dir, s->dir, s->dir, s->dir);
        fclose(f);
        s->pid = fork();
        if (s->pid == 0) {
            null = open("/dev/null", O_RDWR);
            dup2(null, 1);
            dup2(null, 2);
            execl("/usr/sbin/unbound", "unbound", "-d", "-c", conf, (char *)NULL);
            _exit(127);
        }
    }
    return true;
}

static inline void server_stop(struct dns_server *s)
{
    kill(s->pid, SIGTERM);
    waitpid(s->pid, NULL, 0);
    server_shell(mem_printf("rm -rf %s", s->dir));
}

#endif
