/* postern-bench: plays every correct and every broken server to a sender, and writes down what the sender did. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/bench_command.h"

static const struct {
    const char *name, *arguments, *help;
    int (*run)(const struct bench_options *o);
} commands[] = {
    {"serve", "", "listen, one port for each scenario or as a file says, until a signal", bench_cmd_serve},
    {"run", "-- CMD...", "play scenarios to a command, and judge what it did", bench_cmd_run},
    {"judge", "", "judge a run anew, by the rules as they are now; nothing is played", bench_cmd_judge},
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
    fprintf(f, "\n");
    bench_options_help(f);
    fprintf(f, "\nExit codes: 0 fine, 1 a scenario failed (run, judge), 2 failure, 64 usage.\n");
}

/* One line: behind forty of help nobody would see it. */
static int no_command(const char *word)
{
    const char *best = NULL;
    unsigned least = 3; /* further away nobody meant it */

    for (size_t i = 0; i < COMMANDS; i++)
        if (text_distance(word, commands[i].name) < least) {
            best = commands[i].name;
            least = text_distance(word, best);
        }
    fprintf(stderr, "postern-bench: %s: no such command%s%s%s (postern-bench help has all of them)\n", word,
            best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
    return 64;
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

/* A program that still stands where it was built (build/, build/asan/) takes the scenarios of its source. */
static const char *catalogue_beside(char *dst, size_t cap)
{
    static const char *const up[] = {"../conf/bench", "../../conf/bench"};
    ssize_t n = readlink("/proc/self/exe", dst, cap - 1);
    char *slash;

    if (n <= 0)
        return BENCH_DIR;
    dst[n] = '\0';
    slash = strrchr(dst, '/');
    for (size_t i = 0; slash && i < sizeof up / sizeof *up; i++) {
        snprintf(slash + 1, cap - (size_t)(slash + 1 - dst), "%s", up[i]);
        if (access(dst, R_OK) == 0)
            return dst;
    }
    return BENCH_DIR;
}

struct transcript_book_setup bench_options_book(const struct bench_options *o)
{
    return (struct transcript_book_setup){
        .dir = o->out, .max_sessions = o->max_sessions, .max_mib = o->max_mib, .keep_auth = o->keep_auth};
}

int main(int argc, char **argv)
{
    struct bench_options o = {.address = "127.0.0.1",
                              .seed = 1,
                              .out = "bench-out",
                              .pki = "bench-pki",
                              .policy = "opportunistic",
                              .max_sessions = TRANSCRIPT_MAX_SESSIONS,
                              .max_mib = TRANSCRIPT_MAX_MIB,
                              .timeout_s = 120};
    char beside[PATH_MAX];
    struct err e;

    o.catalogue = catalogue_beside(beside, sizeof beside);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a full disk, and hinders nobody */
    if (argc >= 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)) {
        usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            if (bench_options_parse(&o, argv[1], argc - 2, argv + 2, &e) == 0)
                return commands[i].run(&o);
            fprintf(stderr, "postern-bench: %s (postern-bench help has all of them)\n", e.text);
            return 64;
        }
    if (argc >= 2)
        return no_command(argv[1]);
    usage(stderr);
    return 64;
}
