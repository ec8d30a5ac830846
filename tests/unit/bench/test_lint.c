/* tests/tables/lint.txt: what senders say, and what is peculiar about it. */
#include <stdio.h>
#include <string.h>

#include "bench/lint.h"
#include "bench/message_digest.h"
#include "unit/suite.h"

struct play {
    unsigned line, seq;
    char name[64];
    bool bad;
    struct lint_book *book;
    struct bench_scenario scenario;
    struct bench_step step;
    char *add[2], *drop[2];
    char words[2][64], reply[128];
    struct bench_count *count;
    struct bench_session *s; /* NULL: none has begun */
    struct lint *lint;
    struct message_digest *digest;
    char seen[4][1200];
    unsigned seen_count;
    int64_t now_s;
    bool said[LINT_IDS], twice;
    bool session_said[LINT_IDS];
};

static void on_lint(void *arg, enum lint_id id, const char *detail, unsigned seq)
{
    struct play *p = arg;

    ck_assert_msg(*detail && seq && seq <= p->seq + 1, "lint.txt:%u: %s: %s (%u)", p->line, lint_name(id), detail, seq);
    ck_assert_msg(!p->session_said[id], "lint.txt:%u: %s is said twice", p->line, lint_name(id));
    p->said[id] = p->session_said[id] = true;
}

static void message(struct play *p, const struct bench_event *ev)
{
    struct message_digest_result d;
    struct lint_message m = {.declared = ev->envelope->size_declared, .given = ev->envelope->size_given};
    char key[1200];

    message_digest_end(p->digest, ev->body->eod_octets, &d);
    message_digest_free(&p->digest);
    snprintf(key, sizeof key, "%s %s", d.sha256, d.id);
    for (unsigned i = 0; i < p->seen_count; i++)
        if (*d.id && strcmp(p->seen[i], key) == 0)
            m.before = "1-1.1";
    snprintf(p->seen[p->seen_count++ % 4], sizeof key, "%s", key);
    p->seen_count = p->seen_count > 4 ? 4 : p->seen_count;
    m.size = d.size;
    lint_message(p->lint, &m, p->seq);
}

static void on_event(void *arg, const struct bench_event *ev)
{
    struct play *p = arg;

    p->seq++;
    lint_event(p->lint, ev, p->seq, p->now_s);
    if (ev->kind == BENCH_EV_CONTENT) {
        p->digest = p->digest ? p->digest : message_digest_new(ev->chunked);
        message_digest_take(p->digest, ev->text.p, ev->text.n);
    }
    if (ev->kind == BENCH_EV_MESSAGE)
        message(p, ev);
}

static void drain(struct play *p)
{
    struct bench_do d = {.kind = BENCH_DO_SEND};

    while (d.kind != BENCH_DO_WAIT && d.kind != BENCH_DO_START_TLS)
        bench_session_next(p->s, &d);
}

static void begin(struct play *p)
{
    struct lint_setup l = {.book = p->book, .client = "c", .lease = "", .scenario = "x", .fn = on_lint, .arg = p};
    struct bench_session_setup s = {.scenario = &p->scenario,
                                    .count = p->count,
                                    .hostname = "mx.bench.test",
                                    .client = "c",
                                    .lease = "",
                                    .tls_possible = true,
                                    .size_most = 1000000,
                                    .event = on_event,
                                    .arg = p};

    if (p->s)
        return;
    memset(p->session_said, 0, sizeof p->session_said);
    p->seq = 1;
    p->lint = lint_new(&l);
    p->s = bench_session_new(&s, p->now_s);
}

static void leave(struct play *p, bool left)
{
    begin(p);
    drain(p);
    bench_session_gone(p->s);
    lint_end(p->lint, left, p->seq, p->now_s);
    lint_free(&p->lint);
    bench_session_free(&p->s);
    message_digest_free(&p->digest);
}

static void give(struct play *p, const char *bytes, size_t n)
{
    begin(p);
    drain(p);
    bench_session_feed(p->s, bytes, n, p->now_s);
    drain(p);
}

static void say(struct play *p, const char *text)
{
    char bytes[1200];

    give(p, bytes, (size_t)snprintf(bytes, sizeof bytes, "%s\r\n", text));
}

static void raw(struct play *p, const char *text)
{
    struct bench_bytes b = {NULL, 0};
    struct err e;

    ck_assert_msg(bench_bytes_parse(&b, text, &e) == 0, "lint.txt:%u: %s", p->line, e.text);
    give(p, b.p, b.n);
    free(b.p);
}

static void texts(struct play *p)
{
    say(p, "MAIL FROM:<a@b.example>");
    say(p, "RCPT TO:<c@d.example>");
    say(p, "DATA");
}

static void hello(struct play *p, char *rest)
{
    const char *versions[8] = {NULL}, *sni = strtok(rest, " ");

    for (unsigned i = 0; i < 7 && (versions[i] = strtok(NULL, " ")) != NULL;)
        i++;
    lint_client_hello(p->lint, strcmp(sni, "-") == 0 ? "" : sni, versions, p->seq);
}

static void step(struct play *p, char *rest)
{
    char *reply = strchr(rest, ' ');

    *reply++ = '\0';
    p->step = (struct bench_step){.at = (enum bench_at)bench_at_find(rest), .chance = 1000};
    snprintf(p->reply, sizeof p->reply, "%s\r\n", reply);
    p->step.reply = (struct bench_bytes){p->reply, strcmp(reply, "silence") == 0 ? 0 : strlen(p->reply)};
    p->scenario.steps = &p->step;
    p->scenario.step_count = 1;
}

static void word(struct play *p, char **list, unsigned i, const char *rest)
{
    snprintf(p->words[i], sizeof p->words[i], "%s", rest);
    list[0] = p->words[i];
}

static void end_case(struct play *p)
{
    if (p->s)
        leave(p, false);
    lint_book_free(&p->book);
    bench_count_free(&p->count);
}

static void begin_case(struct play *p, const char *text)
{
    unsigned line = p->line;

    end_case(p);
    memset(p, 0, sizeof *p);
    p->line = line;
    p->now_s = 1000;
    p->bad = strstr(text, " bad]") != NULL;
    snprintf(p->name, sizeof p->name, "%.*s", (int)strcspn(text + 1, " ]"), text + 1);
    p->book = lint_book_new();
    p->count = bench_count_new(1);
    p->scenario.name = (char *)"x";
    p->scenario.ehlo.add = p->add;
    p->scenario.ehlo.drop = p->drop;
}

static void check(const struct play *p, const char *want)
{
    char padded[300];
    bool named = false;

    snprintf(padded, sizeof padded, " %.290s ", want);
    for (int i = 0; i < LINT_IDS; i++) {
        char one[64];

        snprintf(one, sizeof one, " %s ", lint_name((enum lint_id)i));
        ck_assert_msg(p->said[i] == (strstr(padded, one) != NULL), "lint.txt:%u: [%s]: %s%s", p->line, p->name,
                      p->said[i] ? "" : "not", one);
        named = named || (strcmp(p->name, lint_name((enum lint_id)i)) == 0 && p->said[i] == p->bad);
    }
    ck_assert_msg(named, "lint.txt:%u: [%s]", p->line, p->name);
}

static void one(struct play *p, const char *verb, char *rest, unsigned *times)
{
    char line[1024];

    if (strcmp(verb, "C") == 0) {
        say(p, rest);
    } else if (strcmp(verb, "EARLY") == 0) {
        begin(p);
        bench_session_feed(p->s, line, (size_t)snprintf(line, sizeof line, "%s\r\n", rest), p->now_s);
    } else if (strcmp(verb, "R") == 0) {
        raw(p, rest);
    } else if (strcmp(verb, "EHLO") == 0) {
        say(p, "EHLO client.example");
    } else if (strcmp(verb, "TEXTS") == 0) {
        texts(p);
    } else if (strcmp(verb, "LONG") == 0) {
        snprintf(line, sizeof line, "%0*d", atoi(rest), 0);
        say(p, line);
    } else if (strcmp(verb, "HELLO") == 0) {
        hello(p, rest);
    } else if (strcmp(verb, "TLS") == 0) {
        bench_session_tls_done(p->s);
    } else if (strcmp(verb, "LEAVE") == 0 || strcmp(verb, "CUT") == 0) {
        leave(p, *verb == 'L');
    } else if (strcmp(verb, "BYE") == 0) {
        say(p, "QUIT");
        leave(p, false);
    } else if (strcmp(verb, "@") == 0) {
        p->now_s += atoi(rest);
    } else if (strcmp(verb, "OFFER") == 0) {
        word(p, p->add, 0, rest);
    } else if (strcmp(verb, "DROP") == 0) {
        word(p, p->drop, 1, rest);
    } else if (strcmp(verb, "STEP") == 0) {
        step(p, rest);
    } else if (strcmp(verb, "TIMES") == 0) {
        *times = (unsigned)atoi(rest);
    } else {
        ck_abort_msg("lint.txt:%u: %s?", p->line, verb);
    }
}

/* What stands behind TIMES is done so often. */
static void play(struct play *p, char lines[32][256], unsigned count)
{
    unsigned times = 1, from = 0;

    for (unsigned t = 0; t < times; t++)
        for (unsigned i = from; i < count; i++) {
            char copy[256], *rest;

            snprintf(copy, sizeof copy, "%s", lines[i]);
            rest = strchr(copy, ' ');
            if (rest)
                *rest++ = '\0';
            one(p, copy, rest ? rest : copy + strlen(copy), &times);
            if (strcmp(copy, "TIMES") == 0)
                from = i + 1;
        }
}

START_TEST(the_table)
{
    FILE *f = fopen(TESTS_DIR "/tables/lint.txt", "re");
    static struct play p;
    static char lines[32][256];
    bool bad[LINT_IDS] = {false}, good[LINT_IDS] = {false};
    char text[256];
    unsigned count = 0;

    ck_assert(f != NULL);
    while (fgets(text, sizeof text, f)) {
        text[strcspn(text, "\n")] = '\0';
        p.line++;
        if (*text == '[') {
            begin_case(&p, text);
            count = 0;
        } else if (*text == '=') {
            play(&p, lines, count);
            check(&p, text + 1);
            for (int i = 0; i < LINT_IDS; i++)
                if (strcmp(p.name, lint_name((enum lint_id)i)) == 0)
                    *(p.bad ? &bad[i] : &good[i]) = true;
        } else if (*text && *text != '#') {
            ck_assert_uint_lt(count, 32);
            snprintf(lines[count++], sizeof lines[0], "%s", text);
        }
    }
    end_case(&p);
    fclose(f);
    for (int i = 0; i < LINT_IDS; i++)
        ck_assert_msg(bad[i] && good[i], "%s has no twins", lint_name((enum lint_id)i));
}
END_TEST

SUITE_MAIN("lint", the_table)
