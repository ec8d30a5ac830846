/* The reference is made from the same table that the loader reads: nothing may be missing, and the
 * defaults it names must be loadable values. */
#include "conf/conf.h"
#include "conf/conf_options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "unit/suite.h"

static void markdown(int fd)
{
    conf_write_markdown(fd);
}

static void man(int fd)
{
    conf_write_man(fd, "1.2.3", "January 1, 2026");
}

static void collect(struct buf *out, void write_it(int fd))
{
    FILE *f = tmpfile();
    char piece[4096];
    size_t n;

    ck_assert_ptr_nonnull(f);
    write_it(fileno(f));
    rewind(f);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_append(out, piece, n);
    fclose(f);
}

/* mdoc writes hyphens as \- */
static char *without_escapes(const char *text)
{
    char *out = mem_str(text), *to = out;

    for (; *text; text++)
        if (!(text[0] == '\\' && text[1] == '-'))
            *to++ = *text;
    *to = '\0';
    return out;
}

START_TEST(every_option_is_in_the_reference)
{
    struct buf md = {0}, mdoc = {0};
    char *page;
    unsigned count = 0;

    collect(&md, markdown);
    collect(&mdoc, man);
    page = without_escapes(buf_str(&mdoc));
    for (const char *const *name = conf_option_names(); *name; name++) {
        const char *dot = strrchr(*name, '.');
        char *heading = mem_printf("### `%s`\n", dot ? dot + 1 : *name),
             *item = mem_printf(".It Cm %s\n", dot ? dot + 1 : *name);

        ck_assert_msg(strstr(buf_str(&md), heading) != NULL, "%s", *name);
        ck_assert_msg(strstr(page, item) != NULL, "%s", *name);
        free(heading);
        free(item);
        count++;
    }
    ck_assert_ptr_null(strchr(page, '"')); /* macros take bare quotes away: samples would be wrong */
    ck_assert_uint_eq(count, conf_option_count);
    free(page);
    buf_clear(&md);
    buf_clear(&mdoc);
}
END_TEST

START_TEST(every_row_is_whole)
{
    for (size_t i = 0; i < conf_option_count; i++) {
        const struct conf_option *o = &conf_options[i];

        ck_assert_msg(o->help && strlen(o->help) > 10 && o->help[strlen(o->help) - 1] == '.', "%s", o->name);
        ck_assert_msg(o->sample || o->fallback, "%s has neither a default nor a sample", o->name);
        ck_assert_msg(!o->required || !o->fallback, "%s", o->name);
        ck_assert_msg(!o->floor || (o->rfc && o->floor >= o->min && o->floor <= o->max), "%s", o->name);
        ck_assert_msg((o->type == CONF_WORD) == (o->words != NULL), "%s", o->name);
        ck_assert_msg(conf_option_find(o->section, o->name) == o, "%s stands there twice", o->name);
        ck_assert_msg(o->type == CONF_OWN || o->at != CONF_NO_FIELD, "%s", o->name);
    }
}
END_TEST

/* What must stand beside an option so that its section is whole. */
static const char *company(const struct conf_option *o)
{
    static const char *const of_section[CONF_SECTIONS] = {
        [CONF_CERTIFICATE] = "chain = /c key = /k",
        [CONF_LISTENER] = "address = \"127.0.0.1:1\"",
        [CONF_DELIVERY] = "path = \"/m/%d/%u\"",
        [CONF_DOMAIN] = "mailboxes = {\"alice\", \"bob\", \"carol\"} deliver = local"};
    static const struct {
        const char *option, *rest;
    } own[] = {{"deliver", "mailboxes = {\"alice\"}"},
               {"mailboxes", "deliver = local"},
               {"accept-any", "deliver = smarthost mailboxes = {\"alice\"}"},
               {"verify-recipients", "deliver = smarthost mailboxes = {\"alice\"}"},
               {"address", "type = smtp"},
               {"tls", "type = smtp address = mail.example.net"},
               {"implicit-tls", "type = smtp address = mail.example.net"},
               {"tls-name", "type = smtp address = mail.example.net"},
               {"ca-file", "type = smtp address = mail.example.net"},
               {"user", "type = smtp address = mail.example.net password-file = /dev/null"},
               {"password-file", "type = smtp address = mail.example.net user = x"}};

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if ((o->section == CONF_DELIVERY || o->section == CONF_DOMAIN) && strcmp(own[i].option, o->name) == 0)
            return own[i].rest;
    if (!of_section[o->section] || strncmp(of_section[o->section], o->name, strlen(o->name)) == 0)
        return "";
    return of_section[o->section];
}

/* Files that are not there. */
static bool needs_a_file(const char *option)
{
    static const char *const names[] = {"chain", "key", "file", "password-file", "ca-file", "users"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (option && strcmp(names[i], option) == 0)
            return true;
    return false;
}

/* Each sample of the reference, put into a file, loads. */
START_TEST(the_samples_load)
{
    const struct conf_reader disk = {conf_read_disk, NULL};

    for (size_t i = 0; i < conf_option_count; i++) {
        const struct conf_option *o = &conf_options[i];
        const struct conf_section_row *row = &conf_sections[o->section];
        bool bare = o->sample && *o->sample == '{';
        const char *value = o->sample ? o->sample : o->fallback, *q = bare ? "" : "\"";
        char *one = o->section == CONF_GLOBAL
                        ? mem_printf("%s = %s%s%s\n", o->name, q, value, q)
                        : mem_printf("%s %s { %s %s = %s%s%s }\n", row->name, row->titled ? "\"t.org\"" : "",
                                     company(o), o->name, q, value, q);
        char *text = mem_printf(
            "%s%s\n%s\ncertificate mx { chain = /c key = /k }\nlistener l { address = "
            "\"127.0.0.1:0\" }\n%s"
            "domain example.com { mailboxes = {\"carol\"} deliver = local }\ndelivery "
            "local { path = \"/m/%%d/%%u\" }\n"
            "delivery smarthost { type = smtp address = mail.example.net }\n",
            one, strcmp(o->name, "hostname") == 0 ? "" : "hostname = mx.example.org\n",
            strcmp(o->name, "auth-socket") == 0 || strcmp(o->name, "users") == 0 ? "" : "auth-socket = /run/a\n",
            o->section == CONF_RELAY ? "" : "relay { delivery = smarthost }");
        struct conf_problems p = {0};
        struct conf *c = NULL;

        conf_load(&c, "/x", text, &disk, &p);
        for (unsigned k = 0; k < p.count; k++)
            if (!p.list[k].warning && !needs_a_file(p.list[k].option))
                ck_abort_msg("%s\n%s", one, conf_problem_text(&p.list[k]));
        conf_free(&c);
        conf_problems_free(&p);
        free(one);
        free(text);
    }
}
END_TEST

SUITE_MAIN("conf_reference", every_option_is_in_the_reference, every_row_is_whole, the_samples_load)
