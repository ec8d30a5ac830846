#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench_facts_own.h"

/* ---- addresses and messages are known by a hash: FNV-1a */

static uint64_t hash(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint64_t)(unsigned char)tolower((unsigned char)p[i])) * UINT64_C(1099511628211);
    return h;
}

#define BEGIN UINT64_C(14695981039346656037)

/* Between < and >, or all of it up to a blank. */
static uint64_t address(const char *arg, bool *empty)
{
    const char *from = strchr(arg, '<');
    size_t n;

    from = from ? from + 1 : arg + (strchr(arg, ':') ? strcspn(arg, ":") + 1 : 0);
    n = strcspn(from, "> ");
    *empty = n == 0;
    return hash(BEGIN, from, n);
}

/* -1: there is no room for one more. */
static int find(struct bench_facts *f, uint64_t id)
{
    for (unsigned i = 0; i < f->rcpts; i++)
        if (f->rcpt[i].id == id)
            return (int)i;
    if (f->rcpts == BENCH_FACTS_RCPTS)
        return -1;
    f->rcpt[f->rcpts].id = id;
    return (int)f->rcpts++;
}

static bool is_in(const struct bench_facts_set *set, unsigned i)
{
    return set->bits[i / 64] >> (i % 64) & 1u;
}

static void put_in(struct bench_facts_set *set, unsigned i)
{
    set->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

/* ---- what became of recipients */

static bool is_done(const struct bench_facts *f, const struct bench_facts_rcpt *r)
{
    return r->taken >= (f->messages ? f->messages : 1);
}

/* now_us: when it was refused; 0: nobody refused it, and trying again at once is right. */
static void refuse(const struct bench_facts *f, struct bench_facts_rcpt *r, bool for_good, int64_t now_us)
{
    if (is_done(f, r))
        return;
    r->refused = for_good;
    r->later = !for_good;
    r->later_us = now_us;
}

static void refuse_all(struct bench_facts *f, struct bench_facts_session *s, bool for_good, int64_t now_us)
{
    for (unsigned i = 0; i < f->rcpts; i++)
        if (is_in(&s->rcpts, i))
            refuse(f, &f->rcpt[i], for_good, now_us);
}

static void forget(struct bench_facts_session *s)
{
    s->mail = s->report = false;
    s->mail_class = '\0';
    s->rcpt = -1;
    memset(&s->rcpts, 0, sizeof s->rcpts);
}

void bench_facts_mail_drop(struct bench_facts *f, struct bench_facts_session *s)
{
    refuse_all(f, s, false, 0);
    if (s->rcpt >= 0 && !f->rcpt[s->rcpt].refused) /* named, and never answered */
        refuse(f, &f->rcpt[s->rcpt], false, 0);
    forget(s);
}

/* Whether each is done may change with each line, so this fact can go away again. */
static void settle(struct bench_facts *f, const json_t *line)
{
    bool done = f->fact[BENCH_F_DELIVERED].seen;

    for (unsigned i = 0; i < f->rcpts && done; i++)
        done = is_done(f, &f->rcpt[i]) || f->rcpt[i].refused;
    if (done)
        bench_facts_see(f, BENCH_F_ALL_DELIVERED, line);
    else
        f->fact[BENCH_F_ALL_DELIVERED].seen = false;
}

/* ---- commands */

static bool is_soon(int64_t then_us, int64_t now_us)
{
    return now_us - then_us < BENCH_FACTS_SOON_S * INT64_C(1000000);
}

/* A second message to somebody else is no second try, so the sender's address is compared; and MAIL that was refused in
 * this session may be said again without what was wrong with it. */
static void mail(struct bench_facts *f, const struct bench_facts_line *l)
{
    struct bench_facts_session *s = l->s;
    bool report;
    uint64_t from = address(l->arg, &report);
    bool again = !report && f->mail_refused.from == from;

    bench_facts_mail_drop(f, s);
    s->mail = true;
    s->report = report;
    s->from = from;
    if (report)
        bench_facts_see(f, BENCH_F_REPORT, l->line);
    if (strncasecmp(l->arg, "FROM:<smuggled@", 15) == 0)
        bench_facts_see(f, BENCH_F_SMUGGLED, l->line);
    if (again && f->mail_refused.good && strcmp(f->mail_refused.sid, s->sid) != 0)
        bench_facts_see(f, BENCH_F_RETRIED, l->line);
    if (again && f->mail_refused.now)
        bench_facts_see(f, BENCH_F_TRIED_AGAIN, l->line);
    if (again && f->mail_refused.now && is_soon(f->mail_refused.us, l->now_us))
        bench_facts_see(f, BENCH_F_AT_ONCE, l->line);
}

static void rcpt(struct bench_facts *f, const struct bench_facts_line *l)
{
    struct bench_facts_session *s = l->s;
    struct bench_facts_rcpt *r;
    bool empty;

    if (s->report)
        return;
    s->rcpt = find(f, address(l->arg, &empty));
    if (s->rcpt < 0)
        return;
    r = &f->rcpt[s->rcpt];
    if (r->refused)
        bench_facts_see(f, BENCH_F_RETRIED, l->line);
    if (r->later)
        bench_facts_see(f, BENCH_F_TRIED_AGAIN, l->line);
    if (r->later && is_soon(r->later_us, l->now_us))
        bench_facts_see(f, BENCH_F_AT_ONCE, l->line);
    r->later = false;
    r->seq = (unsigned)json_integer_value(json_object_get(l->line, "seq"));
    snprintf(r->sid, sizeof r->sid, "%s", s->sid);
}

void bench_facts_mail_command(struct bench_facts *f, const struct bench_facts_line *l)
{
    struct bench_facts_session *s = l->s;

    if (s->rcpt >= 0) { /* named, never answered, and more comes */
        refuse(f, &f->rcpt[s->rcpt], false, 0);
        s->rcpt = -1;
    }
    if (strcmp(l->verb, "MAIL") == 0)
        mail(f, l);
    else if (strcmp(l->verb, "RCPT") == 0)
        rcpt(f, l);
    else if (strcmp(l->verb, "RSET") == 0 || strcmp(l->verb, "EHLO") == 0 || strcmp(l->verb, "HELO") == 0)
        bench_facts_mail_drop(f, s);
    settle(f, l->line);
}

/* ---- answers */

static void mail_answered(struct bench_facts *f, struct bench_facts_session *s, int code, int64_t now_us)
{
    char class = (char)('0' + code / 100);

    s->mail_class = class;
    if (s->report || (class != '4' && class != '5'))
        return;
    f->mail_refused.from = s->from;
    f->mail_refused.good = class == '5';
    f->mail_refused.now = class == '4';
    f->mail_refused.us = now_us;
    snprintf(f->mail_refused.sid, sizeof f->mail_refused.sid, "%s", s->sid);
}

/* RFC 5321 4.5.3.1.10: 552 to RCPT is "too many recipients", and a client treats it as temporary. Where MAIL was not
 * taken, its answer is what became of those whom the sender named behind it without waiting. */
static void rcpt_answered(struct bench_facts *f, struct bench_facts_session *s, int code, int64_t now_us)
{
    bool taken = s->mail_class == '2';
    char class = s->mail_class;

    if (s->rcpt < 0)
        return;
    if (taken)
        class = (char)('0' + code / 100);
    if (class == '2')
        put_in(&s->rcpts, (unsigned)s->rcpt);
    else
        refuse(f, &f->rcpt[s->rcpt], class == '5' && (!taken || code != 552), taken && code != 421 ? now_us : 0);
    s->rcpt = -1;
}

void bench_facts_mail_reply(struct bench_facts *f, const struct bench_facts_line *l, int code)
{
    static const char *const content[] = {"DATA", "BDAT", "."};
    struct bench_facts_session *s = l->s;

    if (strcmp(s->verb, "MAIL") == 0)
        mail_answered(f, s, code, code == 421 ? 0 : l->now_us);
    if (strcmp(s->verb, "RCPT") == 0)
        rcpt_answered(f, s, code, l->now_us);
    for (size_t i = 0; i < sizeof content / sizeof *content; i++)
        if (strcmp(s->verb, content[i]) == 0 && code >= 400) {
            refuse_all(f, s, code >= 500, code == 421 ? 0 : l->now_us);
            memset(&s->rcpts, 0, sizeof s->rcpts);
        }
    settle(f, l->line);
}

/* ---- messages */

/* The same message: its Message-ID; where there is none, its bytes; at the least its size. */
static uint64_t message_of(const json_t *line)
{
    const char *id = json_string_value(json_object_get(line, "message_id")),
               *sum = json_string_value(json_object_get(line, "sha256"));
    char size[32];

    snprintf(size, sizeof size, "%lld", (long long)json_integer_value(json_object_get(line, "size")));
    if (!id || !*id)
        id = sum && *sum ? sum : size;
    return hash(BEGIN, id, strlen(id));
}

static bool was_taken(struct bench_facts *f, uint64_t pair)
{
    unsigned n = f->taken_count < BENCH_FACTS_TAKEN ? f->taken_count : BENCH_FACTS_TAKEN;

    for (unsigned i = 0; i < n; i++)
        if (f->taken[i] == pair)
            return true;
    f->taken[f->taken_count++ % BENCH_FACTS_TAKEN] = pair;
    return false;
}

void bench_facts_mail_message(struct bench_facts *f, const struct bench_facts_line *l)
{
    struct bench_facts_session *s = l->s;
    uint64_t id = message_of(l->line);

    if (!json_is_true(json_object_get(l->line, "accepted"))) /* the answer says what becomes of them, or nothing does */
        return;
    if (s->report) {
        forget(s);
        return;
    }
    bench_facts_see(f, BENCH_F_DELIVERED, l->line);
    s->served = true;
    for (unsigned i = 0; i < f->rcpts; i++) {
        struct bench_facts_rcpt *r = &f->rcpt[i];

        if (!is_in(&s->rcpts, i))
            continue;
        if (was_taken(f, hash(id, (const char *)&r->id, sizeof r->id)))
            bench_facts_see(f, BENCH_F_DUPLICATE, l->line);
        else
            r->taken++;
        r->later = r->refused = false;
    }
    forget(s);
    settle(f, l->line);
}

/* ---- the sender's own word */

void bench_facts_want(struct bench_facts *f, const char *to)
{
    (void)find(f, hash(BEGIN, to, strlen(to)));
}

void bench_facts_want_messages(struct bench_facts *f, unsigned each)
{
    f->messages = each;
}

void bench_facts_claim(struct bench_facts *f, bool all_sent)
{
    if (!all_sent || !f->fact[BENCH_F_SESSION].seen)
        return;
    if (!f->fact[BENCH_F_DELIVERED].seen) {
        f->fact[BENCH_F_FALSE_SUCCESS] = f->fact[BENCH_F_MAIL].seen ? f->fact[BENCH_F_MAIL] : f->fact[BENCH_F_SESSION];
        return;
    }
    /* One that was never named may be the tester's doing, so it is only missing in all-delivered. */
    for (unsigned i = 0; i < f->rcpts; i++) {
        const struct bench_facts_rcpt *r = &f->rcpt[i];
        struct bench_seen *lost = &f->fact[BENCH_F_LOST];

        if (is_done(f, r) || r->refused || lost->seen || !*r->sid)
            continue;
        *lost = (struct bench_seen){.seen = true, .seq = r->seq};
        snprintf(lost->sid, sizeof lost->sid, "%s", r->sid);
    }
}
