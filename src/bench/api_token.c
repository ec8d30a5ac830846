#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/api_own.h"

#define BYTES 24
#define LEAST 16u /* characters */

static int make(char token[API_TOKEN], const char *path, struct err *e)
{
    unsigned char r[BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t n;
    bool written;

    if (fd < 0)
        return err_set(e, "%s: %s", path, strerror(errno));
    if (getrandom(r, sizeof r, 0) != sizeof r) {
        close(fd);
        return err_set(e, "%s: no randomness", path);
    }
    for (size_t i = 0; i < sizeof r; i++)
        snprintf(token + 2 * i, 3, "%02x", r[i]);
    n = strlen(token);
    written = write(fd, token, n) == (ssize_t)n && write(fd, "\n", 1) == 1;
    if (close(fd) < 0 || !written)
        return err_set(e, "%s: it cannot be written", path);
    return 0;
}

int api_token_read(char token[API_TOKEN], const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    struct stat st;
    char *end;
    int rc = 0;

    if (!f && errno == ENOENT)
        return make(token, path, e);
    if (!f)
        return err_set(e, "%s: %s", path, strerror(errno));
    if (fstat(fileno(f), &st) < 0 || (st.st_mode & (S_IRWXG | S_IRWXO)))
        rc = err_set(e, "%s: others can read it; chmod 600, or remove it and a new one is made", path);
    else if (!fgets(token, API_TOKEN, f))
        rc = err_set(e, "%s: it is empty; remove it and a new one is made", path);
    fclose(f);
    if (rc < 0)
        return -1;
    end = token + strcspn(token, "\r\n");
    *end = '\0';
    if (end - token < (long)LEAST)
        return err_set(e, "%s: a token has at least %u characters; remove it and a new one is made", path, LEAST);
    return 0;
}

bool api_token_is(const char *token, const char *header)
{
    static const char scheme[] = "Bearer ";
    const char *given = header && strncasecmp(header, scheme, sizeof scheme - 1) == 0 ? header + sizeof scheme - 1 : "";
    size_t n = strlen(given), have = strlen(token);
    unsigned char differ = n != have;

    for (size_t i = 0; i < have; i++)
        differ |= (unsigned char)(token[i] ^ given[n ? i % n : 0]);
    return !differ;
}
