/* tests/tables/dsn/NAME.txt: facts, a line of dashes, an original, a line of equal signs, and what Python's email package
 * reads from the report that is made of them (tests/lib/dsn_show.py). */
#include "smtp/dsn.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "unit/suite.h"

#define RCPTS 600

struct story {
    struct dsn_facts f;
    struct dsn_rcpt rcpts[RCPTS];
    char *text, *original, *want;
};

static const char *when(char dst[64], int64_t us)
{
    snprintf(dst, 64, "Mon, 23 Nov 2026 %02d:%02d:00 +0000", (int)(us / 60), (int)(us % 60));
    return dst;
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "r");
    struct buf b = {0};
    char *text;
    size_t n;

    ck_assert_msg(f != NULL, "%s", path);
    do {
        n = fread(buf_space(&b, 65536), 1, 65536, f);
        buf_added(&b, n);
    } while (n);
    fclose(f);
    text = mem_strn(buf_data(&b), b.len);
    buf_clear(&b);
    return text;
}

static char *made[64]; /* by value_of(), for one story */
static unsigned made_count;

static void forget_made(void)
{
    while (made_count)
        free(made[--made_count]);
}

/* \xHH, in place; {a*500} five hundred times a. */
static struct peer_text value_of(char *s)
{
    char *to = s;
    unsigned n;
    char c;

    if (sscanf(s, "{%c*%u}", &c, &n) == 2) {
        ck_assert_uint_lt(made_count, sizeof made / sizeof *made);
        to = made[made_count++] = mem_alloc(n + 1);
        memset(to, c, n);
        return (struct peer_text){to, n};
    }
    for (const char *from = s; *from; from++) {
        if (sscanf(from, "\\x%2x", &n) == 1) {
            *to++ = (char)n;
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    return (struct peer_text){s, (size_t)(to - s)};
}

static enum dsn_action action_of(const char *s)
{
    static const char *const names[] = {"failed", "delayed", "delivered", "relayed", "expanded"};
    unsigned i = 0;

    while (i < 5 && strcmp(names[i], s))
        i++;
    ck_assert_uint_lt(i, 5);
    return (enum dsn_action)i;
}

static bool of_rcpt(struct dsn_rcpt *r, const char *key, char *value)
{
    if (!strcmp(key, "action"))
        r->action = action_of(value);
    else if (!strcmp(key, "expired"))
        r->expired = true;
    else if (!strcmp(key, "code"))
        r->code = (uint16_t)atoi(value);
    else if (!strcmp(key, "enhanced"))
        r->enhanced = value;
    else if (!strcmp(key, "local"))
        r->local = true;
    else if (!strcmp(key, "text"))
        r->text = value_of(value);
    else if (!strcmp(key, "remote"))
        r->remote = value_of(value);
    else if (!strcmp(key, "orcpt"))
        r->orcpt = value_of(value);
    else if (!strcmp(key, "last"))
        r->last_try_us = atoi(value);
    else
        return false;
    return true;
}

static void take(struct story *s, const char *key, char *value)
{
    struct dsn_facts *f = &s->f;

    if (!strcmp(key, "rcpt"))
        s->rcpts[f->rcpt_count++].address = value_of(value);
    else if (!strcmp(key, "again")) /* the last recipient once more, so often */
        for (int i = atoi(value); i > 0; i--, f->rcpt_count++)
            s->rcpts[f->rcpt_count] = s->rcpts[f->rcpt_count - 1];
    else if (!strcmp(key, "to"))
        f->to = value_of(value);
    else if (!strcmp(key, "envid"))
        f->envid = value_of(value);
    else if (!strcmp(key, "received-from"))
        f->received_from = value_of(value);
    else if (!strcmp(key, "smtputf8"))
        f->smtputf8 = true;
    else if (!strcmp(key, "8bit"))
        f->original_8bit = true;
    else if (!strcmp(key, "full"))
        f->full = true;
    else if (!strcmp(key, "cut"))
        f->cut = value;
    else if (!strcmp(key, "give-up"))
        f->give_up = value;
    else if (f->rcpt_count == 0 || !of_rcpt(&s->rcpts[f->rcpt_count - 1], key, value))
        ck_abort_msg("%s?", key);
}

static void read_story(struct story *s, const char *path)
{
    char *dashes, *equals, *save = NULL;

    memset(s, 0, sizeof *s);
    s->f = (struct dsn_facts){.hostname = "mail.example.org",
                              .id = "6b03d3bf000009",
                              .boundary = "postern7d8e9f",
                              .date = "Mon, 23 Nov 2026 12:00:00 +0000",
                              .arrived = "Mon, 23 Nov 2026 07:00:00 +0000",
                              .when = when,
                              .rcpts = s->rcpts};
    s->text = slurp(path);
    dashes = strstr(s->text, "----\n");
    equals = strstr(s->text, "====\n");
    ck_assert(dashes && equals);
    *dashes = *equals = '\0';
    s->original = dashes + 5;
    s->want = equals + 5;
    for (char *line = strtok_r(s->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, ' ');

        if (*line == '#')
            continue;
        if (value)
            *value++ = '\0';
        take(s, line, value ? value : line + strlen(line));
    }
}

static void make(const struct story *s, struct buf *out, size_t piece)
{
    struct dsn_original d = {.full = s->f.full};
    struct peer_text t;
    char *copy = mem_str(s->original);

    t = value_of(copy);
    dsn_begin(out, &s->f);
    for (size_t i = 0; i < t.n; i += piece)
        dsn_original(&d, out, t.p + i, t.n - i < piece ? t.n - i : piece);
    dsn_end(out, &s->f);
    free(copy);
}

/* What the reader says, by way of a file. */
static char *show(struct buf *report)
{
    char in[] = "/tmp/postern-dsn.XXXXXX";
    int fd = mkstemp(in);
    char *command = mem_printf("python3 %s/lib/dsn_show.py <%s 2>&1", TESTS_DIR, in), *text;
    struct buf b = {0};
    size_t n;
    FILE *p;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, buf_data(report), report->len), (ssize_t)report->len);
    close(fd);
    p = popen(command, "r");
    ck_assert_ptr_nonnull(p);
    do {
        n = fread(buf_space(&b, 65536), 1, 65536, p);
        buf_added(&b, n);
    } while (n);
    pclose(p);
    unlink(in);
    free(command);
    text = mem_strn(b.len ? buf_data(&b) : "", b.len);
    buf_clear(&b);
    return text;
}

static void check(const char *path)
{
    static struct story s;
    struct buf whole = {0}, pieces = {0};
    char *have;

    read_story(&s, path);
    make(&s, &whole, 1 << 20);
    make(&s, &pieces, 1);
    ck_assert_uint_eq(whole.len, pieces.len);
    ck_assert_mem_eq(buf_data(&whole), buf_data(&pieces), whole.len);
    have = show(&whole);
    if (strcmp(have, s.want) != 0)
        ck_abort_msg("%s:\n%s", path, have);
    free(have);
    forget_made();
    buf_clear(&whole);
    buf_clear(&pieces);
    free(s.text);
}

START_TEST(reports)
{
    DIR *d = opendir(TESTS_DIR "/tables/dsn");
    const struct dirent *de;
    unsigned count = 0;

    ck_assert_ptr_nonnull(d);
    while ((de = readdir(d))) {
        char *path;

        if (!strstr(de->d_name, ".txt"))
            continue;
        path = mem_printf(TESTS_DIR "/tables/dsn/%s", de->d_name);
        check(path);
        free(path);
        count++;
    }
    closedir(d);
    ck_assert_uint_ge(count, 8);
}
END_TEST

START_TEST(who_is_told)
{
    const struct peer_text nobody = {"", 0}, a = {"a@example.org", 13};

    for (unsigned action = DSN_FAILED; action <= DSN_EXPANDED; action++)
        for (unsigned notify = 0; notify < 16; notify++) {
            ck_assert(!dsn_is_wanted((enum dsn_action)action, notify, nobody));
            if (notify & 1)
                ck_assert(!dsn_is_wanted((enum dsn_action)action, notify, a));
        }
    ck_assert(dsn_is_wanted(DSN_FAILED, 0, a) && dsn_is_wanted(DSN_DELAYED, 0, a));
    ck_assert(!dsn_is_wanted(DSN_DELIVERED, 0, a) && !dsn_is_wanted(DSN_RELAYED, 0, a));
    ck_assert(dsn_is_wanted(DSN_RELAYED, 2, a) && !dsn_is_wanted(DSN_FAILED, 2, a) &&
              !dsn_is_wanted(DSN_DELAYED, 6, a));
    ck_assert(dsn_is_wanted(DSN_DELAYED, 8, a) && dsn_is_wanted(DSN_FAILED, 14, a));
}
END_TEST

SUITE_MAIN("dsn", reports, who_is_told)
