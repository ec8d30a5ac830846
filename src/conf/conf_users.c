#include "conf/conf_users.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "conf/conf_idn.h"
#include "conf/conf_utf8.h"

#define LOCAL_MOST 64
#define DES_LENGTH 13          /* of the oldest, and shortest, hashes of crypt(3) */
#define KEY_BYTES 32           /* of SHA-256 */
#define ITERATIONS_LEAST 4096u /* RFC 7677 4 */
#define ITERATIONS_MOST 10000000u

int conf_user_name(char dst[CONF_USER_NAME], struct span text, struct err *e)
{
    const char *at = text.n ? memrchr(text.p, '@', text.n) : NULL;
    char domain[CONF_IDN_LEN];
    size_t n = at ? (size_t)(at - text.p) : 0;

    if (!at || n == 0)
        return err_set(e, "\"%.*s\" is not a full address (alice@example.org)", (int)(text.n < 80 ? text.n : 80),
                       text.p);
    if (n > LOCAL_MOST)
        return err_set(e, "a name of more than %d bytes before the @", LOCAL_MOST);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f || strchr(":\"\\<>", text.p[i]))
            return err_set(e, "a character that cannot be part of a name");
    if (conf_idn_ascii(domain, (struct span){at + 1, text.n - n - 1}, e) < 0)
        return -1;
    memcpy(dst, text.p, n);
    text_lower(dst, n);
    dst[n] = '@';
    memcpy(dst + n + 1, domain, strlen(domain) + 1);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct conf_user *)a)->name, ((const struct conf_user *)b)->name);
}

static void wipe(char **s)
{
    if (*s)
        explicit_bzero(*s, strlen(*s));
    free(*s);
    *s = NULL;
}

static void free_user(struct conf_user *u)
{
    wipe(&u->hash);
    wipe(&u->salt);
    wipe(&u->stored);
    wipe(&u->server);
    free(u->name);
}

void conf_users_free(struct conf_users **up)
{
    struct conf_users *u = *up;

    if (!u)
        return;
    for (unsigned i = 0; i < u->count; i++)
        free_user(&u->list[i]);
    free(u->list);
    free(u);
    *up = NULL;
}

/* Cuts what stands before the separator off. */
static struct span cut(struct span *rest, char separator)
{
    const char *at = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    struct span head = {rest->p, at ? (size_t)(at - rest->p) : rest->n};

    rest->p += head.n + (at != NULL);
    rest->n -= head.n + (at != NULL);
    return head;
}

static bool is_base64_of(struct span s, size_t least, size_t most)
{
    char room[256];
    size_t n;
    bool good = s.n <= sizeof room && base64_decode(room, &n, s) && n >= least && n <= most;

    explicit_bzero(room, sizeof room);
    return good;
}

static int take_scram(struct conf_user *u, struct span text, struct err *e)
{
    struct span mechanism = cut(&text, ','), iterations = cut(&text, ','), salt = cut(&text, ','),
                stored = cut(&text, ',');
    uint64_t n;

    if (!span_is(mechanism, "SCRAM-SHA-256"))
        return err_set(e, "behind the hash only SCRAM-SHA-256,ITERATIONS,SALT,STORED-KEY,SERVER-KEY may stand");
    if (!text_u64(iterations, &n) || n < ITERATIONS_LEAST || n > ITERATIONS_MOST)
        return err_set(e, "SCRAM-SHA-256: iterations must be a number from %u to %u", ITERATIONS_LEAST,
                       ITERATIONS_MOST);
    if (!is_base64_of(salt, 1, 128) || !is_base64_of(stored, KEY_BYTES, KEY_BYTES) ||
        !is_base64_of(text, KEY_BYTES, KEY_BYTES))
        return err_set(e, "SCRAM-SHA-256: salt and keys must be base64, the keys of %d bytes", KEY_BYTES);
    u->iterations = (unsigned)n;
    u->salt = mem_strn(salt.p, salt.n);
    u->stored = mem_strn(stored.p, stored.n);
    u->server = mem_strn(text.p, text.n);
    return 0;
}

/* Passwords in clear, and hashes that this crypt(3) does not know, are users who could never log in. */
static bool is_hash(const char *hash)
{
    static const char des[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t n = strlen(hash);
    int r = crypt_checksalt(hash);

    if (*hash != '$' && *hash != '_' && (n != DES_LENGTH || strspn(hash, des) != n))
        return false;
    return n >= DES_LENGTH && r != CRYPT_SALT_INVALID && r != CRYPT_SALT_METHOD_DISABLED;
}

static int take_line(struct conf_user *u, struct span line, struct err *e)
{
    struct span name = cut(&line, ':'), hash = cut(&line, ':');
    char plain[CONF_USER_NAME];

    if (conf_user_name(plain, name, e) < 0)
        return -1;
    if (hash.n == 0)
        return err_set(e, "%s has no hash; write it with: postern passwd FILE %s", plain, plain);
    u->name = mem_str(plain);
    u->hash = mem_strn(hash.p, hash.n);
    if (!is_hash(u->hash))
        return err_set(e, "%s: this is no hash of crypt(3); write it with: postern passwd FILE %s", plain, plain);
    return line.n ? take_scram(u, line, e) : 0;
}

static struct span trimmed(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r", *p))
        p++;
    while (end > p && strchr(" \t\r", end[-1]))
        end--;
    return (struct span){p, (size_t)(end - p)};
}

static bool add_line(struct conf_users *u, struct span line, unsigned number, conf_users_say *say, void *arg)
{
    struct conf_user one = {.line = number};
    struct err e;

    if (take_line(&one, line, &e) < 0) {
        say(arg, number, e.text);
        free_user(&one);
        return false;
    }
    if ((u->count & (u->count - 1)) == 0) /* a power of two: full */
        u->list = mem_grow(u->list, (u->count ? (size_t)u->count * 2 : 1) * sizeof *u->list);
    u->list[u->count++] = one;
    u->scram = u->scram && one.salt;
    return true;
}

static bool are_different(const struct conf_users *u, conf_users_say *say, void *arg)
{
    bool good = true;

    for (unsigned i = 1; i < u->count; i++) {
        const struct conf_user *a = &u->list[i - 1], *b = &u->list[i];
        char *text;

        if (strcmp(a->name, b->name) != 0)
            continue;
        text = mem_printf("%s stands there twice, in lines %u and %u", a->name, a->line, b->line);
        say(arg, a->line > b->line ? a->line : b->line, text);
        free(text);
        good = false;
    }
    return good;
}

struct conf_users *conf_users_parse(const char *text, size_t n, conf_users_say *say, void *arg)
{
    struct conf_users *u = mem_alloc(sizeof *u);
    unsigned number = 0;
    bool good = true;

    u->scram = true;
    for (const char *p = conf_utf8_begin(text, n), *end = text + n; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        struct span line = trimmed(p, eol ? eol : end);

        number++;
        if (line.n && *line.p != '#')
            good = add_line(u, line, number, say, arg) && good;
        p = eol ? eol + 1 : end;
    }
    if (u->count)
        qsort(u->list, u->count, sizeof *u->list, by_name);
    u->scram = u->scram && u->count;
    if (!are_different(u, say, arg) || !good)
        conf_users_free(&u);
    return u;
}

const struct conf_user *conf_users_find(const struct conf_users *u, struct span name)
{
    char plain[CONF_USER_NAME];
    struct conf_user key = {.name = plain};

    if (u->count == 0 || conf_user_name(plain, name, NULL) < 0)
        return NULL;
    return bsearch(&key, u->list, u->count, sizeof key, by_name);
}
