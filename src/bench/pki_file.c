#include "bench/pki_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

FILE *pki_file_open(const char *dir, const char *name, const char *suffix)
{
    char *path = mem_printf("%s/%s%s", dir, name, suffix);
    FILE *f = fopen(path, "re");

    free(path);
    return f;
}

bool pki_file_read(const char *dir, const char *name, struct pki_pair *out)
{
    FILE *c = pki_file_open(dir, name, ".pem"), *k = pki_file_open(dir, name, ".key");

    out->cert = c ? PEM_read_X509(c, NULL, NULL, NULL) : NULL;
    out->key = k ? PEM_read_PrivateKey(k, NULL, NULL, NULL) : NULL;
    if (c)
        fclose(c);
    if (k)
        fclose(k);
    ERR_clear_error();
    if (out->cert && out->key)
        return true;
    pki_pair_clear(out);
    return false;
}

X509 *pki_file_cert(const char *dir, const char *name)
{
    FILE *f = pki_file_open(dir, name, ".pem");
    X509 *c = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

    if (f)
        fclose(f);
    ERR_clear_error();
    return c;
}

FILE *pki_file_begin(const char *dir, const char *name, const char *suffix, mode_t mode, char **tmp)
{
    int fd;

    *tmp = mem_printf("%s/%s%s.new", dir, name, suffix);
    fd = open(*tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

int pki_file_finish(FILE *f, char *tmp, bool ok, struct err *e)
{
    char *path = mem_strn(tmp, strlen(tmp) - 4);
    int rc = 0;

    if (f && fclose(f) != 0)
        ok = false;
    if (!f || !ok || rename(tmp, path) < 0) {
        rc = err_set(e, "%s: %s", path, strerror(errno));
        (void)unlink(tmp);
    }
    free(path);
    free(tmp);
    return rc;
}

int pki_file_write(const char *dir, const char *name, const struct pki_pair *p, const STACK_OF(X509) * chain,
                   const char *first_line, struct err *e)
{
    char *tmp;
    FILE *f = pki_file_begin(dir, name, ".key", 0600, &tmp);
    bool ok = f && PEM_write_PrivateKey(f, p->key, NULL, NULL, 0, NULL, NULL) == 1;

    if (pki_file_finish(f, tmp, ok, e) < 0)
        return -1;
    f = pki_file_begin(dir, name, ".pem", 0644, &tmp);
    ok = f && (!first_line || fprintf(f, "%s\n", first_line) > 0) && PEM_write_X509(f, p->cert) == 1;
    for (int i = 0; ok && chain && i < sk_X509_num(chain); i++)
        ok = PEM_write_X509(f, sk_X509_value(chain, i)) == 1;
    return pki_file_finish(f, tmp, ok, e);
}
