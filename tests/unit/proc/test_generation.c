#include "unit/proc/set.h"

#include <string.h>
#include <sys/time.h>

#include "base/clock.h"
#include "proc/memfd.h"
#include "proc/watch.h"

/* A pair of another key, put into place with the times of a file that is old enough to be judged. */
static void age(const char *name)
{
    struct timeval old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

    ck_assert_int_eq(utimes(in_set(name), old), 0);
}

/* The fault in the snapshot, as if it had been noticed then. */
static void backdate(struct snapshot *s, int64_t since)
{
    for (unsigned i = 0; i < s->count; i++) {
        char *note, *body, *older;
        size_t len, head;
        struct err e;

        if (s->items[i].kind != SNAPSHOT_REJECTED)
            continue;
        ck_assert_int_eq(memfd_read(s->items[i].fd, &note, &len, &e), 0);
        body = memchr(note, '\n', len);
        ck_assert_ptr_nonnull(body);
        len -= (size_t)(body - note);
        older = mem_alloc(len + 32);
        head = (size_t)snprintf(older, 32, "%lld", (long long)since);
        memcpy(older + head, body, len);
        close(s->items[i].fd);
        s->items[i].fd = memfd_make("older", older, head + len, &e);
        ck_assert_int_ge(s->items[i].fd, 0);
        free(note);
        free(older);
        return;
    }
    ck_abort_msg("no fault in the snapshot");
}

static const struct tls_cert_facts *serving(const struct generation *g)
{
    return cert_facts(g->slots[0].serving);
}

static enum tls_reason rejected(const struct generation *g)
{
    return g->slots[0].rejected ? tls_cert_reason(cert_facts(g->slots[0].rejected), g->loaded_at) : TLS_OK;
}

START_TEST(whole)
{
    struct generation *g;

    set_up();
    g = build(GENERATION_FULL, NULL);
    ck_assert_ptr_nonnull(g);
    ck_assert_int_eq(serving(g)->fault, TLS_OK);
    ck_assert_int_eq(rejected(g), TLS_OK);
    ck_assert_uint_eq(g->snapshot.count, 4); /* configuration, list, chain, key */
    ck_assert_uint_eq(g->watched_count, 2);
    ck_assert_ptr_null(watch_changed(g->watched, g->watched_count));
    ck_assert(!g->known[0] && !g->unfinished);
    for (unsigned i = 0; i < g->snapshot.count; i++) /* sealed: what the next one gets is what this one left */
        ck_assert_int_lt(write(g->snapshot.items[i].fd, "x", 1), 0);
    generation_free(&g);
    tear_down();
}
END_TEST

/* The name on the certificate is compared with the one that its listener greets with. */
START_TEST(hostname_of_the_listener)
{
    struct generation *g;

    set_up();
    write_conf("listener \"mx\" { address = {\"127.0.0.1:0\"} hostname = \"other.test\" }");
    g = build(GENERATION_FULL, NULL);
    ck_assert(serving(g)->warnings & TLS_WARN_HOSTNAME_MISMATCH);
    generation_free(&g);
    write_conf("listener \"clear\" { address = {\"127.0.0.1:0\"} tls = off hostname = \"other.test\" }\n"
               "listener \"mx\" { address = {\"127.0.0.1:0\"} hostname = \"mx.example.test\" }");
    g = build(GENERATION_FULL, NULL);
    ck_assert(!(serving(g)->warnings & TLS_WARN_HOSTNAME_MISMATCH));
    generation_free(&g);
    tear_down();
}
END_TEST

/* After a death the disk does not count: a list with a long path comes from the snapshot, too. */
START_TEST(list_with_a_long_path)
{
    struct generation *g, *next;
    char *text, *list, dots[601] = "", *longer;

    set_up();
    for (unsigned i = 0; i + 2 < sizeof dots; i += 2)
        memcpy(dots + i, "./", 3);
    text = get("postern.conf");
    list = strstr(text, "list\"");
    longer = mem_printf("%.*s%s%s", (int)(list - text), text, dots, list);
    put("postern.conf", longer);
    g = build(GENERATION_FULL, NULL);
    ck_assert_ptr_nonnull(g);
    ck_assert(!g->conf->domains[0].unavailable);
    put("list", "");
    next = build(GENERATION_SNAPSHOT, &g->snapshot);
    ck_assert_ptr_nonnull(next);
    ck_assert(!next->conf->domains[0].unavailable);
    ck_assert_uint_eq(next->conf->mailbox_count, 2);
    generation_free(&next);
    generation_free(&g);
    free(text);
    free(longer);
    tear_down();
}
END_TEST

static unsigned warnings_about(const char *file)
{
    struct conf_problems p = {0};
    struct generation *g = NULL;
    unsigned n = 0;

    ck_assert_int_eq(generation_build(&g, GENERATION_FULL, in_set("postern.conf"), NULL, &p), 0);
    for (unsigned i = 0; i < p.count; i++)
        n += p.list[i].warning && strcmp(p.list[i].file, in_set(file)) == 0 && strstr(p.list[i].text, "read it");
    conf_problems_free(&p);
    generation_free(&g);
    return n;
}

/* Hashes of users, and a password: as with a private key, a warning and no more. */
START_TEST(secrets_that_everybody_may_read)
{
    static const char *const names[] = {"users", "password"};
    char *text;

    set_up();
    text = mem_printf(STARTTLS_LISTENER "\nusers = \"%s\"\ndelivery \"out\" { type = smtp address = "
                                        "\"mail.example.net:587\" user = \"x\" password-file = \"%s\" }\n",
                      in_set("users"), in_set("password"));
    write_conf(text);
    free(text);
    put("users", "# nobody yet\n");
    put("password", "secret\n");
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(chmod(in_set(names[i]), 0640), 0);
        ck_assert_uint_eq(warnings_about(names[i]), 0);
        ck_assert_int_eq(chmod(in_set(names[i]), 0604), 0);
        ck_assert_uint_eq(warnings_about(names[i]), 1);
    }
    tear_down();
}
END_TEST

/* The relay would not start with it; and after a death the file of before counts, whatever the disk holds. */
START_TEST(a_ca_file_is_tried)
{
    struct conf_problems p = {0};
    struct generation *g = NULL, *next;
    char *text;

    set_up();
    text = mem_printf(STARTTLS_LISTENER "\ndelivery \"out\" { type = smtp address = \"mail.example.net\" tls = verify "
                                        "ca-file = \"%s\" }\n",
                      in_set("ca.pem"));
    write_conf(text);
    free(text);
    text = get("cert.pem");
    put("ca.pem", text);
    g = build(GENERATION_FULL, NULL);
    ck_assert_ptr_nonnull(g);
    text[strlen(text) / 2] = '\0';
    put("ca.pem", text);
    free(text);
    ck_assert_int_lt(generation_build(&next, GENERATION_FULL, in_set("postern.conf"), &g->snapshot, &p), 0);
    ck_assert_uint_eq(p.errors, 1);
    ck_assert_str_eq(p.list[0].file, in_set("ca.pem"));
    conf_problems_free(&p);
    next = build(GENERATION_SNAPSHOT, &g->snapshot);
    ck_assert_ptr_nonnull(next);
    generation_free(&next);
    generation_free(&g);
    tear_down();
}
END_TEST

START_TEST(problems_all_at_once)
{
    struct conf_problems p = {0};
    struct generation *g = NULL;

    set_up();
    write_conf("listner \"x\" { }\nworkrs = 3\n" STARTTLS_LISTENER);
    ck_assert_int_lt(generation_build(&g, GENERATION_FULL, in_set("postern.conf"), NULL, &p), 0);
    ck_assert_uint_ge(p.errors, 2);
    conf_problems_free(&p);
    ck_assert_int_lt(generation_build(&g, GENERATION_FULL, in_set("nowhere.conf"), NULL, &p), 0);
    ck_assert_uint_eq(p.errors, 1);
    conf_problems_free(&p);
    put("postern.conf", "");
    ck_assert_int_eq(truncate(in_set("postern.conf"), 5), 0); /* five NUL bytes */
    ck_assert_int_lt(generation_build(&g, GENERATION_FULL, in_set("postern.conf"), NULL, &p), 0);
    ck_assert_ptr_nonnull(strstr(p.list[0].text, "NUL"));
    conf_problems_free(&p);
    tear_down();
}
END_TEST

/* Each way to spoil a file: without a last good pair it is the verdict, with one it is rejected and nothing is lost. */
static const struct {
    const char *name, *text; /* NULL: deleted */
    enum tls_reason reason;
} spoils[] = {
    {"cert.pem", NULL, TLS_UNREADABLE},     {"key.pem", NULL, TLS_UNREADABLE},
    {"cert.pem", "", TLS_UNPARSABLE},       {"key.pem", "", TLS_UNPARSABLE},
    {"key.pem", "garbage", TLS_UNPARSABLE}, {"cert.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n", TLS_UNPARSABLE},
};

START_TEST(spoiled)
{
    struct generation *good, *bad, *again, *fresh;

    set_up();
    good = build(GENERATION_FULL, NULL);
    if (spoils[_i].text)
        put(spoils[_i].name, spoils[_i].text);
    else
        unlink(in_set(spoils[_i].name));
    ck_assert_ptr_nonnull(watch_changed(good->watched, good->watched_count));
    bad = build(_i % 2 ? GENERATION_CERTS : GENERATION_FULL, &good->snapshot);
    ck_assert_int_eq(serving(bad)->fault, TLS_OK);
    ck_assert_int_eq(rejected(bad), spoils[_i].reason);
    ck_assert(bad->slots[0].from_snapshot && !bad->equal_to_last && !bad->known[0]);
    /* looked at once more: nothing is new, and the fault keeps its date */
    backdate(&bad->snapshot, 1000);
    again = build(GENERATION_CERTS, &bad->snapshot);
    ck_assert(again->equal_to_last && again->known[0]);
    ck_assert_int_eq(rejected(again), spoils[_i].reason);
    ck_assert_int_eq(again->slots[0].rejected_since, 1000);
    /* with nothing to fall back on */
    fresh = build(GENERATION_FULL, NULL);
    ck_assert_int_eq(serving(fresh)->fault, spoils[_i].reason);
    generation_free(&good);
    generation_free(&bad);
    generation_free(&again);
    /* still nothing usable: no reason for a new generation */
    again = build(GENERATION_CERTS, &fresh->snapshot);
    ck_assert(again->equal_to_last);
    generation_free(&again);
    generation_free(&fresh);
    tear_down();
}
END_TEST

START_TEST(mended)
{
    struct generation *good, *bad, *after;
    char *chain;

    set_up();
    chain = get("cert.pem");
    good = build(GENERATION_FULL, NULL);
    put("cert.pem", "garbage");
    bad = build(GENERATION_CERTS, &good->snapshot);
    put("cert.pem", chain);
    after = build(GENERATION_CERTS, &bad->snapshot);
    ck_assert(!after->equal_to_last);
    ck_assert_int_eq(rejected(after), TLS_OK);
    ck_assert(!after->slots[0].from_snapshot);
    free(chain);
    generation_free(&good);
    generation_free(&bad);
    generation_free(&after);
    tear_down();
}
END_TEST

START_TEST(renewed)
{
    struct generation *g, *same, *other;

    set_up();
    g = build(GENERATION_FULL, NULL);
    same = build(GENERATION_CERTS, &g->snapshot);
    ck_assert(same->equal_to_last && same->known[0]);
    make_pair(60);
    other = build(GENERATION_CERTS, &same->snapshot);
    ck_assert(!other->equal_to_last && !other->known[0]);
    ck_assert_str_ne(cert_fingerprint(other->slots[0].serving), cert_fingerprint(g->slots[0].serving));
    generation_free(&g);
    generation_free(&same);
    generation_free(&other);
    tear_down();
}
END_TEST

/* Chain and key are written one after the other: in between nothing has happened yet. */
START_TEST(in_the_middle_of_a_renewal)
{
    struct generation *good, *middle, *late;
    int64_t now;
    char *key;

    set_up();
    key = get("key.pem");
    good = build(GENERATION_FULL, NULL);
    make_pair(90);
    put("key.pem", key); /* the chain is new, the key is old */
    now = clock_now().real_us;
    middle = build(GENERATION_CERTS, &good->snapshot);
    ck_assert(middle->unfinished && middle->equal_to_last);
    ck_assert_int_eq(rejected(middle), TLS_OK);
    ck_assert_int_eq(serving(middle)->fault, TLS_OK);
    ck_assert_int_gt(middle->not_finished_us, now);
    ck_assert_int_le(middle->not_finished_us, now + 6000000);
    generation_free(&middle);
    /* without a last good pair too: the fault that was said before goes on being said */
    middle = build(GENERATION_FULL, NULL);
    ck_assert(middle->unfinished);
    ck_assert_int_eq(serving(middle)->fault, TLS_KEY_MISMATCH);
    generation_free(&middle);
    /* five seconds later it is broken; a time stamp in the future does not put that off (ctime cannot be set, so the
     * clock of this test is the file's: only mtime is moved, and the sooner of both must not win) */
    {
        struct timeval future[2] = {{.tv_sec = now / 1000000 + 86400}, {.tv_sec = now / 1000000 + 86400}};

        ck_assert_int_eq(utimes(in_set("key.pem"), future), 0);
    }
    late = build(GENERATION_CERTS, &good->snapshot);
    ck_assert(!late->unfinished && !late->equal_to_last);
    ck_assert_int_eq(rejected(late), TLS_KEY_MISMATCH);
    free(key);
    generation_free(&good);
    generation_free(&late);
    tear_down();
}
END_TEST

START_TEST(expired_does_not_replace_valid)
{
    struct generation *good, *bad, *fresh;

    set_up();
    good = build(GENERATION_FULL, NULL);
    make_pair(-1);
    bad = build(GENERATION_FULL, &good->snapshot);
    ck_assert_int_eq(rejected(bad), TLS_EXPIRED);
    ck_assert_int_eq(tls_cert_reason(serving(bad), bad->loaded_at), TLS_OK);
    /* when the one that serves has expired too, the choice is another: looked at again then. Sooner looks are asked for
     * as long as the files are fresh. */
    for (int i = 0; i < 400 && bad->not_finished_us < clock_now().real_us + 60000000; i++) {
        generation_free(&bad);
        usleep(50000);
        bad = build(GENERATION_FULL, &good->snapshot);
    }
    ck_assert_int_eq(bad->not_finished_us, (serving(bad)->not_after + 1) * 1000000);
    fresh = build(GENERATION_FULL, NULL);
    ck_assert_int_eq(serving(fresh)->fault, TLS_OK);
    ck_assert_int_eq(tls_cert_reason(serving(fresh), fresh->loaded_at), TLS_EXPIRED);
    generation_free(&good);
    generation_free(&bad);
    generation_free(&fresh);
    tear_down();
}
END_TEST

/* After a death the disk does not count: it may hold a half-edited file. */
START_TEST(from_the_snapshot_alone)
{
    struct generation *good, *after, *look;

    set_up();
    good = build(GENERATION_FULL, NULL);
    put("postern.conf", "half an edit {{{");
    put("cert.pem", "garbage");
    unlink(in_set("list"));
    after = build(GENERATION_SNAPSHOT, &good->snapshot);
    ck_assert_ptr_nonnull(after);
    ck_assert_int_eq(serving(after)->fault, TLS_OK);
    ck_assert(after->slots[0].from_snapshot);
    ck_assert_uint_eq(after->conf->mailbox_count, 2);
    ck_assert_uint_eq(after->snapshot.count, 4);
    /* and as soon as it serves, the disk is looked at */
    ck_assert_int_gt(after->not_finished_us, 0);
    look = build(GENERATION_CERTS, &after->snapshot);
    ck_assert(!look->equal_to_last);
    ck_assert_int_eq(rejected(look), TLS_UNPARSABLE);
    ck_assert_ptr_null(build(GENERATION_SNAPSHOT, NULL));
    generation_free(&good);
    generation_free(&after);
    generation_free(&look);
    tear_down();
}
END_TEST

START_TEST(certs_mode_reads_no_configuration)
{
    struct generation *good, *g;

    set_up();
    good = build(GENERATION_FULL, NULL);
    put("postern.conf", "half an edit {{{");
    put("list", "carol\n");
    make_pair(60);
    g = build(GENERATION_CERTS, &good->snapshot);
    ck_assert_ptr_nonnull(g);
    ck_assert_uint_eq(g->conf->mailbox_count, 2);
    ck_assert(!g->equal_to_last);
    generation_free(&good);
    generation_free(&g);
    tear_down();
}
END_TEST

/* A list that cannot be read: the last good one, else the domain answers 451 and never 550. */
START_TEST(mailbox_list)
{
    struct conf_problems p = {0};
    struct generation *good, *g = NULL;

    set_up();
    good = build(GENERATION_FULL, NULL);
    ck_assert_uint_eq(good->conf->mailbox_count, 2);
    unlink(in_set("list"));
    ck_assert_int_eq(generation_build(&g, GENERATION_FULL, in_set("postern.conf"), &good->snapshot, &p), 0);
    ck_assert_uint_eq(g->conf->mailbox_count, 2);
    ck_assert(!g->conf->domains[0].unavailable);
    ck_assert_uint_ge(p.count, 1);
    ck_assert(p.list[0].warning);
    generation_free(&g);
    conf_problems_free(&p);
    g = build(GENERATION_FULL, NULL);
    ck_assert(g->conf->domains[0].unavailable);
    generation_free(&good);
    generation_free(&g);
    tear_down();
}
END_TEST

/* Renewal tools swap a link, and it may be a parent directory that is one. */
START_TEST(swapped_parents_are_noticed)
{
    struct generation *g, *next;
    char *chain, *key;

    set_up();
    ck_assert_int_eq(mkdir(in_set("one"), 0700), 0);
    ck_assert_int_eq(mkdir(in_set("two"), 0700), 0);
    chain = get("cert.pem");
    key = get("key.pem");
    put("one/cert.pem", chain);
    put("one/key.pem", key);
    free(chain);
    free(key);
    make_pair(60);
    ck_assert_int_eq(rename(in_set("cert.pem"), in_set("two/cert.pem")), 0);
    ck_assert_int_eq(rename(in_set("key.pem"), in_set("two/key.pem")), 0);
    ck_assert_int_eq(symlink("one", in_set("live")), 0);
    ck_assert_int_eq(symlink("live/cert.pem", in_set("cert.pem")), 0);
    ck_assert_int_eq(symlink("live/key.pem", in_set("key.pem")), 0);
    g = build(GENERATION_FULL, NULL);
    ck_assert_ptr_null(watch_changed(g->watched, g->watched_count));
    ck_assert_int_eq(symlink("two", in_set("new")), 0);
    ck_assert_int_eq(rename(in_set("new"), in_set("live")), 0);
    ck_assert_ptr_nonnull(watch_changed(g->watched, g->watched_count));
    next = build(GENERATION_CERTS, &g->snapshot);
    ck_assert(!next->equal_to_last);
    ck_assert_str_ne(cert_fingerprint(next->slots[0].serving), cert_fingerprint(g->slots[0].serving));
    generation_free(&g);
    generation_free(&next);
    tear_down();
}
END_TEST

/* Written in the tick of the clock in which it was read: looked at once more. */
START_TEST(fresh_files_are_read_twice)
{
    struct generation *g;
    bool again = false;

    set_up();
    for (int i = 0; i < 20 && !again; i++) { /* a machine under load may need more than a second in between */
        age("cert.pem");                     /* sets ctime to now, which is what counts */
        g = build(GENERATION_FULL, NULL);
        again = g->not_finished_us > 0 && !g->unfinished;
        generation_free(&g);
    }
    ck_assert(again);
    tear_down();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("generation");
    TCase *t = tcase_create("generation");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, spoiled, 0, sizeof spoils / sizeof *spoils);
    tcase_add_test(t, whole);
    tcase_add_test(t, hostname_of_the_listener);
    tcase_add_test(t, list_with_a_long_path);
    tcase_add_test(t, secrets_that_everybody_may_read);
    tcase_add_test(t, a_ca_file_is_tried);
    tcase_add_test(t, problems_all_at_once);
    tcase_add_test(t, mended);
    tcase_add_test(t, renewed);
    tcase_add_test(t, in_the_middle_of_a_renewal);
    tcase_add_test(t, expired_does_not_replace_valid);
    tcase_add_test(t, from_the_snapshot_alone);
    tcase_add_test(t, certs_mode_reads_no_configuration);
    tcase_add_test(t, mailbox_list);
    tcase_add_test(t, swapped_parents_are_noticed);
    tcase_add_test(t, fresh_files_are_read_twice);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
