#include "policy/rcpt_rule.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "unit/suite.h"

static unsigned zero[] = {0}, one[] = {1}, both[] = {0, 1}, two[] = {2}, three[] = {3}, four[] = {4};
static struct conf_address example[] = {{"alice", zero, 1}, {"bob", one, 1}, {"team", both, 2}};
static struct conf_address catching[] = {{"carol", two, 1}};
static struct conf_address books[] = {{"dora", three, 1}};
static struct conf_address half[] = {{"erin", four, 1}};
static struct conf_address all = {"", two, 1};
static struct conf_domain domains[] = {
    {.name = "ask.test", .verify_recipients = true, .delivery = 2, .subaddress_separator = '+'},
    {.name = "away.test", .accept_any = true, .delivery = 1, .addresses = half, .address_count = 1},
    {.name = "catch.test", .addresses = catching, .address_count = 1, .catch_all = &all, .subaddress_separator = '+'},
    {.name = "example.test", .addresses = example, .address_count = 3, .subaddress_separator = '+'},
    {.name = "gone.test", .unavailable = true, .subaddress_separator = '+'},
    {.name = "half.test",
     .addresses = half,
     .address_count = 1,
     .catch_all = &all,
     .unavailable = true,
     .subaddress_separator = '+'},
    {.name = "unread.test", .accept_any = true, .unavailable = true, .delivery = 1},
    {.name = "xn--bcher-kva.test", .addresses = books, .address_count = 1},
};
static const struct conf conf = {
    .domains = domains, .domain_count = 8, .mailbox_count = 5, .postmaster = 0, .relay = 3};

static void mailboxes(const struct rcpt_verdict *v, char *out, size_t cap)
{
    size_t n = 0;

    snprintf(out, cap, "-");
    if (v->away)
        snprintf(out, cap, "to:%u", v->delivery);
    for (unsigned i = 0; i < v->mailbox_count; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%u", i ? "," : "", v->mailboxes[i]);
}

START_TEST(every_row_of_the_table)
{
    FILE *f = fopen(TESTS_DIR "/tables/rcpt_rule.txt", "r");
    char line[256];
    int rows = 0;

    ck_assert_ptr_nonnull(f);
    for (int n = 1; fgets(line, sizeof line, f); n++) {
        char given[64], *local = given, domain[64], reason[32], boxes[32], got[64];
        struct rcpt_verdict v;
        int code;

        if (line[0] == '#' || line[0] == '\n')
            continue;
        ck_assert_int_eq(sscanf(line, "%63s %63s | %31s %d %31s", given, domain, reason, &code, boxes), 5);
        if (strcmp(domain, "-") == 0)
            domain[0] = '\0';
        local += *given == '>';
        rcpt_rule(&v, &conf, (struct peer_text){local, strlen(local)}, (struct peer_text){domain, strlen(domain)},
                  *given == '>');
        mailboxes(&v, got, sizeof got);
        ck_assert_msg(strcmp(rcpt_reason_name(v.reason), reason) == 0, "line %d: %s", n, rcpt_reason_name(v.reason));
        ck_assert_msg(v.code == code, "line %d: code %d", n, v.code);
        ck_assert_msg(strcmp(got, boxes) == 0, "line %d: mailboxes %s", n, got);
        rows++;
    }
    fclose(f);
    ck_assert_int_ge(rows, 32);
}
END_TEST

START_TEST(bytes_of_peers_find_nothing_by_accident)
{
    static const char nul[] = "alice\0x";
    struct rcpt_verdict v;
    char big[2000];

    rcpt_rule(&v, &conf, (struct peer_text){nul, 7}, (struct peer_text){"example.test", 12}, false);
    ck_assert_int_eq(v.code, 550);
    memset(big, 'a', sizeof big);
    rcpt_rule(&v, &conf, (struct peer_text){big, sizeof big}, (struct peer_text){"example.test", 12}, false);
    ck_assert_int_eq(v.code, 550);
    rcpt_rule(&v, &conf, (struct peer_text){"alice", 5}, (struct peer_text){big, sizeof big}, false);
    ck_assert_int_eq(v.reason, RCPT_BAD_DOMAIN);
    rcpt_rule(&v, &conf, (struct peer_text){"alice", 5}, (struct peer_text){"\xff\xfe.test", 7}, false);
    ck_assert_int_eq(v.reason, RCPT_BAD_DOMAIN);
}
END_TEST

START_TEST(verdicts_do_not_share_memory)
{
    struct conf other = conf;
    struct rcpt_verdict a, b;

    other.postmaster = 1;
    rcpt_rule(&a, &conf, (struct peer_text){"postmaster", 10}, (struct peer_text){"", 0}, false);
    rcpt_rule(&b, &other, (struct peer_text){"postmaster", 10}, (struct peer_text){"", 0}, false);
    ck_assert_uint_eq(a.mailboxes[0], 0);
    ck_assert_uint_eq(b.mailboxes[0], 1);
}
END_TEST

START_TEST(without_any_domain_there_is_no_postmaster)
{
    struct conf empty = {.postmaster = UINT_MAX, .relay = UINT_MAX};
    struct rcpt_verdict v;

    rcpt_rule(&v, &empty, (struct peer_text){"postmaster", 10}, (struct peer_text){"", 0}, false);
    ck_assert_int_eq(v.code, 550);
    rcpt_rule(&v, &empty, (struct peer_text){"a", 1}, (struct peer_text){"b.test", 6}, false);
    ck_assert_int_eq(v.reason, RCPT_NOT_OURS);
    rcpt_rule(&v, &empty, (struct peer_text){"a", 1}, (struct peer_text){"b.test", 6}, true);
    ck_assert_int_eq(v.reason, RCPT_NOT_OURS); /* there is no way out */
}
END_TEST

/* RFC 5321 4.5.1: a gateway that knows no mailbox by name has a postmaster all the same. */
START_TEST(a_gateway_s_postmaster_is_the_other_server_s)
{
    struct conf gateway = {.domains = domains, .domain_count = 1, .postmaster = UINT_MAX, .relay = UINT_MAX};
    struct rcpt_verdict v;

    rcpt_rule(&v, &gateway, (struct peer_text){"Postmaster", 10}, (struct peer_text){"", 0}, false);
    ck_assert(v.away);
    ck_assert_uint_eq(v.delivery, 2);
    ck_assert_int_eq(v.reason, RCPT_POSTMASTER);
}
END_TEST

SUITE_MAIN("rcpt_rule", every_row_of_the_table, bytes_of_peers_find_nothing_by_accident, verdicts_do_not_share_memory,
           without_any_domain_there_is_no_postmaster, a_gateway_s_postmaster_is_the_other_server_s)
