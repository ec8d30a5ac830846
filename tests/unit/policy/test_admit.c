#include "policy/admit.h"

#include <stdio.h>
#include <string.h>

#include "unit/suite.h"

START_TEST(every_row_of_the_table)
{
    struct conf_limits l = {.max_connections = 100, .max_per_address = 10, .max_per_network = 20, .busy_percent = 80};
    FILE *f = fopen(TESTS_DIR "/tables/admit.txt", "r");
    char line[256];
    int rows = 0;

    ck_assert_ptr_nonnull(f);
    for (int n = 1; fgets(line, sizeof line, f); n++) {
        char exempt[8], reason[32], busy[8];
        struct admit_verdict v;
        struct admit_facts a;

        if (line[0] == '#' || line[0] == '\n')
            continue;
        ck_assert_int_eq(
            sscanf(line, "%u %u %u %7s | %31s %7s", &a.total, &a.from_address, &a.from_network, exempt, reason, busy),
            6);
        a.exempt = strcmp(exempt, "yes") == 0;
        admit(&v, &l, &a);
        ck_assert_msg(strcmp(admit_reason_name(v.reason), reason) == 0, "line %d: %s", n, admit_reason_name(v.reason));
        ck_assert_msg(v.busy == (strcmp(busy, "yes") == 0), "line %d: busy", n);
        ck_assert_msg(v.reason == ADMIT_OK || (v.code == 421 && v.enhanced && v.text && v.event), "line %d: words", n);
        rows++;
    }
    fclose(f);
    ck_assert_int_ge(rows, 13);
}
END_TEST

SUITE_MAIN("admit", every_row_of_the_table)
