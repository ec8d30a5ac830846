#include <string.h>

#include "bench/client_hello.h"
#include "unit/suite.h"

/* The example of JA4's own description. */
static const uint16_t ciphers[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9,
                                   0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
static const uint16_t extensions[] = {0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d,
                                      0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015};
static const uint16_t signatures[] = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601};

static struct client_hello example(void)
{
    struct client_hello h = {.versions = {0x0304, 0x0303}, .version_count = 2, .has_sni = true};

    memcpy(h.ciphers, ciphers, sizeof ciphers);
    h.cipher_count = sizeof ciphers / sizeof *ciphers;
    memcpy(h.extensions, extensions, sizeof extensions);
    h.extension_count = sizeof extensions / sizeof *extensions;
    memcpy(h.signatures, signatures, sizeof signatures);
    h.signature_count = sizeof signatures / sizeof *signatures;
    memcpy(h.alpn[0], "h2", 3);
    memcpy(h.alpn_ends, "h2", 2);
    h.alpn_count = 1;
    return h;
}

START_TEST(fingerprint)
{
    struct client_hello h = example();
    char print[CLIENT_HELLO_PRINT];

    client_hello_print(&h, print);
    ck_assert_str_eq(print, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    h.alpn_ends[1] = 0xab; /* no letter: hexadecimal digits of both ends */
    client_hello_print(&h, print);
    ck_assert_str_eq(print, "t13d15166b_8daaf6152771_e5627efa2ab1");
    memset(&h, 0, sizeof h);
    client_hello_print(&h, print);
    ck_assert_str_eq(print, "t00i000000_000000000000_000000000000");
}
END_TEST

/* A record, a message, and extensions with everything in them that is looked at. */
static const uint8_t bytes[] = {22,
                                3,
                                1,
                                0,
                                132,
                                1,
                                0,
                                0,
                                128,
                                3,
                                3, /* random */
                                0,
                                1,
                                2,
                                3,
                                4,
                                5,
                                6,
                                7,
                                8,
                                9,
                                10,
                                11,
                                12,
                                13,
                                14,
                                15,
                                16,
                                17,
                                18,
                                19,
                                20,
                                21,
                                22,
                                23,
                                24,
                                25,
                                26,
                                27,
                                28,
                                29,
                                30,
                                31,
                                0,
                                /* ciphers, GREASE first */ 0,
                                6,
                                0x1a,
                                0x1a,
                                0x13,
                                0x01,
                                0xc0,
                                0x2b,
                                1,
                                0,
                                /* extensions */ 0,
                                81,
                                /* SNI */ 0,
                                0,
                                0,
                                9,
                                0,
                                7,
                                0,
                                0,
                                4,
                                'a',
                                0xff,
                                '.',
                                'b',
                                /* status */ 0,
                                5,
                                0,
                                5,
                                1,
                                0,
                                0,
                                0,
                                0,
                                /* groups */ 0,
                                10,
                                0,
                                4,
                                0,
                                2,
                                0,
                                29,
                                /* signatures */ 0,
                                13,
                                0,
                                4,
                                0,
                                2,
                                4,
                                3,
                                /* ALPN */ 0,
                                16,
                                0,
                                10,
                                0,
                                8,
                                2,
                                'h',
                                '2',
                                4,
                                's',
                                27,
                                't',
                                'p',
                                /* ticket */ 0,
                                35,
                                0,
                                1,
                                7,
                                /* versions */ 0,
                                43,
                                0,
                                7,
                                6,
                                0x2a,
                                0x2a,
                                3,
                                4,
                                3,
                                3,
                                /* GREASE */ 0x3a,
                                0x3a,
                                0,
                                0,
                                /* an unknown one */ 0x12,
                                0x34,
                                0,
                                5,
                                1,
                                2,
                                3,
                                4,
                                5};

START_TEST(all_of_it)
{
    struct client_hello h;

    ck_assert_uint_eq(client_hello_parse(&h, bytes, sizeof bytes), CLIENT_HELLO_OK);
    for (size_t n = 1; n < sizeof bytes; n++)
        ck_assert_uint_eq(client_hello_parse(&h, bytes, n), CLIENT_HELLO_MORE);
    ck_assert_uint_eq(client_hello_parse(&h, bytes, sizeof bytes), CLIENT_HELLO_OK);
    ck_assert_str_eq(h.sni, "a?.b");
    ck_assert(h.has_sni && h.resumes && h.asks_status);
    ck_assert_uint_eq(h.version_count, 2);
    ck_assert_uint_eq(h.versions[0], 0x0304);
    ck_assert_uint_eq(h.cipher_count, 2);
    ck_assert_uint_eq(h.ciphers[1], 0xc02b);
    ck_assert_uint_eq(h.groups[0], 29);
    ck_assert_uint_eq(h.signatures[0], 0x0403);
    ck_assert_uint_eq(h.alpn_count, 2);
    ck_assert_str_eq(h.alpn[0], "h2");
    ck_assert_str_eq(h.alpn[1], "s?tp");
    ck_assert_uint_eq(h.extension_count, 8); /* without GREASE */
    ck_assert_uint_eq(h.size, sizeof bytes - 5);
}
END_TEST

START_TEST(what_is_none)
{
    struct client_hello h;
    uint8_t other[sizeof bytes];

    ck_assert_uint_eq(client_hello_parse(&h, "EHLO me\r\n", 9), CLIENT_HELLO_NONE);
    memcpy(other, bytes, sizeof other);
    other[5] = 2; /* a ServerHello */
    ck_assert_uint_eq(client_hello_parse(&h, other, sizeof other), CLIENT_HELLO_NONE);
    memcpy(other, bytes, sizeof other);
    other[55] = 0xff; /* more extensions than there are */
    ck_assert_uint_eq(client_hello_parse(&h, other, sizeof other), CLIENT_HELLO_NONE);
}
END_TEST

SUITE_MAIN("client_hello", fingerprint, all_of_it, what_is_none)
