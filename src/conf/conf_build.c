#include "conf/conf_build.h"

#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct conf_piece {
    struct conf_piece *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

void *conf_keep(struct conf *c, size_t n)
{
    struct conf_whole *w = (struct conf_whole *)c;
    struct conf_piece *piece = w->pieces;
    void *p;

    n = (n + 15) & ~(size_t)15;
    if (!piece || piece->size - piece->used < n) {
        size_t size = n > 65536 ? n : 65536;

        piece = mem_alloc(sizeof *piece + size);
        piece->size = size;
        piece->next = w->pieces;
        w->pieces = piece;
    }
    p = piece->bytes + piece->used;
    piece->used += n;
    return p;
}

char *conf_keep_span(struct conf *c, const char *p, size_t n)
{
    char *d = conf_keep(c, n + 1);

    memcpy(d, p, n);
    return d;
}

char *conf_keep_text(struct conf *c, const char *text)
{
    return conf_keep_span(c, text, strlen(text));
}

void conf_free(struct conf **c)
{
    struct conf_whole *w = (struct conf_whole *)*c;

    if (!w)
        return;
    while (w->pieces) {
        struct conf_piece *next = w->pieces->next;

        free(w->pieces);
        w->pieces = next;
    }
    free(w);
    *c = NULL;
}

const struct conf_raw_section **conf_build_sections(const struct conf_building *b, enum conf_section_kind kind,
                                                    unsigned *count)
{
    const struct conf_raw_section **list = mem_alloc(b->raw->count * sizeof(struct conf_raw_section *));

    *count = 0;
    for (unsigned i = 0; i < b->raw->count; i++)
        if (b->raw->sections[i].kind == kind && !b->raw->sections[i].bad)
            list[(*count)++] = &b->raw->sections[i];
    return list;
}

static unsigned cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > 8 ? 8 : (unsigned)n;
}

static void own_hostname(const struct conf_building *b)
{
    const struct conf_raw_setting *s = conf_raw_find(&b->raw->sections[0], "hostname");
    struct conf *c = b->conf;
    char host[256] = "";
    bool reported = s && !c->hostname;

    if (!c->hostname) {
        if (gethostname(host, sizeof host - 1) || !*host)
            memcpy(host, "localhost", 10);
        text_lower(host, strlen(host));
        c->hostname = conf_keep_text(c, host);
    }
    if (!reported && !strchr(c->hostname, '.'))
        conf_problem_add(b->p, true, s ? s->file : b->file, s ? s->line : 0, "hostname",
                         "write the name that the MX record points to",
                         "\"%s\" is not a full name: some senders distrust it (RFC 5321 2.3.5)", c->hostname);
}

static void global(const struct conf_building *b)
{
    struct conf *c = b->conf;

    conf_value_fill(b, &b->raw->sections[0], c);
    own_hostname(b);
    if (c->workers == 0)
        c->workers = cpus();
    if (!c->worker_user)
        c->worker_user = c->user;
    if (!c->relay_user)
        c->relay_user = c->user;
    if (c->lab) {
        const struct conf_raw_setting *s = conf_raw_find(&b->raw->sections[0], "lab");

        conf_problem_add(b->p, true, s ? s->file : b->file, s ? s->line : 0, "lab", "remove it outside of tests",
                         "floors of RFC 5321 may be undercut");
    }
}

const struct conf_raw_section *conf_build_only(const struct conf_building *b, enum conf_section_kind kind)
{
    unsigned n;
    const struct conf_raw_section **list = conf_build_sections(b, kind, &n), *only = n ? list[0] : NULL;

    for (unsigned i = 1; i < n; i++)
        conf_problem_add(b->p, false, list[i]->file, list[i]->line, conf_sections[kind].name,
                         "put both into one section", "a second %s section; the first is in line %u",
                         conf_sections[kind].name, only->line);
    free(list);
    return only;
}

static void logging(const struct conf_building *b)
{
    static const struct conf_raw_section none = {.kind = CONF_LOG, .title = (char *)""};
    const struct conf_raw_section *log = conf_build_only(b, CONF_LOG);
    const struct conf_raw_setting *file;
    struct conf *c = b->conf;

    if (!log)
        log = &none;
    conf_value_fill(b, log, c);
    file = conf_raw_find(log, "file");
    if (file && !conf_raw_find(log, "target"))
        c->log_target = CONF_LOG_FILE;
    else if (file && c->log_target != CONF_LOG_FILE)
        conf_build_error(b, file, 0, "write target = file, or remove it", "a file that nothing is written to");
    else if (!file && c->log_target == CONF_LOG_FILE)
        conf_problem_add(b->p, false, log->file, log->line, "file", NULL, "target = file needs it");
}

struct conf *conf_build(const struct conf_raw *raw, const char *file, const struct conf_reader *reader,
                        struct conf_problems *p)
{
    struct conf_whole *w = mem_alloc(sizeof *w);
    struct conf *c = &w->conf;
    struct conf_building b = {c, raw, reader, p, NULL, p->errors};

    c->file = conf_keep_text(c, file);
    c->postmaster = UINT_MAX;
    b.file = c->file;
    global(&b);
    logging(&b);
    conf_listener_build(&b);
    conf_delivery_build(&b);
    conf_relay_build(&b);
    conf_domain_build(&b);
    return c;
}
