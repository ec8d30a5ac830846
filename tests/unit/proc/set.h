/* A configuration with certificates in a directory of its own, for the tests of what loads it. */
#ifndef TESTS_UNIT_PROC_SET_H
#define TESTS_UNIT_PROC_SET_H

#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "proc/generation.h"
#include "unit/suite.h"

static char set_dir[64];

static inline const char *in_set(const char *name)
{
    static char room[4][256];
    static unsigned turn;
    char *p = room[turn++ % 4];

    snprintf(p, sizeof room[0], "%s/%s", set_dir, name);
    return p;
}

static inline void put(const char *name, const char *text)
{
    FILE *f = fopen(in_set(name), "we");

    ck_assert(f != NULL);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static inline char *get(const char *name)
{
    FILE *f = fopen(in_set(name), "re");
    char *text = mem_alloc(1 << 20);

    ck_assert(f != NULL);
    text[fread(text, 1, (1 << 20) - 1, f)] = '\0';
    fclose(f);
    return text;
}

/* cert.pem and key.pem of this many days; a pair from the past or of another key is another call. */
static inline void make_pair(int days)
{
    struct err e;

    ck_assert_msg(cert_make_local(set_dir, "mx.example.test", days, &e) == 0, "%s", e.text);
}

static inline void write_conf(const char *listeners)
{
    char *text = mem_printf("hostname = \"mx.example.test\"\nstate-dir = \"%s/state\"\nworkers = 1\n"
                            "certificate \"mx\" { chain = \"%s/cert.pem\" key = \"%s/key.pem\" }\n%s\n"
                            "domain \"example.test\" { mailbox-file = \"%s/list\" deliver = \"local\" }\n"
                            "delivery \"local\" { type = maildir path = \"%s/mail/%%d/%%u\" }\n",
                            set_dir, set_dir, set_dir, listeners, set_dir, set_dir);

    put("postern.conf", text);
    free(text);
}

#define STARTTLS_LISTENER "listener \"mx\" { address = {\"127.0.0.1:0\"} role = mx tls = starttls }"

static inline void set_up(void)
{
    snprintf(set_dir, sizeof set_dir, "/tmp/postern-unit-XXXXXX");
    ck_assert(mkdtemp(set_dir) != NULL);
    make_pair(90);
    put("list", "alice\nbob\n");
    write_conf(STARTTLS_LISTENER);
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *w)
{
    (void)st;
    (void)kind;
    (void)w;
    return remove(path);
}

static inline void tear_down(void)
{
    nftw(set_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* NULL when it cannot be built. */
static inline struct generation *build(enum generation_mode mode, const struct snapshot *last)
{
    struct conf_problems p = {0};
    struct generation *g = NULL;
    int rc = generation_build(&g, mode, in_set("postern.conf"), last, &p);

    ck_assert_int_eq(rc == 0, g != NULL);
    ck_assert_int_eq(rc == 0, p.errors == 0);
    conf_problems_free(&p);
    return g;
}

#endif
