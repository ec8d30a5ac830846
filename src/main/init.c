#include "main/init.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "conf/conf.h"
#include "main/users_file.h"
#include "tls/cert_store.h"

#define PASSWORD_FILE "alice-password"
#define CERTIFICATE_DAYS 397
#define IMPLICIT_BELOW 60   /* 2465 beside 2525 */
#define SUBMISSION_ABOVE 62 /* 2587 */

bool init_is_domain(const char *name)
{
    size_t n = strlen(name), label = 0;
    unsigned dots = 0;

    if (n == 0 || n > 200)
        return false;
    for (size_t i = 0; i <= n; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c == '.' || c == '\0') {
            if (label == 0 || label > 63 || name[i - 1] == '-')
                return false;
            dots += c == '.';
            label = 0;
        } else if (c < 0x80 && (isalnum(c) || (c == '-' && label > 0))) {
            label++;
        } else {
            return false;
        }
    }
    return dots > 0;
}

/* A container may have no IPv6: a listener there would keep the set from starting. */
static bool has_ipv6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

static void print_listener(struct buf *b, const char *title, unsigned port, const char *role, const char *tls,
                           bool ipv6)
{
    buf_printf(b, "listener \"%s\" {\n    address = {\"127.0.0.1:%u\"", title, port);
    if (ipv6)
        buf_printf(b, ", \"[::1]:%u\"", port);
    buf_printf(b, "}\n    role    = %s\n    tls     = %s\n}\n\n", role, tls);
}

static void print_conf(struct buf *b, const struct init_set *s, const char *dir)
{
    bool ipv6 = has_ipv6();

    buf_printf(b,
               "# A set to try postern with, written by: postern init\n"
               "hostname  = \"mx.%s\"\n"
               "state-dir = \"%s/state\"\n",
               s->domain, dir);
    if (s->user)
        buf_printf(b, "user      = \"%s\"\n", s->user);
    buf_printf(b, "max-connections = 500 # the default is 20000, which needs as many descriptors\n");
    buf_printf(b,
               "\ncertificate \"mx\" {\n"
               "    chain = \"%s/cert.pem\"\n"
               "    key   = \"%s/key.pem\"\n"
               "}\n\n"
               "# What port 25 is in real life: in clear until the client says STARTTLS.\n",
               dir, dir);
    print_listener(b, "mx", s->port, "mx", "starttls", ipv6);
    buf_printf(b, "# Port 587: for mail programs of our own users, who log in inside TLS.\n");
    print_listener(b, "submission", s->port + SUBMISSION_ABOVE, "submission", "starttls", ipv6);
    buf_printf(b, "# Port 465: the same with TLS from the first byte. No STARTTLS here, and that is correct.\n");
    print_listener(b, "submissions", s->port - IMPLICIT_BELOW, "submission", "implicit", ipv6);
    buf_printf(b,
               "users = \"%s/users\" # postern passwd writes it\n\n"
               "# Where mail to other domains goes. Without it they get 550.\n"
               "# delivery \"smarthost\" { type = smtp address = \"mail.example.net:587\" tls = verify }\n"
               "# relay { delivery = \"smarthost\" }\n\n",
               dir);
    buf_printf(b,
               "domain \"%s\" {\n"
               "    mailboxes = {\"alice\", \"bob\"}\n"
               "    aliases   = {\"postmaster=alice\"}\n"
               "    deliver   = \"local\"\n"
               "}\n\n"
               "delivery \"local\" {\n"
               "    type = maildir\n"
               "    path = \"%s/mail/%%d/%%u\"\n"
               "}\n",
               s->domain, dir);
}

/* A new file, then rename: a set that is being written anew is never half of one. */
static int write_file(const char *path, const struct buf *b, mode_t mode, struct err *e)
{
    char *tmp = mem_printf("%s.new", path);
    FILE *f = fopen(tmp, "we");
    int rc = -1;

    if (!f) {
        err_set(e, "%s: %s", tmp, strerror(errno));
        goto out;
    }
    if (fwrite(buf_data(b), 1, b->len, f) != b->len || fchmod(fileno(f), mode) < 0) {
        err_set(e, "%s: %s", tmp, strerror(errno));
        fclose(f);
        goto out;
    }
    if (fclose(f) != 0 || rename(tmp, path) < 0)
        err_set(e, "%s: %s", path, strerror(errno));
    else
        rc = 0;
out:
    if (rc < 0)
        unlink(tmp);
    free(tmp);
    return rc;
}

static int make_dir(const char *dir, mode_t mode, const struct passwd *owner, struct err *e)
{
    if (mkdir(dir, mode) < 0 && errno != EEXIST)
        return err_set(e, "%s: %s", dir, strerror(errno));
    if (owner && chown(dir, owner->pw_uid, owner->pw_gid) < 0)
        return err_set(e, "%s: changing its owner: %s", dir, strerror(errno));
    return 0;
}

/* alice, who may log in, with a password that nobody else has; kept beside, to be shown again. */
static int make_user(const struct init_set *s, const char *dir, struct err *e)
{
    unsigned char random[12];
    char password[2 * sizeof random + 1];
    char *users = mem_printf("%s/users", dir), *kept = mem_printf("%s/" PASSWORD_FILE, dir),
         *name = mem_printf("alice@%s", s->domain);
    struct buf b = {0};
    int rc = -1;

    if (getrandom(random, sizeof random, 0) != sizeof random) {
        err_set(e, "random bytes: %s", strerror(errno));
        goto out;
    }
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(password + 2 * i, 3, "%02x", random[i]);
    buf_printf(&b, "%s\n", password);
    if (users_file_set(users, true, name, password, e) == 0)
        rc = write_file(kept, &b, 0600, e);
out:
    buf_clear(&b);
    free(users);
    free(kept);
    free(name);
    return rc;
}

static int write_parts(const struct init_set *s, const char *dir, const struct passwd *owner, struct err *e)
{
    char *mail = mem_printf("%s/mail", dir), *host = mem_printf("mx.%s", s->domain),
         *conf = mem_printf("%s/postern.conf", dir);
    struct buf b = {0};
    int rc = -1;

    /* the configuration last: where it is, the set is whole */
    if (make_dir(mail, 0700, owner, e) == 0 && cert_make_local(dir, host, CERTIFICATE_DAYS, e) == 0 &&
        make_user(s, dir, e) == 0) {
        print_conf(&b, s, dir);
        rc = write_file(conf, &b, 0644, e);
    }
    buf_clear(&b);
    free(mail);
    free(host);
    free(conf);
    return rc;
}

int init_write(const struct init_set *s, struct err *e)
{
    const struct passwd *owner = s->user ? getpwnam(s->user) : NULL;
    char dir[PATH_MAX], *conf;
    int there;

    if (make_dir(s->dir, 0755, NULL, e) < 0)
        return -1;
    if (!realpath(s->dir, dir))
        return err_set(e, "%s: %s", s->dir, strerror(errno));
    if (strpbrk(dir, "\"\\$\n"))
        return err_set(e, "%s: a path with quotes, backslashes, dollar signs or newlines cannot be used here", dir);
    conf = mem_printf("%s/postern.conf", dir);
    there = access(conf, F_OK) == 0;
    free(conf);
    if (there && !s->force)
        return err_set(e, "%s holds a set already; --force writes it anew and keeps the mail", dir);
    return write_parts(s, dir, owner, e);
}

static char *show(const char *program, const char *dir, const struct conf *c)
{
    const char *domain = c->domain_count ? c->domains[0].name : "example.test";
    unsigned port = 2525;
    struct buf b = {0};
    char *text;

    for (unsigned i = 0; i < c->listener_count; i++)
        if (c->listeners[i].tls == CONF_TLS_STARTTLS && c->listeners[i].role == CONF_ROLE_MX) {
            port = addr_port(&c->listeners[i].addresses[0]);
            break;
        }
    buf_printf(
        &b,
        "%s is ready to be served: %s run -c %s/postern.conf\n"
        "\n"
        "Four commands worth trying in another terminal:\n"
        "\n"
        "  deliver a message\n"
        "    swaks --server 127.0.0.1:%u --to alice@%s --tls --tls-verify --tls-ca-path %s/ca.pem\n"
        "\n"
        "  send a message as alice, who logs in with the password in %s/" PASSWORD_FILE "\n"
        "    swaks --server 127.0.0.1:%u --tls --from alice@%s --to bob@%s --auth-user alice@%s --auth-password \\\n"
        "        \"$(cat %s/" PASSWORD_FILE ")\"\n"
        "\n"
        "  go through STARTTLS by hand (EHLO me, once in TLS, no longer shows it)\n"
        "    openssl s_client -connect 127.0.0.1:%u -starttls smtp -CAfile %s/ca.pem -verify_return_error -crlf\n"
        "\n"
        "  ask why it is offered, or why not\n"
        "    %s why -c %s/postern.conf\n"
        "\n"
        "Mail arrives in %s/mail/%s/alice/new.\n",
        dir, program, dir, port, domain, dir, dir, port + SUBMISSION_ABOVE, domain, domain, domain, dir, port, dir,
        program, dir, dir, domain);
    text = mem_str(buf_str(&b));
    buf_clear(&b);
    return text;
}

char *init_show(const char *program, const char *dir, struct err *e)
{
    struct conf_reader reader = {.read = conf_read_disk};
    struct conf_problems p = {0};
    char *file = mem_printf("%s/postern.conf", dir), *text = NULL, *out = NULL;
    struct conf *c = NULL;
    size_t len;

    if (conf_read_disk(NULL, file, &text, &len, e) < 0)
        err_wrap(e, "there is no set in %s yet: postern init --dir %s makes one", dir, dir);
    else if (conf_load(&c, file, text, &reader, &p) < 0)
        err_set(e, "%s has errors: postern check -c %s shows them", file, file);
    else
        out = show(program, dir, c);
    conf_free(&c);
    conf_problems_free(&p);
    free(text);
    free(file);
    return out;
}
