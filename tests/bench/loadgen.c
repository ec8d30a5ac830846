/* A load generator for SMTP servers: one thread, epoll, everything bounded in time and in count. See usage().
 *
 * What it is for: figures that can be had again. It says what it could do itself against a server that does nothing
 * (--sink), how much CPU it took, and what every refused message was told. */
#include <arpa/inet.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include "client.h"
#include "sink.h"

#define IN_FLIGHT 256 /* connections being made at once, where thousands are to be held */
#define TICK_MS 10

struct options {
    struct sockaddr_in to;
    bool has_to, json, sink, wait, handshake_only, lockstep, trickle_data, resume;
    enum client_tls tls;
    unsigned sessions, repeat, messages, hold, probes, trickle, sources, seconds;
    size_t size;
    const char *from, *rcpt;
};

struct run {
    struct client_plan plan;
    const struct options *o;
    struct client *load, *held, *drips, probe;
    unsigned *left;          /* sessions each slot still has to make */
    unsigned *again, agains; /* slots to restart after this batch of events */
    unsigned busy;           /* load slots that are not through */
    unsigned held_now, held_started, held_ended;
    unsigned dripping, drip_started, drip_cursor;
    unsigned *drip_again, drip_agains;
    uint64_t drip_bytes;
    int64_t drip_us; /* up to when every dripping client has had its bytes */
    bool probe_ended, load_begun;
    int64_t begun_us, last_us, deadline_us;
    struct samples probe_banner;
};

static void usage(FILE *f)
{
    fputs("usage: loadgen --connect 127.0.0.1:PORT | --sink  [OPTION...]\n\n"
          "  --sessions N         connections at once (16)\n"
          "  --messages M         messages in one session (20); 0: until --seconds are over\n"
          "  --repeat R           sessions one after the other in each of the N places (1)\n"
          "  --per-connection     a new connection for every message: --repeat times --messages of one each\n"
          "  --starttls           TLS 1.3 by STARTTLS, a full handshake on every connection\n"
          "  --implicit           TLS 1.3 from the first byte\n"
          "  --resume             with TLS: each place resumes its last session where the server gave a ticket\n"
          "  --handshake-only     no mail: connect, handshake, banner, close\n"
          "  --lockstep           no pipelining: every command waits for its reply\n"
          "  --size BYTES         of a message as sent (4096)\n"
          "  --from ADDR --to ADDR[,ADDR...]   recipients take turns, one per session\n"
          "  --hold N             first open N connections that then say nothing (EHLO, with TLS when asked for)\n"
          "  --probes P           connections made one after the other beside them, for the banner (100)\n"
          "  --wait               print \"held N\" and wait for a line on stdin before the probes and before the end\n"
          "  --trickle N          beside the load, N clients that send a byte a second\n"
          "  --trickle-in WHERE   command or data\n"
          "  --sources K          use K addresses from 127.0.0.1 on, where ports run out (1)\n"
          "  --seconds S          give up after that (60)\n"
          "  --json               one JSON object instead of a table\n\n"
          "Exit status: 0 all went well, 1 something was refused, lost or not finished, 64 usage.\n",
          f);
}

/* ---- what clients report */

static void on_ended(struct client_plan *p, struct client *c)
{
    struct run *r = (struct run *)p; /* plan is its first member */

    switch (c->job) {
    case CLIENT_LOAD:
    case CLIENT_SHAKE:
        r->last_us = client_now();
        if (c->job == CLIENT_SHAKE && !c->failed)
            p->sessions_done++;
        r->again[r->agains++] = (unsigned)(c - r->load);
        break;
    case CLIENT_HOLD:
        r->held_ended++;
        break;
    case CLIENT_TRICKLE:
        r->drip_again[r->drip_agains++] = (unsigned)(c - r->drips);
        break;
    case CLIENT_PROBE:
        r->probe_ended = true;
        break;
    }
}

static void on_ready(struct client_plan *p, struct client *c)
{
    struct run *r = (struct run *)p;

    if (c->job == CLIENT_HOLD)
        r->held_now++;
    else
        r->dripping++;
}

/* ---- the loop */

static void restart_load(struct run *r)
{
    enum client_job job = r->o->handshake_only ? CLIENT_SHAKE : CLIENT_LOAD;

    while (r->agains > 0) {
        unsigned i = r->again[--r->agains];
        bool over = r->left[i] == 0;

        if (r->o->messages == 0) /* by time: a session that ended early is made anew */
            over = client_now() >= r->plan.until_us;
        else if (!over)
            r->left[i]--;
        if (over)
            r->busy--;
        else
            client_start(&r->plan, &r->load[i], job, r->plan.tls);
    }
}

/* Every dripping client gets a byte a second, spread evenly over the second. */
static void drip(struct run *r)
{
    int64_t now = client_now();
    uint64_t due;

    if (r->drip_us == 0)
        r->drip_us = now;
    due = (uint64_t)(now - r->drip_us) * r->o->trickle / 1000000;
    if (due == 0)
        return;
    r->drip_us += (int64_t)(due * 1000000 / r->o->trickle);
    while (due-- > 0) {
        struct client *c = &r->drips[r->drip_cursor++ % r->o->trickle];

        if (c->state == CLIENT_DRIPPING && c->out_len == 0) {
            client_say(&r->plan, c, "x", 1, CLIENT_DRIPPING);
            r->drip_bytes++;
        }
    }
}

static void pump(struct run *r)
{
    struct epoll_event evs[256];
    int n = epoll_wait(r->plan.epoll_fd, evs, 256, TICK_MS);

    for (int i = 0; i < n; i++)
        client_event(&r->plan, evs[i].data.ptr, evs[i].events);
    if (r->load_begun)
        restart_load(r);
    if (r->o->trickle)
        drip(r);
    while (r->drip_agains > 0) {
        unsigned i = r->drip_again[--r->drip_agains];

        r->drips[i].recipient = i;
        client_start(&r->plan, &r->drips[i], CLIENT_TRICKLE, CLIENT_CLEAR);
    }
}

static bool in_time(const struct run *r)
{
    return client_now() < r->deadline_us;
}

/* ---- phases */

static void phase_hold(struct run *r)
{
    unsigned n = r->o->hold;

    r->held = mem_alloc(n * sizeof *r->held);
    while (r->held_now + r->held_ended < n && in_time(r)) {
        while (r->held_started < n && r->held_started - r->held_now - r->held_ended < IN_FLIGHT) {
            client_start(&r->plan, &r->held[r->held_started], CLIENT_HOLD, r->plan.tls);
            r->held_started++;
        }
        pump(r);
    }
}

static void wait_for_a_line(struct run *r)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char c;

    while (in_time(r)) {
        if (poll(&in, 1, 0) > 0) {
            if (read(STDIN_FILENO, &c, 1) != 1 || c == '\n') /* a byte at a time: the next line is for the next wait */
                return;
            continue;
        }
        pump(r);
    }
}

static void phase_probes(struct run *r)
{
    struct samples before = r->plan.banner;

    r->plan.banner = (struct samples){0};
    for (unsigned i = 0; i < r->o->probes && in_time(r); i++) {
        r->probe_ended = false;
        client_start(&r->plan, &r->probe, CLIENT_PROBE, CLIENT_CLEAR == r->plan.tls ? CLIENT_CLEAR : r->plan.tls);
        while (!r->probe_ended && in_time(r))
            pump(r);
    }
    r->probe_banner = r->plan.banner;
    r->plan.banner = before;
}

static void phase_trickle(struct run *r)
{
    unsigned n = r->o->trickle;

    r->drips = mem_alloc(n * sizeof *r->drips);
    r->drip_again = mem_alloc(n * sizeof *r->drip_again);
    while (r->dripping < n && in_time(r)) {
        while (r->drip_started < n && r->drip_started - r->dripping < IN_FLIGHT) {
            r->drips[r->drip_started].recipient = r->drip_started;
            client_start(&r->plan, &r->drips[r->drip_started], CLIENT_TRICKLE, CLIENT_CLEAR);
            r->drip_started++;
        }
        pump(r);
    }
}

static void phase_load(struct run *r)
{
    unsigned n = r->o->sessions;

    r->load = mem_alloc(n * sizeof *r->load);
    r->left = mem_alloc(n * sizeof *r->left);
    r->again = mem_alloc(n * sizeof *r->again);
    r->busy = n;
    r->begun_us = r->last_us = client_now();
    r->plan.until_us = r->begun_us + (int64_t)r->o->seconds * 1000000;
    if (r->o->messages == 0)
        r->deadline_us = r->plan.until_us + 30 * 1000000;
    for (unsigned i = 0; i < n; i++) {
        r->left[i] = r->o->repeat;
        r->load[i].recipient = i;
        r->again[r->agains++] = i;
    }
    r->load_begun = true;
    restart_load(r);
    while (r->busy > 0 && in_time(r))
        pump(r);
}

/* ---- what is said and reported */

/* "MAIL..\r\nRCPT..\r\nDATA\r\n" for each recipient of a list with commas. */
static void make_envelopes(struct run *r)
{
    char *list = mem_str(r->o->rcpt), *save = NULL;
    const char **texts = mem_alloc((strlen(list) + 1) * sizeof *texts);

    for (char *a = strtok_r(list, ",", &save); a; a = strtok_r(NULL, ",", &save))
        texts[r->plan.to_count++] = mem_printf("MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", r->o->from, a);
    r->plan.to_paths = texts;
    free(list);
}

static void make_body(struct run *r)
{
    static const char head[] = "From: <load@load.example.net>\r\n"
                               "To: <sink@example.test>\r\n"
                               "Subject: a message of the load generator\r\n"
                               "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n";
    static const char line[] = "The quick brown fox jumps over the lazy dog, again and again and once more.\r\n";
    size_t size = r->o->size < sizeof head + 2 ? sizeof head + 2 : r->o->size, n = sizeof head - 1;
    char *p = mem_alloc(size + 8);

    memcpy(p, head, n);
    while (n + sizeof line - 1 <= size - 3) {
        memcpy(p + n, line, sizeof line - 1);
        n += sizeof line - 1;
    }
    while (n < size - 2)
        p[n++] = 'x';
    memcpy(p + n, "\r\n.\r\n", 5);
    r->plan.body = p;
    r->plan.body_len = n + 5;
}

static int make_tls(struct run *r)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)
        return -1;
    /* without --resume every handshake is a full one */
    SSL_CTX_set_session_cache_mode(ctx, r->o->resume ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                                     : SSL_SESS_CACHE_OFF);
    if (r->o->resume)
        SSL_CTX_sess_set_new_cb(ctx, client_ticket);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    r->plan.ctx = ctx;
    return 0;
}

static double own_cpu(const struct sink_server *sink)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6 -
           (sink ? sink_cpu(sink) : 0);
}

static void report_json(struct run *r, double seconds, double cpu, bool finished)
{
    const struct client_plan *p = &r->plan;
    uint64_t done = r->o->handshake_only ? p->sessions_done : p->messages_done;

    printf("{\"messages\":%llu,\"sessions\":%llu,\"connections\":%llu,\"resumed\":%llu,\"seconds\":%.4f,\"rate\":%.1f,"
           "\"finished\":%s,"
           "\"generatorCpu\":%.3f,\"held\":%u,\"heldEnded\":%u,\"trickling\":%u,\"trickleBytes\":%llu,",
           (unsigned long long)p->messages_done, (unsigned long long)p->sessions_done,
           (unsigned long long)p->connections, (unsigned long long)p->resumed, seconds,
           seconds > 0 ? (double)done / seconds : 0, finished ? "true" : "false", cpu, r->held_now, r->held_ended,
           r->dripping, (unsigned long long)r->drip_bytes);
    samples_json(stdout, "ackMs", &p->ack);
    printf(",");
    samples_json(stdout, "replyMs", &p->reply);
    printf(",");
    samples_json(stdout, "bannerMs", &p->banner);
    printf(",");
    samples_json(stdout, "handshakeMs", &p->shake);
    printf(",");
    samples_json(stdout, "probeBannerMs", &r->probe_banner);
    printf(",");
    tally_json(stdout, "failures", &p->failures);
    printf(",");
    tally_json(stdout, "trickleEnds", &p->trickle_ends);
    printf("}\n");
}

static void report_text(struct run *r, double seconds, double cpu, bool finished)
{
    const struct client_plan *p = &r->plan;
    uint64_t done = r->o->handshake_only ? p->sessions_done : p->messages_done;

    printf("%-22s %llu in %.2f s: %.0f/s%s\n", r->o->handshake_only ? "handshakes" : "messages",
           (unsigned long long)done, seconds, seconds > 0 ? (double)done / seconds : 0,
           finished ? "" : "  NOT FINISHED in the time given");
    samples_print(stdout, "ack of the final dot", &p->ack);
    samples_print(stdout, "reply to a command", &p->reply);
    samples_print(stdout, "connect to banner", &p->banner);
    samples_print(stdout, "handshake", &p->shake);
    if (r->o->hold)
        printf("%-22s %u, of which %u ended by themselves\n", "held", r->held_now, r->held_ended);
    samples_print(stdout, "  banner of a new one", &r->probe_banner);
    if (r->o->trickle)
        printf("%-22s %u clients, %llu bytes\n", "trickle", r->o->trickle, (unsigned long long)r->drip_bytes);
    tally_print(stdout, "  ended", &p->trickle_ends);
    tally_print(stdout, "failed", &p->failures);
    printf("%-22s %.2f CPU seconds, %.3f ms each, %.0f %% of a core (--sink: what it can do at most)\n",
           "this generator", cpu, done ? cpu * 1000 / (double)done : 0, seconds > 0 ? cpu / seconds * 100 : 0);
}

static void sort_all(struct run *r)
{
    samples_sort(&r->plan.ack);
    samples_sort(&r->plan.reply);
    samples_sort(&r->plan.banner);
    samples_sort(&r->plan.shake);
    samples_sort(&r->probe_banner);
}

static int run(const struct options *o, struct sink_server *sink)
{
    struct run r = {.o = o};
    double cpu, seconds;
    bool finished;

    r.plan = (struct client_plan){.to = o->to,
                                  .sources = o->sources,
                                  .tls = o->tls,
                                  .lockstep = o->lockstep,
                                  .resume = o->resume,
                                  .trickle_data = o->trickle_data,
                                  .messages = o->messages,
                                  .ended = on_ended,
                                  .ready = on_ready,
                                  .next_source = (unsigned)getpid()};
    r.plan.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r.plan.epoll_fd < 0 || make_tls(&r) < 0) {
        fprintf(stderr, "loadgen: no epoll or no TLS\n");
        return 1;
    }
    make_envelopes(&r);
    make_body(&r);
    r.deadline_us = client_now() + (int64_t)o->seconds * 1000000;
    if (o->hold) {
        phase_hold(&r);
        if (o->wait) {
            printf("held %u\n", r.held_now - r.held_ended);
            fflush(stdout);
            wait_for_a_line(&r);
        }
        phase_probes(&r);
        if (o->wait)
            wait_for_a_line(&r);
    }
    if (o->trickle)
        phase_trickle(&r);
    cpu = own_cpu(sink);
    if (!o->hold)
        phase_load(&r);
    cpu = own_cpu(sink) - cpu;
    seconds = (double)(r.last_us - r.begun_us) / 1e6;
    finished = r.busy == 0 && in_time(&r);
    sort_all(&r);
    (o->json ? report_json : report_text)(&r, seconds, cpu, finished);
    return finished && r.plan.failures.total == 0 ? 0 : 1;
}

/* ---- the command line */

static int number(const char *text, unsigned most, unsigned *out)
{
    uint64_t n;

    if (!text_u64(span_str(text), &n) || n > most) {
        fprintf(stderr, "loadgen: not a number up to %u: %s\n", most, text);
        return -1;
    }
    *out = (unsigned)n;
    return 0;
}

static int destination(const char *text, struct options *o)
{
    char host[64];
    unsigned port;
    const char *colon = strrchr(text, ':');

    if (!colon || (size_t)(colon - text) >= sizeof host || number(colon + 1, 65535, &port) < 0)
        return -1;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    o->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    o->has_to = true;
    return inet_pton(AF_INET, host, &o->to.sin_addr) == 1 ? 0 : -1;
}

enum { OPT_STARTTLS = 1000, OPT_IMPLICIT, OPT_SHAKE, OPT_PER };

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"connect", 1, NULL, 'c'},
                                          {"sink", 0, NULL, 'k'},
                                          {"sessions", 1, NULL, 's'},
                                          {"messages", 1, NULL, 'm'},
                                          {"repeat", 1, NULL, 'r'},
                                          {"per-connection", 0, NULL, OPT_PER},
                                          {"starttls", 0, NULL, OPT_STARTTLS},
                                          {"implicit", 0, NULL, OPT_IMPLICIT},
                                          {"handshake-only", 0, NULL, OPT_SHAKE},
                                          {"lockstep", 0, NULL, 'l'},
                                          {"resume", 0, NULL, 'R'},
                                          {"size", 1, NULL, 'b'},
                                          {"from", 1, NULL, 'f'},
                                          {"to", 1, NULL, 't'},
                                          {"hold", 1, NULL, 'H'},
                                          {"probes", 1, NULL, 'p'},
                                          {"wait", 0, NULL, 'w'},
                                          {"trickle", 1, NULL, 'T'},
                                          {"trickle-in", 1, NULL, 'I'},
                                          {"sources", 1, NULL, 'S'},
                                          {"seconds", 1, NULL, 'x'},
                                          {"json", 0, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
    unsigned size = 4096;
    bool per = false;
    int c, rc = 0;

    *o = (struct options){.sessions = 16,
                          .repeat = 1,
                          .messages = 20,
                          .probes = 100,
                          .sources = 1,
                          .seconds = 60,
                          .from = "load@load.example.net",
                          .rcpt = "alice@example.test"};
    while (rc == 0 && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            rc = destination(optarg, o);
            break;
        case 'k':
            o->sink = o->has_to = true;
            break;
        case 's':
            rc = number(optarg, 10000, &o->sessions);
            break;
        case 'm':
            rc = number(optarg, 10000000, &o->messages);
            break;
        case 'r':
            rc = number(optarg, 10000000, &o->repeat);
            break;
        case OPT_PER:
            per = true;
            break;
        case OPT_STARTTLS:
            o->tls = CLIENT_STARTTLS;
            break;
        case OPT_IMPLICIT:
            o->tls = CLIENT_IMPLICIT;
            break;
        case OPT_SHAKE:
            o->handshake_only = true;
            break;
        case 'R':
            o->resume = true;
            break;
        case 'l':
            o->lockstep = true;
            break;
        case 'b':
            rc = number(optarg, 1u << 30, &size);
            break;
        case 'f':
            o->from = optarg;
            break;
        case 't':
            o->rcpt = optarg;
            break;
        case 'H':
            rc = number(optarg, 100000, &o->hold);
            break;
        case 'p':
            rc = number(optarg, 100000, &o->probes);
            break;
        case 'w':
            o->wait = true;
            break;
        case 'T':
            rc = number(optarg, 20000, &o->trickle);
            break;
        case 'I':
            o->trickle_data = strcmp(optarg, "data") == 0;
            break;
        case 'S':
            rc = number(optarg, 250, &o->sources);
            break;
        case 'x':
            rc = number(optarg, 3600, &o->seconds);
            break;
        case 'j':
            o->json = true;
            break;
        default:
            return -1;
        }
    }
    o->size = size;
    if (per && o->messages) {
        o->repeat *= o->messages;
        o->messages = 1;
    }
    return rc < 0 || !o->has_to || optind < argc || !o->sessions || !o->sources || !o->rcpt[0] ? -1 : 0;
}

static void raise_descriptors(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

int main(int argc, char **argv)
{
    struct options o;
    struct sink_server sink;
    int rc;

    if (parse(argc, argv, &o) < 0) {
        usage(stderr);
        return 64;
    }
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
    raise_descriptors();
    if (o.sink && sink_start(&sink, &o.to) < 0) {
        perror("loadgen: sink");
        return 1;
    }
    rc = run(&o, o.sink ? &sink : NULL);
    if (o.sink)
        sink_stop(&sink);
    return rc;
}
