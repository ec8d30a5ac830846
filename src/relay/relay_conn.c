#include "relay/relay_conn_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "net/connect.h"

#define READ_AT_ONCE ((size_t)16 * 1024) /* a whole TLS record: none of it stays behind where poll does not see it */
#define READS_AT_ONCE 16                 /* who sends faster than we read keeps neither the loop nor its memory */
#define HANDSHAKE_SECONDS 60
#define QUIT_SECONDS 5 /* RFC 5321 3.8 wants the reply to be awaited; nothing depends on it */

const char *relay_tls_name(enum relay_tls t)
{
    static const char *const names[] = {"none", "may", "required", "verify", "dane"};

    return names[t];
}

/* ---- the end */

static void release(struct relay_conn *c)
{
    stream_close(&c->stream);
    smtp_client_free(&c->engine);
    relay_sasl_free(&c->sasl);
    free(c->tls_words);
    free(c->sasl_words);
    free(c->remote);
    free(c->tls_text);
    free(c);
}

void relay_conn_drop(struct relay_conn **c)
{
    if (*c)
        release(*c);
    *c = NULL;
}

void relay_conn_close(struct relay_conn *c)
{
    c->state = RELAY_GONE;
    c->setup.events->closed(c->arg, c);
    release(c);
}

static void fail(struct relay_conn *c, const struct relay_failure *f)
{
    c->setup.events->failed(c->arg, c, f);
}

static void fail_connect(struct relay_conn *c, const char *why)
{
    struct relay_failure f = {.reason = "connect-failed", .stage = "connect", .words = why};

    fail(c, &f);
    relay_conn_close(c);
}

/* ---- TLS */

void relay_conn_handshake(struct relay_conn *c)
{
    enum tls_io r = stream_handshake(&c->stream);
    struct smtp_client_tls_facts facts = {0};

    if (r == TLS_IO_WANT_READ || r == TLS_IO_WANT_WRITE)
        return;
    facts.ok = r == TLS_IO_DONE;
    facts.verified = facts.ok && c->target.verify != TLS_VERIFY_NONE;
    c->in_tls = facts.ok;
    c->verified = facts.verified;
    c->state = RELAY_TALKING;
    c->since_us = loop_now_us(c->setup.loop);
    if (!facts.ok)
        c->tls_words = mem_str(tls_conn_error(c->stream.tls));
    if (c->engine) {
        smtp_client_tls_done(c->engine, &facts);
    } else if (facts.ok) {
        c->profile.tls_verified = facts.verified;
        c->engine = smtp_client_new(&c->profile);
    } else {
        struct relay_failure f = {.reason = smtp_client_failure_name(SMTP_CLIENT_TLS_FAILED),
                                  .stage = "handshake",
                                  .tls_broke = true,
                                  .words = c->tls_words};

        fail(c, &f);
        relay_conn_close(c);
        return;
    }
    relay_conn_pump(c);
}

bool relay_conn_begin_tls(struct relay_conn *c)
{
    struct err e;
    struct tls_conn *t;

    t = tls_client_connect(c->hop->trust ? c->hop->trust : c->setup.tls, &c->target, clock_now().real_us / 1000000, &e);
    if (!t) {
        struct smtp_client_tls_facts no = {0};

        c->tls_words = mem_str(e.text);
        if (c->engine)
            smtp_client_tls_done(c->engine, &no);
        return false;
    }
    stream_start_tls(&c->stream, t);
    c->state = RELAY_HANDSHAKE;
    c->since_us = loop_now_us(c->setup.loop);
    return true;
}

/* ---- the loop's side */

static void read_some(struct relay_conn *c)
{
    for (int i = 0; i < READS_AT_ONCE; i++) {
        size_t before = c->stream.in.len;
        enum stream_result r = stream_read(&c->stream, READ_AT_ONCE);

        if (r == STREAM_AGAIN)
            break;
        if (r == STREAM_EOF || r == STREAM_FAILED) {
            if (!c->lost)
                c->lost = r == STREAM_EOF ? "the server closed the connection" : "connection reset";
            break;
        }
        if (c->stream.in.len - before < READ_AT_ONCE && !stream_has_pending(&c->stream))
            break;
    }
    relay_conn_pump(c);
}

static void connected(struct relay_conn *c)
{
    struct err e;

    if (connect_result(c->stream.fd, &e) < 0) {
        fail_connect(c, e.text);
        return;
    }
    c->since_us = loop_now_us(c->setup.loop);
    c->state = RELAY_TALKING;
    if (!c->hop->implicit_tls) {
        c->engine = smtp_client_new(&c->profile);
        relay_conn_pump(c);
    } else if (relay_conn_begin_tls(c)) {
        relay_conn_handshake(c);
    } else {
        fail_connect(c, c->tls_words);
    }
}

static void on_io(void *arg, unsigned what)
{
    struct relay_conn *c = arg;

    if (c->state == RELAY_CONNECTING) {
        connected(c);
    } else if (c->state == RELAY_HANDSHAKE) {
        relay_conn_handshake(c);
    } else if (what & LOOP_READ || c->stream.tls_wants_write) {
        read_some(c);
    } else {
        relay_conn_pump(c);
    }
}

static bool is_late(const struct relay_conn *c, int64_t now_us)
{
    unsigned limit = c->state == RELAY_CONNECTING  ? c->setup.connect_timeout
                     : c->state == RELAY_HANDSHAKE ? HANDSHAKE_SECONDS
                     : c->quitting                 ? QUIT_SECONDS
                                                   : smtp_client_timeout(c->engine);

    return limit && now_us - c->since_us > (int64_t)limit * 1000000;
}

void relay_conn_tick(struct relay_conn *c, int64_t now_us)
{
    if (c->engine && smtp_client_progress(c->engine) != c->progress) {
        c->progress = smtp_client_progress(c->engine);
        c->since_us = now_us;
    }
    if (!is_late(c, now_us))
        return;
    if (c->state == RELAY_CONNECTING) {
        fail_connect(c, "no answer: the connection was not accepted in time");
    } else if (c->state == RELAY_HANDSHAKE && !c->engine) {
        fail_connect(c, "the TLS handshake was not finished in time");
    } else if (c->state == RELAY_HANDSHAKE) {
        struct smtp_client_tls_facts no = {0};

        c->tls_words = mem_str("the TLS handshake was not finished in time");
        c->state = RELAY_TALKING;
        smtp_client_tls_done(c->engine, &no);
        relay_conn_pump(c);
    } else {
        smtp_client_timed_out(c->engine);
        relay_conn_pump(c);
    }
}

/* ---- the owner's side */

static char *name_of(const struct relay_hop *h)
{
    char at[ADDR_TEXT], ip[ADDR_TEXT];

    addr_text(&h->address, at);
    if (!h->host || h->address.ss.ss_family == AF_UNIX)
        return mem_str(at);
    return mem_printf("%s[%s]:%u", h->host, addr_ip_text(&h->address, ip), addr_port(&h->address));
}

static void set_target(struct relay_conn *c)
{
    static const enum tls_verify verify[] = {[RELAY_TLS_VERIFY] = TLS_VERIFY_NAME, [RELAY_TLS_DANE] = TLS_VERIFY_DANE};
    const struct relay_hop *h = c->hop;

    c->target =
        (struct tls_target){.name = h->host, .verify = verify[h->tls], .tlsa = h->tlsa, .tlsa_count = h->tlsa_count};
    if (c->target.verify != TLS_VERIFY_NONE)
        c->target.also = h->also;
}

struct relay_conn *relay_conn_open(const struct relay_conn_setup *s, const struct relay_hop *hop, void *arg,
                                   struct err *e)
{
    static const enum smtp_client_tls_policy policy[] = {SMTP_CLIENT_TLS_NONE, SMTP_CLIENT_TLS_MAY,
                                                         SMTP_CLIENT_TLS_REQUIRED, SMTP_CLIENT_TLS_REQUIRED,
                                                         SMTP_CLIENT_TLS_REQUIRED};
    int fd = connect_start(&hop->address, NULL, e);
    struct relay_conn *c;

    if (fd < 0)
        return NULL;
    c = mem_alloc(sizeof *c);
    c->setup = *s;
    c->hop = hop;
    c->arg = arg;
    c->fd = -1;
    c->remote = name_of(hop);
    c->since_us = loop_now_us(s->loop);
    c->profile = (struct smtp_client_profile){.hostname = s->hostname,
                                              .lmtp = hop->lmtp,
                                              .tls = policy[hop->tls],
                                              .implicit_tls = hop->implicit_tls,
                                              .sasl = hop->user != NULL,
                                              .sasl_in_clear = hop->address.ss.ss_family == AF_UNIX,
                                              .detect_loop = hop->detect_loop};
    set_target(c);
    stream_init(&c->stream, s->loop, fd, on_io, c);
    watch_want(c->stream.watch, LOOP_WRITE);
    return c;
}

void relay_conn_send(struct relay_conn *c, const struct smtp_client_message *m, int fd, uint64_t offset)
{
    c->ready_said = false;
    c->fd = fd;
    c->offset = offset;
    smtp_client_message(c->engine, m);
    relay_conn_pump(c);
}

void relay_conn_quit(struct relay_conn *c)
{
    c->quitting = true;
    c->since_us = loop_now_us(c->setup.loop);
    smtp_client_quit(c->engine);
    relay_conn_pump(c);
}

const char *relay_conn_remote(const struct relay_conn *c)
{
    return c->remote;
}

const char *relay_conn_tls(struct relay_conn *c)
{
    if (!c->in_tls)
        return "";
    free(c->tls_text);
    c->tls_text = mem_printf("%s %s, %s", tls_conn_version(c->stream.tls), tls_conn_cipher(c->stream.tls),
                             tls_client_verdict(c->stream.tls));
    return c->tls_text;
}
