#include "auth/secret.h"

#include <crypt.h>
#include <gsasl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/base64.h"
#include "base/text.h"

#define SALT_BYTES 16
#define KEY_BYTES 32
#define ITERATIONS 4096u /* RFC 7677 4; the hash beside it is the strong one */

struct keys {
    char salted[KEY_BYTES], client[KEY_BYTES], server[KEY_BYTES], stored[KEY_BYTES];
};

static int derive(struct keys *k, const char *password, unsigned iterations, const char *salt, size_t n)
{
    return gsasl_scram_secrets_from_password(GSASL_HASH_SHA256, password, iterations, salt, n, k->salted, k->client,
                                             k->server, k->stored) == GSASL_OK
               ? 0
               : -1;
}

static void base64(char *dst, const char *bytes, size_t n)
{
    dst[base64_encode(dst, bytes, n)] = '\0';
}

static char *scram_part(const char *password, struct err *e)
{
    char salt[SALT_BYTES], salt_text[32], stored[64], server[64], *text;
    struct keys k;

    if (getrandom(salt, sizeof salt, 0) != sizeof salt || derive(&k, password, ITERATIONS, salt, sizeof salt) < 0) {
        err_set(e, "the password cannot be used with SCRAM-SHA-256");
        return NULL;
    }
    base64(salt_text, salt, sizeof salt);
    base64(stored, k.stored, sizeof k.stored);
    base64(server, k.server, sizeof k.server);
    text = mem_printf("SCRAM-SHA-256,%u,%s,%s,%s", ITERATIONS, salt_text, stored, server);
    explicit_bzero(&k, sizeof k);
    explicit_bzero(server, sizeof server);
    explicit_bzero(stored, sizeof stored);
    return text;
}

char *secret_make(const char *password, struct err *e)
{
    struct crypt_data *data = mem_alloc(sizeof *data);
    char setting[CRYPT_GENSALT_OUTPUT_SIZE], *scram = NULL, *line = NULL;
    const char *hash = NULL;

    if (!crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof setting))
        err_set(e, "crypt(3) has no yescrypt here");
    else
        hash = crypt_rn(password, setting, data, sizeof *data);
    if (!hash)
        err_set(e, "crypt(3) refuses this password");
    else
        scram = scram_part(password, e);
    if (scram)
        line = mem_printf("%s:%s", hash, scram);
    explicit_bzero(data, sizeof *data);
    free(data);
    if (scram)
        explicit_bzero(scram, strlen(scram));
    free(scram);
    return line;
}

static bool is_same(const char *a, const char *b)
{
    size_t n = strlen(a);
    unsigned char different = strlen(b) != n;

    for (size_t i = 0; i < n && !different; i++)
        different |= (unsigned char)(a[i] ^ b[i]);
    return !different;
}

bool secret_is_right(const char *hash, const char *password)
{
    struct crypt_data *data = mem_alloc(sizeof *data);
    const char *made = crypt_rn(password, hash, data, sizeof *data);
    bool right = made && is_same(made, hash);

    explicit_bzero(data, sizeof *data);
    free(data);
    return right;
}

int secret_seed(unsigned char seed[SECRET_SEED], const char *hash)
{
    static const char label[] = "salts of users who do not exist";
    struct keys k;
    int rc = derive(&k, hash, 1, label, sizeof label - 1);

    memcpy(seed, k.salted, SECRET_SEED);
    explicit_bzero(&k, sizeof k);
    return rc;
}

/* One round of PBKDF2 is an HMAC whose key holds the seed: nobody without it can tell a made-up salt from a real one, nor
 * that the next question for the same name got the same. */
int secret_make_up(struct secret_made_up *out, const unsigned char seed[SECRET_SEED], const char *name)
{
    char key[BASE64_LENGTH(SECRET_SEED) + 1];
    struct keys k;
    int rc;

    base64(key, (const char *)seed, SECRET_SEED);
    rc = derive(&k, key, 1, name, strlen(name));
    explicit_bzero(key, sizeof key);
    if (rc < 0)
        return -1;
    base64(out->salt, k.salted, SALT_BYTES);
    base64(out->stored, k.stored, sizeof k.stored);
    base64(out->server, k.server, sizeof k.server);
    return 0;
}
