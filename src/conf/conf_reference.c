/* The reference, from the option table: Markdown for docs/configuration.md, mdoc for
 * postern.conf(5). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/conf_options.h"

static const char *const intro[] = {
    "The file is text: name = value, sections in braces, comments behind # or // and between /* "
    "and */. Values with "
    "anything but letters, digits and . : / - _ @ [ ] % stand in double quotes; inside, a "
    "backslash takes the "
    "meaning of the next character away, and ${NAME} or ${NAME:-default} stands for a variable of "
    "the environment: one that is "
    "not set and has no default is an error. Single quotes leave $ alone. A list is {\"a\", "
    "\"b\"}; a list of one may "
    "be written without braces.",
    "include(\"FILE\") stands for what is in that file; a relative name starts from the directory "
    "of the file it stands "
    "in, as every relative path does.",
    "Sizes are bytes or have K, M, G behind them; durations are seconds or have ms, s, m, h, d; "
    "switches are yes or no (on, off, "
    "true, false).",
    "Every mistake is reported at once, with file, line and option: postern check. Unknown options "
    "are errors, and so is "
    "an option given twice.",
};

static void put(int fd, struct buf *b)
{
    while (b->len) {
        ssize_t n = write(fd, buf_data(b), b->len);

        if (n <= 0)
            break;
        buf_consume(b, (size_t)n);
    }
    buf_clear(b);
}

static const char *type_words(const struct conf_option *o)
{
    switch (o->type) {
    case CONF_PATH:
        return "path";
    case CONF_HOST:
        return "host name";
    case CONF_COUNT:
        return "number";
    case CONF_SIZE:
        return "size";
    case CONF_SECONDS:
    case CONF_MILLIS:
        return "duration";
    case CONF_MODE:
        return "mode, octal";
    case CONF_BOOL:
        return "yes or no";
    case CONF_NETS:
        return "list of networks";
    default:
        return o->list ? "list of strings" : "string";
    }
}

static void number(struct buf *b, const struct conf_option *o, uint64_t v)
{
    if (o->type == CONF_MODE)
        buf_printf(b, "%04" PRIo64, v);
    else if (o->type == CONF_SIZE && v >= 1073741824 && v % 1073741824 == 0)
        buf_printf(b, "%" PRIu64 "G", v / 1073741824);
    else if (o->type == CONF_SIZE && v >= 1024 && v % 1024 == 0)
        buf_printf(b, "%" PRIu64 "K", v / 1024);
    else
        buf_printf(b, "%" PRIu64 "%s", v, o->type == CONF_SECONDS ? "s" : o->type == CONF_MILLIS ? "ms" : "");
}

/* "number, 0 to 8; default 0. At least 100 (RFC ...)." One line, plain words, for both forms. */
static void facts(struct buf *b, const struct conf_option *o)
{
    if (o->words) {
        for (unsigned i = 0; o->words[i]; i++)
            buf_printf(b, "%s%s", i ? " | " : "", o->words[i]);
    } else {
        buf_printf(b, "%s", type_words(o));
    }
    if (o->max) {
        buf_printf(b, ", ");
        number(b, o, o->floor ? o->floor : o->min);
        buf_printf(b, " to ");
        number(b, o, o->max);
        if (o->zero)
            buf_printf(b, ", 0: %s", o->zero);
        if (o->floor)
            buf_printf(b, " (the floor is %s's)", o->rfc);
    }
    if (o->required)
        buf_printf(b, "; must be given");
    else if (o->fallback)
        buf_printf(b, "; default %s", o->type != CONF_NETS ? o->fallback : *o->fallback ? o->sample : "{}");
    buf_printf(b, ".");
}

static void sample(struct buf *b, const struct conf_option *o)
{
    const char *value = o->sample ? o->sample : o->fallback;
    bool bare = o->type != CONF_TEXT && o->type != CONF_PATH && o->type != CONF_HOST && o->type != CONF_OWN;

    if (bare || *value == '{')
        buf_printf(b, "%s = %s", o->name, value);
    else
        buf_printf(b, "%s = \"%s\"", o->name, value);
}

static void markdown_section(struct buf *b, enum conf_section_kind kind)
{
    const struct conf_section_row *row = &conf_sections[kind];

    if (kind == CONF_GLOBAL)
        buf_printf(b, "## Global options\n\n%s\n\n", row->help);
    else if (row->titled)
        buf_printf(b, "## %s \"TITLE\" { ... }\n\n%s The title is %s.\n\n", row->name, row->help, row->title);
    else
        buf_printf(b, "## %s { ... }\n\n%s\n\n", row->name, row->help);
    for (size_t i = 0; i < conf_option_count; i++) {
        const struct conf_option *o = &conf_options[i];

        if (o->section != kind)
            continue;
        buf_printf(b, "### `%s`\n\n*", o->name);
        facts(b, o);
        buf_printf(b, "* %s\n\n    ", o->help);
        sample(b, o);
        buf_printf(b, "\n\n");
    }
}

void conf_write_markdown(int fd)
{
    struct buf b = {0};

    buf_printf(&b, "# Configuration\n\nMade from the option table in src/conf/conf_options.c by "
                   "`postern reference`; "
                   "postern.conf(5) has the same text.\n\n");
    for (size_t i = 0; i < sizeof intro / sizeof *intro; i++)
        buf_printf(&b, "%s\n\n", intro[i]);
    for (unsigned k = 0; k < CONF_SECTIONS; k++)
        markdown_section(&b, (enum conf_section_kind)k);
    put(fd, &b);
}

/* mdoc reads a dot or a quote at a line's beginning and a backslash anywhere; each sentence begins
 * a line. */
static void man_text(struct buf *b, const char *text)
{
    bool start = true;

    for (const char *p = text; *p; p++) {
        if (start && (*p == '.' || *p == '\''))
            buf_printf(b, "\\&");
        start = false;
        if (*p == '\\')
            buf_printf(b, "\\e");
        else if (*p == '-')
            buf_printf(b, "\\-");
        else if (*p == '"') /* a macro would take it away */
            buf_printf(b, "\\(dq");
        else
            buf_append(b, p, 1);
        if (*p == '.' && p[1] == ' ') {
            buf_append(b, "\n", 1);
            start = true;
            while (p[1] == ' ')
                p++;
        }
    }
    buf_append(b, "\n", 1);
}

static void man_line(struct buf *b, void write_it(struct buf *, const struct conf_option *),
                     const struct conf_option *o)
{
    struct buf one = {0};

    write_it(&one, o);
    man_text(b, buf_str(&one));
    buf_clear(&one);
}

static void man_section(struct buf *b, enum conf_section_kind kind)
{
    const struct conf_section_row *row = &conf_sections[kind];

    if (kind == CONF_GLOBAL)
        buf_printf(b, ".Ss Global options\n");
    else
        buf_printf(b, ".Ss %s%s { ... }\n", row->name, row->titled ? " \\(dqTITLE\\(dq" : "");
    man_text(b, row->help);
    if (row->titled) {
        char *title = mem_printf("The title is %s.", row->title);

        man_text(b, title);
        free(title);
    }
    buf_printf(b, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < conf_option_count; i++) {
        const struct conf_option *o = &conf_options[i];

        if (o->section != kind)
            continue;
        buf_printf(b, ".It Cm ");
        man_text(b, o->name);
        man_line(b, facts, o);
        buf_printf(b, ".Pp\n");
        man_text(b, o->help);
        buf_printf(b, ".Pp\n.Dl ");
        man_line(b, sample, o);
    }
    buf_printf(b, ".El\n");
}

void conf_write_man(int fd, const char *version, const char *date)
{
    struct buf b = {0};

    buf_printf(&b,
               ".Dd %s\n.Dt POSTERN.CONF 5\n.Os postern %s\n.Sh NAME\n.Nm postern.conf\n"
               ".Nd configuration of the postern mail receiver\n.Sh DESCRIPTION\n",
               date, version);
    for (size_t i = 0; i < sizeof intro / sizeof *intro; i++) {
        if (i)
            buf_printf(&b, ".Pp\n");
        man_text(&b, intro[i]);
    }
    for (unsigned k = 0; k < CONF_SECTIONS; k++)
        man_section(&b, (enum conf_section_kind)k);
    buf_printf(&b, ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/postern/postern.conf\nThe file that "
                   "is read when no other is "
                   "named.\n.El\n.Sh SEE ALSO\n.Xr postern 8\n");
    put(fd, &b);
}
