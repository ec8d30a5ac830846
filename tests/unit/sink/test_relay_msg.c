/* Store <-> relay: what is said is understood, what is cut or spoiled is refused. */
#include "sink/relay_msg.h"

#include <string.h>

#include "base/chan.h"
#include "unit/suite.h"

static const struct relay_transfer whole = {
    .number = 7,
    .rcpt_count = 2,
    .size = 4321,
    .offset = 300,
    .body_8bit = true,
    .requiretls = true,
    .ret = 2,
    .id = "6b03",
    .route = "smarthost",
    .domain = "",
    .sender = "",
    .envid = "QQ",
    .auth = NULL,
    .rcpts = {{3, 6, "bob@example.net", "rfc822;b"}, {5, 0, "c@example.net", NULL}},
};

static const struct relay_result said = {
    .number = 7,
    .index = 3,
    .outcome = RELAY_DEFERRED,
    .code = 451,
    .enhanced = "4.7.6",
    .local = true,
    .remote = {"mx[192.0.2.1]", 13},
    .text = {"no \0 STARTTLS", 13},
    .tls = {"", 0},
};

START_TEST(a_transfer_comes_back)
{
    struct relay_transfer t;
    struct buf b = {0};
    size_t bytes = 0;

    relay_transfer_encode(&b, &whole);
    ck_assert_int_eq(relay_transfer_decode(&t, buf_data(&b), b.len), 0);
    ck_assert_uint_eq(t.number, 7);
    ck_assert_uint_eq(t.rcpt_count, 2);
    ck_assert(t.size == 4321 && t.offset == 300 && t.body_8bit && !t.smtputf8 && t.requiretls && t.ret == 2);
    ck_assert_str_eq(t.id, "6b03");
    ck_assert_str_eq(t.route, "smarthost");
    ck_assert_str_eq(t.domain, "");
    ck_assert_str_eq(t.sender, "");
    ck_assert_str_eq(t.envid, "QQ");
    ck_assert_ptr_null(t.auth);
    ck_assert_uint_eq(t.rcpts[0].index, 3);
    ck_assert_uint_eq(t.rcpts[0].notify, 6);
    ck_assert_str_eq(t.rcpts[0].address, "bob@example.net");
    ck_assert_str_eq(t.rcpts[0].orcpt, "rfc822;b");
    ck_assert_ptr_null(t.rcpts[1].orcpt);
    ck_assert(relay_transfer_fits(&bytes, &whole, &whole.rcpts[0]));
    ck_assert(relay_transfer_fits(&bytes, &whole, &whole.rcpts[1]));
    ck_assert_uint_eq(bytes, b.len);
    for (size_t n = 0; n < b.len; n++)
        ck_assert_int_eq(relay_transfer_decode(&t, buf_data(&b), n), -1);
    buf_append(&b, "", 1);
    ck_assert_int_eq(relay_transfer_decode(&t, buf_data(&b), b.len), -1);
    buf_clear(&b);
}
END_TEST

START_TEST(a_full_transfer_is_one_datagram)
{
    static struct relay_transfer t;
    static char large[RELAY_TEXT_MOST + 100];
    struct buf b = {0};
    size_t bytes = 0;

    memset(large, 'x', sizeof large - 1);
    t = whole;
    for (t.rcpt_count = 0; t.rcpt_count < RELAY_RCPTS; t.rcpt_count++) {
        t.rcpts[t.rcpt_count] = (struct relay_rcpt){t.rcpt_count, 0, large, large};
        if (!relay_transfer_fits(&bytes, &t, &t.rcpts[t.rcpt_count]))
            break;
    }
    ck_assert_uint_gt(t.rcpt_count, 50);
    ck_assert_uint_lt(t.rcpt_count, RELAY_RCPTS);
    relay_transfer_encode(&b, &t);
    ck_assert_uint_eq(b.len, bytes);
    ck_assert_uint_le(b.len, CHAN_MAX);
    ck_assert_int_eq(relay_transfer_decode(&t, buf_data(&b), b.len), 0);
    buf_clear(&b);
}
END_TEST

START_TEST(a_result_comes_back)
{
    struct relay_result r;
    struct buf b = {0};

    relay_result_encode(&b, &said);
    ck_assert_int_eq(relay_result_decode(&r, buf_data(&b), b.len), 0);
    ck_assert(r.number == 7 && r.index == 3 && r.outcome == RELAY_DEFERRED && r.code == 451 && r.local);
    ck_assert_str_eq(r.enhanced, "4.7.6");
    ck_assert_uint_eq(r.text.n, 13);
    ck_assert_mem_eq(r.text.p, "no \0 STARTTLS", 13);
    for (size_t n = 0; n < b.len; n++)
        ck_assert_int_eq(relay_result_decode(&r, buf_data(&b), n), -1);
    buf_clear(&b);
}
END_TEST

static int result(enum relay_outcome outcome, uint16_t code, const char *enhanced)
{
    struct relay_result r = said, out;
    struct buf b = {0};
    int rc;

    r.outcome = outcome;
    r.code = code;
    memset(r.enhanced, 0, sizeof r.enhanced);
    memcpy(r.enhanced, enhanced, strlen(enhanced));
    relay_result_encode(&b, &r);
    rc = relay_result_decode(&out, buf_data(&b), b.len);
    buf_clear(&b);
    return rc;
}

START_TEST(outcome_and_codes_agree)
{
    ck_assert_int_eq(result(RELAY_DELIVERED, 250, "2.0.0"), 0);
    ck_assert_int_eq(result(RELAY_RELAYED, 252, "2.1.5"), 0);
    ck_assert_int_eq(result(RELAY_FAILED, 599, "5.999.999"), 0);
    ck_assert_int_eq(result(RELAY_DELIVERED, 550, "2.0.0"), -1);
    ck_assert_int_eq(result(RELAY_DELIVERED, 250, "5.0.0"), -1);
    ck_assert_int_eq(result(RELAY_FAILED, 451, "4.0.0"), -1);
    ck_assert_int_eq(result(RELAY_FAILED, 600, "5.0.0"), -1);
    ck_assert_int_eq(result(RELAY_FAILED, 550, "5.1"), -1);
    ck_assert_int_eq(result(RELAY_FAILED, 550, "5.1.1 "), -1);
    ck_assert_int_eq(result(RELAY_FAILED, 550, "5.01.1"), -1);
    ck_assert_int_eq(result(RELAY_FAILED, 550, "5. 1.1"), -1);
    ck_assert_int_eq(result(RELAY_FAILED, 550, "5.1.1111"), -1);
    ck_assert_int_eq(result(RELAY_FAILED, 550, ""), -1);
    ck_assert_int_eq(result((enum relay_outcome)4, 550, "5.0.0"), -1);
}
END_TEST

START_TEST(numbers_and_texts_are_checked)
{
    struct relay_transfer t = whole, out;
    struct relay_done d = {1, RELAY_HEALTH_UNREACHABLE}, back;
    struct buf b = {0};
    char *nul;

    t.rcpt_count = 0;
    relay_transfer_encode(&b, &t);
    ck_assert_int_eq(relay_transfer_decode(&out, buf_data(&b), b.len), -1);
    buf_clear(&b);
    t = whole;
    t.size = (uint64_t)INT64_MAX;
    relay_transfer_encode(&b, &t); /* offset and size together are too much */
    ck_assert_int_eq(relay_transfer_decode(&out, buf_data(&b), b.len), -1);
    buf_clear(&b);
    relay_transfer_encode(&b, &whole);
    nul = memmem(buf_data(&b), b.len, "bob@", 4);
    nul[1] = '\0';
    ck_assert_int_eq(relay_transfer_decode(&out, buf_data(&b), b.len), -1);
    buf_clear(&b);
    relay_done_encode(&b, &d);
    ck_assert_int_eq(relay_done_decode(&back, buf_data(&b), b.len), 0);
    ck_assert_int_eq(relay_done_decode(&back, buf_data(&b), b.len - 1), -1);
    buf_data(&b)[4] = 3;
    ck_assert_int_eq(relay_done_decode(&back, buf_data(&b), b.len), -1);
    buf_clear(&b);
}
END_TEST

SUITE_MAIN("relay_msg", a_transfer_comes_back, a_full_transfer_is_one_datagram, a_result_comes_back,
           outcome_and_codes_agree, numbers_and_texts_are_checked)
