#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/bench_command.h"
#include "bench/pki.h"

int bench_options_pki(const char *dir, const char *host)
{
    struct err why_not, e;

    if (bench_pki_make(dir, host, &why_not, &e) < 0) {
        fprintf(stderr, "postern-bench: %s\n", e.text);
        return -1;
    }
    if (*why_not.text)
        fprintf(stderr, "postern-bench: not all certificates: %s\n", why_not.text);
    return 0;
}

int bench_cmd_pki(const struct bench_options *o)
{
    if (!o->word) {
        fprintf(stderr, "postern-bench: pki DIR: which directory?\n");
        return 64;
    }
    if (bench_options_pki(o->word, BENCH_HOST) < 0)
        return 2;
    for (const struct bench_cert *c = bench_pki_table(); c->name; c++) {
        char *path = mem_printf("%s/%s.pem", o->word, c->name);

        printf("%-18s %s%s\n", c->name, c->what, access(path, R_OK) == 0 ? "" : " (not made)");
        free(path);
    }
    printf("trust them by %s/ca.pem; the host is %s; ca.crl says what is revoked\n", o->word, BENCH_HOST);
    return 0;
}
