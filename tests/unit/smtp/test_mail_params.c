#include <string.h>

#include "smtp/mail_params.h"
#include "unit/suite.h"

static struct smtp_mail_params got;

static enum mail_params_fault parse(const char *text, bool smtputf8)
{
    return mail_params_parse(&got, (struct span){text, strlen(text)}, smtputf8);
}

START_TEST(good_ones)
{
    ck_assert_int_eq(parse("", true), MAIL_PARAMS_OK);
    ck_assert(!got.size_given && !got.body_8bit && !got.smtputf8);
    ck_assert_int_eq(parse(" SIZE=0", true), MAIL_PARAMS_OK);
    ck_assert(got.size_given && got.size == 0);
    ck_assert_int_eq(parse("  size=12345678901  BODY=8BITMIME smtputf8", true), MAIL_PARAMS_OK);
    ck_assert(got.size == 12345678901 && got.body_8bit && got.smtputf8);
    ck_assert_int_eq(parse(" BODY=7bit", true), MAIL_PARAMS_OK);
    ck_assert(!got.body_8bit);
    ck_assert_int_eq(parse(" SIZE=99999999999999999999", true), MAIL_PARAMS_OK);
    ck_assert(got.size == UINT64_MAX);
}
END_TEST

START_TEST(bad_ones)
{
    static const char *const bad[] = {"SIZE=1",
                                      "x",
                                      " SIZE",
                                      " SIZE=",
                                      " SIZE=x",
                                      " SIZE=1 SIZE=2",
                                      " SIZE=123456789012345678901",
                                      " BODY",
                                      " BODY=",
                                      " BODY=BINARYMIME",
                                      " BODY=7BIT BODY=7BIT",
                                      " SMTPUTF8=1",
                                      " SMTPUTF8 SMTPUTF8",
                                      " =",
                                      " =1",
                                      " -A",
                                      " A_B",
                                      " A=\x80",
                                      " A=b=c",
                                      " \x80",
                                      " SIZE=+1",
                                      " "};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(parse(bad[i], true) == MAIL_PARAMS_BAD, "\"%s\"", bad[i]);
}
END_TEST

START_TEST(unknown_ones)
{
    ck_assert_int_eq(parse(" SMTPUTF8", false), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(parse(" RET=FULL", true), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(parse(" SIZE=1 X-FOO", true), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(mail_params_none(SPAN("")), MAIL_PARAMS_OK);
    ck_assert_int_eq(mail_params_none(SPAN(" NOTIFY=NEVER")), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(mail_params_none(SPAN("x")), MAIL_PARAMS_BAD);
}
END_TEST

SUITE_MAIN("mail_params", good_ones, bad_ones, unknown_ones)
