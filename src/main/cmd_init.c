/* A complete working set to try: configuration, local CA, certificate, Maildirs. */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "main/command.h"
#include "tls/cert_store.h"

static void show(const char *dir, const char *domain, unsigned port)
{
    printf("postern: %s is ready. Three commands worth trying, in another terminal:\n\n"
           "  deliver a message:\n"
           "    swaks --server 127.0.0.1 --port %u --tls --to alice@%s\n"
           "  see STARTTLS, before and after:\n"
           "    openssl s_client -connect 127.0.0.1:%u -starttls smtp -CAfile %s/ca.pem -verify_return_error\n"
           "  ask why it is offered, or not:\n"
           "    build/postern why -c %s/postern.conf\n\n"
           "Mail arrives below %s/mail.\n",
           dir, port, domain, port, dir, dir, dir);
}

static int make_dir(const char *dir, mode_t mode, const struct passwd *owner)
{
    if (mkdir(dir, mode) < 0 && errno != EEXIST) {
        fprintf(stderr, "postern: %s: %s\n", dir, strerror(errno));
        return -1;
    }
    if (owner && chown(dir, owner->pw_uid, owner->pw_gid) < 0) {
        fprintf(stderr, "postern: chown %s: %s\n", dir, strerror(errno));
        return -1;
    }
    return 0;
}

static void write_listener(FILE *f, const char *title, unsigned port, const char *tls)
{
    fprintf(f,
            "listener \"%s\" {\n"
            "    address = {\"127.0.0.1:%u\", \"[::1]:%u\"}\n"
            "    role    = mx\n"
            "    tls     = %s\n"
            "}\n\n",
            title, port, port, tls);
}

static void write_text(FILE *f, const char *dir, const char *domain, unsigned port, const char *user)
{
    fprintf(f,
            "# A set to try postern with, written by: postern init\n"
            "hostname  = \"mx.%s\"\n"
            "state-dir = \"%s/state\"\n%s\n"
            "certificate \"mx\" {\n"
            "    chain = \"%s/cert.pem\"\n"
            "    key   = \"%s/key.pem\"\n"
            "}\n\n"
            "# What port 25 is in real life: in clear until the client says STARTTLS.\n",
            domain, dir, user, dir, dir);
    write_listener(f, "mx", port, "starttls");
    fprintf(f, "# TLS from the first byte: no STARTTLS here, and that is correct.\n");
    write_listener(f, "mx-implicit", port - 60, "implicit");
    fprintf(f,
            "domain \"%s\" {\n"
            "    mailboxes = {\"alice\", \"bob\"}\n"
            "    aliases   = {\"postmaster=alice\"}\n"
            "    deliver   = \"local\"\n"
            "}\n\n"
            "delivery \"local\" {\n"
            "    type = maildir\n"
            "    path = \"%s/mail/%%d/%%u\"\n"
            "}\n",
            domain, dir);
}

static int write_conf(const char *dir, const char *domain, unsigned port, const struct passwd *owner)
{
    char *file = mem_printf("%s/postern.conf", dir);
    char user[300] = "";
    FILE *f = fopen(file, "we");
    int rc = -1;

    if (owner)
        snprintf(user, sizeof user, "user      = \"%.200s\"\n", owner->pw_name);
    if (!f) {
        fprintf(stderr, "postern: %s: %s\n", file, strerror(errno));
    } else {
        write_text(f, dir, domain, port, user);
        rc = fclose(f);
    }
    free(file);
    return rc;
}

static bool is_name(const char *domain)
{
    size_t n = strlen(domain);

    return n > 0 && n < 200 &&
           strspn(domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == n && domain[0] != '.';
}

static int make_set(const char *dir, const struct command_line *l, const struct passwd *owner)
{
    char *mail = mem_printf("%s/mail", dir), *host = mem_printf("mx.%s", l->domain);
    struct err e;
    int rc = -1;

    if (make_dir(mail, 0700, owner) == 0) {
        if (cert_make_local(dir, host, 397, &e) < 0)
            fprintf(stderr, "postern: %s\n", e.text);
        else
            rc = write_conf(dir, l->domain, l->port_base, owner);
    }
    free(mail);
    free(host);
    return rc;
}

int cmd_init(const struct command_line *l)
{
    const char *domain = l->domain ? l->domain : "example.test";
    const struct passwd *owner = geteuid() == 0 ? getpwnam("postern") : NULL;
    struct command_line named = *l;
    char dir[PATH_MAX];
    char *conf;
    int rc;

    named.domain = domain;
    if (!l->dir || !is_name(domain) || l->port_base < 61) {
        fprintf(stderr, "usage: postern init --dir DIR [--domain NAME] [--port-base 2525] [--force]\n");
        return EXIT_USAGE_;
    }
    if (geteuid() == 0 && !owner)
        owner = getpwnam("daemon"); /* an account every Debian has */
    if (make_dir(l->dir, 0755, NULL) < 0)
        return EXIT_FAILED;
    if (!realpath(l->dir, dir)) {
        fprintf(stderr, "postern: %s: %s\n", l->dir, strerror(errno));
        return EXIT_FAILED;
    }
    conf = mem_printf("%s/postern.conf", dir);
    rc = access(conf, F_OK);
    free(conf);
    if (l->show && rc == 0) {
        show(l->dir, domain, l->port_base);
        return EXIT_FINE;
    }
    if (rc == 0 && !l->force) {
        fprintf(stderr, "postern: %s holds a set already; --force writes it anew\n", l->dir);
        return EXIT_FAILED;
    }
    if (make_set(dir, &named, owner) < 0)
        return EXIT_FAILED;
    show(l->dir, domain, l->port_base);
    return EXIT_FINE;
}
