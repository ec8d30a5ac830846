/* Our side of a login against libgsasl's own server side. */
#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "relay/relay_sasl.h"
#include "unit/suite.h"

static int knows(Gsasl *lib, Gsasl_session *s, Gsasl_property prop)
{
    (void)lib;
    switch (prop) {
    case GSASL_PASSWORD:
        gsasl_property_set(s, prop, "secret");
        return GSASL_OK;
    case GSASL_VALIDATE_SIMPLE:
        return strcmp(gsasl_property_fast(s, GSASL_PASSWORD), "secret") == 0 &&
                       strcmp(gsasl_property_fast(s, GSASL_AUTHID), "alice") == 0
                   ? GSASL_OK
                   : GSASL_AUTHENTICATION_ERROR;
    default:
        return GSASL_NO_CALLBACK;
    }
}

struct end {
    bool server_ok, client_ok;
    const char *mechanism;
};

/* As SMTP does it: a challenge of the server, a response of ours, until the server says yes or no. */
static struct end login(const char *offered, const char *password)
{
    struct relay_sasl *c = NULL;
    struct relay_sasl_step mine;
    struct end end = {0};
    Gsasl_session *server;
    struct err e;
    Gsasl *lib;
    int r;

    ck_assert_int_eq(relay_sasl_new(&c, offered, strlen(offered), "alice", password, &end.mechanism, &mine, &e), 0);
    ck_assert_int_eq(gsasl_init(&lib), GSASL_OK);
    gsasl_callback_set(lib, knows);
    ck_assert_int_eq(gsasl_server_start(lib, end.mechanism, &server), GSASL_OK);
    for (int turns = 0; turns < 6; turns++) {
        char *out = NULL;
        size_t n = 0;

        r = gsasl_step(server, mine.response, mine.len, &out, &n);
        end.server_ok = r == GSASL_OK;
        end.client_ok = mine.finished;
        if ((r == GSASL_NEEDS_MORE || n) && relay_sasl_step(c, out, n, &mine, &e) < 0)
            r = GSASL_AUTHENTICATION_ERROR;
        end.client_ok = end.client_ok || mine.finished;
        gsasl_free(out);
        if (r != GSASL_NEEDS_MORE)
            break;
    }
    gsasl_finish(server);
    gsasl_done(lib);
    relay_sasl_free(&c);
    return end;
}

START_TEST(each_mechanism)
{
    static const struct {
        const char *offered, *chosen;
    } rows[] = {{"PLAIN", "PLAIN"},
                {"LOGIN", "LOGIN"},
                {"LOGIN PLAIN", "PLAIN"},
                {"login plain SCRAM-sha-256 X", "SCRAM-SHA-256"},
                {"PLAINTEXT LOGIN", "LOGIN"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct end e = login(rows[i].offered, "secret");

        ck_assert_msg(strcmp(e.mechanism, rows[i].chosen) == 0, "%s: %s", rows[i].offered, e.mechanism);
        ck_assert_msg(e.server_ok && e.client_ok, "%s: server %d, client %d", rows[i].offered, e.server_ok,
                      e.client_ok);
    }
}
END_TEST

START_TEST(a_wrong_password)
{
    ck_assert(!login("PLAIN", "wrong").server_ok);
    ck_assert(!login("SCRAM-SHA-256", "wrong").server_ok);
}
END_TEST

/* RFC 5802 3: the server proves that it knows the password, too. One that says yes without is not believed. */
START_TEST(scram_waits_for_the_servers_proof)
{
    struct relay_sasl *c;
    struct relay_sasl_step mine;
    const char *mechanism;
    struct err e;

    ck_assert_int_eq(relay_sasl_new(&c, "SCRAM-SHA-256", 13, "alice", "secret", &mechanism, &mine, &e), 0);
    ck_assert(!mine.finished);
    ck_assert_int_eq(relay_sasl_step(c, "r=nonsense", 10, &mine, &e), -1);
    ck_assert_str_ne(e.text, "");
    relay_sasl_free(&c);
}
END_TEST

static int answer_to(const char *iterations, struct err *e)
{
    struct relay_sasl *c;
    struct relay_sasl_step mine;
    const char *mechanism;
    char challenge[300];
    int rc;

    ck_assert_int_eq(relay_sasl_new(&c, "SCRAM-SHA-256", 13, "alice", "secret", &mechanism, &mine, e), 0);
    snprintf(challenge, sizeof challenge, "%smore,s=QSXCR+Q6sek8bf92,i=%s", strstr(mine.response, "r="), iterations);
    rc = relay_sasl_step(c, challenge, strlen(challenge), &mine, e);
    relay_sasl_free(&c);
    return rc;
}

/* The server says how often its hash is to be made. A billion times would be an hour in which this process does nothing
 * else, for any next hop. */
START_TEST(scram_with_rounds_without_end)
{
    static const char *const many[] = {"600001", "1000000000", "18446744073709551617", "0001000000000"};
    struct err e = {""};

    ck_assert_int_eq(answer_to("4096", &e), 0);
    ck_assert_int_eq(answer_to("100000", &e), 0);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        ck_assert_msg(answer_to(many[i], &e) < 0, "i=%s", many[i]);
        ck_assert_msg(i > 1 || strstr(e.text, "rounds"), "i=%s: %s", many[i], e.text);
    }
}
END_TEST

START_TEST(none_of_them)
{
    struct relay_sasl *c;
    struct relay_sasl_step mine;
    const char *mechanism;
    struct err e;

    ck_assert_int_eq(relay_sasl_new(&c, "GSSAPI XOAUTH2", 14, "alice", "secret", &mechanism, &mine, &e), -1);
    ck_assert_ptr_null(c);
    ck_assert_int_eq(relay_sasl_new(&c, "", 0, "alice", "secret", &mechanism, &mine, &e), -1);
}
END_TEST

SUITE_MAIN("relay_sasl", each_mechanism, a_wrong_password, scram_waits_for_the_servers_proof,
           scram_with_rounds_without_end, none_of_them)
