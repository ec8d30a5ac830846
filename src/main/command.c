#include "main/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "conf/conf.h"
#include "base/text.h"
#include "proc/control.h"

#define QUEUE_SECONDS 60 /* without a word of it */

static char *state_dir(const struct command_line *l)
{
    struct err e;
    char *found = l->state_dir ? mem_str(l->state_dir) : conf_state_dir_only(l->conf_file, &e);

    if (!found)
        fprintf(stderr,
                "postern: %s\nWhere the daemon answers is told by state-dir: name the file with -c FILE, or the "
                "directory with --state-dir DIR.\n",
                e.text);
    return found;
}

static void complain(const struct command_line *l, const struct err *e)
{
    fprintf(stderr,
            "postern: %s\n"
            "Is it running: systemctl status postern, or its log. Ask as root or as a member of its group. Another\n"
            "state directory is named with --state-dir DIR. What a start would do: postern check -c %s\n",
            e->text, l->conf_file);
}

json_t *command_ask(const struct command_line *l, const char *command, int timeout_ms, int *exit_code)
{
    char *dir = state_dir(l);
    json_t *request, *reply = NULL;
    struct err e;

    *exit_code = EXIT_UNREACHABLE;
    if (!dir)
        return NULL;
    request = json_pack("{s:s}", "command", command);
    if (control_ask(dir, request, timeout_ms, &reply, &e) < 0) {
        complain(l, &e);
        reply = NULL;
    }
    json_decref(request);
    free(dir);
    return reply;
}

FILE *command_ask_queue(const struct command_line *l, const char *words, int *exit_code)
{
    struct timeval patience = {.tv_sec = QUEUE_SECONDS};
    char *dir = state_dir(l);
    json_t *request;
    struct err e;
    int fd;

    *exit_code = EXIT_UNREACHABLE;
    if (!dir)
        return NULL;
    request = json_pack("{s:s,s:s}", "command", "queue", "request", words);
    fd = request ? control_open(dir, request, &e) : err_set(&e, "what is asked for is no UTF-8");
    json_decref(request);
    free(dir);
    if (fd < 0) {
        complain(l, &e);
        return NULL;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fdopen(fd, "r");
}

int command_refused(const json_t *reply)
{
    const char *error = json_string_value(json_object_get(reply, "error"));

    if (json_is_true(json_object_get(reply, "ok")))
        return 0;
    fprintf(stderr, "postern: the daemon says: %s\n", error ? error : "no");
    return -1;
}

void command_print_json(const json_t *o)
{
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
}
