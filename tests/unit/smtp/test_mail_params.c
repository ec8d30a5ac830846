#include <stdlib.h>
#include <string.h>

#include "smtp/mail_params.h"
#include "unit/suite.h"

static struct smtp_mail_params got;

static enum mail_params_fault parse(const char *text, bool smtputf8)
{
    struct mail_params_offers o = {.smtputf8 = smtputf8};

    return mail_params_parse(&got, (struct span){text, strlen(text)}, &o);
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

static struct smtp_rcpt_params rcpt_got;

static enum mail_params_fault rcpt(const char *text, bool dsn)
{
    return mail_params_rcpt(&rcpt_got, (struct span){text, strlen(text)}, dsn);
}

START_TEST(unknown_ones)
{
    ck_assert_int_eq(parse(" SMTPUTF8", false), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(parse(" RET=FULL", true), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(parse(" AUTH=<>", true), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(parse(" REQUIRETLS", true), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(parse(" SIZE=1 X-FOO", true), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(rcpt("", false), MAIL_PARAMS_OK);
    ck_assert_int_eq(rcpt(" NOTIFY=NEVER", false), MAIL_PARAMS_UNKNOWN);
    ck_assert_int_eq(rcpt("x", false), MAIL_PARAMS_BAD);
}
END_TEST

static enum mail_params_fault parse_all(const char *text)
{
    static const struct mail_params_offers all = {true, true, true, true};

    return mail_params_parse(&got, (struct span){text, strlen(text)}, &all);
}

/* RFC 3461, 4954 5, 8689. */
START_TEST(of_extensions)
{
    static const char *const good[] = {" RET=FULL",
                                       " ret=hdrs",
                                       " ENVID=QQ314159",
                                       " ENVID=a+20b",
                                       " AUTH=<>",
                                       " AUTH=e+3Dmc2@example.com",
                                       " REQUIRETLS RET=HDRS ENVID=x BODY=8BITMIME"};
    static const char *const bad[] = {" RET",       " RET=BODY",      " RET=FULL RET=FULL", " ENVID=",
                                      " ENVID=a+2", " ENVID=a+zz",    " ENVID=a+2f",        " ENVID=a ENVID=b",
                                      " AUTH",      " AUTH=a AUTH=b", " REQUIRETLS=1",      " REQUIRETLS REQUIRETLS"};
    char *long_one;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(parse_all(good[i]) == MAIL_PARAMS_OK, "\"%s\"", good[i]);
    ck_assert(got.requiretls && got.ret == SMTP_RET_HDRS && got.envid.n == 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(parse_all(bad[i]) == MAIL_PARAMS_BAD, "\"%s\"", bad[i]);
    long_one = mem_printf(" ENVID=%0100d", 0);
    ck_assert_int_eq(parse_all(long_one), MAIL_PARAMS_OK);
    free(long_one);
    long_one = mem_printf(" ENVID=%0101d", 0);
    ck_assert_int_eq(parse_all(long_one), MAIL_PARAMS_BAD);
    free(long_one);
}
END_TEST

START_TEST(of_recipients)
{
    static const char *const good[] = {" NOTIFY=NEVER", " notify=delay", " NOTIFY=SUCCESS,FAILURE,DELAY",
                                       " ORCPT=rfc822;Bob+40x@example.com", " NOTIFY=success ORCPT=x400;a"};
    static const char *const bad[] = {
        " NOTIFY",        " NOTIFY=",       " NOTIFY=NEVER,DELAY", " NOTIFY=DELAY,NEVER",        " NOTIFY=DELAY,DELAY",
        " NOTIFY=DELAY,", " NOTIFY=,DELAY", " NOTIFY=SOMETIMES",   " NOTIFY=DELAY NOTIFY=DELAY", " ORCPT",
        " ORCPT=x",       " ORCPT=;x",      " ORCPT=a;b+1",        " ORCPT=a;b ORCPT=a;b"};
    char *long_one;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(rcpt(good[i], true) == MAIL_PARAMS_OK, "\"%s\"", good[i]);
    ck_assert_uint_eq(rcpt_got.notify, SMTP_NOTIFY_SUCCESS);
    ck_assert_uint_eq(rcpt_got.orcpt.n, 6);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(rcpt(bad[i], true) == MAIL_PARAMS_BAD, "\"%s\"", bad[i]);
    long_one = mem_printf(" ORCPT=rfc822;%0493d", 0);
    ck_assert_int_eq(rcpt(long_one, true), MAIL_PARAMS_OK);
    free(long_one);
    long_one = mem_printf(" ORCPT=rfc822;%0494d", 0);
    ck_assert_int_eq(rcpt(long_one, true), MAIL_PARAMS_BAD);
    free(long_one);
}
END_TEST

SUITE_MAIN("mail_params", good_ones, bad_ones, unknown_ones, of_extensions, of_recipients)
