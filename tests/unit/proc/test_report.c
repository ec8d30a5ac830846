#include "unit/proc/set.h"

#include <jansson.h>
#include <string.h>

#include "base/log.h"
#include "proc/report.h"

#define DAY 86400

static json_t *only(const json_t *report, const char *listener)
{
    json_t *l;
    size_t i;

    json_array_foreach(json_object_get(report, "listeners"), i,
                       l) if (!listener ||
                              strcmp(json_string_value(json_object_get(l, "listener")), listener) == 0) return l;
    ck_abort_msg("no listener %s", listener);
    return NULL;
}

static const char *str(const json_t *o, const char *key)
{
    ck_assert_msg(json_is_string(json_object_get(o, key)), "%s is not a string", key);
    return json_string_value(json_object_get(o, key));
}

static bool yes(const json_t *o, const char *key)
{
    ck_assert_msg(json_is_boolean(json_object_get(o, key)), "%s is not a boolean", key);
    return json_is_true(json_object_get(o, key));
}

static void has_text(const json_t *report, const char *listener, const char *words)
{
    char *text = report_text(report, listener);

    ck_assert_msg(strstr(text, words) != NULL, "\"%s\" is not in:\n%s", words, text);
    free(text);
}

START_TEST(shapes)
{
    static const char *const listener_keys[] = {
        "listener", "role",        "tls",      "addresses", "offered",      "advertised",
        "wanted",   "serves",      "reason",   "details",   "hint",         "withoutCertificate",
        "where",    "certificate", "daysLeft", "warnings",  "certificates", "rejected"};
    static const char *const cert_keys[] = {"title",   "chain",       "key",       "file",     "subject",     "names",
                                            "keyType", "fingerprint", "notBefore", "notAfter", "daysLeft",    "usable",
                                            "reason",  "details",     "hint",      "warnings", "fromSnapshot"};
    struct generation *g;
    json_t *report, *l, *c;

    set_up();
    g = build(GENERATION_FULL, NULL);
    report = report_listeners(g, g->loaded_at);
    l = only(report, "mx");
    for (size_t i = 0; i < sizeof listener_keys / sizeof *listener_keys; i++)
        ck_assert_msg(json_object_get(l, listener_keys[i]) != NULL, "%s", listener_keys[i]);
    ck_assert_uint_eq(json_object_size(l), sizeof listener_keys / sizeof *listener_keys);
    c = json_array_get(json_object_get(l, "certificates"), 0);
    for (size_t i = 0; i < sizeof cert_keys / sizeof *cert_keys; i++)
        ck_assert_msg(json_object_get(c, cert_keys[i]) != NULL, "%s", cert_keys[i]);
    ck_assert_uint_eq(json_object_size(c), sizeof cert_keys / sizeof *cert_keys);
    ck_assert(yes(l, "offered") && yes(l, "wanted") && yes(l, "serves") && yes(c, "usable"));
    ck_assert_str_eq(str(l, "reason"), "ok");
    ck_assert_str_eq(str(l, "certificate"), "mx");
    ck_assert_int_ge(json_integer_value(json_object_get(l, "daysLeft")), 89);
    ck_assert_uint_eq(strlen(str(c, "notAfter")), strlen("2026-01-31T12:34:56Z"));
    ck_assert_int_eq(report_exit_code(report), 0); /* a private CA is a choice */
    has_text(report, NULL, "untrusted");
    json_decref(report);
    generation_free(&g);
    tear_down();
}
END_TEST

START_TEST(correct_absences)
{
    struct generation *g;
    json_t *report;

    set_up();
    write_conf("listener \"plain\" { address = {\"127.0.0.1:0\"} role = mx tls = off }\n"
               "listener \"implicit\" { address = {\"127.0.0.1:0\", \"[::1]:0\"} role = mx tls = implicit }");
    g = build(GENERATION_FULL, NULL);
    report = report_listeners(g, g->loaded_at);
    ck_assert_str_eq(str(only(report, "plain"), "reason"), "off-by-config");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(only(report, "plain"), "where"), "line")), 5);
    ck_assert_str_eq(str(only(report, "implicit"), "reason"), "implicit-tls");
    ck_assert_int_eq(report_exit_code(report), 0);
    has_text(report, "plain", "switched off in line 5 of ");
    has_text(report, "implicit", "correct");
    has_text(report, "implicit", "127.0.0.1:0 +1");
    json_decref(report);
    generation_free(&g);
    tear_down();
}
END_TEST

START_TEST(missing_is_two)
{
    static const char *const without[] = {"omit", "tempfail", "close", "refuse-start"};

    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        char line[256];
        struct generation *g;
        json_t *report, *c;

        set_up();
        snprintf(line, sizeof line,
                 "listener \"mx\" { address = {\"127.0.0.1:0\"} role = mx without-certificate = %s }", without[i]);
        write_conf(line);
        put("key.pem", "garbage");
        g = build(GENERATION_FULL, NULL);
        report = report_listeners(g, g->loaded_at);
        ck_assert_str_eq(str(only(report, "mx"), "reason"), "unparsable");
        ck_assert_int_eq(yes(only(report, "mx"), "advertised"), i == 1);
        ck_assert_int_eq(report_exit_code(report), 2);
        c = json_array_get(json_object_get(only(report, "mx"), "certificates"), 0);
        ck_assert_str_eq(str(c, "file"), in_set("key.pem"));
        has_text(report, NULL, i ? without[i] : "EHLO leaves it out");
        has_text(report, NULL, in_set("key.pem"));
        has_text(report, NULL, "remedy");
        /* a user who may not read it does not know */
        json_object_set_new(only(report, "mx"), "unknown", json_true());
        ck_assert_int_eq(report_exit_code(report), 1);
        has_text(report, NULL, "unknown");
        json_decref(report);
        generation_free(&g);
        tear_down();
    }
}
END_TEST

START_TEST(rejected_is_one)
{
    struct generation *good, *g;
    json_t *report, *r;

    set_up();
    good = build(GENERATION_FULL, NULL);
    put("key.pem", "garbage");
    g = build(GENERATION_CERTS, &good->snapshot);
    report = report_listeners(g, g->loaded_at);
    ck_assert(yes(only(report, "mx"), "offered"));
    r = json_array_get(json_object_get(only(report, "mx"), "rejected"), 0);
    ck_assert_str_eq(str(r, "reason"), "unparsable");
    ck_assert_str_eq(str(r, "file"), in_set("key.pem"));
    ck_assert(*str(r, "hint") && *str(r, "since"));
    ck_assert_int_eq(report_exit_code(report), 1);
    has_text(report, "mx", "rejected");
    has_text(report, "mx", "the last good pair");
    json_decref(report);
    generation_free(&good);
    generation_free(&g);
    tear_down();
}
END_TEST

/* The clock alone changes the verdict: nothing is loaded again. */
START_TEST(the_clock)
{
    struct generation *g;
    json_t *report;
    int64_t not_after;

    set_up();
    write_conf(STARTTLS_LISTENER "\nlistener \"strict\" { address = {\"127.0.0.1:0\"} role = mx expired = withhold }\n"
                                 "listener \"implicit\" { address = {\"127.0.0.1:0\"} role = mx tls = implicit }");
    g = build(GENERATION_FULL, NULL);
    not_after = cert_facts(g->slots[0].serving)->not_after;
    report = report_listeners(g, not_after - TLS_EXPIRING_DAYS * DAY - 1);
    ck_assert_int_eq(report_exit_code(report), 0);
    json_decref(report);
    report = report_listeners(g, not_after - 3 * DAY);
    ck_assert_int_eq(report_exit_code(report), 1);
    has_text(report, "mx", "expiring");
    json_decref(report);
    report = report_listeners(g, not_after + 1);
    ck_assert_int_eq(report_exit_code(report), 2); /* strict withholds */
    ck_assert(yes(only(report, "mx"), "offered") && !yes(only(report, "strict"), "offered"));
    ck_assert_str_eq(str(only(report, "strict"), "reason"), "expired");
    ck_assert_int_eq(json_integer_value(json_object_get(only(report, "mx"), "daysLeft")), -1);
    has_text(report, "mx", "offered, but: expired");
    has_text(report, "implicit", "correct: TLS begins with the first byte here; but: expired");
    json_decref(report);
    report = report_listeners(g, cert_facts(g->slots[0].serving)->not_before - 1);
    ck_assert_str_eq(str(only(report, "mx"), "reason"), "not-yet-valid");
    json_decref(report);
    generation_free(&g);
    tear_down();
}
END_TEST

/* ---- the log */

static char *logged(void (*say)(const struct generation *, int64_t, int64_t), const struct generation *g,
                    int64_t before, int64_t now)
{
    FILE *f = tmpfile();
    char *text = mem_alloc(65536);

    ck_assert(f != NULL);
    log_open(fileno(f), LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    say(g, before, now);
    log_open(2, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    rewind(f);
    text[fread(text, 1, 65535, f)] = '\0';
    fclose(f);
    return text;
}

static void say_all(const struct generation *g, int64_t before, int64_t now)
{
    (void)before;
    report_log(g, now);
}

static unsigned count(const char *text, const char *words)
{
    unsigned n = 0;

    for (const char *p = strstr(text, words); p; p = strstr(p + 1, words))
        n++;
    return n;
}

static void must_say(const struct generation *g, const char *event, unsigned times)
{
    char *text = logged(say_all, g, 0, g->loaded_at);
    char *words = mem_printf("event=%s ", event);

    ck_assert_msg(count(text, words) == times, "%s %u times in:\n%s", event, times, text);
    free(words);
    free(text);
}

START_TEST(start_lines)
{
    struct generation *g, *bad, *again;

    set_up();
    write_conf(STARTTLS_LISTENER "\nlistener \"plain\" { address = {\"127.0.0.1:0\"} role = mx tls = off }");
    g = build(GENERATION_FULL, NULL);
    must_say(g, "network.listen-start", 2);
    must_say(g, "tls.disabled", 1);
    must_say(g, "tls.certificate-loaded", 1);
    must_say(g, "tls.certificate-warning", 1);
    must_say(g, "tls.not-configured", 0);
    put("cert.pem", "garbage");
    bad = build(GENERATION_CERTS, &g->snapshot);
    must_say(bad, "tls.certificate-rejected", 1);
    again = build(GENERATION_CERTS, &bad->snapshot);
    must_say(again, "tls.certificate-rejected", 0); /* said once */
    must_say(again, "tls.certificate-loaded", 0);
    generation_free(&bad);
    generation_free(&again);
    bad = build(GENERATION_FULL, NULL);
    must_say(bad, "tls.not-configured", 1);
    must_say(bad, "tls.certificate-rejected", 1);
    must_say(bad, "network.listen-start", 2);
    generation_free(&g);
    generation_free(&bad);
    tear_down();
}
END_TEST

START_TEST(what_the_clock_changes)
{
    struct generation *g;
    int64_t end;
    char *text;

    set_up();
    write_conf(STARTTLS_LISTENER "\nlistener \"strict\" { address = {\"127.0.0.1:0\"} role = mx expired = withhold }");
    g = build(GENERATION_FULL, NULL);
    end = cert_facts(g->slots[0].serving)->not_after;
    text = logged(report_log_changes, g, end - 40 * DAY, end - 39 * DAY);
    ck_assert_str_eq(text, "");
    free(text);
    text = logged(report_log_changes, g, end - 14 * DAY - 30, end - 14 * DAY + 30);
    ck_assert_uint_eq(count(text, "event=tls.certificate-expiring "), 1);
    free(text);
    text = logged(report_log_changes, g, end - 30, end + 30);
    ck_assert_uint_eq(count(text, "event=tls.certificate-expired "), 1);
    ck_assert_uint_eq(count(text, "event=tls.not-configured listenerId=strict reason=expired"), 1);
    free(text);
    generation_free(&g);
    tear_down();
}
END_TEST

SUITE_MAIN("report", shapes, correct_absences, missing_is_two, rejected_is_one, the_clock, start_lines,
           what_the_clock_changes)
