/* tests/tables/sender_rule.txt, row by row. */
#include "policy/sender_rule.h"

#include <stdio.h>
#include <string.h>

#include "unit/suite.h"

#define LIST_MOST 4

static unsigned zero[] = {0}, one[] = {1}, both[] = {0, 1}, two[] = {2}, three[] = {3};
static struct conf_address example[] = {{"alice", zero, 1}, {"bob", one, 1}, {"sales", zero, 1}, {"team", both, 2}};
static struct conf_address catching[] = {{"carol", two, 1}};
static struct conf_address books[] = {{"dora", three, 1}};
static struct conf_address all = {"", two, 1};
static struct conf_domain domains[] = {
    {.name = "catch.test", .addresses = catching, .address_count = 1, .catch_all = &all, .subaddress_separator = '+'},
    {.name = "example.test", .addresses = example, .address_count = 4, .subaddress_separator = '+'},
    {.name = "gone.test", .unavailable = true, .subaddress_separator = '+'},
    {.name = "xn--bcher-kva.test", .addresses = books, .address_count = 1},
};
static const struct conf conf = {.domains = domains, .domain_count = 4, .mailbox_count = 4, .postmaster = 0};

START_TEST(every_row_of_the_table)
{
    FILE *f = fopen(TESTS_DIR "/tables/sender_rule.txt", "r");
    char line[256];
    int rows = 0;

    ck_assert_ptr_nonnull(f);
    for (int n = 1; fgets(line, sizeof line, f); n++) {
        char user[64], words[64], sender[64], reason[32];
        const char *list[LIST_MOST];
        struct sender_verdict v;
        unsigned count = 0;
        int code;

        if (line[0] == '#' || line[0] == '\n')
            continue;
        ck_assert_int_eq(sscanf(line, "%63s %63s %63s | %31s %d", user, words, sender, reason, &code), 5);
        if (strcmp(words, "-") != 0)
            for (char *w = strtok(words, ","); w && count < LIST_MOST; w = strtok(NULL, ","))
                list[count++] = w;
        if (strcmp(sender, "-") == 0)
            sender[0] = '\0';
        sender_rule(&v, &conf, user, list, count, (struct peer_text){sender, strlen(sender)});
        ck_assert_msg(strcmp(sender_reason_name(v.reason), reason) == 0, "line %d: %s", n,
                      sender_reason_name(v.reason));
        ck_assert_msg(v.code == code, "line %d: code %d", n, v.code);
        rows++;
    }
    fclose(f);
    ck_assert_int_ge(rows, 40);
}
END_TEST

START_TEST(bytes_of_peers_own_nothing_by_accident)
{
    static const char nul[] = "alice\0@example.test";
    struct sender_verdict v;
    char big[2000];

    sender_rule(&v, &conf, "alice@example.test", NULL, 0, (struct peer_text){nul, sizeof nul - 1});
    ck_assert_int_eq(v.code, 553);
    memset(big, 'a', sizeof big);
    memcpy(big + 1500, "@example.test", 13);
    sender_rule(&v, &conf, "alice@example.test", NULL, 0, (struct peer_text){big, 1513});
    ck_assert_int_eq(v.code, 553);
    sender_rule(&v, &conf, "alice@example.test", NULL, 0, (struct peer_text){"@", 1});
    ck_assert_int_eq(v.code, 553);
    sender_rule(&v, &conf, "alice@example.test", NULL, 0, (struct peer_text){"alice@\xff\xfe", 8});
    ck_assert_int_eq(v.code, 553);
}
END_TEST

SUITE_MAIN("sender_rule", every_row_of_the_table, bytes_of_peers_own_nothing_by_accident)
