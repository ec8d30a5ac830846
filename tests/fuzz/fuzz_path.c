/* Paths, parameters and the trace fields made from them: slices stay inside what was parsed, what
 * was good once is good again, and no peer can break a header line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/mail_params.h"
#include "smtp/mail_path.h"
#include "smtp/received.h"

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static void inside(struct span part, struct span all)
{
    MUST(part.p >= all.p && part.p + part.n <= all.p + all.n);
}

/* "<" mailbox ">" by itself must parse to the same. */
static void again(const struct mail_path *path, enum mail_path_kind kind)
{
    size_t n = path->mailbox.n + 2;
    char *text = mem_alloc(n);
    struct mail_path second;

    text[0] = '<';
    memcpy(text + 1, path->mailbox.p, path->mailbox.n);
    text[n - 1] = '>';
    MUST(mail_path_parse(&second, (struct span){text, n}, kind) == MAIL_PATH_OK);
    MUST(second.used == n && second.mailbox.n == path->mailbox.n);
    MUST(second.local.n == path->local.n && second.domain.n == path->domain.n);
    free(text);
}

static void check_path(struct span text, enum mail_path_kind kind)
{
    struct mail_path path;
    struct smtp_mail_params params;
    struct smtp_rcpt_params rcpt;
    char *local;

    if (mail_path_parse(&path, text, kind) != MAIL_PATH_OK)
        return;
    MUST(path.used >= 2 && path.used <= text.n && text.p[path.used - 1] == '>');
    inside(path.mailbox, text);
    inside(path.local, path.mailbox);
    inside(path.domain, path.mailbox);
    MUST(kind == MAIL_PATH_REVERSE || (path.local.n && path.local.n <= 64 && path.mailbox.n <= 254));
    local = mem_alloc(path.local.n);
    MUST(mail_path_unquote(local, path.local) <= path.local.n);
    free(local);
    again(&path, kind);
    mail_params_parse(&params, (struct span){text.p + path.used, text.n - path.used},
                      &(struct mail_params_offers){true, true, true, true});
    mail_params_rcpt(&rcpt, (struct span){text.p + path.used, text.n - path.used}, true);
}

/* Six lines, and each that is not the first of its field begins with a tab. */
static void check_header(struct peer_text t, bool tls, bool utf8)
{
    struct received_facts f = {.sender = t,
                               .hello = t,
                               .only_rcpt = t,
                               .client_ip = "192.0.2.1",
                               .by = "mx.example.test",
                               .esmtp = true,
                               .tls = tls,
                               .smtputf8 = utf8,
                               .tls_version = "TLSv1.3",
                               .tls_cipher = "X",
                               .id = "1",
                               .date = "today"};
    struct buf b = {0};
    unsigned lines = 0;

    received_return_path(&b, &f);
    received_write(&b, &f);
    for (size_t i = 0; i < b.len; i++) {
        unsigned char c = (unsigned char)buf_data(&b)[i];

        MUST(c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f) || (utf8 && c >= 0x80));
        MUST(c != '\t' || buf_data(&b)[i - 1] == '\n');
        if (c != '\n')
            continue;
        lines++;
        MUST(lines == 1 || i + 1 == b.len || buf_data(&b)[i + 1] == '\t');
    }
    MUST(lines == 5u + (t.n > 0) + tls);
    buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = mem_alloc(size); /* exact, so that a byte read behind it is seen */
    struct span text = {copy, size};

    if (size)
        memcpy(copy, data, size);
    check_path(text, MAIL_PATH_REVERSE);
    check_path(text, MAIL_PATH_FORWARD);
    check_header((struct peer_text){copy, size}, size & 1, size & 2);
    free(copy);
    return 0;
}
