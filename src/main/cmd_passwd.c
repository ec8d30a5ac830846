#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/text.h"
#include "main/command.h"
#include "main/users_file.h"

static void wipe(char *text, size_t n)
{
    explicit_bzero(text, n);
}

/* One line without its end. -1 and e: none, empty, or longer than a password may be. */
static int read_line(FILE *f, char password[SECRET_PASSWORD_MOST], struct err *e)
{
    size_t n;

    if (!fgets(password, SECRET_PASSWORD_MOST, f))
        return err_set(e, "no password was given");
    n = strcspn(password, "\r\n");
    if (!password[n] && !feof(f))
        return err_set(e, "the password has more than %d bytes", SECRET_PASSWORD_MOST - 2);
    password[n] = '\0';
    return n ? 0 : err_set(e, "an empty password");
}

static int ask(FILE *tty, const char *prompt, char password[SECRET_PASSWORD_MOST], struct err *e)
{
    struct termios before, quiet;
    int rc;

    if (tcgetattr(fileno(tty), &before) < 0)
        return err_set(e, "the terminal: %s", strerror(errno));
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    tcsetattr(fileno(tty), TCSAFLUSH, &quiet); /* before the prompt: whoever answers at once is neither seen nor lost */
    fprintf(tty, "%s", prompt);
    fflush(tty);
    rc = read_line(tty, password, e);
    tcsetattr(fileno(tty), TCSAFLUSH, &before);
    fprintf(tty, "\n");
    return rc;
}

/* From the terminal, twice and unseen; else from standard input. Never from the command line, which everybody on the
 * machine can see. */
static int get_password(char password[SECRET_PASSWORD_MOST], struct err *e)
{
    char again[SECRET_PASSWORD_MOST];
    FILE *tty;
    int rc;

    if (!isatty(STDIN_FILENO))
        return read_line(stdin, password, e);
    tty = fopen("/dev/tty", "r+e");
    if (!tty)
        return err_set(e, "/dev/tty: %s", strerror(errno));
    setvbuf(tty, NULL, _IONBF, 0);
    rc = ask(tty, "Password: ", password, e);
    if (rc == 0)
        rc = ask(tty, "Again: ", again, e);
    if (rc == 0 && strcmp(password, again) != 0)
        rc = err_set(e, "the two are different; nothing was changed");
    wipe(again, sizeof again);
    fclose(tty);
    return rc;
}

int cmd_passwd(const struct command_line *l)
{
    bool create = l->word_count == 1; /* -c FILE USER */
    const char *file = create ? l->conf_file : l->words[0], *user = l->words[l->word_count - 1];
    char password[SECRET_PASSWORD_MOST] = "", name[CONF_USER_NAME];
    struct err e;
    int rc;

    if (create && !l->conf_given) {
        fprintf(stderr, "usage: postern passwd [-c] FILE USER@DOMAIN [-d]\n");
        return EXIT_USAGE;
    }
    rc = conf_user_name(name, span_str(user), &e);
    if (rc == 0 && l->remove)
        rc = users_file_remove(file, name, &e);
    else if (rc == 0 && (rc = users_file_ready(file, create, &e)) == 0 && (rc = get_password(password, &e)) == 0)
        rc = users_file_set(file, create, name, password, &e);
    wipe(password, sizeof password);
    if (rc < 0) {
        fprintf(stderr, "postern passwd: %s\n", e.text);
        return EXIT_FAILED;
    }
    printf("%s: %s %s; postern reload makes it known\n", file, name, l->remove ? "is gone" : "may log in");
    return EXIT_FINE;
}
