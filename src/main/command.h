/* One command, one file: cmd_<name>.c. Exit codes: 0 fine, 1 warnings, 2 failure, 3 unreachable, 64 usage. */
#ifndef MAIN_COMMAND_H
#define MAIN_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { EXIT_FINE = 0, EXIT_WARN = 1, EXIT_FAILED = 2, EXIT_UNREACHABLE = 3, EXIT_USAGE = 64 };

struct command_line {         /* what options said; the rest are words */
    const char *program;      /* as it was called, for the commands that are shown */
    const char *conf_file;    /* -c */
    const char *state_dir;    /* --state-dir */
    const char *ports_file;   /* --ports-file (run) */
    const char *dir, *domain; /* --dir (init), --domain (init, queue) */
    const char *from, *older; /* --from, --older-than (queue) */
    bool held, all;           /* --held, --all (queue) */
    unsigned port_base;       /* --port-base (init) */
    bool json, force, show, verbose, markdown, man;
    bool conf_given, remove; /* -c was; -d (passwd) */
    const char **words;
    unsigned word_count;
};

struct command {
    const char *name;
    const char *arguments;
    const char *options;  /* letters of what it takes: see the table of flags in main.c */
    unsigned least, most; /* words */
    const char *help;     /* NULL: not shown */
    int (*run)(const struct command_line *l);
};

/* Asks the running daemon. NULL: it cannot be asked, which was printed with what to do; *exit_code says how to end. */
json_t *command_ask(const struct command_line *l, const char *command, int timeout_ms, int *exit_code);
/* Asks the running daemon's queue: lines of JSON to be read to the end. NULL as above. */
FILE *command_ask_queue(const struct command_line *l, const char *request, int *exit_code);
/* -1 when the reply is a refusal, which is then printed. */
int command_refused(const json_t *reply);
void command_print_json(const json_t *o);

int cmd_run(const struct command_line *l);
int cmd_check(const struct command_line *l);
int cmd_why(const struct command_line *l);
int cmd_status(const struct command_line *l);
int cmd_reload(const struct command_line *l);
int cmd_drain(const struct command_line *l);
int cmd_queue(const struct command_line *l);
int cmd_init(const struct command_line *l);
int cmd_passwd(const struct command_line *l);
int cmd_explain(const struct command_line *l);
int cmd_version(const struct command_line *l);
int cmd_reference(const struct command_line *l);

#endif
