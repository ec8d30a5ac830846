/* Any bytes as a configuration. Pieces end at 0xFE: the first is the file itself, the others are
 * what the reader answers for the files it names (by the name's sum), one more means "cannot be
 * read". What comes out must be a sound snapshot or errors with a place in the file, and the same
 * each time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "conf/conf.h"

#define PIECES 8
#define MAIN_FILE "/etc/postern/postern.conf"

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct pieces {
    struct span piece[PIECES];
    unsigned count;
};

static void cut(struct pieces *p, const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;

    while (p->count < PIECES) {
        const char *stop = size ? memchr(at, 0xFE, (size_t)(end - at)) : NULL;

        p->piece[p->count++] = (struct span){at, (size_t)((stop ? stop : end) - at)};
        if (!stop)
            return;
        at = stop + 1;
    }
}

static int answer(void *arg, const char *path, char **text, size_t *len, struct err *e)
{
    const struct pieces *p = arg;
    unsigned sum = 0;

    for (const char *c = path; *c; c++)
        sum += (unsigned char)*c;
    sum = 1 + sum % p->count;
    if (sum == p->count)
        return err_set(e, "%s: No such file or directory", path);
    *text = mem_strn(p->piece[sum].p, p->piece[sum].n);
    *len = p->piece[sum].n;
    return 0;
}

static void check_problems(const struct conf_problems *p, unsigned lines, struct buf *trace)
{
    unsigned errors = 0;

    for (unsigned i = 0; i < p->count; i++) {
        const struct conf_problem *q = &p->list[i];
        char *text = conf_problem_text(q);

        errors += !q->warning;
        MUST(q->file && q->text && *q->text);
        MUST(strcmp(q->file, MAIN_FILE) != 0 || q->line <= lines);
        for (const char *c = text; *c; c++)
            MUST((unsigned char)*c >= 0x20 && *c != 0x7f);
        buf_printf(trace, "%s\n", text);
        free(text);
    }
    MUST(errors == p->errors);
}

static void check_mailbox(const struct conf *c, const struct conf_mailbox *m)
{
    const char *path = m->path, *at;

    MUST(*m->local && *m->local != '.' && !strchr(m->local, '/') && strlen(m->local) <= 64);
    MUST(m->delivery < c->delivery_count);
    MUST(*path == '/');
    at = strstr(path, m->local);
    MUST(at != NULL);
}

static void check_address(const struct conf *c, const struct conf_address *a)
{
    MUST(a->mailbox_count > 0);
    for (unsigned i = 0; i < a->mailbox_count; i++) {
        MUST(a->mailboxes[i] < c->mailbox_count);
        for (unsigned k = 0; k < i; k++)
            MUST(a->mailboxes[k] != a->mailboxes[i]);
    }
}

static void check_domain(const struct conf *c, const struct conf_domain *d)
{
    for (const char *p = d->name; *p; p++)
        MUST((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '.');
    for (unsigned i = 0; i < d->address_count; i++) {
        MUST(i == 0 || strcmp(d->addresses[i - 1].local, d->addresses[i].local) < 0);
        check_address(c, &d->addresses[i]);
    }
    if (d->catch_all)
        check_address(c, d->catch_all);
}

static void check_listener(const struct conf *c, const struct conf_listener *l)
{
    MUST(l->address_count > 0 && l->role == CONF_ROLE_MX && *l->title && l->hostname);
    for (unsigned i = 0; i < l->certificate_count; i++)
        MUST(l->certificates[i] < c->certificate_count);
}

static void check_snapshot(const struct conf *c)
{
    const struct conf_limits *l = &c->limits;

    MUST(c->workers >= 1 && c->workers <= 8 && *c->hostname && *c->state_dir == '/');
    MUST(c->lab || (l->max_recipients >= 100 && l->command_timeout >= 300 && l->max_line >= 512 && l->max_hops >= 100));
    MUST(c->listener_count > 0);
    for (unsigned i = 0; i < c->listener_count; i++)
        check_listener(c, &c->listeners[i]);
    for (unsigned i = 0; i < c->certificate_count; i++)
        MUST(*c->certificates[i].chain_file == '/' && *c->certificates[i].key_file == '/');
    for (unsigned i = 0; i < c->mailbox_count; i++)
        check_mailbox(c, &c->mailboxes[i]);
    for (unsigned i = 0; i < c->domain_count; i++) {
        MUST(i == 0 || strcmp(c->domains[i - 1].name, c->domains[i].name) < 0);
        check_domain(c, &c->domains[i]);
    }
    MUST(c->mailbox_count == 0 || c->postmaster < c->mailbox_count);
}

static void load(struct pieces *p, const char *text, struct buf *trace)
{
    const struct conf_reader reader = {answer, p};
    struct conf_problems problems = {0};
    struct conf *c = NULL;
    unsigned lines = 1;
    int rc = conf_load(&c, MAIN_FILE, text, &reader, &problems);

    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    check_problems(&problems, lines, trace);
    MUST((rc == 0) == (problems.errors == 0) && (rc == 0) == (c != NULL));
    if (c)
        check_snapshot(c);
    conf_free(&c);
    conf_problems_free(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pieces p = {.count = 0};
    struct buf first = {0}, again = {0};
    char *text;

    cut(&p, data, size);
    text = mem_strn(p.piece[0].p ? p.piece[0].p : "", p.piece[0].n);
    load(&p, text, &first);
    load(&p, text, &again);
    MUST(strcmp(buf_str(&first), buf_str(&again)) == 0);
    buf_clear(&first);
    buf_clear(&again);
    free(text);
    return 0;
}
