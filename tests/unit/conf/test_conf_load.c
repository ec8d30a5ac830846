/* From text to the snapshot: what stands in it after a good load. */
#include "conf/conf.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "conf/conf_idn.h"
#include "unit/suite.h"

#define LISTENER "hostname = \"mx.example.org\"\nlistener \"mx\" { address = \"127.0.0.1:0\" }\n"
#define LOCAL "delivery \"local\" { path = \"/var/mail/%d/%u\" }\n"

/* Files that exist only here: a name and a text, NULL at the end. */
struct files {
    const char *const *list;
};

static int read_files(void *arg, const char *path, char **text, size_t *len, struct err *e)
{
    const struct files *f = arg;

    for (const char *const *p = f->list; p && *p; p += 2) {
        if (strcmp(p[0], path) == 0) {
            *text = mem_str(p[1]);
            *len = strlen(p[1]);
            return 0;
        }
    }
    return err_set(e, "%s: not here", path);
}

static int load_with(struct conf **out, const char *text, const char *const *list, struct conf_problems *p)
{
    struct files f = {list};
    const struct conf_reader reader = {read_files, &f};

    return conf_load(out, "/etc/postern/postern.conf", text, &reader, p);
}

static struct conf *load(const char *text, const char *const *list)
{
    struct conf_problems p = {0};
    struct conf *c = NULL;

    if (load_with(&c, text, list, &p))
        ck_abort_msg("%s", conf_problem_text(&p.list[0]));
    conf_problems_free(&p);
    return c;
}

static const struct conf_address *find(const struct conf *c, const char *domain, const char *local)
{
    for (unsigned d = 0; d < c->domain_count; d++)
        for (unsigned i = 0; strcmp(c->domains[d].name, domain) == 0 && i < c->domains[d].address_count; i++)
            if (strcmp(c->domains[d].addresses[i].local, local) == 0)
                return &c->domains[d].addresses[i];
    return NULL;
}

START_TEST(defaults_are_those_of_the_design)
{
    struct conf *c = load(LISTENER LOCAL "domain \"example.org\" { mailboxes = alice }", NULL);
    const struct conf_limits *l = &c->limits;

    ck_assert_str_eq(c->state_dir, "/var/lib/postern");
    ck_assert_ptr_null(c->user);
    ck_assert_ptr_null(c->worker_user);
    ck_assert(c->workers >= 1 && c->workers <= 8);
    ck_assert(!c->lab && !c->normalize_newlines);
    ck_assert_uint_eq(l->max_message_size, 52428800);
    ck_assert_uint_eq(l->max_recipients, 1000);
    ck_assert_uint_eq(l->max_line, 512);
    ck_assert_uint_eq(l->max_hops, 100);
    ck_assert_uint_eq(l->max_body_line, 0);
    ck_assert_uint_eq(l->command_timeout, 300);
    ck_assert_uint_eq(l->greet_delay_ms, 0);
    ck_assert_uint_eq(l->max_connections, 20000);
    ck_assert_uint_eq(l->session_memory, 1048576);
    ck_assert_uint_eq(l->busy_percent, 80);
    ck_assert_uint_eq(l->busy_timeout, 30);
    ck_assert_uint_eq(l->drain_idle, 60);
    ck_assert_uint_eq(l->shutdown_data_time, 5);
    ck_assert_uint_eq(c->trusted_network_count, 0);
    ck_assert_uint_eq(c->diagnostic_network_count, 2);
    ck_assert(c->log_format == LOG_FORMAT_LOGFMT && c->log_level == LOG_LEVEL_INFO && c->log_target == CONF_LOG_STDERR);
    ck_assert(c->listeners[0].role == CONF_ROLE_MX && c->listeners[0].tls == CONF_TLS_STARTTLS);
    ck_assert(c->listeners[0].without_certificate == CONF_WITHOUT_OMIT && !c->listeners[0].withhold_expired);
    ck_assert_uint_eq(c->listeners[0].tls_where.line, 0);
    ck_assert(!c->listeners[0].certificates_named);
    ck_assert_str_eq(c->listeners[0].hostname, "mx.example.org");
    ck_assert_uint_eq(c->deliveries[0].file_mode, 0600);
    ck_assert_uint_eq(c->deliveries[0].dir_mode, 0700);
    ck_assert_int_eq(c->domains[0].subaddress_separator, '+');
    conf_free(&c);
    ck_assert_ptr_null(c);
}
END_TEST

START_TEST(every_value_arrives)
{
    struct conf *c = load("hostname = MX.Example.ORG\nuser = u group = g worker-user = w workers = 3 lab = on\n"
                          "state-dir = state max-message-size = 1G max-recipients = 2000 "
                          "max-messages-per-session = 0 max-errors = 7\n"
                          "max-line-length = 1000 max-received-hops = 101 max-body-line = 998 command-timeout = "
                          "1h data-timeout = 4m\n"
                          "reply-timeout = 301s session-time = 1d min-rate = 5 greet-delay = 1500ms "
                          "max-connections = 10\n"
                          "max-connections-per-address = 11 max-connections-per-network = 12 session-memory = "
                          "128KiB busy-percent = 50\n"
                          "busy-timeout = 9 drain-idle = 8 shutdown-data-time = 0 bare-newline = normalize\n"
                          "trusted-networks = {\"192.0.2.0/24\", \"2001:db8::/32\"} diagnostic-networks = {}\n"
                          "certificate a { chain = tls/a.pem key = /k } certificate b { chain = \"/c\" key = "
                          "'/k b' }\n"
                          "listener mx { address = {\"127.0.0.1:25\", \"[::1]:25\"} role = mx\n tls = implicit "
                          "certificate = {b, a}\n"
                          " without-certificate = refuse-start expired = withhold require-tls = yes "
                          "no-starttls-for = {\"10.0.0.0/8\"}\n"
                          " hostname = other.example.org }\n"
                          "listener none { address = \"127.0.0.1:26\" tls = off certificate = {} }\n"
                          "log { format = json level = trace target = file file = \"/var/log/x\" }\n"
                          "delivery d { type = maildir path = \"/m/%%/%d/%u\" owner = o group = q file-mode = "
                          "0640 directory-mode = 2750 }\n"
                          "domain example.org { mailboxes = {alice} subaddress-separator = \"\" deliver = d }\n",
                          NULL);
    const struct conf_limits *l = &c->limits;

    ck_assert_str_eq(c->hostname, "mx.example.org");
    ck_assert_str_eq(c->state_dir, "/etc/postern/state");
    ck_assert_str_eq(c->user, "u");
    ck_assert_str_eq(c->group, "g");
    ck_assert_str_eq(c->worker_user, "w");
    ck_assert(c->workers == 3 && c->lab && c->normalize_newlines);
    ck_assert_uint_eq(l->max_message_size, 1073741824);
    ck_assert(l->max_recipients == 2000 && l->max_messages == 0 && l->max_errors == 7 && l->max_line == 1000);
    ck_assert(l->max_hops == 101 && l->max_body_line == 998 && l->command_timeout == 3600 && l->data_timeout == 240);
    ck_assert(l->reply_timeout == 301 && l->session_time == 86400 && l->min_rate == 5 && l->greet_delay_ms == 1500);
    ck_assert(l->max_connections == 10 && l->max_per_address == 11 && l->max_per_network == 12);
    ck_assert(l->session_memory == 131072 && l->busy_percent == 50 && l->busy_timeout == 9 && l->drain_idle == 8);
    ck_assert_uint_eq(l->shutdown_data_time, 0);
    ck_assert(c->trusted_network_count == 2 && c->diagnostic_network_count == 0);
    ck_assert_uint_eq(c->certificate_count, 2);
    ck_assert_str_eq(c->certificates[0].chain_file, "/etc/postern/tls/a.pem");
    ck_assert_str_eq(c->certificates[1].key_file, "/k b");
    ck_assert_uint_eq(c->listeners[0].address_count, 2);
    ck_assert(c->listeners[0].tls == CONF_TLS_IMPLICIT && c->listeners[0].tls_where.line == 11);
    ck_assert_str_eq(c->listeners[0].tls_where.file, "/etc/postern/postern.conf");
    ck_assert_uint_eq(c->listeners[0].where.line, 10);
    ck_assert(c->listeners[0].certificates_named && c->listeners[0].certificate_count == 2);
    ck_assert(c->listeners[0].certificates[0] == 1 && c->listeners[0].certificates[1] == 0);
    ck_assert(c->listeners[0].without_certificate == CONF_WITHOUT_REFUSE_START && c->listeners[0].withhold_expired);
    ck_assert(c->listeners[0].require_tls && c->listeners[0].no_starttls_for_count == 1);
    ck_assert_str_eq(c->listeners[0].hostname, "other.example.org");
    ck_assert(c->listeners[1].certificates_named && c->listeners[1].certificate_count == 0);
    ck_assert(c->log_format == LOG_FORMAT_JSON && c->log_level == LOG_LEVEL_TRACE && c->log_target == CONF_LOG_FILE);
    ck_assert_str_eq(c->log_file, "/var/log/x");
    ck_assert_str_eq(c->deliveries[0].owner, "o");
    ck_assert_str_eq(c->deliveries[0].group, "q");
    ck_assert(c->deliveries[0].file_mode == 0640 && c->deliveries[0].dir_mode == 02750);
    ck_assert_str_eq(c->mailboxes[0].path, "/m/%/example.org/alice");
    ck_assert_int_eq(c->domains[0].subaddress_separator, 0);
    conf_free(&c);
}
END_TEST

START_TEST(domains_are_a_labels_and_sorted)
{
    struct conf *c = load(LISTENER LOCAL "domain \"Zoo.example\" { mailboxes = {a} }\n"
                                         "domain \"B\xc3\x9c"
                                         "cher.Example.\" { mailboxes = {b} }\n"
                                         "domain \"alpha.example\" { mailboxes = {c} }\n",
                          NULL);

    ck_assert_uint_eq(c->domain_count, 3);
    ck_assert_str_eq(c->domains[0].name, "alpha.example");
    ck_assert_str_eq(c->domains[1].name, "xn--bcher-kva.example");
    ck_assert_str_eq(c->domains[2].name, "zoo.example");
    ck_assert_str_eq(c->mailboxes[1].path, "/var/mail/xn--bcher-kva.example/b");
    conf_free(&c);
}
END_TEST

START_TEST(aliases_stand_for_mailboxes)
{
    struct conf *c =
        load(LISTENER LOCAL "domain \"example.org\" { mailboxes = {\"Alice\", \"bob\"} catch-all = \"all\"\n"
                            " aliases = {\"postmaster=ALICE\", \"team = alice , bob\", "
                            "\"all=team,postmaster,bob,carol@Example.NET\"} }\n"
                            "domain \"example.net\" { mailboxes = {\"carol\"} aliases = "
                            "{\"back=all@example.org\"} catch-all = carol }\n",
             NULL);
    const struct conf_address *all = find(c, "example.org", "all"), *back = find(c, "example.net", "back");

    ck_assert_uint_eq(all->mailbox_count, 3); /* each once */
    ck_assert_str_eq(c->mailboxes[all->mailboxes[0]].local, "alice");
    ck_assert_str_eq(c->mailboxes[all->mailboxes[1]].local, "bob");
    ck_assert_str_eq(c->mailboxes[all->mailboxes[2]].domain, "example.net");
    ck_assert_uint_eq(back->mailbox_count, 3);
    ck_assert_uint_eq(find(c, "example.org", "alice")->mailbox_count, 1);
    ck_assert_ptr_null(find(c, "example.org", "carol"));
    ck_assert_str_eq(c->domains[1].name, "example.org");
    ck_assert_uint_eq(c->domains[1].catch_all->mailbox_count, 3);
    ck_assert_str_eq(c->domains[1].catch_all->local, "");
    for (unsigned i = 1; i < c->domains[1].address_count; i++)
        ck_assert_int_lt(strcmp(c->domains[1].addresses[i - 1].local, c->domains[1].addresses[i].local), 0);
    conf_free(&c);
}
END_TEST

START_TEST(postmaster_is_always_somebody)
{
    static const struct {
        const char *domains, *who;
    } rows[] = {
        {"domain a.org { mailboxes = {x} } domain example.org { mailboxes = {y, z} aliases = "
         "{\"postmaster=z\"} }",
         "z"},
        {"domain a.org { mailboxes = {x, postmaster} } domain b.org { mailboxes = {y} aliases = "
         "{\"postmaster=y\"} }",
         "postmaster"},
        {"domain a.org { mailboxes = {x} } domain b.org { mailboxes = {y} aliases = "
         "{\"postmaster=y\"} }",
         "y"},
        {"domain a.org { mailboxes = {x} } domain b.org { mailboxes = {y} }", "x"},
        {"domain a.org { mailboxes = {} } domain b.org { mailboxes = {y} }", "y"},
        {"domain a.org { mailboxes = {} }", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = mem_printf("%s%s%s", LISTENER LOCAL, rows[i].domains, "\n");
        struct conf *c = load(text, NULL);

        if (rows[i].who)
            ck_assert_str_eq(c->mailboxes[c->postmaster].local, rows[i].who);
        else
            ck_assert_uint_eq(c->postmaster, UINT_MAX);
        conf_free(&c);
        free(text);
    }
}
END_TEST

START_TEST(lists_come_from_files)
{
    static const char *const files[] = {"/etc/postern/people",
                                        "\xef\xbb\xbf# people\r\nDora\r\n\r\n  emil # comment\r\nlast",
                                        "/etc/postern/aliases",
                                        "# a\nboth = dora, emil\npostmaster=both\n",
                                        "/etc/postern/conf.d/more.conf",
                                        "domain \"more.org\" { mailbox-file = \"list\" }\n",
                                        "/etc/postern/conf.d/list",
                                        "fritz",
                                        NULL};
    struct conf *c =
        load(LISTENER LOCAL "domain example.org { mailboxes = {alice} mailbox-file = people alias-file = aliases }\n"
                            "include(\"conf.d/more.conf\")\n",
             files);

    ck_assert_uint_eq(c->mailbox_count, 5);
    ck_assert_ptr_nonnull(find(c, "example.org", "dora"));
    ck_assert_ptr_nonnull(find(c, "example.org", "emil"));
    ck_assert_ptr_nonnull(find(c, "example.org", "last"));
    ck_assert_uint_eq(find(c, "example.org", "both")->mailbox_count, 2);
    ck_assert_ptr_nonnull(find(c, "more.org", "fritz"));
    ck_assert_str_eq(c->domains[1].where.file, "/etc/postern/conf.d/more.conf");
    conf_free(&c);
}
END_TEST

START_TEST(a_list_that_cannot_be_read_makes_the_domain_unavailable)
{
    struct conf_problems p = {0};
    struct conf *c = NULL;

    ck_assert_int_eq(load_with(&c,
                               LISTENER LOCAL
                               "domain example.org { mailboxes = {alice} mailbox-file = gone catch-all = dora\n"
                               " aliases = {\"a=dora\", \"b=dora,alice\", \"c=b\"} }\n"
                               "domain example.net { mailboxes = {x} aliases = {\"far=dora@example.org\"} }",
                               NULL, &p),
                     0);
    ck_assert(p.count == 1 && p.list[0].warning && p.errors == 0);
    ck_assert(c->domains[1].unavailable && !c->domains[0].unavailable);
    ck_assert_ptr_nonnull(find(c, "example.org", "alice"));
    ck_assert_ptr_null(find(c, "example.org", "a")); /* stands for nobody known now: 451, not 550 */
    ck_assert_uint_eq(find(c, "example.org", "c")->mailbox_count, 1);
    ck_assert_ptr_null(find(c, "example.net", "far"));
    ck_assert_ptr_null(c->domains[1].catch_all);
    conf_free(&c);
    conf_problems_free(&p);
}
END_TEST

START_TEST(the_environment_is_read)
{
    struct conf *c;

    setenv("POSTERN_TEST_A", "from-env", 1);
    unsetenv("POSTERN_TEST_B");
    c = load(LISTENER LOCAL "user = \"${POSTERN_TEST_A}\" group = \"a${POSTERN_TEST_B:-b}c\" "
                            "worker-user = '${POSTERN_TEST_B}'\n",
             NULL);
    ck_assert_str_eq(c->user, "from-env");
    ck_assert_str_eq(c->group, "abc");
    ck_assert_str_eq(c->worker_user, "${POSTERN_TEST_B}");
    conf_free(&c);
}
END_TEST

START_TEST(the_sample_loads_without_a_word)
{
    const struct conf_reader disk = {conf_read_disk, NULL};
    struct conf_problems p = {0};
    struct conf *c = NULL;
    char *text;
    size_t len;
    struct err e;

    ck_assert_int_eq(conf_read_disk(NULL, TESTS_DIR "/../conf/postern.conf", &text, &len, &e), 0);
    if (conf_load(&c, "/etc/postern/postern.conf", text, &disk, &p) || p.count)
        ck_abort_msg("%s", conf_problem_text(&p.list[0]));
    ck_assert(c->listener_count == 1 && c->listeners[0].address_count == 2 && c->mailbox_count == 2);
    conf_free(&c);
    free(text);
}
END_TEST

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 100,000 mailboxes in a file, as many aliases, and 10,000 in the text itself. The limit is far
 * above what it takes (0.3 s, ten times that under sanitizers) and far below what a quadratic pass
 * would take. */
START_TEST(a_hundred_thousand_mailboxes_load_at_once)
{
    struct buf people = {0}, aliases = {0}, text = {0};
    double began = seconds();
    struct conf *c;

    buf_printf(&text,
               "%s%sdomain example.org { mailbox-file = people alias-file = aliases }\ndomain "
               "example.net { mailboxes = {\"first\"",
               LISTENER, LOCAL);
    for (unsigned i = 0; i < 100000; i++) {
        buf_printf(&people, "user%u\n", i * 7919 % 100000);
        buf_printf(&aliases, "alias%u = user%u, user%u\n", i, i, (i + 1) % 100000);
        if (i < 10000)
            buf_printf(&text, ",\n \"n%u\"", i);
    }
    buf_printf(&text, "} }\n");
    c = load(buf_str(&text), (const char *const[]){"/etc/postern/people", buf_str(&people), "/etc/postern/aliases",
                                                   buf_str(&aliases), NULL});
    ck_assert_uint_eq(c->mailbox_count, 110001);
    ck_assert_uint_eq(c->domains[1].address_count, 200000);
    ck_assert_msg(seconds() - began < 10, "%.1f s", seconds() - began);
    conf_free(&c);
    buf_clear(&people);
    buf_clear(&aliases);
    buf_clear(&text);
}
END_TEST

static unsigned errors_of(const char *text, const char *const *files)
{
    struct conf_problems p = {0};
    struct conf *c = NULL;
    unsigned errors;

    load_with(&c, text, files, &p);
    errors = p.errors;
    conf_free(&c);
    conf_problems_free(&p);
    return errors;
}

/* What would eat memory or stack ends with a sentence. */
START_TEST(extremes_are_refused)
{
    struct buf chain = {0}, fan = {0}, big = {0}, nest = {0};

    for (unsigned i = 0; i < 100000; i++)
        buf_printf(&chain, "a%u=a%u\n", i, i + 1);
    ck_assert_uint_ge(errors_of(LISTENER LOCAL "domain example.org { mailboxes = {a100000} alias-file = f }",
                                (const char *const[]){"/etc/postern/f", buf_str(&chain), NULL}),
                      1);
    for (unsigned i = 0; i < 2100; i++)
        buf_printf(&big, "u%u\n", i);
    for (unsigned i = 0; i < 2100; i++) {
        buf_printf(&fan, "x%u=u0", i);
        for (unsigned k = 1; k < 2100; k++)
            buf_printf(&fan, ",u%u", k);
        buf_printf(&fan, "\n");
    }
    ck_assert_uint_ge(
        errors_of(LISTENER LOCAL "domain example.org { mailbox-file = u alias-file = f }",
                  (const char *const[]){"/etc/postern/u", buf_str(&big), "/etc/postern/f", buf_str(&fan), NULL}),
        1);
    for (unsigned i = 0; i < 100000; i++)
        buf_printf(&nest, "listener \"mx\" {");
    ck_assert_uint_ge(errors_of(buf_str(&nest), NULL), 20);
    buf_clear(&nest);
    for (unsigned i = 0; i < 100000; i++)
        buf_printf(&nest, "\"${x} \\999 \x01\n");
    ck_assert_uint_le(errors_of(buf_str(&nest), NULL), 102);
    buf_clear(&big);
    for (unsigned i = 0; i < 1000000; i++)
        buf_printf(&big, "# five\n");
    ck_assert_uint_ge(errors_of(buf_str(&big), NULL), 1);
    buf_clear(&chain);
    buf_clear(&fan);
    buf_clear(&big);
    buf_clear(&nest);
}
END_TEST

static char *state_dir_of(const char *text, struct err *e)
{
    char path[] = "/tmp/postern-conf-XXXXXX", *dir;
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    dir = conf_state_dir_only(path, e);
    unlink(path);
    return dir;
}

START_TEST(state_dir_is_found_in_broken_files)
{
    static const struct {
        const char *text, *dir;
    } rows[] = {
        {"", "/var/lib/postern"},
        {"state-dir = \"/a b\"", "/a b"},
        {"} } { listener \"mx { tls = \nstate-dir = /x/y # c\n \"", "/x/y"},
        {"listner { state-dir = relative }", "/tmp/relative"},
        {"# state-dir = \"/no\"\nstate-dir = '/yes'", "/yes"},
        {"state-dir = \"/\\x61\\\"\"", "/a\""},
        {"state-dir = \"${POSTERN_TEST_UNSET}\"", NULL},
        {"state-dir = \"\"", NULL},
    };
    struct err e;

    unsetenv("POSTERN_TEST_UNSET");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *dir = state_dir_of(rows[i].text, &e);

        if (rows[i].dir)
            ck_assert_str_eq(dir ? dir : e.text, rows[i].dir);
        else
            ck_assert_ptr_null(dir);
        free(dir);
    }
    ck_assert_ptr_null(conf_state_dir_only("/nonexistent/postern.conf", &e));
    ck_assert_ptr_nonnull(strstr(e.text, "/nonexistent/postern.conf"));
}
END_TEST

START_TEST(only_regular_text_files_are_read)
{
    char *text = NULL;
    size_t len;
    struct err e;

    ck_assert_int_eq(conf_read_disk(NULL, "/dev/zero", &text, &len, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "not a regular file"));
    ck_assert_int_eq(conf_read_disk(NULL, "/tmp", &text, &len, &e), -1);
    ck_assert_int_eq(conf_read_disk(NULL, "/proc/self/exe", &text, &len, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "NUL"));
}
END_TEST

START_TEST(a_labels)
{
    static const struct {
        const char *name, *ascii;
    } rows[] = {
        {"Example.ORG", "example.org"},
        {"example.org.", "example.org"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example"},
        {"B\xc3\x9c"
         "CHER.example",
         "xn--bcher-kva.example"},
        {"stra\xc3\x9f"
         "e.example",
         "xn--strae-oqa.example"}, /* not transitional */
        {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
        {"a.b-c.d1", "a.b-c.d1"},
        {"", NULL},
        {".", NULL},
        {"..", NULL},
        {"a..b", NULL},
        {"-a.b", NULL},
        {"a-.b", NULL},
        {"a_b.c", NULL},
        {"a b", NULL},
        {"[127.0.0.1]", NULL},
        {"a.\xff", NULL},
        {"\xe2\x80\xa8.b", NULL},
    };
    char out[CONF_IDN_LEN], longest[300] = "";
    struct err e;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rc = conf_idn_ascii(out, span_str(rows[i].name), &e);

        ck_assert_msg((rc == 0) == (rows[i].ascii != NULL), "%s", rows[i].name);
        if (rows[i].ascii)
            ck_assert_str_eq(out, rows[i].ascii);
    }
    for (int i = 0; i < 126; i++)
        memcpy(longest + i * 2, "a.", 2);
    memcpy(longest + 252, "a", 2);
    ck_assert_int_eq(conf_idn_ascii(out, span_str(longest), &e), 0);
    memcpy(longest + 252, "aa", 3);
    ck_assert_int_eq(conf_idn_ascii(out, span_str(longest), NULL), -1);
}
END_TEST

SUITE_MAIN("conf_load", defaults_are_those_of_the_design, every_value_arrives, domains_are_a_labels_and_sorted,
           aliases_stand_for_mailboxes, postmaster_is_always_somebody, lists_come_from_files,
           a_list_that_cannot_be_read_makes_the_domain_unavailable, the_environment_is_read,
           the_sample_loads_without_a_word, a_hundred_thousand_mailboxes_load_at_once, extremes_are_refused,
           state_dir_is_found_in_broken_files, only_regular_text_files_are_read, a_labels)
