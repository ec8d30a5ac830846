/* Answers of a real name server, and rdata that none should send. */
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unbound.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/text.h"
#include "dns/dns_private.h"
#include "unit/dns/server.h"
#include "unit/suite.h"

static struct dns_mail *mail;
static struct dns_tlsa_set *tlsa;
static bool answered;

static void take_mail(void *arg, struct dns_mail *m)
{
    (void)arg;
    mail = m;
    answered = true;
}

static void take_tlsa(void *arg, struct dns_tlsa_set *s)
{
    (void)arg;
    tlsa = s;
    answered = true;
}

static void wait_for_answer(struct dns *d)
{
    time_t end = time(NULL) + 60;

    while (!answered) {
        struct pollfd p = {.fd = dns_fd(d), .events = POLLIN};

        ck_assert_msg(time(NULL) < end, "no answer");
        poll(&p, 1, 1000);
        dns_process(d);
    }
    answered = false;
}

static struct dns *begin(const struct dns_server *s, const char *anchor, const char *own)
{
    const char *resolvers[] = {s->resolver, NULL};
    struct dns_setup setup = {.resolvers = resolvers, .trust_anchor = anchor, .own_name = own, .seed = 1};
    struct dns *d;
    struct err e;

    ck_assert_msg(dns_new(&d, &setup, &e) == 0, "%s", e.text);
    return d;
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* The server has loaded its zones when it answers for one. */
static void wait_for_server(struct dns_server *s)
{
    time_t end = time(NULL) + 20;

    for (bool up = false; !up; pause_a_little()) {
        struct dns *d;

        ck_assert_msg(time(NULL) < end, "the name server does not answer");
        if (!server_listens(s))
            continue;
        d = begin(s, NULL, NULL); /* a fresh one: failures are remembered */
        ck_assert_ptr_nonnull(dns_ask_mail(d, "two.plain.example", take_mail, NULL));
        wait_for_answer(d);
        up = mail->verdict == DNS_FOUND;
        dns_mail_free(&mail);
        dns_free(&d);
    }
}

static const char *verdict_name(enum dns_verdict v)
{
    static const char *const names[] = {"found", "no-domain", "no-host", "null-mx", "loop", "later"};

    return names[v];
}

static void write_hosts(struct buf *b, const struct dns_mail *m)
{
    char text[ADDR_TEXT];

    for (unsigned i = 0; m->verdict == DNS_FOUND && i < m->host_count; i++) {
        buf_printf(b, "%s%u %s", i ? "; " : "", m->hosts[i].preference, m->hosts[i].name);
        for (unsigned k = 0; k < m->hosts[i].address_count; k++)
            buf_printf(b, " %s", addr_ip_text(&m->hosts[i].addresses[k], text));
    }
}

static char *trim(char *s)
{
    char *end = s + strlen(s);

    while (*s == ' ')
        s++;
    while (end > s && (end[-1] == ' ' || end[-1] == '\n'))
        *--end = '\0';
    return s;
}

static void one_row(struct dns *d, char *line)
{
    char *col[5], *rest = line;
    struct buf hosts = {0};

    for (unsigned i = 0; i < 5; i++) {
        char *c = strsep(&rest, "|");

        ck_assert_ptr_nonnull(c);
        col[i] = trim(c);
    }
    ck_assert_ptr_nonnull(dns_ask_mail(d, col[0], take_mail, NULL));
    wait_for_answer(d);
    write_hosts(&hosts, mail);
    ck_assert_msg(strcmp(verdict_name(mail->verdict), col[1]) == 0, "%s: %s instead of %s (%s)", col[0],
                  verdict_name(mail->verdict), col[1], mail->words ? mail->words : "");
    ck_assert_msg(mail->secure == (*col[2] == 'y'), "%s: secure %d", col[0], mail->secure);
    ck_assert_msg(mail->implicit == (*col[3] == 'y'), "%s: implicit %d", col[0], mail->implicit);
    ck_assert_msg(strcmp(buf_str(&hosts), col[4]) == 0, "%s: %s", col[0], buf_str(&hosts));
    ck_assert_msg(mail->verdict != DNS_LATER || (mail->words && *mail->words), "%s: later, and no word why", col[0]);
    buf_clear(&hosts);
    dns_mail_free(&mail);
}

static void tlsa_of(struct dns *d, const char *host, enum dns_verdict want, unsigned count)
{
    ck_assert_ptr_nonnull(dns_ask_tlsa(d, host, 25, take_tlsa, NULL));
    wait_for_answer(d);
    ck_assert_msg(tlsa->verdict == want && tlsa->count == count, "%s: %s, %u records", host,
                  verdict_name(tlsa->verdict), tlsa->count);
}

static void with_tlsa(struct dns *d)
{
    tlsa_of(d, "mx1.signed.example", DNS_FOUND, 1);
    ck_assert(tlsa->records[0].usage == 3 && tlsa->records[0].selector == 1 && tlsa->records[0].matching == 1);
    ck_assert_uint_eq(tlsa->records[0].len, 32);
    ck_assert_uint_eq(tlsa->records[0].data[31], 31);
    dns_tlsa_set_free(&tlsa);
    tlsa_of(d, "mx2.signed.example", DNS_NO_HOST, 0);
    dns_tlsa_set_free(&tlsa);
    tlsa_of(d, "a.plain.example", DNS_NO_HOST, 0); /* there, and not proven */
    dns_tlsa_set_free(&tlsa);
    tlsa_of(d, "x.servfail.example", DNS_LATER, 0);
    ck_assert_ptr_nonnull(tlsa->words);
    dns_tlsa_set_free(&tlsa);
}

static void table(struct dns *d)
{
    FILE *f = fopen(TESTS_DIR "/tables/dns/mail.txt", "r");
    char line[500];

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f))
        if (*line != '#')
            one_row(d, line);
    fclose(f);
}

static void hosts_alone(struct dns *d)
{
    ck_assert_ptr_nonnull(dns_ask_host(d, "b.plain.example", take_mail, NULL));
    wait_for_answer(d);
    ck_assert_int_eq(mail->verdict, DNS_FOUND);
    ck_assert_uint_eq(mail->hosts[0].address_count, 1);
    ck_assert(!mail->hosts[0].secure);
    dns_mail_free(&mail);
    ck_assert_ptr_nonnull(dns_ask_host(d, "mx2.signed.example", take_mail, NULL));
    wait_for_answer(d);
    ck_assert(mail->hosts[0].secure);
    dns_mail_free(&mail);
    ck_assert_ptr_nonnull(dns_ask_host(d, "nobody.plain.example", take_mail, NULL));
    wait_for_answer(d);
    ck_assert_int_eq(mail->verdict, DNS_NO_HOST);
    dns_mail_free(&mail);
}

/* Forged: the zone is signed with a key that the anchor does not name. */
static void forged(const struct dns_server *s)
{
    char other[160];
    struct dns *d;
    FILE *f;

    snprintf(other, sizeof other, "%s/other", s->dir);
    f = fopen(other, "w");
    fprintf(f, "signed.example. IN DS 12345 13 2 %064d\n", 1);
    fclose(f);
    d = begin(s, other, NULL);
    ck_assert_ptr_nonnull(dns_ask_mail(d, "signed.example", take_mail, NULL));
    wait_for_answer(d);
    ck_assert_msg(mail->verdict == DNS_LATER, "%s", verdict_name(mail->verdict));
    ck_assert_msg(strstr(mail->words, "DNSSEC"), "%s", mail->words);
    dns_mail_free(&mail);
    dns_free(&d);
}

static void in_any_order(const struct dns_server *s)
{
    unsigned first_is_a = 0;

    for (unsigned i = 0; i < 40; i++) {
        const char *resolvers[] = {s->resolver, NULL};
        struct dns_setup setup = {.resolvers = resolvers, .seed = i * 7919};
        struct dns *d;
        struct err e;

        ck_assert_int_eq(dns_new(&d, &setup, &e), 0);
        ck_assert_ptr_nonnull(dns_ask_mail(d, "equal.plain.example", take_mail, NULL));
        wait_for_answer(d);
        ck_assert_uint_eq(mail->host_count, 3);
        first_is_a += strcmp(mail->hosts[0].name, "a.plain.example") == 0;
        dns_mail_free(&mail);
        dns_free(&d);
    }
    ck_assert_msg(first_is_a > 2 && first_is_a < 30, "%u of 40", first_is_a);
}

static void forget(struct dns *d)
{
    struct dns_question *q = dns_ask_mail(d, "two.plain.example", take_mail, NULL);
    struct dns_question *r = dns_ask_tlsa(d, "a.plain.example", 25, take_tlsa, NULL);

    dns_cancel(&q);
    ck_assert_ptr_null(q);
    (void)r; /* goes with the resolver */
}

START_TEST(questions)
{
    struct dns_server s;
    struct dns *d;

    if (!server_start(&s, TESTS_DIR "/tables/dns/signed.zone", TESTS_DIR "/tables/dns/plain.zone"))
        return;
    wait_for_server(&s);
    d = begin(&s, TESTS_DIR "/tables/dns/anchor", "us.plain.example");
    table(d);
    with_tlsa(d);
    hosts_alone(d);
    forget(d);
    dns_free(&d);
    ck_assert(!answered);
    forged(&s);
    in_any_order(&s);
    server_stop(&s);
}
END_TEST

START_TEST(names)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *want;
    } rows[] = {
        {"\1a\2bc\0", 6, "a.bc"}, {"\0", 1, ""},          {"\1A\0", 3, "a"},   {"\1_\0", 3, "_"},  {"", 0, NULL},
        {"\1a", 2, NULL},         {"\1a\0x", 4, NULL},    {"\5ab\0", 4, NULL}, {"\1 \0", 3, NULL}, {"\1.\0", 3, NULL},
        {"\1\n\0", 3, NULL},      {"\300\14\0", 3, NULL}, {"\1\0\0", 3, NULL},
    };
    unsigned char longest[300];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *got = dns_parse_name((const unsigned char *)rows[i].bytes, rows[i].n);

        ck_assert_msg(rows[i].want ? got && strcmp(got, rows[i].want) == 0 : !got, "row %zu: %s", i,
                      got ? got : "NULL");
        free(got);
    }
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = i % 64 ? 'a' : 63;
    longest[256] = 0;
    ck_assert_ptr_null(dns_parse_name(longest, 257));
}
END_TEST

START_TEST(families_in_turn)
{
    static const char *const have[] = {"192.0.2.1:0", "192.0.2.2:0", "192.0.2.3:0", "[2001:db8::1]:0",
                                       "[2001:db8::2]:0"};
    static const char *const want[] = {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"};
    struct dns_host h = {.address_count = 5};
    char text[ADDR_TEXT];
    struct err e;

    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(addr_parse(&h.addresses[i], have[i], &e), 0);
    dns_interleave(&h);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_str_eq(addr_ip_text(&h.addresses[i], text), want[i]);
}
END_TEST

START_TEST(a_resolver_that_is_none)
{
    const char *resolvers[] = {"not an address", NULL};
    struct dns_setup setup = {.resolvers = resolvers};
    struct dns *d = NULL;
    struct err e;

    ck_assert_int_eq(dns_new(&d, &setup, &e), -1);
    ck_assert_ptr_null(d);
    ck_assert_ptr_nonnull(strstr(e.text, "not an address"));
    setup = (struct dns_setup){.trust_anchor = "/no/such/file"};
    ck_assert_int_eq(dns_new(&d, &setup, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "/no/such/file"));
}
END_TEST

SUITE_MAIN("dns", questions, names, families_in_turn, a_resolver_that_is_none)
