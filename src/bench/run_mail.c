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
    char *messages[BENCH_MESSAGES_MOST], *smuggling; /* paths; the second for section L */
};

/* Each has a Message-ID of its own, so that one that comes twice can be told from two. */
static void put_head(FILE *f, unsigned number)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;

    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &tm));
    fprintf(f,
            "From: sender@example.org\r\nTo: rcpt@" RUN_MAIL_DOMAIN "\r\nSubject: test %u\r\nDate: %s\r\n"
            "Message-ID: <test-%u.%lld@example.org>\r\n\r\n",
            number, date, number, (long long)now);
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

static int write_message(const char *path, unsigned number, bool smuggling, struct err *e)
{
    FILE *f = fopen(path, "we");

    if (!f)
        return err_set(e, "%s: %s", path, strerror(errno));
    put_head(f, number);
    fprintf(f, "first line\r\n.second line\r\n");
    if (smuggling)
        put_smuggled(f);
    return fclose(f) == 0 ? 0 : err_set(e, "%s: %s", path, strerror(errno));
}

int run_mail_new(struct run_mail **out, const char *dir, struct err *e)
{
    struct run_mail *m = mem_alloc(sizeof *m);
    int rc;

    *out = NULL;
    m->smuggling = mem_printf("%s/smuggling.eml", dir);
    rc = write_message(m->smuggling, 1, true, e);
    for (unsigned i = 0; i < BENCH_MESSAGES_MOST && rc == 0; i++) {
        m->messages[i] = mem_printf("%s/message-%u.eml", dir, i + 1);
        rc = write_message(m->messages[i], i + 1, false, e);
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

void run_mail_words(const struct run_mail *m, const struct bench_scenario *s, char *words[RUN_MAIL_WORDS])
{
    bool smuggling = strcmp(s->section, "L") == 0;
    const char *first = smuggling ? m->smuggling : m->messages[0];
    struct buf rcpts = {0}, messages = {0};

    append(&rcpts, "BENCH_RCPTS=", s->recipients[0], "@" RUN_MAIL_DOMAIN);
    for (char **r = s->recipients + 1; *r; r++)
        append(&rcpts, " ", *r, "@" RUN_MAIL_DOMAIN);
    append(&messages, "BENCH_MESSAGES=", first, "");
    for (unsigned i = 1; i < s->messages && !smuggling; i++)
        append(&messages, " ", m->messages[i], "");
    words[0] = mem_printf("BENCH_RCPT=%s@%s", s->recipients[0], RUN_MAIL_DOMAIN);
    words[1] = word_of(&rcpts);
    words[2] = mem_printf("BENCH_MESSAGE=%s", first);
    words[3] = word_of(&messages);
}
