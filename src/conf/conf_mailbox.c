/* The mailboxes of a domain: from the configuration and from a file. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_domain.h"
#include "conf/conf_utf8.h"

/* UTF-8 without control characters. */
static bool is_text(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = conf_utf8_char(s + i, n - i);

        if (len == 0 || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
        i += len;
    }
    return true;
}

int conf_mailbox_name(char dst[CONF_NAME_MAX + 1], struct span text, struct err *e)
{
    if (text.n == 0)
        return err_set(e, "an empty name");
    if (text.n > CONF_NAME_MAX)
        return err_set(e, "\"%.20s...\" is longer than a local part may be, 64 bytes (RFC 5321 4.5.3.1.1)", text.p);
    if (!is_text(text.p, text.n))
        return err_set(e, "a name with control characters, or not in UTF-8");
    memcpy(dst, text.p, text.n);
    dst[text.n] = '\0';
    text_lower(dst, text.n);
    if (strchr(dst, '@'))
        return err_set(e, "\"%s\": write the local part alone, without @ and domain", dst);
    /* The name becomes a directory: "..", hidden names and separators never do. */
    if (*dst == '.')
        return err_set(e, "\"%s\" begins with a dot and cannot name a directory", dst);
    if (strchr(dst, '/'))
        return err_set(e, "\"%s\" contains a slash and cannot name a directory", dst);
    return 0;
}

struct conf_name *conf_mailbox_add(struct conf_domains *d, struct conf_names *n, const char *local,
                                   const struct conf_place *at)
{
    struct conf_name *name;

    if (n->count == n->cap) {
        n->cap = n->cap ? n->cap * 2 : 16;
        n->list = mem_grow(n->list, n->cap * sizeof *n->list);
    }
    name = &n->list[n->count++];
    *name = (struct conf_name){.local = conf_keep_text(d->b->conf, local), .file = at->file, .line = at->line};
    return name;
}

static void mailbox(struct conf_domains *d, struct conf_names *n, struct span text, const struct conf_place *at)
{
    struct conf *c = d->b->conf;
    char local[CONF_NAME_MAX + 1];
    struct conf_name *name;
    struct err e;

    if (conf_mailbox_name(local, text, &e)) {
        conf_domain_say(d->b, at, NULL, "%s", e.text);
        return;
    }
    if (c->mailbox_count == d->mailbox_cap) {
        d->mailbox_cap = d->mailbox_cap ? d->mailbox_cap * 2 : 64;
        c->mailboxes = mem_grow(c->mailboxes, d->mailbox_cap * sizeof *c->mailboxes);
    }
    name = conf_mailbox_add(d, n, local, at);
    name->mailbox = c->mailbox_count;
    c->mailboxes[c->mailbox_count++] =
        (struct conf_mailbox){.local = name->local, .domain = n->domain.name, .delivery = n->domain.delivery};
}

static struct span trimmed(const char *p, const char *end)
{
    const char *hash = memchr(p, '#', (size_t)(end - p));

    if (hash)
        end = hash;
    while (p < end && strchr(" \t\r", *p))
        p++;
    while (end > p && strchr(" \t\r", end[-1]))
        end--;
    return (struct span){p, (size_t)(end - p)};
}

int conf_lines(const struct conf_building *b, const struct conf_raw_setting *s, const char *meaning,
               void line(void *arg, struct span text, const struct conf_place *at), void *arg)
{
    unsigned said = 0;
    char *path = conf_path_join(s->file, s->values[0].text), *text = NULL;
    struct conf_place at = {conf_keep_text(b->conf, path), 0, s->option->name, &said};
    struct err e = {""};
    size_t len = 0;

    if (b->reader->read(b->reader->arg, path, &text, &len, &e)) {
        conf_problem_add(b->p, true, s->file, s->line, s->option->name, meaning, "%s", e.text);
        free(path);
        return -1;
    }
    for (const char *p = conf_utf8_begin(text, len), *end = text + len; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        struct span got = trimmed(p, eol ? eol : end);

        at.line++;
        if (got.n)
            line(arg, got, &at);
        p = eol ? eol + 1 : end;
    }
    conf_domain_say_rest(b, &at);
    free(text);
    free(path);
    return 0;
}

struct domain_lines {
    struct conf_domains *d;
    struct conf_names *n;
    void (*line)(struct conf_domains *d, struct conf_names *n, struct span text, const struct conf_place *at);
};

static void domain_line(void *arg, struct span text, const struct conf_place *at)
{
    const struct domain_lines *l = arg;

    l->line(l->d, l->n, text, at);
}

int conf_mailbox_lines(struct conf_domains *d, struct conf_names *n, const struct conf_raw_setting *s,
                       void line(struct conf_domains *d, struct conf_names *n, struct span text,
                                 const struct conf_place *at))
{
    struct domain_lines l = {d, n, line};
    int rc = conf_lines(d->b, s,
                        "until it can be read, recipients of this domain get 451 and their mail "
                        "waits at the sender",
                        domain_line, &l);

    if (rc < 0)
        n->domain.unavailable = true;
    return rc;
}

void conf_mailbox_read(struct conf_domains *d, struct conf_names *n)
{
    const struct conf_raw_setting *s = conf_raw_find(n->section, "mailboxes"),
                                  *file = conf_raw_find(n->section, "mailbox-file");
    unsigned said = 0;

    for (unsigned i = 0; s && i < s->count; i++) {
        struct conf_place at = {s->file, s->values[i].line, "mailboxes", &said};

        if (!s->values[i].bad)
            mailbox(d, n, span_str(s->values[i].text), &at);
    }
    if (file && !file->bad)
        conf_mailbox_lines(d, n, file, mailbox);
}
