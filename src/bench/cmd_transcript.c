#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/text.h"
#include "bench/bench_command.h"

static const json_t *get(const json_t *o, const char *key)
{
    return json_object_get(o, key);
}

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(get(o, key));

    return s ? s : "";
}

static long long num(const json_t *o, const char *key)
{
    return (long long)json_integer_value(get(o, key));
}

static bool is(const json_t *o, const char *key)
{
    return json_is_true(get(o, key));
}

static void at(const json_t *o, const char *who)
{
    printf("%9.1f %s ", (double)num(o, "mono_us") / 1000, who);
}

/* What a terminal must not see is written out. */
static void put(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c >= 0x20 && c < 0x7f)
            putchar(c);
        else
            printf("\\x%02x", c);
    }
}

static void put_str(const json_t *s)
{
    const char *p = json_string_value(s);

    if (p)
        put(p, strlen(p));
}

static char *bytes_of(const json_t *o, size_t *n)
{
    const char *text = str(o, "raw_b64");
    char *p = mem_alloc(strlen(text) + 1);

    *n = 0;
    if (!base64_decode(p, n, span_str(text)))
        *n = 0;
    return p;
}

static void marks(const json_t *o)
{
    if (is(o, "redacted"))
        printf(" (kept back)");
    if (strcmp(str(o, "eol"), "crlf") != 0)
        printf("  (line end: %s)", str(o, "eol"));
    if (is(o, "early"))
        printf("  (before the greeting)");
    if (is(o, "pipelined"))
        printf("  (not waited for the answer before)");
    if (is(o, "dropped"))
        printf("  (nobody obeys)");
    if (num(o, "gap_ms") >= 1000)
        printf("  (after %.1f s)", (double)num(o, "gap_ms") / 1000);
    putchar('\n');
}

static void recv_text(const json_t *o)
{
    size_t n;
    char *bytes;

    at(o, "C:");
    if (get(o, "raw")) {
        put_str(get(o, "raw"));
    } else {
        bytes = bytes_of(o, &n);
        put(bytes, n);
        free(bytes);
    }
    marks(o);
}

/* The writes of an answer, and how long it waited. */
static void manner(const json_t *o)
{
    if (num(o, "writes") > 1)
        printf("%9s    (in %lld writes)\n", "", num(o, "writes"));
    if (num(o, "delay_ms"))
        printf("%9s    (held back for %lld ms)\n", "", num(o, "delay_ms"));
}

static void send_lines(const json_t *o)
{
    size_t count = json_array_size(get(o, "lines"));

    for (size_t i = 0; i < count; i++) {
        at(o, "S:");
        printf("%lld%c", num(o, "code"), i + 1 < count ? '-' : ' ');
        put_str(json_array_get(get(o, "lines"), i));
        putchar('\n');
    }
}

/* Bytes that are no reply; the last of them are a scenario's that stand behind one. */
static void send_bytes(const json_t *o)
{
    size_t n, injected = (size_t)num(o, "injected"), from = 0;
    char *bytes = bytes_of(o, &n);

    while (from < n) {
        const char *lf = memchr(bytes + from, '\n', n - from);
        size_t to = lf ? (size_t)(lf - bytes) + 1 : n;
        bool whole = lf && to - from >= 2 && bytes[to - 2] == '\r';

        if (from < n - injected && to > n - injected) {
            to = n - injected;
            lf = NULL;
            whole = false;
        }
        at(o, from >= n - injected ? "S!" : "S:");
        put(bytes + from, to - from - (whole ? 2 : lf != NULL));
        printf("%s\n", whole ? "" : lf ? "  (bare LF)" : "  (no line end)");
        from = to;
    }
    free(bytes);
}

static void tls_text(const json_t *o, const char *ev)
{
    if (strcmp(ev, "client_hello") == 0) {
        at(o, "--");
        printf("ClientHello for \"%s\":", str(o, "sni"));
        for (size_t i = 0; i < json_array_size(get(o, "versions")); i++)
            printf(" %s", json_string_value(json_array_get(get(o, "versions"), i)));
        printf(", %lld octets\n", num(o, "size"));
    } else if (strcmp(ev, "tls_done") == 0) {
        printf("%9.1f ================ TLS: %s, %s, for \"%s\"\n", (double)num(o, "mono_us") / 1000, str(o, "version"),
               str(o, "cipher"), str(o, "sni"));
    } else {
        printf("%9.1f ======x========= TLS failed: %s\n", (double)num(o, "mono_us") / 1000, str(o, "openssl"));
    }
}

static void body_text(const json_t *o)
{
    at(o, "C:");
    printf("... %lld octets of content", num(o, "bytes"));
    if (json_is_null(get(o, "eod_seq")))
        printf(", without an end");
    for (size_t i = 0; i < json_array_size(get(o, "near_eod")); i++)
        printf(", %s", json_string_value(json_array_get(get(o, "near_eod"), i)));
    putchar('\n');
}

static void message_text(const json_t *o)
{
    at(o, "--");
    printf("message %s %s, %zu recipients, %lld octets, ", str(o, "mid"), is(o, "accepted") ? "taken" : "not taken",
           json_array_size(get(o, "rcpts")), num(o, "size"));
    put_str(get(o, "message_id"));
    if (*str(o, "dup_of"))
        printf(", the same as %s", str(o, "dup_of"));
    putchar('\n');
}

static void verdict_text(const json_t *o)
{
    printf("%s, %s: %s\n", str(o, "scenario"), str(o, "policy"), str(o, "result"));
    for (size_t i = 0; i < json_array_size(get(o, "rules")); i++) {
        const json_t *r = json_array_get(get(o, "rules"), i);

        printf("    %s %s: ", is(r, "ok") ? "ok  " : "FAIL", str(r, "id"));
        put_str(get(r, "why"));
        if (*str(r, "sid"))
            printf(" (line %lld of %s)", num(r, "seq"), str(r, "sid"));
        putchar('\n');
    }
}

static void start_text(const json_t *o)
{
    const json_t *peer = get(o, "peer"), *local = get(o, "local");

    printf("%s, %s, from %s port %lld to %s port %lld\n", str(o, "sid"), str(o, "scenario"), str(peer, "ip"),
           num(peer, "port"), str(local, "ip"), num(local, "port"));
}

static void show(const json_t *o)
{
    const char *ev = str(o, "ev");

    if (strcmp(ev, "session_start") == 0) {
        start_text(o);
    } else if (strcmp(ev, "recv") == 0) {
        recv_text(o);
    } else if (strcmp(ev, "send") == 0) {
        if (get(o, "lines"))
            send_lines(o);
        else
            send_bytes(o);
        manner(o);
    } else if (strcmp(ev, "fault") == 0) {
        at(o, "--");
        printf("the scenario acts at %s: %s, time %lld\n", str(o, "at"), str(o, "effect"), num(o, "count"));
    } else if (strncmp(ev, "tls_", 4) == 0 || strcmp(ev, "client_hello") == 0) {
        tls_text(o, ev);
    } else if (strcmp(ev, "body") == 0) {
        body_text(o);
    } else if (strcmp(ev, "message") == 0) {
        message_text(o);
    } else if (strcmp(ev, "lint") == 0) {
        at(o, "??");
        printf("%s: ", str(o, "id"));
        put_str(get(o, "detail"));
        printf(" (line %lld)\n", num(o, "shown_by"));
    } else if (strcmp(ev, "session_end") == 0) {
        at(o, "--");
        printf("the end, by the %s: %s\n", str(o, "by"), str(o, "reason"));
    } else if (strcmp(ev, "verdict") == 0) {
        verdict_text(o);
    } else {
        at(o, "--");
        printf("%s\n", ev);
    }
}

/* ---- sessions, one after the other: the lines of those that ran at one time are mixed in all.jsonl */

struct lines {
    json_t **all;
    size_t count;
};

static int read_lines(struct lines *l, FILE *f, const char *name)
{
    char *text = NULL;
    size_t cap = 0;
    int rc = 0;

    for (unsigned number = 1; rc == 0 && getline(&text, &cap, f) > 0; number++) {
        json_t *o = json_loads(text, 0, NULL);

        if (!json_is_object(o)) {
            fprintf(stderr, "postern-bench: %s:%u: no line of a transcript\n", name, number);
            json_decref(o);
            rc = 2;
            break;
        }
        if ((l->count & (l->count - 1)) == 0) /* room doubles */
            l->all = mem_grow(l->all, (l->count ? 2 * l->count : 1) * sizeof(json_t *));
        l->all[l->count++] = o;
    }
    free(text);
    return rc;
}

struct place {
    const char *sid;
    size_t at;
};

static int by_sid(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int d = strcmp(x->sid, y->sid);

    return d ? d : (x->at > y->at) - (x->at < y->at);
}

/* For each line where the next one of its session is; all of the order in which sessions began. */
static size_t *chain(const struct lines *l, bool *begins)
{
    struct place *p = mem_alloc((l->count + 1) * sizeof *p);
    size_t *next = mem_alloc((l->count + 1) * sizeof *next);

    for (size_t i = 0; i < l->count; i++)
        p[i] = (struct place){str(l->all[i], "sid"), i};
    qsort(p, l->count, sizeof *p, by_sid);
    for (size_t i = 0; i < l->count; i++) {
        bool same = i && strcmp(p[i].sid, p[i - 1].sid) == 0 && *p[i].sid;

        begins[p[i].at] = !same;
        next[p[i].at] = l->count;
        if (same)
            next[p[i - 1].at] = p[i].at;
    }
    free(p);
    return next;
}

/* How many sessions were shown. */
static unsigned show_all(const struct lines *l, const char *sid)
{
    bool *begins = mem_alloc(l->count + 1);
    size_t *next = chain(l, begins);
    unsigned shown = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (!begins[i] || (sid && strcmp(sid, str(l->all[i], "sid")) != 0))
            continue;
        if (shown++)
            putchar('\n');
        for (size_t k = i; k < l->count; k = next[k])
            show(l->all[k]);
    }
    free(begins);
    free(next);
    return shown;
}

int bench_cmd_transcript(const struct bench_options *o)
{
    bool input = o->word && strcmp(o->word, "-") == 0;
    FILE *f = input ? stdin : o->word ? fopen(o->word, "re") : NULL;
    struct lines l = {0};
    int rc;

    if (!f) {
        fprintf(stderr, "postern-bench: %s: %s\n", o->word ? o->word : "which file?", o->word ? strerror(errno) : "");
        return o->word ? 2 : 64;
    }
    rc = read_lines(&l, f, o->word);
    if (!show_all(&l, o->sid) && rc == 0 && o->sid) {
        fprintf(stderr, "postern-bench: %s: no session %s\n", o->word, o->sid);
        rc = 2;
    }
    for (size_t i = 0; i < l.count; i++)
        json_decref(l.all[i]);
    free(l.all);
    if (!input)
        fclose(f);
    return rc;
}
