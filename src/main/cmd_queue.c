/* postern queue: asks the queue of the running daemon, line by line, however long the list is. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "main/command.h"
#include "main/queue_text.h"

static const char *const shown[] = {"list", "show", "status"};

static bool is_shown(const char *verb)
{
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (strcmp(verb, shown[i]) == 0)
            return true;
    return false;
}

static void print(const char *verb, const json_t *o)
{
    if (strcmp(verb, "list") == 0)
        queue_text_line(stdout, o);
    else if (strcmp(verb, "show") == 0)
        queue_text_whole(stdout, o);
    else
        queue_text_status(stdout, o);
}

static int finish(const struct command_line *l, const char *verb, const json_t *last, const char *line)
{
    static const char *const done[][2] = {{"retry", "due now"},    {"flush", "due now"},  {"hold", "held"},
                                          {"release", "released"}, {"delete", "deleted"}, {"list", "in the queue"}};
    long long n = (long long)json_integer_value(json_object_get(last, "count"));

    if (l->json && !is_shown(verb))
        fputs(line, stdout);
    if (command_refused(last) < 0)
        return EXIT_FAILED;
    for (size_t i = 0; i < sizeof done / sizeof *done && !l->json; i++)
        if (strcmp(verb, done[i][0]) == 0)
            printf("%lld %s %s\n", n, n == 1 ? "message" : "messages", done[i][1]);
    return EXIT_FINE;
}

/* Everything but the last line, {"ok":...}, is shown as it comes. */
static int read_answer(const struct command_line *l, const char *verb, FILE *f)
{
    char *line = NULL;
    size_t cap = 0;
    int rc = -1;

    while (rc < 0 && getline(&line, &cap, f) > 0) {
        json_t *o = json_loads(line, 0, NULL);

        if (!o)
            break;
        if (json_object_get(o, "ok"))
            rc = finish(l, verb, o, line);
        else if (l->json)
            fputs(line, stdout);
        else
            print(verb, o);
        json_decref(o);
    }
    free(line);
    if (rc < 0)
        fprintf(stderr, "postern: the answer ends too early, something is missing; ask again\n");
    return rc < 0 ? EXIT_FAILED : rc;
}

/* older=4h: seconds for the queue. */
static int put_older(struct buf *out, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    static const struct {
        const char *unit;
        unsigned seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    uint64_t n;

    if (!text_u64((struct span){value, digits}, &n) || n > UINT32_MAX)
        return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(value + digits, units[i].unit) == 0) {
            buf_printf(out, " older=%llu", (unsigned long long)n * units[i].seconds);
            return 0;
        }
    return -1;
}

/* A blank would end the word, and what follows it would be taken for another condition. */
static int put_value(struct buf *out, const char *key, const char *value)
{
    if (strchr(value, ' '))
        return -1;
    buf_printf(out, " %s%s", key, value);
    return 0;
}

/* What options say; the words of the request say the same. */
static int put_options(struct buf *out, const struct command_line *l)
{
    if (l->domain && put_value(out, "domain=", l->domain) < 0)
        return -1;
    if (l->from && put_value(out, "from=", l->from) < 0)
        return -1;
    if (l->older && put_older(out, l->older) < 0)
        return -1;
    if (l->held)
        buf_printf(out, " held");
    if (l->all)
        buf_printf(out, " all");
    return 0;
}

static int build(struct buf *out, const struct command_line *l, const char *verb, unsigned first)
{
    if (strchr(verb, ' '))
        return -1;
    buf_printf(out, "%s", verb);
    for (unsigned i = first; i < l->word_count; i++) {
        const char *w = l->words[i];

        if (!*w || (strncmp(w, "older=", 6) == 0 ? put_older(out, w + 6) : put_value(out, "", w)) < 0)
            return -1;
    }
    if (put_options(out, l) < 0)
        return -1;
    buf_append(out, "", 1);
    return 0;
}

int cmd_queue(const struct command_line *l)
{
    const char *verb = l->word_count ? l->words[0] : "list";
    struct buf request = {0};
    int rc = EXIT_USAGE;
    FILE *f;

    if (build(&request, l, verb, l->word_count ? 1 : 0) < 0) {
        fprintf(stderr, "postern queue: WHICH is --all, --held, ID, --domain DOMAIN, --from ADDRESS, --older-than AGE "
                        "(as 90s, 15m, 4h, 2d), or several of them, which must all fit\n");
        goto out;
    }
    f = command_ask_queue(l, buf_data(&request), &rc);
    if (!f)
        goto out;
    rc = read_answer(l, verb, f);
    fclose(f);
out:
    buf_clear(&request);
    return rc;
}
