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
    {"reload", "", "cs", 0, 0, "read configuration, mailboxes and certificates again; ends when that is done", cmd_reload},
    {"drain", "", "cs", 0, 0, "stop accepting, let all sessions end, then exit", cmd_drain},
    {"init", "", "dDbfw", 0, 0, "write a complete working set to try: --dir DIR --domain NAME", cmd_init},
    {"explain", "TEXT", "j", 1, 100, "a reply or log line of a mail server, to its cause and remedy", cmd_explain},
    {"version", "", "", 0, 0, "of this program and the libraries it uses", cmd_version},
    {"reference", "", "m", 0, 0, "print the configuration reference: --markdown or --man", cmd_reference},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void usage(FILE *f)
{
    fprintf(f, "usage: postern COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-10s %-12s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    fprintf(f, "\n  -c FILE            configuration (default /etc/postern/postern.conf)\n"
               "  --state-dir DIR    ask the daemon there, without reading a configuration\n"
               "  --json             for programs\n\nSee postern(8).\n");
}

struct flag {
    const char *name;
    char letter; /* in command.options */
    bool has_value;
};

static const struct flag flags[] = {
    {"-c", 'c', true},         {"--state-dir", 's', true}, {"--ports-file", 'p', true}, {"--dir", 'd', true},
    {"--domain", 'D', true},   {"--port-base", 'b', true}, {"--json", 'j', false},      {"--force", 'f', false},
    {"--show", 'w', false},    {"-v", 'v', false},         {"--markdown", 'm', false},  {"--man", 'm', false},
};

static int take_flag(struct command_line *l, const struct flag *f, const char *value)
{
    uint64_t n;

    switch (f->letter) {
    case 'c':
        l->conf_file = value;
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
    case 'b':
        if (!text_u64(span_str(value), &n) || n == 0 || n > 60000)
            return -1;
        l->port_base = (unsigned)n;
        break;
    case 'j':
        l->json = true;
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
    return EXIT_USAGE_;
}

static int parse(const struct command *c, struct command_line *l, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const struct flag *f = NULL;

        for (size_t k = 0; k < sizeof flags / sizeof *flags && argv[i][0] == '-'; k++)
            if (strcmp(flags[k].name, argv[i]) == 0 && strchr(c->options, flags[k].letter))
                f = &flags[k];
        if (!f && argv[i][0] == '-' && argv[i][1])
            return complain(c, "unknown option ", argv[i]);
        if (!f) {
            l->words[l->word_count++] = argv[i];
            continue;
        }
        if (f->has_value && i + 1 >= argc)
            return complain(c, "a value is missing after ", f->name);
        if (take_flag(l, f, f->has_value ? argv[++i] : NULL) < 0)
            return complain(c, "not a number: ", argv[i]);
    }
    if (l->word_count < c->least || l->word_count > c->most)
        return complain(c, "usage: postern ", c->arguments[0] ? c->arguments : c->name);
    return 0;
}

int main(int argc, char **argv)
{
    struct command_line l = {.conf_file = "/etc/postern/postern.conf", .port_base = 2525};
    int rc = EXIT_USAGE_;

    setlocale(LC_CTYPE, ""); /* names of hosts and mailboxes may be UTF-8 */
    if (argc >= 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)) {
        usage(stdout);
        return EXIT_FINE;
    }
    l.words = mem_alloc(sizeof *l.words * (size_t)(argc + 1));
    for (size_t i = 0; argc >= 2 && i < COMMANDS; i++) {
        if (strcmp(commands[i].name, argv[1]) != 0)
            continue;
        rc = parse(&commands[i], &l, argc - 2, argv + 2);
        rc = rc ? rc : commands[i].run(&l);
        free(l.words);
        return rc;
    }
    usage(stderr);
    free(l.words);
    return rc;
}
