#include "policy/tls_offer.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "unit/suite.h"

struct row {
    struct tls_listener_facts l;
    struct tls_session_facts s;
    struct tls_cert_facts certs[4];
    bool has_session;
    long now;
};

static int index_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    ck_abort_msg("unknown word in the table: %s", word);
    return -1;
}

static void read_certs(struct row *r, char *text)
{
    char *save = NULL;

    for (char *one = strtok_r(text, ",", &save); one && strcmp(one, "-") != 0; one = strtok_r(NULL, ",", &save)) {
        struct tls_cert_facts *c = &r->certs[r->l.cert_count++];
        char fault[32];
        long from, to;
        int reason;

        ck_assert_int_eq(sscanf(one, "%31[^@]@%ld..%ld", fault, &from, &to), 3);
        reason = tls_reason_by_name(fault);
        ck_assert_int_ge(reason, 0);
        c->fault = (enum tls_reason)reason;
        c->not_before = from;
        c->not_after = to;
        c->title = fault;
        c->details = "";
    }
    r->l.certs = r->certs;
}

static void read_row(struct row *r, const char *mode, const char *without, const char *flags, char *certs,
                     const char *session, long now)
{
    static const char *const modes[] = {"off", "starttls", "implicit", NULL};
    static const char *const choices[] = {"omit", "tempfail", "close", "refuse-start", NULL};

    memset(r, 0, sizeof *r);
    r->l.mode = (enum tls_mode)index_of(mode, modes);
    r->l.without = (enum tls_without)index_of(without, choices);
    r->l.withhold_expired = strstr(flags, "withhold") != NULL;
    r->l.require_tls = strstr(flags, "require") != NULL;
    read_certs(r, certs);
    r->has_session = strcmp(session, "-") != 0;
    r->s.in_tls = strcmp(session, "tls") == 0;
    r->s.withheld = strcmp(session, "withheld") == 0;
    r->now = now;
}

static bool yes(const char *word)
{
    return strcmp(word, "yes") == 0;
}

START_TEST(every_row_of_the_table)
{
    FILE *f = fopen(TESTS_DIR "/tables/tls_offer.txt", "r");
    char line[512];
    int rows = 0;

    ck_assert_ptr_nonnull(f);
    for (int n = 1; fgets(line, sizeof line, f); n++) {
        char mode[16], without[16], flags[32], certs[128], session[16], reason[32], offered[8], advertised[8],
            serves[8], wanted[8], broken[8];
        struct tls_offer o;
        struct row r;
        long now;
        int code;

        if (line[0] == '#' || line[0] == '\n')
            continue;
        ck_assert_msg(sscanf(line, "%15s %15s %31s %127s %15s %ld | %31s %7s %7s %d %7s %7s %7s", mode, without, flags,
                             certs, session, &now, reason, offered, advertised, &code, serves, wanted, broken) == 13,
                      "line %d is not a row: %s", n, line);
        read_row(&r, mode, without, flags, certs, session, now);
        tls_offer(&o, &r.l, r.has_session ? &r.s : NULL, r.now);
        ck_assert_msg(strcmp(tls_reason_name(o.reason), reason) == 0, "line %d: reason %s", n,
                      tls_reason_name(o.reason));
        ck_assert_msg(o.offered == yes(offered), "line %d: offered", n);
        ck_assert_msg(o.advertised == yes(advertised), "line %d: advertised", n);
        ck_assert_msg(o.code == code, "line %d: code %d", n, o.code);
        ck_assert_msg(o.serves == yes(serves), "line %d: serves", n);
        ck_assert_msg(o.wanted == yes(wanted), "line %d: wanted", n);
        ck_assert_msg(o.require_broken == yes(broken), "line %d: require_broken", n);
        /* what must hold whatever the row: one value, and words for it */
        ck_assert_msg(o.offered == (o.code == 220), "line %d: offered and accepted differ", n);
        ck_assert_msg(!o.offered || o.advertised, "line %d: offered and not advertised", n);
        ck_assert_msg(o.text && o.enhanced && o.hint && *o.hint && o.details, "line %d: words are missing", n);
        ck_assert_msg(!(o.require_broken && o.offered), "line %d: broken and offered", n);
        ck_assert_msg(o.close_at_greeting == (code == 454 && r.l.without == TLS_WITHOUT_CLOSE), "line %d: close", n);
        ck_assert_msg(o.refuse_start == (code == 454 && r.l.without == TLS_WITHOUT_REFUSE_START), "line %d: refuse", n);
        rows++;
    }
    fclose(f);
    ck_assert_int_ge(rows, 45);
}
END_TEST

START_TEST(every_reason_and_warning_has_a_name_and_a_remedy)
{
    for (int r = 0; r < TLS_REASON_COUNT; r++) {
        ck_assert_int_eq(tls_reason_by_name(tls_reason_name((enum tls_reason)r)), r);
        ck_assert_uint_gt(strlen(tls_reason_hint((enum tls_reason)r)), 10);
    }
    ck_assert_int_eq(tls_reason_by_name("nonsense"), -1);
    for (unsigned i = 0; i < TLS_WARNING_COUNT; i++) {
        ck_assert_uint_gt(strlen(tls_warning_name(1u << i)), 3);
        ck_assert_uint_gt(strlen(tls_warning_hint(1u << i)), 10);
    }
}
END_TEST

START_TEST(expiring_is_a_warning_of_the_moment)
{
    struct tls_cert_facts c = {.title = "x", .details = "", .not_before = 1, .not_after = 100 * 86400};
    struct tls_listener_facts l = {.mode = TLS_MODE_STARTTLS, .certs = &c, .cert_count = 1};
    struct tls_offer o;

    tls_offer(&o, &l, NULL, 86 * 86400 - 1);
    ck_assert_uint_eq(o.warnings & TLS_WARN_EXPIRING, 0);
    tls_offer(&o, &l, NULL, 86 * 86400 + 1);
    ck_assert_uint_ne(o.warnings & TLS_WARN_EXPIRING, 0);
    ck_assert(o.offered);
}
END_TEST

START_TEST(days_are_whole_and_go_below_zero)
{
    struct tls_cert_facts c = {.not_after = 10 * 86400};

    ck_assert_int_eq(tls_days_left(&c, 0), 10);
    ck_assert_int_eq(tls_days_left(&c, 1), 9);
    ck_assert_int_eq(tls_days_left(&c, 10 * 86400), 0);
    ck_assert_int_eq(tls_days_left(&c, 10 * 86400 + 1), -1);
    c.not_after = 0;
    ck_assert_int_eq(tls_days_left(&c, 5), INT_MIN);
}
END_TEST

SUITE_MAIN("tls_offer", every_row_of_the_table, every_reason_and_warning_has_a_name_and_a_remedy,
           expiring_is_a_warning_of_the_moment, days_are_whole_and_go_below_zero)
