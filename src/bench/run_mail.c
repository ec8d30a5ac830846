#include "bench/run_mail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/text.h"
#include "bench/bench_session.h"

struct run_mail {
    char *dir;
    char *messages[BENCH_MESSAGES_MOST], *smuggling; /* paths; the second for section L */
};

/* Each has a Message-ID of its own, so that one that comes twice can be told from two. */
static void put_head(FILE *f, unsigned number, bool eight_bit)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;

    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &tm));
    fprintf(f,
            "From: sender@example.org\r\nTo: rcpt@" RUN_MAIL_DOMAIN "\r\nSubject: test %u\r\nDate: %s\r\n"
            "Message-ID: <test-%u.%lld@example.org>\r\n%s\r\n",
            number, date, number, (long long)now,
            eight_bit ? "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: 8bit\r\n"
                      : "");
}

/* What a sender that lets it through as it is turns into commands of whoever sent it. */
static void put_smuggled(FILE *f)
{
    for (unsigned i = 0; i < BENCH_NEAR_ENDS; i++) {
        fprintf(f, "%s:", bench_near_end[i].name);
        fwrite(bench_near_end[i].bytes, 1, bench_near_end[i].n, f);
        fprintf(f, "MAIL FROM:<smuggled@example.org>\r\nRCPT TO:<rcpt@" RUN_MAIL_DOMAIN ">\r\nDATA\r\n"
                   "Subject: smuggled\r\n\r\nx\r\n");
    }
}

struct kind {
    bool smuggling, eight_bit;
    unsigned octets;
};

static void put_body(FILE *f, const struct kind *k)
{
    static const char line[] = "one more line of a message that is to be long\r\n";

    fprintf(f, "first line\r\n.second line\r\n");
    if (k->eight_bit)
        fprintf(f, "gr\xc3\xbc\xc3\x9f\x65\r\n");
    for (size_t n = 0; n < k->octets; n += sizeof line - 1)
        fputs(line, f);
    if (k->smuggling)
        put_smuggled(f);
}

static int write_message(const char *path, unsigned number, const struct kind *k, struct err *e)
{
    FILE *f = fopen(path, "we");

    if (!f)
        return err_set(e, "%s: %s", path, strerror(errno));
    put_head(f, number, k->eight_bit);
    put_body(f, k);
    return fclose(f) == 0 ? 0 : err_set(e, "%s: %s", path, strerror(errno));
}

int run_mail_new(struct run_mail **out, const char *dir, struct err *e)
{
    struct run_mail *m = mem_alloc(sizeof *m);
    int rc;

    *out = NULL;
    m->smuggling = mem_printf("%s/smuggling.eml", dir);
    m->dir = mem_str(dir);
    rc = write_message(m->smuggling, 1, &(struct kind){.smuggling = true}, e);
    for (unsigned i = 0; i < BENCH_MESSAGES_MOST && rc == 0; i++) {
        m->messages[i] = mem_printf("%s/message-%u.eml", dir, i + 1);
        rc = write_message(m->messages[i], i + 1, &(struct kind){.octets = 0}, e);
    }
    if (rc < 0)
        run_mail_free(&m);
    *out = m;
    return rc;
}

void run_mail_free(struct run_mail **mp)
{
    struct run_mail *m = *mp;

    if (!m)
        return;
    for (unsigned i = 0; i < BENCH_MESSAGES_MOST; i++)
        free(m->messages[i]);
    free(m->smuggling);
    free(m->dir);
    free(m);
    *mp = NULL;
}

/* Steals what is in b. */
static char *word_of(struct buf *b)
{
    char *word = mem_strn(buf_data(b), b->len);

    buf_clear(b);
    return word;
}

static void append(struct buf *b, const char *between, const char *text, const char *behind)
{
    buf_append(b, between, strlen(between));
    buf_append(b, text, strlen(text));
    buf_append(b, behind, strlen(behind));
}

/* The path of one; what the scenario wants to be special is written for it now. What cannot be written is not there to be
 * read, which the command will say. */
static char *message(const struct run_mail *m, const struct bench_scenario *s, unsigned number)
{
    struct kind k = {.eight_bit = s->eight_bit, .octets = s->octets};
    struct err e;
    char *path;

    if (strcmp(s->section, "L") == 0)
        return mem_str(m->smuggling);
    if (!k.eight_bit && !k.octets)
        return mem_str(m->messages[number]);
    path = mem_printf("%s/%s-%u.eml", m->dir, s->name, number + 1);
    for (char *slash = path + strlen(m->dir) + 1; (slash = strchr(slash, '/'));)
        *slash = '_';
    (void)write_message(path, number + 1, &k, &e);
    return path;
}

void run_mail_words(const struct run_mail *m, const struct bench_scenario *s, char *words[RUN_MAIL_WORDS])
{
    bool smuggling = strcmp(s->section, "L") == 0;
    char *first = message(m, s, 0);
    struct buf rcpts = {0}, messages = {0};

    append(&rcpts, "BENCH_RCPTS=", s->recipients[0], "@" RUN_MAIL_DOMAIN);
    for (char **r = s->recipients + 1; *r; r++)
        append(&rcpts, " ", *r, "@" RUN_MAIL_DOMAIN);
    append(&messages, "BENCH_MESSAGES=", first, "");
    for (unsigned i = 1; i < s->messages && !smuggling; i++) {
        char *next = message(m, s, i);

        append(&messages, " ", next, "");
        free(next);
    }
    words[0] = mem_printf("BENCH_RCPT=%s@%s", s->recipients[0], RUN_MAIL_DOMAIN);
    words[1] = word_of(&rcpts);
    words[2] = mem_printf("BENCH_MESSAGE=%s", first);
    words[3] = word_of(&messages);
    free(first);
}
