#include <string.h>

#include "smtp/received.h"
#include "unit/suite.h"

#define PEER(lit) ((struct peer_text){(lit), sizeof(lit) - 1})

static struct received_facts facts(void)
{
    return (struct received_facts){.sender = PEER("ann@sender.example"),
                                   .hello = PEER("client.example"),
                                   .client_ip = "192.0.2.7",
                                   .by = "mx.example.test",
                                   .esmtp = true,
                                   .tls_version = "TLSv1.3",
                                   .tls_cipher = "TLS_AES_256_GCM_SHA384",
                                   .id = "1a2b-3",
                                   .only_rcpt = PEER("alice@example.test"),
                                   .date = "Fri, 21 Aug 2026 10:00:00 +0200"};
}

static void is(const struct received_facts *f, const char *want)
{
    struct buf b = {0};

    received_return_path(&b, f);
    received_write(&b, f);
    ck_assert_str_eq(buf_str(&b), want);
    buf_clear(&b);
}

static void has(const struct received_facts *f, const char *want)
{
    struct buf b = {0};

    received_return_path(&b, f);
    received_write(&b, f);
    ck_assert_msg(strstr(buf_str(&b), want) != NULL, "no \"%s\" in:\n%s", want, buf_str(&b));
    buf_clear(&b);
}

START_TEST(in_clear)
{
    struct received_facts f = facts();

    is(&f, "Return-Path: <ann@sender.example>\n"
           "Received: from client.example ([192.0.2.7])\n"
           "\tby mx.example.test with ESMTP\n"
           "\tid 1a2b-3\n"
           "\tfor <alice@example.test>;\n"
           "\tFri, 21 Aug 2026 10:00:00 +0200\n");
}
END_TEST

START_TEST(in_tls_for_many)
{
    struct received_facts f = facts();

    f.tls = f.client_ipv6 = true;
    f.client_ip = "2001:db8::7";
    f.sender = f.only_rcpt = PEER("");
    is(&f, "Return-Path: <>\n"
           "Received: from client.example ([IPv6:2001:db8::7])\n"
           "\tby mx.example.test with ESMTPS\n"
           "\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\n"
           "\tid 1a2b-3;\n"
           "\tFri, 21 Aug 2026 10:00:00 +0200\n");
}
END_TEST

START_TEST(with_keywords)
{
    static const struct {
        bool esmtp, tls, utf8, auth;
        const char *want;
    } rows[] = {{false, false, false, false, " with SMTP\n"},   {false, true, false, false, " with SMTP\n"},
                {true, false, false, true, " with ESMTPA\n"},   {true, true, false, true, " with ESMTPSA\n"},
                {true, false, true, false, " with UTF8SMTP\n"}, {true, true, true, false, " with UTF8SMTPS\n"},
                {true, false, true, true, " with UTF8SMTPA\n"}, {true, true, true, true, " with UTF8SMTPSA\n"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct received_facts f = facts();

        f.esmtp = rows[i].esmtp;
        f.tls = rows[i].tls;
        f.smtputf8 = rows[i].utf8;
        f.authenticated = rows[i].auth;
        has(&f, rows[i].want);
    }
}
END_TEST

START_TEST(peers_cannot_forge)
{
    struct received_facts f = facts();

    f.hello = PEER("a\nReceived: from (b) c;\\\x80");
    has(&f, "from a?Received:?from??b??c??? ([192.0.2.7])\n");
    f.hello = PEER("[192.0.2.9]");
    has(&f, "from [192.0.2.9] (");
    f.hello = PEER("");
    has(&f, "from unknown (");
    f.sender = PEER("a\r\nb@c.example");
    has(&f, "Return-Path: <a??b@c.example>\n");
    f.sender = PEER("\"a<b>;\\\"c\"@d.example");
    has(&f, "Return-Path: <\"a<b>;\\\"c\"@d.example>\n");
    f.sender = PEER("\"\\\\\"x>y@d.example");
    has(&f, "Return-Path: <\"\\\\\"x?y@d.example>\n");
    f.sender = PEER("\"open");
    has(&f, "Return-Path: <\"open\">\n");
    f.sender = PEER("\"open\\");
    has(&f, "Return-Path: <\"open?\">\n");
    f.only_rcpt = PEER("x>; y@example.test");
    has(&f, "for <x???y@example.test>;\n");
}
END_TEST

START_TEST(letters_beyond_ascii_need_smtputf8)
{
    struct received_facts f = facts();

    f.sender = PEER("j\xc3\xbcrgen@sender.example");
    has(&f, "<j??rgen@sender.example>");
    f.smtputf8 = true;
    has(&f, "<j\xc3\xbcrgen@sender.example>");
    f.sender = PEER("j\xfcrgen@sender.example");
    has(&f, "<j?rgen@sender.example>");
}
END_TEST

SUITE_MAIN("received", in_clear, in_tls_for_many, with_keywords, peers_cannot_forge, letters_beyond_ascii_need_smtputf8)
