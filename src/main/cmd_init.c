#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "main/command.h"
#include "main/init.h"

/* As root the rights are dropped to somebody: to postern, or to an account that every system has. */
static const char *find_user(void)
{
    static const char *const names[] = {"postern", "daemon", "nobody"};

    for (size_t i = 0; geteuid() == 0 && i < sizeof names / sizeof *names; i++)
        if (getpwnam(names[i]))
            return names[i];
    return NULL;
}

static int fail(const struct err *e)
{
    fprintf(stderr, "postern: %s\n", e->text);
    return EXIT_FAILED;
}

static int show(const char *program, const char *dir)
{
    struct err e;
    char *text = init_show(program, dir, &e);

    if (!text)
        return fail(&e);
    fputs(text, stdout);
    free(text);
    return EXIT_FINE;
}

int cmd_init(const struct command_line *l)
{
    struct init_set s = {.domain = l->domain ? l->domain : "example.test", .port = l->port_base, .force = l->force};
    struct err e;

    if (!l->dir) {
        fprintf(stderr, "usage: postern init --dir DIR [--domain NAME] [--port-base PORT] [--force | --show]\n");
        return EXIT_USAGE;
    }
    if (l->show)
        return show(l->program, l->dir);
    if (!init_is_domain(s.domain)) {
        fprintf(stderr, "postern init: \"%s\" is not a domain name\n", s.domain);
        return EXIT_USAGE;
    }
    s.dir = l->dir;
    s.user = find_user();
    if (init_write(&s, &e) < 0)
        return fail(&e);
    return show(l->program, l->dir);
}
