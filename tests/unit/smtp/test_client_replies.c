/* tests/tables/client_replies.txt, row by row: a connection is brought to where the reply belongs.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/client.h"
#include "unit/suite.h"

#define COLUMNS 6

static const struct smtp_client_profile profile = {.hostname = "relay.example.test"};
static const struct smtp_client_rcpt rcpt = {.address = "b@example.test"};
static const struct smtp_client_message message = {
    .sender = "a@example.org", .rcpts = &rcpt, .rcpt_count = 1, .size = 2};

struct seen {
    bool result, failed;
    char outcome[32], code[8], enhanced[16], text[1200];
};

static void expand(struct buf *out, const char *s)
{
    for (; *s; s++) {
        char c = *s;
        unsigned n;

        if (sscanf(s, "\\x%2x", &n) == 1) {
            c = (char)n;
            s += 3;
        } else if (s[0] == '\\' && s[1]) {
            s++;
            c = *s == 'r' ? '\r' : *s == 'n' ? '\n' : *s == 't' ? '\t' : *s;
        }
        buf_append(out, &c, 1);
    }
}

static void see(struct seen *seen, const struct smtp_client_action *a)
{
    static const char *const outcomes[] = {"ok", "temporary", "permanent", "untried"};

    if (a->kind == SMTP_CLIENT_FAILED && a->failure != SMTP_CLIENT_SERVER_CLOSING)
        snprintf(seen->outcome, sizeof seen->outcome, "%s", smtp_client_failure_name(a->failure));
    if (a->kind != SMTP_CLIENT_RCPT_RESULT)
        return;
    ck_assert(!seen->result);
    seen->result = true;
    snprintf(seen->outcome, sizeof seen->outcome, "%s", outcomes[a->outcome]);
    snprintf(seen->code, sizeof seen->code, "%u", a->reply.code);
    snprintf(seen->enhanced, sizeof seen->enhanced, "%s", a->reply.enhanced);
    text_escape(seen->text, sizeof seen->text, a->reply.text);
}

/* Until the server's bytes are needed. */
static enum smtp_client_action_kind drain(struct smtp_client *c, struct seen *seen)
{
    struct smtp_client_action a;

    for (;;) {
        smtp_client_next(c, &a);
        if (a.kind == SMTP_CLIENT_READY && smtp_client_transactions(c) == 0)
            smtp_client_message(c, &message);
        else if (a.kind == SMTP_CLIENT_NEED_CONTENT)
            smtp_client_content(c, "x\n", 2);
        else if (a.kind == SMTP_CLIENT_NEED_INPUT || a.kind == SMTP_CLIENT_READY || a.kind == SMTP_CLIENT_CLOSE)
            return a.kind;
        else
            see(seen, &a);
    }
}

static void feed(struct smtp_client *c, struct seen *seen, const char *p, size_t n)
{
    while (n) {
        size_t took = smtp_client_feed(c, p, n);

        ck_assert_uint_gt(took, 0);
        p += took;
        n -= took;
        drain(c, seen);
    }
}

static void lead_to(struct smtp_client *c, struct seen *seen, const char *command)
{
    static const char *const said[] = {"220 x\r\n", "250 x\r\n", "250 MAIL\r\n", "250 RCPT\r\n", "354 DATA\r\n"};
    static const char *const commands[] = {"", "", "MAIL", "RCPT", "DATA"};

    drain(c, seen);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        if (!strcmp(commands[i], command))
            return;
        feed(c, seen, said[i], strlen(said[i]));
    }
}

static void check_row(unsigned line, char *const c[COLUMNS])
{
    struct smtp_client *client = smtp_client_new(&profile);
    struct seen seen = {0};
    struct buf reply = {0};
    const char *text = strcmp(c[5], "\"\"") ? c[5] : "";

    lead_to(client, &seen, c[0]);
    expand(&reply, c[1]);
    feed(client, &seen, buf_data(&reply), reply.len);
    if (strcmp(seen.outcome, c[2]) || strcmp(seen.code, c[3]) || strcmp(seen.enhanced, c[4]) ||
        (strcmp(text, "*") && strcmp(text, seen.text)))
        ck_abort_msg("client_replies.txt:%u: %s|%s|%s|%s", line, seen.outcome, seen.code, seen.enhanced, seen.text);
    buf_clear(&reply);
    smtp_client_free(&client);
}

START_TEST(table)
{
    FILE *f = fopen(TESTS_DIR "/tables/client_replies.txt", "r");
    char line[1024];
    unsigned number = 0, rows = 0;

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        char *columns[COLUMNS], *p;
        unsigned n = 0;

        number++;
        line[strcspn(line, "\n")] = '\0';
        if (!line[0] || line[0] == '#')
            continue;
        for (p = strtok(line, "\t"); p && n < COLUMNS; p = strtok(NULL, "\t"))
            columns[n++] = p;
        ck_assert_msg(n == COLUMNS, "client_replies.txt:%u: %u columns", number, n);
        check_row(number, columns);
        rows++;
    }
    fclose(f);
    ck_assert_uint_gt(rows, 50);
}
END_TEST

SUITE_MAIN("client replies", table)
