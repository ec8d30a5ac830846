/* What is written is read back, nothing that is cut off passes for whole, and there is one way to write a thing. */
#include "sink/queue_file.h"

#include <stdio.h>
#include <string.h>

#include "sink/queue_log.h"
#include "unit/suite.h"

static uint32_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(seed >> 4) * below) >> 28);
}

/* ---- texts */

static const struct {
    const char *text, *bare, *quoted;
} texts[] = {
    {"alice@example.org", "alice@example.org", "alice@example.org"},
    {"\"a b\"@example.org", "\"a\\x20b\"@example.org", "\\x22a b\\x22@example.org"},
    {"a>\nrcpt: <b", "a\\x3e\\x0arcpt:\\x20\\x3cb", "a>\\x0arcpt: <b"},
    {"back\\slash", "back\\x5cslash", "back\\x5cslash"},
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
    {"\xff\xc3\xbc", "\\xff\\xc3\\xbc", "\\xff\\xc3\\xbc"},
    {"\xc2\x9b"
     "31m",
     "\\xc2\\x9b31m", "\\xc2\\x9b31m"}, /* a control sequence of terminals, in UTF-8 */
    {"\x1b[2J\x7f", "\\x1b[2J\\x7f", "\\x1b[2J\\x7f"},
    {"", "", ""},
};

static void text_is(const char *text, const char *want, bool quoted)
{
    struct buf b = {0};
    char back[64];
    size_t n;

    queue_file_escape(&b, (struct peer_text){text, strlen(text)}, quoted);
    ck_assert_str_eq(buf_str(&b), want);
    ck_assert(queue_file_unescape(back, &n, (struct span){buf_str(&b), b.len}, quoted));
    ck_assert_uint_eq(n, strlen(text));
    ck_assert_mem_eq(back, text, n);
    buf_clear(&b);
}

START_TEST(texts_are_escaped)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        text_is(texts[i].text, texts[i].bare, false);
        text_is(texts[i].text, texts[i].quoted, true);
    }
}
END_TEST

START_TEST(there_is_one_way_to_write_a_text)
{
    static const char *const bad[] = {"a b",   "a<",  "\\",   "\\x", "\\x4",       "\\x41",         "\\X0a",
                                      "\\x0A", "\\n", "\xff", "a\n", "\\xc3\\xbc", "\xc3\xbc\\xff", "\xc2\x9b"};
    char room[64];
    size_t n;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!queue_file_unescape(room, &n, span_str(bad[i]), false), "%s", bad[i]);
    ck_assert(!queue_file_unescape(room, &n, SPAN("a\"b"), true));
    ck_assert(!queue_file_unescape(room, &n, SPAN("a\\x20b"), true));
}
END_TEST

START_TEST(times_are_strict)
{
    static const char *const bad[] = {"2026-02-30T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T07:60:00Z",
                                      "2026-11-23 07:00:00Z", "2026-11-23T07:00:00",  "1969-12-31T23:59:59Z",
                                      "2026-11-23T07:00:60Z", "x026-11-23T07:00:00Z", "2026-1 -23T07:00:00Z"};
    char text[QUEUE_FILE_TIME];
    int64_t us;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!queue_file_time_parse(span_str(bad[i]), &us), "%s", bad[i]);
    ck_assert(queue_file_time_parse(SPAN("2026-11-23T07:00:00Z"), &us));
    ck_assert_int_eq(us, INT64_C(1795417200000000));
    queue_file_time(text, us + 999999);
    ck_assert_str_eq(text, "2026-11-23T07:00:00Z");
}
END_TEST

START_TEST(ids_are_harmless_names)
{
    ck_assert(queue_file_is_id(SPAN("6b03d3bf000001")));
    ck_assert(!queue_file_is_id(SPAN("")));
    ck_assert(!queue_file_is_id(SPAN("..")));
    ck_assert(!queue_file_is_id(SPAN("a/b")));
    ck_assert(!queue_file_is_id(SPAN(".lock")));
    ck_assert(!queue_file_is_id(SPAN("12345678901234567890123456789012345678901")));
}
END_TEST

/* ---- heads */

static const char whole[] =
    "postern-queue 1\n"
    "size: 00000000000000000005\n"
    "id: 6b03d3bf000001\n"
    "arrived: 2026-11-23T07:00:00Z 1795417200123456\n"
    "from: <alice@example.org>\n"
    "params: body=8bitmime smtputf8 requiretls ret=hdrs envid=QQ+2B\n"
    "auth: alice@example.org\n"
    "client: [192.0.2.1] laptop\n"
    "rcpt: <bob@example.net> route=smarthost notify=failure,delay orcpt=rfc822;Bob@example.net\n"
    "rcpt: <c@example.net> route=mx\n"
    "\n"
    "hello";

START_TEST(a_head_reads_as_it_stands)
{
    struct queue_head *h;
    struct buf b = {0};
    struct err e = {""};
    uint64_t at;
    size_t used;

    ck_assert_int_eq(queue_file_parse(&h, whole, sizeof whole - 1, &used, &e), 1);
    ck_assert_uint_eq(used, sizeof whole - 1 - 5);
    ck_assert_uint_eq(h->size, 5);
    ck_assert_str_eq(h->id, "6b03d3bf000001");
    ck_assert_int_eq(h->arrived_us, INT64_C(1795417200123456));
    ck_assert_str_eq(h->sender.p, "alice@example.org");
    ck_assert(h->body_8bit && h->smtputf8 && h->requiretls && h->ret == QUEUE_RET_HDRS);
    ck_assert_str_eq(h->envid.p, "QQ+2B");
    ck_assert_str_eq(h->auth.p, "alice@example.org");
    ck_assert_str_eq(h->client_ip.p, "192.0.2.1");
    ck_assert_str_eq(h->client_name.p, "laptop");
    ck_assert_uint_eq(h->rcpt_count, 2);
    ck_assert_str_eq(h->rcpts[0].route.p, "smarthost");
    ck_assert_uint_eq(h->rcpts[0].notify, QUEUE_NOTIFY_FAILURE | QUEUE_NOTIFY_DELAY);
    ck_assert_str_eq(h->rcpts[0].orcpt.p, "rfc822;Bob@example.net");
    ck_assert_ptr_null(h->rcpts[1].orcpt.p);
    ck_assert_int_eq(queue_file_write(&b, h, &e), 0);
    ck_assert_uint_eq(b.len, used);
    ck_assert_mem_eq(buf_data(&b), whole, used);
    ck_assert_int_eq(memcmp(whole + QUEUE_FILE_SIZE_AT, "00000000000000000005", QUEUE_FILE_SIZE_DIGITS), 0);
    ck_assert_int_eq(queue_file_log_at(h, used, sizeof whole - 2, &at, &e), -1);
    ck_assert_int_eq(queue_file_log_at(h, used, sizeof whole - 1, &at, &e), 0);
    ck_assert_uint_eq(at, sizeof whole - 1);
    queue_file_free(&h);
    buf_clear(&b);
}
END_TEST

static struct peer_text some_text(bool empty_too)
{
    static char room[16][64];
    static unsigned at;
    char *p = room[at++ % 16];
    size_t n = any(40) + !empty_too;
    bool plain = any(2);

    for (size_t i = 0; i < n; i++)
        p[i] = plain ? (char)('a' + any(26)) : (char)(1 + any(255));
    return (struct peer_text){p, n};
}

static struct peer_text own(struct peer_text t)
{
    return (struct peer_text){mem_strn(t.p, t.n), t.n};
}

static struct peer_text none_or_some(void)
{
    return any(2) ? own(some_text(false)) : (struct peer_text){NULL, 0};
}

static void some_head(struct queue_head *h)
{
    static const unsigned notify[] = {0, 1, 2, 4, 8, 6, 10, 12, 14};

    *h = (struct queue_head){.size = any(100000), .arrived_us = (int64_t)any(1u << 28) * 6000000 + any(1000000)};
    snprintf(h->id, sizeof h->id, "%x-%u", any(1u << 28), any(10000));
    h->sender = own(some_text(true));
    h->body_8bit = any(2);
    h->smtputf8 = any(2);
    h->requiretls = any(2);
    h->ret = (enum queue_ret)any(3);
    h->envid = none_or_some();
    h->auth = none_or_some();
    h->client_name = (struct peer_text){"", 0};
    if (any(2)) {
        h->client_ip = (struct peer_text){mem_str("2001:db8::1"), 11};
        h->client_name = own(some_text(true));
    }
    h->rcpt_count = 1 + any(5);
    h->rcpts = mem_alloc(h->rcpt_count * sizeof *h->rcpts);
    for (uint32_t i = 0; i < h->rcpt_count; i++)
        h->rcpts[i] = (struct queue_rcpt){own(some_text(false)), own(some_text(false)), none_or_some(), notify[any(9)]};
}

static void free_text(struct peer_text t)
{
    free((void *)(uintptr_t)t.p);
}

static void free_head(struct queue_head *h)
{
    free_text(h->sender);
    free_text(h->envid);
    free_text(h->auth);
    if (h->client_ip.p)
        free_text(h->client_name);
    free_text(h->client_ip);
    for (uint32_t i = 0; i < h->rcpt_count; i++) {
        free_text(h->rcpts[i].address);
        free_text(h->rcpts[i].route);
        free_text(h->rcpts[i].orcpt);
    }
    free(h->rcpts);
}

static void same(struct peer_text a, struct peer_text b)
{
    ck_assert_int_eq(a.p == NULL, b.p == NULL);
    ck_assert_uint_eq(a.n, b.n);
    if (a.n)
        ck_assert_mem_eq(a.p, b.p, a.n);
}

static void same_head(const struct queue_head *a, const struct queue_head *b)
{
    ck_assert_uint_eq(a->size, b->size);
    ck_assert_str_eq(a->id, b->id);
    ck_assert_int_eq(a->arrived_us, b->arrived_us);
    same(a->sender, b->sender);
    ck_assert(a->body_8bit == b->body_8bit && a->smtputf8 == b->smtputf8 && a->requiretls == b->requiretls);
    ck_assert_int_eq(a->ret, b->ret);
    same(a->envid, b->envid);
    same(a->auth, b->auth);
    same(a->client_ip, b->client_ip);
    same(a->client_name, b->client_name);
    ck_assert_uint_eq(a->rcpt_count, b->rcpt_count);
    for (uint32_t i = 0; i < a->rcpt_count; i++) {
        same(a->rcpts[i].address, b->rcpts[i].address);
        same(a->rcpts[i].route, b->rcpts[i].route);
        same(a->rcpts[i].orcpt, b->rcpts[i].orcpt);
        ck_assert_uint_eq(a->rcpts[i].notify, b->rcpts[i].notify);
    }
}

/* One byte changed: refused, or another head written in the one way. */
static void spoil(const char *text, size_t n)
{
    char *p = mem_strn(text, n);
    struct queue_head *h;
    struct buf again = {0};
    struct err e;
    size_t used;

    p[any((uint32_t)n)] = (char)any(256);
    if (queue_file_parse(&h, p, n, &used, &e) == 1) {
        ck_assert_int_eq(queue_file_write(&again, h, &e), 0);
        ck_assert_uint_eq(again.len, used);
        ck_assert_mem_eq(buf_data(&again), p, used);
        queue_file_free(&h);
    }
    buf_clear(&again);
    free(p);
}

START_TEST(what_is_written_is_read)
{
    struct err e = {""};

    for (uint32_t round = 1; round < 300; round++) {
        struct queue_head h, *back;
        struct buf b = {0};
        size_t used;

        seed = round * 7919;
        some_head(&h);
        ck_assert_int_eq(queue_file_write(&b, &h, &e), 0);
        ck_assert_msg(queue_file_parse(&back, buf_data(&b), b.len, &used, &e) == 1, "%s: %s", e.text, buf_str(&b));
        ck_assert_uint_eq(used, b.len);
        same_head(&h, back);
        queue_file_free(&back);
        for (size_t n = 0; n < b.len; n++)
            ck_assert_int_eq(queue_file_parse(&back, buf_data(&b), n, &used, &e), 0);
        for (unsigned i = 0; i < 200; i++)
            spoil(buf_data(&b), b.len);
        buf_clear(&b);
        free_head(&h);
    }
}
END_TEST

static const struct {
    const char *from, *to; /* in `whole` */
    const char *says;
} lies[] = {
    {"queue 1", "queue 2", "line 1"},
    {"00005\n", "0005\n", "line 2"},
    {"00000000000000000005", "99999999999999999999", "line 2"},
    {"6b03d3bf000001", "../etc/passwd0", "line 3"},
    {"T07:00:00Z 17", "T07:00:01Z 17", "line 4"},
    {"1795417200123456", "01795417200123456", "line 4"},
    {"from: <alice@example.org>", "from: alice@example.org", "line 5"},
    {"params: body=8bitmime smtputf8", "params: smtputf8 body=8bitmime", "line 6"},
    {"ret=hdrs", "ret=some", "line 6"},
    {"client: [192.0.2.1] laptop", "client: [192.0.2.1]  laptop", "line 8"},
    {"auth: alice@example.org", "auth: ", "line 7"},
    {"notify=failure,delay", "notify=delay,failure", "line 9"},
    {"notify=failure,delay", "notify=never,delay", "line 9"},
    {"notify=failure,delay", "notify=", "line 9"},
    {" route=smarthost", "", "line 9"},
    {"<c@example.net>", "<>", "line 10"},
    {"rcpt: <c@example.net> route=mx\n", "bcc: <c@example.net>\n", "line 10"},
    {"<alice@example.org>", "<alice\\x00>", "line 5"},
};

START_TEST(errors_name_the_line)
{
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const char *at = strstr(whole, lies[i].from);
        char *text = mem_printf("%.*s%s%s", (int)(at - whole), whole, lies[i].to, at + strlen(lies[i].from));
        struct queue_head *h;
        struct err e = {""};
        size_t used;

        ck_assert_msg(queue_file_parse(&h, text, strlen(text), &used, &e) == -1, "%s", lies[i].to);
        ck_assert_msg(strstr(e.text, lies[i].says) != NULL, "%s: %s", lies[i].to, e.text);
        free(text);
    }
}
END_TEST

START_TEST(what_does_not_fit_is_not_written)
{
    char large[QUEUE_FILE_TEXT_MOST + 2];
    struct queue_rcpt r = {{"b@example.net", 13}, {"mx", 2}, {NULL, 0}, 0};
    struct queue_head h = {.id = "a", .sender = {"", 0}, .client_name = {"", 0}, .rcpts = &r, .rcpt_count = 1};
    struct buf b = {0};
    struct err e;

    memset(large, 'a', sizeof large);
    ck_assert_int_eq(queue_file_write(&b, &h, &e), 0);
    buf_clear(&b);
    r.notify = QUEUE_NOTIFY_NEVER | QUEUE_NOTIFY_DELAY;
    ck_assert_int_eq(queue_file_write(&b, &h, &e), -1);
    r.notify = 0;
    r.address = (struct peer_text){large, QUEUE_FILE_TEXT_MOST + 1};
    ck_assert_int_eq(queue_file_write(&b, &h, &e), -1);
    r.address = (struct peer_text){"a\0b", 3};
    ck_assert_int_eq(queue_file_write(&b, &h, &e), -1);
    r.address.n = 1;
    h.rcpt_count = 0;
    ck_assert_int_eq(queue_file_write(&b, &h, &e), -1);
    ck_assert_uint_eq(b.len, 0);
}
END_TEST

/* ---- the log */

static void dump(struct buf *out, const struct queue_state *s)
{
    buf_printf(out, "held %d retry %lld whole %llu\n", s->held, (long long)s->retry_us, (unsigned long long)s->whole);
    for (uint32_t i = 0; i < s->rcpt_count; i++) {
        const struct queue_rcpt_log *r = &s->rcpts[i];

        buf_printf(out, "%s %d %d %u %lld %u %s %d", queue_rcpt_state_name(r->state), r->delay_noticed, r->reported,
                   r->tries, (long long)r->last_try_us, r->reply.code, r->reply.enhanced, r->reply.said);
        buf_append(out, "|", 1);
        buf_append(out, r->reply.remote.p, r->reply.remote.n);
        buf_append(out, "|", 1);
        buf_append(out, r->reply.text.p, r->reply.text.n);
        buf_append(out, "|", 1);
        buf_append(out, r->reply.tls.p, r->reply.tls.n);
        buf_append(out, "\n", 1);
    }
}

static void some_entry(struct queue_entry *en, const struct queue_state *s)
{
    *en = (struct queue_entry){.at_us = (int64_t)any(1u << 28) * 6000000,
                               .kind = (enum queue_entry_kind)any(QUEUE_ENTRIES)};
    if (en->kind <= QUEUE_ENTRY_REPORTED)
        en->rcpt = any(s->rcpt_count);
    if (en->kind <= QUEUE_ENTRY_FAILED) {
        static const uint16_t code[] = {451, 250, 250, 550};

        en->try = s->rcpts[en->rcpt].tries + 1;
        en->reply.code = code[en->kind];
        snprintf(en->reply.enhanced, sizeof en->reply.enhanced, "%u.%u.%u", en->reply.code / 100, any(1000), any(1000));
        en->reply.said = (enum queue_said)any(3);
        if (en->reply.said != QUEUE_SAID_HERE)
            en->reply.remote = some_text(false);
        en->reply.text = some_text(true);
        if (any(2))
            en->reply.tls = some_text(true);
    } else if (en->kind == QUEUE_ENTRY_HELD) {
        en->text = some_text(true);
    } else if (any(2) && (en->kind == QUEUE_ENTRY_DELAY_NOTICE || en->kind == QUEUE_ENTRY_REPORTED)) {
        snprintf(en->report, sizeof en->report, "%x", any(100000));
    }
}

static void cut_everywhere(const struct buf *log, uint32_t rcpts, struct buf *dumps, const size_t *ends, unsigned lines)
{
    unsigned line = 0;

    for (size_t n = 0; n <= log->len; n++) {
        struct queue_state *s = queue_state_new(rcpts);
        struct buf d = {0};
        struct err e = {""};

        while (line < lines && ends[line] <= n)
            line++;
        ck_assert_msg(queue_state_read(s, buf_data(log), n, &e) == 0, "%s", e.text);
        dump(&d, s);
        ck_assert_uint_eq(d.len, dumps[line].len);
        ck_assert_mem_eq(buf_data(&d), buf_data(&dumps[line]), d.len);
        buf_clear(&d);
        queue_state_free(&s);
    }
}

START_TEST(a_log_cut_anywhere_is_the_state_before)
{
    for (uint32_t round = 1; round < 40; round++) {
        struct buf log = {0}, dumps[13] = {{0}};
        size_t ends[12];
        struct queue_state *s;
        unsigned lines = 0;

        seed = round * 7919;
        s = queue_state_new(1 + any(4));
        dump(&dumps[0], s);
        for (unsigned tries = 0; tries < 60 && lines < 12; tries++) {
            struct queue_entry en;

            some_entry(&en, s);
            if (!queue_state_take(s, &en))
                continue;
            queue_log_write(&log, &en);
            ends[lines++] = log.len;
            s->whole = log.len;
            dump(&dumps[lines], s);
        }
        ck_assert_uint_gt(lines, 2);
        cut_everywhere(&log, s->rcpt_count, dumps, ends, lines);
        for (unsigned i = 0; i <= lines; i++)
            buf_clear(&dumps[i]);
        buf_clear(&log);
        queue_state_free(&s);
    }
}
END_TEST

static const struct {
    const char *log, *says; /* NULL: good */
} logs[] = {
#define T "2026-11-23T07:05:00Z "
    {T "try 1 rcpt 0 deferred 451 4.7.6 at mx.example.net[192.0.2.25] \"no STARTTLS\"\n", NULL},
    {T "try 1 rcpt 0 delivered 250 2.0.0 by mx.example.net[192.0.2.25] \"Ok\" tls \"TLSv1.3, verified\"\n", NULL},
    {T "try 1 rcpt 1 failed 550 5.1.1 here \"\"\n" T "rcpt 1 reported 6b03\n" T "held \"by hand\"\n" T "released\n" T
       "retry\n",
     NULL},
    {T "rcpt 0 expired\n" T "rcpt 0 reported -\n", NULL},
    {T "retry\n\n", "line 2"},
    {"retry\n", "line 1"},
    {T "retry \n", "line 1"},
    {T "rcpt 0 retry\n", "line 1"},
    {T "try 1 deferred 451 4.7.6 here \"\"\n", "line 1"},
    {T "try 01 rcpt 0 deferred 451 4.7.6 here \"\"\n", "line 1"},
    {T "try 1 rcpt 0 deferred 250 2.0.0 here \"\"\n", "line 1"},
    {T "try 1 rcpt 0 delivered 550 5.0.0 here \"\"\n", "line 1"},
    {T "try 1 rcpt 0 failed 550 5.0 here \"\"\n", "line 1"},
    {T "try 1 rcpt 0 failed 550 5..0 here \"\"\n", "line 1"},
    {T "try 1 rcpt 0 failed 550 3.0.0 here \"\"\n", "line 1"},
    {T "try 1 rcpt 0 failed 550 5.0.0 nowhere \"\"\n", "line 1"},
    {T "try 1 rcpt 0 failed 550 5.0.0 here \"\n", "line 1"},
    {T "try 1 rcpt 0 failed 550 5.0.0 here \"\" \n", "line 1"},
    {T "try 1 rcpt 0 failed 550 5.0.0 here \"\" x\n", "line 1"},
    {T "rcpt 0 reported -\n", "cannot follow"},
    {T "rcpt 2 expired\n", "cannot follow"},
    {T "rcpt 0 expired\n" T "rcpt 0 expired\n", "line 2"},
    {T "rcpt 0 expired\n" T "try 1 rcpt 0 delivered 250 2.0.0 here \"\"\n", "line 2"},
    {T "try 2 rcpt 0 deferred 451 4.0.0 here \"\"\n", "cannot follow"},
    {T "rcpt 0 delay-notice ../x\n", "line 1"},
};

START_TEST(logs_are_strict)
{
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        struct queue_state *s = queue_state_new(2);
        struct err e = {""};
        int r = queue_state_read(s, logs[i].log, strlen(logs[i].log), &e);

        ck_assert_msg(r == (logs[i].says ? -1 : 0), "%s%s", logs[i].log, e.text);
        if (logs[i].says)
            ck_assert_msg(strstr(e.text, logs[i].says) != NULL, "%s%s", logs[i].log, e.text);
        queue_state_free(&s);
    }
}
END_TEST

SUITE_MAIN("queue_file", texts_are_escaped, there_is_one_way_to_write_a_text, times_are_strict, ids_are_harmless_names,
           a_head_reads_as_it_stands, what_is_written_is_read, errors_name_the_line, what_does_not_fit_is_not_written,
           a_log_cut_anywhere_is_the_state_before, logs_are_strict)
