#include "bench/transcript_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/text.h"
#include "bench/bench_json.h"

static const json_t *get(const json_t *o, const char *key)
{
    return json_object_get(o, key);
}

static long long num(const json_t *o, const char *key)
{
    return (long long)json_integer_value(get(o, key));
}

static bool is(const json_t *o, const char *key)
{
    return json_is_true(get(o, key));
}

static void at(FILE *out, const json_t *o, const char *who)
{
    fprintf(out, "%9.1f %s ", (double)num(o, "mono_us") / 1000, who);
}

/* What a terminal must not see is written out. */
static void put(FILE *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c >= 0x20 && c < 0x7f)
            putc(c, out);
        else
            fprintf(out, "\\x%02x", c);
    }
}

static void put_str(FILE *out, const json_t *s)
{
    const char *p = json_string_value(s);

    if (p)
        put(out, p, strlen(p));
}

static char *bytes_of(const json_t *o, size_t *n)
{
    const char *text = bench_json_str(o, "raw_b64");
    char *p = mem_alloc(strlen(text) + 1);

    *n = 0;
    if (!base64_decode(p, n, span_str(text)))
        *n = 0;
    return p;
}

static void marks(FILE *out, const json_t *o)
{
    if (is(o, "redacted"))
        fprintf(out, " (kept back)");
    if (strcmp(bench_json_str(o, "eol"), "crlf") != 0)
        fprintf(out, "  (line end: %s)", bench_json_str(o, "eol"));
    if (is(o, "early"))
        fprintf(out, "  (before the greeting)");
    if (is(o, "pipelined"))
        fprintf(out, "  (not waited for the answer before)");
    if (is(o, "dropped"))
        fprintf(out, "  (nobody obeys)");
    if (num(o, "gap_ms") >= 1000)
        fprintf(out, "  (after %.1f s)", (double)num(o, "gap_ms") / 1000);
    putc('\n', out);
}

static void recv_text(FILE *out, const json_t *o)
{
    size_t n;
    char *bytes;

    at(out, o, "C:");
    if (get(o, "raw")) {
        put_str(out, get(o, "raw"));
    } else {
        bytes = bytes_of(o, &n);
        put(out, bytes, n);
        free(bytes);
    }
    marks(out, o);
}

/* The writes of an answer, and how long it waited. */
static void manner(FILE *out, const json_t *o)
{
    if (num(o, "writes") > 1)
        fprintf(out, "%9s    (in %lld writes)\n", "", num(o, "writes"));
    if (num(o, "delay_ms"))
        fprintf(out, "%9s    (held back for %lld ms)\n", "", num(o, "delay_ms"));
}

static void send_lines(FILE *out, const json_t *o)
{
    size_t count = json_array_size(get(o, "lines"));

    for (size_t i = 0; i < count; i++) {
        at(out, o, "S:");
        fprintf(out, "%lld%c", num(o, "code"), i + 1 < count ? '-' : ' ');
        put_str(out, json_array_get(get(o, "lines"), i));
        putc('\n', out);
    }
}

/* Bytes that are no reply; the last of them are a scenario's that stand behind one. */
static void send_bytes(FILE *out, const json_t *o)
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
        at(out, o, from >= n - injected ? "S!" : "S:");
        put(out, bytes + from, to - from - (whole ? 2 : lf != NULL));
        fprintf(out, "%s\n", whole ? "" : lf ? "  (bare LF)" : "  (no line end)");
        from = to;
    }
    free(bytes);
}

static void tls_text(FILE *out, const json_t *o, const char *ev)
{
    if (strcmp(ev, "client_hello") == 0) {
        at(out, o, "--");
        fprintf(out, "ClientHello for \"%s\":", bench_json_str(o, "sni"));
        for (size_t i = 0; i < json_array_size(get(o, "versions")); i++)
            fprintf(out, " %s", json_string_value(json_array_get(get(o, "versions"), i)));
        fprintf(out, ", %lld octets\n", num(o, "size"));
    } else if (strcmp(ev, "tls_done") == 0) {
        fprintf(out, "%9.1f ================ TLS: %s, %s, for \"%s\"\n", (double)num(o, "mono_us") / 1000,
                bench_json_str(o, "version"), bench_json_str(o, "cipher"), bench_json_str(o, "sni"));
    } else {
        fprintf(out, "%9.1f ======x========= TLS failed: %s\n", (double)num(o, "mono_us") / 1000,
                *bench_json_str(o, "openssl") ? bench_json_str(o, "openssl") : "the connection ended");
    }
}

static void body_text(FILE *out, const json_t *o)
{
    at(out, o, "C:");
    fprintf(out, "... %lld octets of content", num(o, "bytes"));
    if (json_is_null(get(o, "eod_seq")))
        fprintf(out, ", without an end");
    for (size_t i = 0; i < json_array_size(get(o, "near_eod")); i++)
        fprintf(out, ", %s", json_string_value(json_array_get(get(o, "near_eod"), i)));
    putc('\n', out);
}

static void message_text(FILE *out, const json_t *o)
{
    size_t rcpts = json_array_size(get(o, "rcpts"));

    at(out, o, "--");
    fprintf(out, "message %s %s, %zu recipient%s, %lld octets, ", bench_json_str(o, "mid"),
            is(o, "accepted") ? "taken" : "not taken", rcpts, rcpts == 1 ? "" : "s", num(o, "size"));
    put_str(out, get(o, "message_id"));
    if (*bench_json_str(o, "dup_of"))
        fprintf(out, ", the same as %s", bench_json_str(o, "dup_of"));
    putc('\n', out);
}

static void verdict_text(FILE *out, const json_t *o)
{
    fprintf(out, "%s, %s: %s: ", bench_json_str(o, "scenario"), bench_json_str(o, "policy"),
            bench_json_str(o, "result"));
    put_str(out, get(o, "why"));
    putc('\n', out);
    for (size_t i = 0; i < json_array_size(get(o, "rules")); i++) {
        const json_t *r = json_array_get(get(o, "rules"), i);
        const char *ok = is(r, "ok") ? "ok  " : json_is_null(get(r, "ok")) ? "open" : "FAIL";

        fprintf(out, "    %s %s %s: ", ok, bench_json_str(r, "kind"), bench_json_str(r, "id"));
        put_str(out, get(r, "why"));
        if (*bench_json_str(r, "sid"))
            fprintf(out, " (line %lld of %s)", num(r, "seq"), bench_json_str(r, "sid"));
        putc('\n', out);
    }
}

static void start_text(FILE *out, const json_t *o)
{
    const json_t *peer = get(o, "peer"), *local = get(o, "local");

    fprintf(out, "%s, %s, from %s port %lld to %s port %lld\n", bench_json_str(o, "sid"), bench_json_str(o, "scenario"),
            bench_json_str(peer, "ip"), num(peer, "port"), bench_json_str(local, "ip"), num(local, "port"));
}

static void tell(FILE *out, const json_t *o)
{
    const char *ev = bench_json_str(o, "ev");

    if (strcmp(ev, "session_start") == 0) {
        start_text(out, o);
    } else if (strcmp(ev, "recv") == 0) {
        recv_text(out, o);
    } else if (strcmp(ev, "send") == 0) {
        if (get(o, "lines"))
            send_lines(out, o);
        else
            send_bytes(out, o);
        manner(out, o);
    } else if (strcmp(ev, "fault") == 0) {
        at(out, o, "--");
        fprintf(out, "the scenario acts at %s: %s, time %lld\n", bench_json_str(o, "at"), bench_json_str(o, "effect"),
                num(o, "count"));
    } else if (strncmp(ev, "tls_", 4) == 0 || strcmp(ev, "client_hello") == 0) {
        tls_text(out, o, ev);
    } else if (strcmp(ev, "body") == 0) {
        body_text(out, o);
    } else if (strcmp(ev, "message") == 0) {
        message_text(out, o);
    } else if (strcmp(ev, "lint") == 0) {
        at(out, o, "??");
        fprintf(out, "%s: ", bench_json_str(o, "id"));
        put_str(out, get(o, "detail"));
        fprintf(out, " (line %lld)\n", num(o, "shown_by"));
    } else if (strcmp(ev, "session_end") == 0) {
        at(out, o, "--");
        fprintf(out, "the end, by the %s: %s\n", bench_json_str(o, "by"), bench_json_str(o, "reason"));
    } else if (strcmp(ev, "verdict") == 0) {
        verdict_text(out, o);
    } else {
        at(out, o, "--");
        fprintf(out, "%s\n", ev);
    }
}

/* Whatever the file says that it is, it may be somebody else's: nothing of it is for a terminal to obey. */
void transcript_text(FILE *out, const json_t *o)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    if (f) {
        tell(f, o);
        fclose(f);
    }
    for (size_t i = 0; text && i < n; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '\n' || (c >= ' ' && c <= '~'))
            putc(c, out);
        else
            fprintf(out, "\\x%02x", c);
    }
    free(text);
}
