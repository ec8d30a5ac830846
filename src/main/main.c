#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "main/command.h"

static const struct command commands[] = {
    {"run", "", "cpv", 0, 0, "serve in the foreground", cmd_run},
    {"check", "", "cj", 0, 0, "load the configuration as run would, and say what each listener offers", cmd_check},
    {"why", "[LISTENER]", "csj", 0, 1, "ask the running daemon: is STARTTLS offered, why not, what to do", cmd_why},
    {"status", "", "csj", 0, 0, "processes, generations and counters of the running daemon", cmd_status},
    {"reload", "", "csj", 0, 0, "read configuration, mailboxes and certificates again; ends when that is done",
     cmd_reload},
    {"drain", "", "csj", 0, 0, "accept no more, let all sessions end, then exit", cmd_drain},
    {"queue", "[VERB] [WHICH]", "csjq", 0, 1000,
     "mail that waits: list, show ID, retry, hold, release, delete, flush, status", cmd_queue},
    {"init", "", "dDbfw", 0, 0, "write a complete working set to try: --dir DIR [--domain NAME]", cmd_init},
    {"passwd", "FILE USER", "cr", 1, 2, "let a user log in, with the password from the terminal or standard input",
     cmd_passwd},
    {"explain", "TEXT", "j", 1, 1000, "the words of a mail server, to their cause and remedy", cmd_explain},
    {"version", "", "j", 0, 0, "of this program and the libraries it uses", cmd_version},
    {"reference", "", "m", 0, 0, NULL, cmd_reference},
};
#define COMMANDS (sizeof commands / sizeof *commands)

struct flag {
    const char *name;
    char letter; /* in command.options */
    const char *value;
    const char *help;
};

static const struct flag flags[] = {
    {"-c", 'c', "FILE",
     "the configuration, /etc/postern/postern.conf when not given; with passwd the file of users, made when missing"},
    {"--state-dir", 's', "DIR", "ask the daemon there, without reading a configuration"},
    {"--json", 'j', NULL, "for programs"},
    {"-v", 'v', NULL, "log at level debug at least"},
    {"--ports-file", 'p', "FILE", "write \"listener address\" of every socket there, once it is bound"},
    {"--dir", 'd', "DIR", "where the set is written"},
    {"--domain", 'D', "NAME", "whose mail it takes, example.test when not given"},
    {"--domain", 'q', "DOMAIN", "messages that wait for a recipient there"},
    {"--from", 'q', "ADDRESS", "messages of this sender, '' for reports"},
    {"--older-than", 'q', "AGE", "messages that arrived longer ago: 90s, 15m, 4h, 2d"},
    {"--held", 'q', NULL, "messages that are held"},
    {"--all", 'q', NULL, "all of them: what changes or removes messages needs a word on which"},
    {"--port-base", 'b', "PORT", "of the listener with STARTTLS, 2525 when not given; implicit TLS is 60 below"},
    {"-d", 'r', NULL, "take the user out of the file"},
    {"--force", 'f', NULL, "write over a set that is there; mail is kept"},
    {"--show", 'w', NULL, "write nothing, show again how to try the set"},
    {"--markdown", 'm', NULL, NULL},
    {"--man", 'm', NULL, NULL},
};
#define FLAGS (sizeof flags / sizeof *flags)

static void usage(FILE *f)
{
    fprintf(f, "usage: postern COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].help)
            fprintf(f, "  %-8s %-14s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    fprintf(f, "  %-8s %-14s %s\n\nOptions, and the commands that take them:\n\n", "help", "", "this");
    for (size_t k = 0; k < FLAGS; k++) {
        char name[64];

        if (!flags[k].help)
            continue;
        snprintf(name, sizeof name, "%s%s%s", flags[k].name, flags[k].value ? " " : "",
                 flags[k].value ? flags[k].value : "");
        fprintf(f, "  %-18s %s (", name, flags[k].help);
        for (size_t i = 0, n = 0; i < COMMANDS; i++)
            if (strchr(commands[i].options, flags[k].letter))
                fprintf(f, "%s%s", n++ ? " " : "", commands[i].name);
        fprintf(f, ")\n");
    }
    fprintf(
        f,
        "\nExit codes: 0 fine, 1 warnings, 2 failure, 3 the daemon cannot be reached, 64 usage. More: man postern\n");
}

/* Which messages of the queue. */
static void take_which(struct command_line *l, const char *name, const char *value)
{
    if (strcmp(name, "--domain") == 0)
        l->domain = value;
    else if (strcmp(name, "--from") == 0)
        l->from = value;
    else if (strcmp(name, "--older-than") == 0)
        l->older = value;
    else if (strcmp(name, "--held") == 0)
        l->held = true;
    else
        l->all = true;
}

static int take_flag(struct command_line *l, const struct flag *f, const char *value)
{
    uint64_t n;

    switch (f->letter) {
    case 'c':
        l->conf_file = value;
        l->conf_given = true;
        break;
    case 's':
        l->state_dir = value;
        break;
    case 'p':
        l->ports_file = value;
        break;
    case 'd':
        l->dir = value;
        break;
    case 'D':
        l->domain = value;
        break;
    case 'q':
        take_which(l, f->name, value);
        break;
    case 'b':
        if (!text_u64(span_str(value), &n) || n < 61 || n > 65000)
            return -1;
        l->port_base = (unsigned)n;
        break;
    case 'j':
        l->json = true;
        break;
    case 'r':
        l->remove = true;
        break;
    case 'f':
        l->force = true;
        break;
    case 'w':
        l->show = true;
        break;
    case 'v':
        l->verbose = true;
        break;
    default:
        l->man = strcmp(f->name, "--man") == 0;
        l->markdown = !l->man;
        break;
    }
    return 0;
}

static int complain(const struct command *c, const char *what, const char *word)
{
    fprintf(stderr, "postern %s: %s%s\n", c->name, what, word);
    fprintf(stderr, "usage: postern %s [OPTION...]%s%s; all options: postern help\n", c->name, *c->arguments ? " " : "",
            c->arguments);
    return EXIT_USAGE;
}

static const struct flag *find_flag(const struct command *c, const char *word)
{
    for (size_t k = 0; k < FLAGS; k++)
        if (strcmp(flags[k].name, word) == 0 && strchr(c->options, flags[k].letter))
            return &flags[k];
    return NULL;
}

static int parse(const struct command *c, struct command_line *l, int argc, char **argv)
{
    bool options = true;

    for (int i = 0; i < argc; i++) {
        const struct flag *f = NULL;

        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            continue;
        }
        if (options && argv[i][0] == '-' && argv[i][1]) {
            f = find_flag(c, argv[i]);
            if (!f)
                return complain(c, "unknown option ", argv[i]);
        }
        if (!f) {
            l->words[l->word_count++] = argv[i];
            continue;
        }
        if (f->value && i + 1 >= argc)
            return complain(c, "a value is missing after ", f->name);
        if (take_flag(l, f, f->value ? argv[++i] : NULL) < 0)
            return complain(c, "not a port from 61 to 65000: ", argv[i]);
    }
    if (l->word_count < c->least)
        return complain(c, "missing: ", c->arguments);
    if (l->word_count > c->most)
        return complain(c, "not expected: ", l->words[c->most]);
    return 0;
}

static int run_command(int argc, char **argv)
{
    struct command_line l = {.program = argv[0], .conf_file = "/etc/postern/postern.conf", .port_base = 2525};
    int rc;

    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, argv[1]) != 0)
            continue;
        l.words = mem_alloc(sizeof *l.words * (size_t)(argc + 1));
        rc = parse(&commands[i], &l, argc - 2, argv + 2);
        rc = rc ? rc : commands[i].run(&l);
        free(l.words);
        return rc;
    }
    fprintf(stderr, "postern: there is no command \"%s\"\n\n", argv[1]);
    usage(stderr);
    return EXIT_USAGE;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of hosts and mailboxes may be UTF-8 */
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (asks_for_help(argv[1])) {
        usage(stdout);
        return EXIT_FINE;
    }
    return run_command(argc, argv);
}
