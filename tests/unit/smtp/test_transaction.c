#include <string.h>

#include "smtp/transaction.h"
#include "unit/suite.h"

static const struct smtp_mail_params none;

START_TEST(a_mailbox_is_there_once)
{
    struct transaction *t = transaction_new(SPAN("a@b.example"), &none);
    static const uint32_t ids[] = {5, 7, 5, 0, 7};

    transaction_add_rcpt(t, SPAN("x@y.example"), ids, 5);
    transaction_add_rcpt(t, SPAN("z@y.example"), ids, 2);
    ck_assert_uint_eq(t->rcpt_count, 2);
    ck_assert_uint_eq(t->id_count, 3);
    ck_assert(t->ids[0] == 5 && t->ids[1] == 7 && t->ids[2] == 0);
    ck_assert_str_eq(t->only_rcpt, "x@y.example");
    transaction_free(&t);
    ck_assert_ptr_null(t);
    transaction_free(&t);
}
END_TEST

START_TEST(many_mailboxes_stay_distinct_and_in_order)
{
    struct transaction *t = transaction_new(SPAN(""), &none);
    uint32_t want = 0;

    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < 20000; i++) {
            uint32_t id = i * 64 + (i & 1 ? UINT32_MAX / 2 : 0);

            transaction_add_rcpt(t, SPAN("x@y.example"), &id, 1);
        }
    ck_assert_uint_eq(t->rcpt_count, 60000);
    ck_assert_uint_eq(t->id_count, 20000);
    for (uint32_t i = 0; i < 20000; i++)
        want += t->ids[i] == i * 64 + (i & 1 ? UINT32_MAX / 2 : 0);
    ck_assert_uint_eq(want, 20000);
    ck_assert_uint_ge(transaction_memory(t), 20000 * sizeof(uint32_t));
    transaction_free(&t);
}
END_TEST

START_TEST(the_sender_is_a_copy)
{
    char text[] = "a@b.example";
    struct transaction *t = transaction_new((struct span){text, 11}, &none);

    memset(text, 'x', sizeof text);
    ck_assert_uint_eq(t->sender_len, 11);
    ck_assert_str_eq(t->sender, "a@b.example");
    transaction_free(&t);
}
END_TEST

SUITE_MAIN("transaction", a_mailbox_is_there_once, many_mailboxes_stay_distinct_and_in_order, the_sender_is_a_copy)
