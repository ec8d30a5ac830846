/* The bare minimum that a TLS server costs: accept, a full TLS 1.3 handshake, one line, close. epoll and OpenSSL and
 * nothing else, in one thread. What postern needs for a handshake is measured against this.
 *
 *     accept_loop CHAIN KEY      prints its port, serves until stdin ends, then prints handshakes and CPU seconds */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
    int fd;
    SSL *ssl;
    bool greeted;
};

struct server {
    SSL_CTX *ctx;
    int listen_fd, epoll_fd;
    unsigned long done, failed;
};

static SSL_CTX *context(const char *chain, const char *key)
{
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());

    if (!c || SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1 ||
        SSL_CTX_use_certificate_chain_file(c, chain) != 1 ||
        SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        return NULL;
    }
    /* as postern does it: no resumption */
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(c, 0);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    return c;
}

static int listen_somewhere(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    struct epoll_event ev = {.events = EPOLLIN}, in = {.events = EPOLLIN, .data = {.ptr = s}};

    s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->listen_fd < 0 || s->epoll_fd < 0 || bind(s->listen_fd, (struct sockaddr *)&at, len) < 0 ||
        listen(s->listen_fd, 4096) < 0 || getsockname(s->listen_fd, (struct sockaddr *)&at, &len) < 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->listen_fd, &ev) < 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &in) < 0) {
        perror("accept_loop");
        return -1;
    }
    printf("%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return 0;
}

static void drop(struct conn *c)
{
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
}

static void take(struct server *s)
{
    for (;;) {
        int one = 1, fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct epoll_event ev = {.events = EPOLLIN};
        struct conn *c;

        if (fd < 0)
            return;
        c = calloc(1, sizeof *c);
        if (!c) {
            close(fd);
            return;
        }
        c->fd = fd;
        c->ssl = SSL_new(s->ctx);
        ev.data.ptr = c;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
            drop(c);
            continue;
        }
        SSL_set_accept_state(c->ssl);
    }
}

/* A ClientHello of a few hundred bytes and answers of a few thousand: nothing ever waits for room to write. */
static void serve(struct server *s, struct conn *c)
{
    static const char banner[] = "220 accept_loop\r\n";
    char bytes[512];
    int rc;

    ERR_clear_error();
    if (!c->greeted) {
        rc = SSL_do_handshake(c->ssl);
        if (rc == 1 && SSL_write(c->ssl, banner, sizeof banner - 1) > 0) {
            c->greeted = true;
            s->done++;
            return;
        }
    } else {
        rc = SSL_read(c->ssl, bytes, sizeof bytes);
        if (rc > 0)
            return;
    }
    if (SSL_get_error(c->ssl, rc) == SSL_ERROR_WANT_READ)
        return;
    if (!c->greeted)
        s->failed++;
    else
        SSL_shutdown(c->ssl);
    drop(c);
}

static void loop(struct server *s)
{
    struct epoll_event evs[256];
    char byte;

    for (;;) {
        int n = epoll_wait(s->epoll_fd, evs, 256, -1);

        for (int i = 0; i < n; i++) {
            if (evs[i].data.ptr == s) {
                if (read(STDIN_FILENO, &byte, 1) <= 0)
                    return;
            } else if (evs[i].data.ptr) {
                serve(s, evs[i].data.ptr);
            } else {
                take(s);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct server s = {0};
    struct rusage before, u;

    if (argc != 3) {
        fprintf(stderr, "usage: accept_loop CHAIN KEY < something that ends\n");
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    s.ctx = context(argv[1], argv[2]);
    if (!s.ctx || listen_somewhere(&s) < 0)
        return 1;
    getrusage(RUSAGE_SELF, &before);
    loop(&s);
    getrusage(RUSAGE_SELF, &u);
    printf("%lu %lu %.6f\n", s.done, s.failed,
           (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec - before.ru_utime.tv_sec - before.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec - before.ru_utime.tv_usec - before.ru_stime.tv_usec) /
                   1e6);
    SSL_CTX_free(s.ctx);
    return 0;
}
