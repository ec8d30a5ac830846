/* Leases, the token, and what is taken out of a message that was on the wire. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/api_own.h"
#include "bench/pki.h"
#include "unit/suite.h"

static char dir[] = "/tmp/postern-lease-XXXXXX";

struct rig {
    struct loop *loop;
    struct transcript_book *book;
    struct bench_server *server;
    struct lease_table *table;
    struct addr address;
    struct bench_scenario scenario;
};

static void begin(struct rig *r)
{
    struct bench_server_setup s = {.hostname = "mx.bench.test", .pki_dir = dir, .seed = 1};
    struct err why_not, e;

    memset(r, 0, sizeof *r);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_msg(bench_pki_make(dir, "mx.bench.test", &why_not, &e) == 0, "%s", e.text);
    ck_assert_int_eq(loop_new(&r->loop, &e), 0);
    ck_assert_int_eq(transcript_book_open(&r->book, &(struct transcript_book_setup){.dir = NULL}, &e), 0);
    s.loop = r->loop;
    s.book = r->book;
    r->server = bench_server_new(&s);
    r->table = lease_table_new(r->server, 3);
    r->scenario.name = (char *)"x";
    r->scenario.correct = (char *)"y";
    ck_assert_int_eq(addr_parse(&r->address, "127.0.0.1:0", &e), 0);
}

static void end(struct rig *r)
{
    char *all = mem_printf("rm -r %s", dir);

    lease_table_free(&r->table);
    bench_server_free(&r->server);
    transcript_book_close(&r->book);
    loop_free(&r->loop);
    ck_assert_int_eq(system(all), 0);
    free(all);
}

static struct lease *make(struct rig *r, int64_t now_us, unsigned ttl_s, struct err *e)
{
    struct lease_setup s = {.name = "", .address = &r->address, .scenario = &r->scenario, .ttl_s = ttl_s};

    return lease_new(r->table, &s, now_us, e);
}

static struct lease *take(struct rig *r, const char *text)
{
    json_t *line = json_loads(text, 0, NULL);
    struct lease *l;

    ck_assert_ptr_nonnull(line);
    l = lease_take(r->table, line);
    json_decref(line);
    return l;
}

START_TEST(a_table_of_leases)
{
    struct rig r;
    struct lease *a, *b, *c;
    struct err e;

    begin(&r);
    a = make(&r, 0, 10, &e);
    b = make(&r, 0, 20, &e);
    c = make(&r, 0, 5, &e);
    ck_assert(a && b && c);
    ck_assert_ptr_null(make(&r, 0, 5, &e));
    ck_assert_ptr_nonnull(strstr(e.text, "3 leases already"));
    ck_assert_uint_ne(addr_port(&a->address), addr_port(&b->address));
    ck_assert_ptr_eq(lease_find(r.table, b->id), b);
    ck_assert_ptr_null(lease_find(r.table, "l"));
    ck_assert_ptr_null(lease_expired(r.table, 4999999));
    ck_assert_ptr_eq(lease_expired(r.table, 5000000), c);
    lease_end(r.table, &c);
    ck_assert_ptr_eq(lease_expired(r.table, 10000000), a);
    ck_assert_uint_eq(lease_table_count(r.table), 2);
    ck_assert_ptr_nonnull(make(&r, 0, 5, &e));
    end(&r);
}
END_TEST

START_TEST(lines_go_to_their_lease)
{
    struct rig r;
    struct lease *a, *b;
    struct bench_verdict v;
    char text[200];
    struct err e;

    begin(&r);
    a = make(&r, 0, 10, &e);
    b = make(&r, 0, 10, &e);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "{\"ev\":\"session_start\",\"sid\":\"s%u\",\"lease\":\"%s\"}", i, (i ? b : a)->id);
        ck_assert_ptr_eq(take(&r, text), i ? b : a);
    }
    ck_assert_ptr_null(take(&r, "{\"ev\":\"session_start\",\"sid\":\"s2\",\"lease\":\"\"}"));
    ck_assert_ptr_null(take(&r, "{\"ev\":\"session_start\",\"sid\":\"s3\",\"lease\":\"gone\"}"));
    ck_assert_ptr_null(take(&r, "{\"ev\":\"message\",\"sid\":\"s3\"}"));
    ck_assert_ptr_null(take(&r, "{}"));
    ck_assert_ptr_eq(take(&r, "{\"ev\":\"message\",\"sid\":\"s1\",\"accepted\":true}"), b);
    ck_assert(a->sessions == 1 && !a->messages && b->messages == 1 && b->accepted == 1);
    r.scenario.expect[BENCH_OPPORTUNISTIC].given = true;
    lease_judge(b, true, &v);
    ck_assert_msg(v.result == BENCH_UNDECIDED && strstr(v.why, "open"), "%s", v.why);
    ck_assert_ptr_eq(take(&r, "{\"ev\":\"session_end\",\"sid\":\"s1\"}"), b);
    ck_assert_ptr_null(take(&r, "{\"ev\":\"message\",\"sid\":\"s1\"}")); /* it is over */
    lease_judge(b, true, &v);
    ck_assert_msg(v.result == BENCH_PASS, "%s", v.why);
    end(&r);
}
END_TEST

START_TEST(the_token)
{
    char token[API_TOKEN], again[API_TOKEN], path[] = "/tmp/postern-token-XXXXXX", header[200];
    int fd = mkstemp(path);
    struct stat st;
    struct err e;

    close(fd);
    ck_assert_int_lt(api_token_read(token, path, &e), 0); /* empty */
    unlink(path);
    ck_assert_msg(api_token_read(token, path, &e) == 0, "%s", e.text);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_uint_eq(strlen(token), 48);
    ck_assert_int_eq(api_token_read(again, path, &e), 0);
    ck_assert_str_eq(token, again);
    chmod(path, 0640);
    ck_assert_int_lt(api_token_read(again, path, &e), 0);
    unlink(path);
    snprintf(header, sizeof header, "bearer %s", token);
    ck_assert(api_token_is(token, header));
    header[strlen(header) - 1] ^= 1;
    ck_assert(!api_token_is(token, header));
    header[strlen(header) - 1] = '\0';
    ck_assert(!api_token_is(token, header));
    snprintf(header, sizeof header, "Bearer %s%s", token, token);
    ck_assert(!api_token_is(token, header));
    ck_assert(!api_token_is(token, token));
    ck_assert(!api_token_is(token, "Bearer "));
    ck_assert(!api_token_is(token, NULL));
}
END_TEST

static void check_dots(struct mail_store *m, const char *where, const char *wire, const char *message)
{
    char *path = mem_printf("%s/x.msg", where);
    FILE *f = fopen(path, "w");
    struct buf b = {0};
    struct err e;

    ck_assert_ptr_nonnull(f);
    fputs(wire, f);
    fclose(f);
    ck_assert_msg(mail_store_read(m, "x", false, 1000, &b, &e) == 0, "%s", e.text);
    ck_assert_str_eq(buf_str(&b), message);
    buf_clear(&b);
    free(path);
}

START_TEST(what_was_on_the_wire)
{
    static const char *const rows[][2] = {
        {".\r\n", ""},
        {"x\r\n.\r\n", "x\r\n"},
        {"..\r\n.\r\n", ".\r\n"},
        {"..x\r\n...\r\n.\r\n", ".x\r\n..\r\n"},
        {"x\n..y\n\r\n.\r\n", "x\n..y\n\r\n"}, /* a dot behind a bare LF is nobody's */
        {"x\r..y\r\n.\r\n", "x\r..y\r\n"},
        {"cut off", "cut off"},
        {"x\n.\n", "x\n.\n"}, /* another end: it stays to be seen */
        {"", ""}};
    char where[] = "/tmp/postern-mail-XXXXXX", *path;
    struct mail_store *m;
    struct buf b = {0};
    struct err e;

    ck_assert_ptr_nonnull(mkdtemp(where));
    path = mem_printf("%s/x.msg", where);
    fclose(fopen(path, "w"));
    ck_assert_int_eq(mail_store_open(&m, where, 10, 1000, &e), 0);
    ck_assert_uint_eq(mail_store_count(m), 1); /* of an earlier run */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_dots(m, where, rows[i][0], rows[i][1]);
    check_dots(m, where, "12345", "12345");
    ck_assert_int_lt(mail_store_read(m, "x", true, 4, &b, &e), 0);
    ck_assert_int_lt(mail_store_read(m, "y", true, 4, &b, &e), 0);
    mail_store_drop(m, NULL);
    ck_assert_int_lt(access(path, F_OK), 0);
    mail_store_close(&m);
    free(path);
    rmdir(where);
}
END_TEST

SUITE_MAIN("lease", a_table_of_leases, lines_go_to_their_lease, the_token, what_was_on_the_wire)
