/* postern-bench: plays every correct and every broken server to a sender, and writes down what the sender did. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/bench_command.h"

static const struct {
    const char *name, *arguments, *help;
    int (*run)(const struct bench_options *o);
} commands[] = {
    {"serve", "", "listen, one port for each scenario, until a signal", bench_cmd_serve},
    {"run", "-- CMD...", "play scenarios to a command, and judge what it did", bench_cmd_run},
    {"sink", "[NAME]", "take mail as fast as it comes, and count it: nothing is written down", bench_cmd_sink},
    {"pki", "DIR", "make the certificates there", bench_cmd_pki},
    {"list", "[GLOB]", "the scenarios: name, section, what the server does", bench_cmd_list},
    {"show", "NAME", "one of them, and what a correct sender does", bench_cmd_show},
    {"facts", "", "the words that expect speaks of, and what they mean", bench_cmd_facts},
    {"transcript", "FILE", "a session as text: C: and S:, times, where TLS begins", bench_cmd_transcript},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void usage(FILE *f)
{
    fprintf(f, "usage: postern-bench COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-10s %-8s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    fprintf(f,
            "\n"
            "  --catalogue DIR   scenarios of these files instead of the built-in ones\n"
            "  --scenario FILE   more scenarios (several times)\n"
            "  --only GLOB,...   these scenarios; several times (serve, run, list)\n"
            "  --policy P        what the sender is set to: opportunistic (when not given), required, verified (run)\n"
            "  --queue           the sender queues: its end is not the end of its tries (run)\n"
            "  --jobs N          so many commands at once; when not given twice as many as CPUs, and two (run)\n"
            "  --timeout S       for a command; 120 when not given (run)\n"
            "  --verbose         how each command ended, and all its sessions (run)\n"
            "  --junit FILE      results for CI (run)\n"
            "  --tap             results as TAP (run)\n"
            "  --address IP      listen there, 127.0.0.1 when not given; loopback only (serve, sink)\n"
            "  --port N          the first port, the others follow; 0: any free ones (serve, sink)\n"
            "  --out DIR         transcripts go there; bench-out when not given (serve, run)\n"
            "  --pki DIR         certificates, made when missing; bench-pki when not given (serve, run, sink)\n"
            "  --seed N          for scenarios with a chance; 1 when not given\n"
            "  --json            for programs (list, show, facts, sink)\n"
            "  --implicit        TLS from the first octet (sink)\n"
            "  --no-tls          no STARTTLS; no certificates are needed (sink)\n"
            "  --every S         a line with the rate so often; on a terminal each second (sink)\n"
            "  --idle S          a session that is silent for so long is ended, 300 when not given (sink)\n\n"
            "Exit codes: 0 fine, 1 a scenario failed (run), 2 failure, 64 usage.\n");
}

static const char *const with_value[] = {"--catalogue", "--scenario", "--only",  "--address", "--port",
                                         "--out",       "--pki",      "--seed",  "--junit",   "--policy",
                                         "--jobs",      "--timeout",  "--every", "--idle"};

static bool takes_value(const char *word)
{
    for (size_t i = 0; i < sizeof with_value / sizeof *with_value; i++)
        if (strcmp(word, with_value[i]) == 0)
            return true;
    return false;
}

static bool is_count(const char *word)
{
    return strcmp(word, "--jobs") == 0 || strcmp(word, "--timeout") == 0 || strcmp(word, "--every") == 0 ||
           strcmp(word, "--idle") == 0;
}

static int take(struct bench_options *o, const char *word, const char *value)
{
    uint64_t n = 0;

    if (strcmp(word, "--catalogue") == 0)
        o->catalogue = value;
    else if (strcmp(word, "--scenario") == 0 && o->file_count < BENCH_FILES)
        o->files[o->file_count++] = value;
    else if (strcmp(word, "--only") == 0 && o->only_count < BENCH_ONLY)
        o->only[o->only_count++] = value;
    else if (strcmp(word, "--address") == 0)
        o->address = value;
    else if (strcmp(word, "--out") == 0)
        o->out = value;
    else if (strcmp(word, "--pki") == 0)
        o->pki = value;
    else if (strcmp(word, "--junit") == 0)
        o->junit = value;
    else if (strcmp(word, "--policy") == 0)
        o->policy = value;
    else if (!text_u64(span_str(value), &n) || (strcmp(word, "--port") == 0 && n > 65000))
        return -1;
    else if (strcmp(word, "--port") == 0)
        o->port = (unsigned)n;
    else if (is_count(word) && (n < 1 || n > 86400))
        return -1;
    else if (strcmp(word, "--jobs") == 0)
        o->jobs = (unsigned)n;
    else if (strcmp(word, "--timeout") == 0)
        o->timeout_s = (unsigned)n;
    else if (strcmp(word, "--every") == 0)
        o->every_s = (unsigned)n;
    else if (strcmp(word, "--idle") == 0)
        o->idle_s = (unsigned)n;
    else
        o->seed = n;
    return 0;
}

static int parse(struct bench_options *o, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            o->command = argv[i + 1] ? argv + i + 1 : NULL;
            break;
        }
        if (strcmp(argv[i], "--json") == 0) {
            o->json = true;
        } else if (strcmp(argv[i], "--queue") == 0) {
            o->queue = true;
        } else if (strcmp(argv[i], "--implicit") == 0) {
            o->implicit = true;
        } else if (strcmp(argv[i], "--no-tls") == 0) {
            o->no_tls = true;
        } else if (strcmp(argv[i], "--tap") == 0) {
            o->tap = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
        } else if (takes_value(argv[i]) && i + 1 < argc) {
            if (take(o, argv[i], argv[i + 1]) < 0)
                return -1;
            i++;
        } else if (argv[i][0] == '-' || o->word) {
            return -1;
        } else {
            o->word = argv[i];
        }
    }
    return 0;
}

int bench_options_catalogue(const struct bench_options *o, struct bench_catalogue *c)
{
    struct err e;
    int rc = bench_scenario_load_dir(c, o->catalogue, &e);

    for (unsigned i = 0; i < o->file_count && rc == 0; i++)
        rc = bench_scenario_load(c, o->files[i], &e);
    if (rc < 0)
        fprintf(stderr, "postern-bench: %s\n", e.text);
    return rc;
}

int main(int argc, char **argv)
{
    struct bench_options o = {.catalogue = BENCH_DIR,
                              .address = "127.0.0.1",
                              .seed = 1,
                              .out = "bench-out",
                              .pki = "bench-pki",
                              .policy = "opportunistic",
                              .timeout_s = 120};

    if (access(o.catalogue, R_OK) < 0 && access("conf/bench", R_OK) == 0)
        o.catalogue = "conf/bench"; /* in the source */
    signal(SIGPIPE, SIG_IGN);
    if (argc >= 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)) {
        usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0 && parse(&o, argc - 2, argv + 2) == 0)
            return commands[i].run(&o);
    usage(stderr);
    return 64;
}
