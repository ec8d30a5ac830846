/* Where mail goes: the deliveries, their path templates and next hops. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_build.h"
#include "conf/conf_idn.h"

#define PORT_SMTP 25
#define PORT_LMTP 24 /* IANA; nobody's default */

bool conf_delivery_uses(const char *path, char what)
{
    if (!path)
        return true; /* nothing is shared where nothing is kept */
    for (const char *p = path; (p = strchr(p, '%')) != NULL && p[1]; p += 2)
        if (p[1] == what)
            return true;
    return false;
}

static void check_path(const struct conf_building *b, const struct conf_raw_section *sec, const struct conf_delivery *d)
{
    const struct conf_raw_setting *s = conf_raw_find(sec, "path");

    if (!s || !d->path)
        return;
    for (const char *p = d->path; *p; p++) {
        if (*p != '%')
            continue;
        p++;
        if (*p != 'u' && *p != 'd' && *p != '%') {
            conf_build_error(b, s, 0, "%d is the domain, %u the mailbox, %% a percent sign",
                             "unknown \"%%%.1s\" in the path", p);
            return;
        }
    }
    if (!conf_delivery_uses(d->path, 'u'))
        conf_build_error(b, s, 0, "write for example /var/mail/%d/%u",
                         "without %%u all mailboxes would share one directory");
}

char *conf_delivery_path(struct conf *c, const struct conf_delivery *d, const char *local, const char *domain)
{
    size_t n = 1, nl = strlen(local), nd = strlen(domain);
    char *out, *to;

    if (!d->path)
        return conf_keep_text(c, "");
    for (const char *p = d->path; *p; p++)
        n += *p != '%' ? 1 : p[1] == 'u' ? nl : p[1] == 'd' ? nd : 1;
    to = out = conf_keep(c, n);
    for (const char *p = d->path; *p; p++) {
        if (*p != '%') {
            *to++ = *p;
            continue;
        }
        p++;
        if (*p == '\0') /* refused by check_path() */
            break;
        memcpy(to, *p == 'u' ? local : *p == 'd' ? domain : "%", *p == 'u' ? nl : *p == 'd' ? nd : 1);
        to += *p == 'u' ? nl : *p == 'd' ? nd : 1;
    }
    return out;
}

/* ---- the next hop */

/* "mail.example.net", "mail.example.net:587": what is no number. */
static int host_and_port(const struct conf_building *b, struct conf_delivery *d, const char *text, struct err *e)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    uint64_t port = d->type == CONF_DELIVERY_LMTP ? PORT_LMTP : PORT_SMTP;
    char host[CONF_IDN_LEN];

    if (colon && (!text_u64(span_str(colon + 1), &port) || port < 1 || port > 65535))
        return err_set(e, "\"%s\" is not a port", colon + 1);
    if (conf_idn_ascii(host, (struct span){text, n}, e))
        return -1;
    d->next.host = conf_keep_text(b->conf, host);
    d->next.port = (uint16_t)port;
    return 0;
}

/* Made of figures, dots and colons, or in brackets: an address, and if it cannot be one, a mistake. */
static bool looks_numeric(const char *text)
{
    return *text == '[' || text[strspn(text, "0123456789.:")] == '\0';
}

static void next_address(const struct conf_building *b, const struct conf_raw_section *sec, struct conf_delivery *d)
{
    const struct conf_raw_setting *s = conf_raw_find(sec, "address");
    const char *text;
    struct err e = {""};
    bool wrong;

    if (!s || s->bad)
        return;
    text = s->values[0].text;
    wrong = strncmp(text, "unix:", 5) == 0 || looks_numeric(text) ? addr_parse(&d->next.address, text, &e) < 0
                                                                  : host_and_port(b, d, text, &e) < 0;
    if (wrong)
        conf_build_error(b, s, 0, "write for example \"192.0.2.5:25\", \"mail.example.net:587\" or \"unix:/run/lmtp\"",
                         "%s", e.text);
    else if (!d->next.host && d->next.address.ss.ss_family != AF_UNIX && addr_port(&d->next.address) == 0)
        conf_build_error(b, s, 0, NULL, "\"%s\": port 0 is no place to connect to", text);
}

static bool is_local_socket(const struct conf_delivery *d)
{
    return d->next.address.ss.ss_family == AF_UNIX;
}

static void choose_tls(const struct conf_building *b, const struct conf_raw_section *sec, struct conf_delivery *d)
{
    const struct conf_raw_setting *tls = conf_raw_find(sec, "tls"), *user = conf_raw_find(sec, "user");
    struct conf_next_hop *n = &d->next;

    if (n->tls == CONF_NEXT_TLS_UNSET)
        n->tls = d->type == CONF_DELIVERY_MX ? CONF_NEXT_TLS_DANE
                 : is_local_socket(d)        ? CONF_NEXT_TLS_NONE
                 : n->user                   ? CONF_NEXT_TLS_VERIFY
                                             : CONF_NEXT_TLS_MAY;
    if (n->tls == CONF_NEXT_TLS_DANE && tls && d->type != CONF_DELIVERY_MX && !n->host)
        conf_build_error(b, tls, 0, "name the host, or write tls = verify",
                         "TLSA records belong to a name, not to a number");
    if (n->tls == CONF_NEXT_TLS_VERIFY && (tls || user) && d->type != CONF_DELIVERY_MX && !n->host && !n->tls_name)
        conf_build_error(b, tls ? tls : user, 0, "write tls-name = NAME", "an address has no name to verify");
    if (n->user && user && n->tls != CONF_NEXT_TLS_VERIFY && !is_local_socket(d))
        conf_build_error(b, user, 0, "write tls = verify",
                         "a password goes only to a server whose certificate is verified");
    if (n->implicit_tls && n->tls == CONF_NEXT_TLS_NONE)
        conf_build_error(b, conf_raw_find(sec, "implicit-tls"), 0, "remove one", "implicit TLS, and tls = none");
    if (n->implicit_tls && n->tls == CONF_NEXT_TLS_MAY)
        n->tls = CONF_NEXT_TLS_REQUIRED; /* there is no other way to speak to it */
}

/* Only tried: whoever needs the password reads it itself, so that it is nowhere else. */
static void try_password(const struct conf_building *b, const struct conf_raw_setting *s)
{
    char *path = conf_path_join(s->file, s->values[0].text), *text = NULL;
    struct err e = {""};
    size_t len = 0;

    if (b->reader->read(b->reader->arg, path, &text, &len, &e) < 0)
        conf_build_error(b, s, 0, NULL, "%s", e.text);
    else if (strcspn(text, "\r\n") == 0)
        conf_build_error(b, s, 0, "write the password into the first line", "%s: the first line is empty", path);
    if (text)
        explicit_bzero(text, len);
    free(text);
    free(path);
}

/* Kept by whoever reads for us; what is in it is judged by those who know certificates. */
static void try_ca(const struct conf_building *b, const struct conf_raw_section *sec)
{
    const struct conf_raw_setting *s = conf_raw_find(sec, "ca-file");
    char *path, *text = NULL;
    struct err e = {""};
    size_t len = 0;

    if (!s || s->bad)
        return;
    path = conf_path_join(s->file, s->values[0].text);
    if (b->reader->read(b->reader->arg, path, &text, &len, &e) < 0)
        conf_build_error(b, s, 0, NULL, "%s", e.text);
    free(text);
    free(path);
}

static void pair(const struct conf_building *b, const struct conf_raw_section *sec)
{
    const struct conf_raw_setting *user = conf_raw_find(sec, "user"), *password = conf_raw_find(sec, "password-file");

    if (user && !password)
        conf_build_error(b, user, 0, "add password-file", "a user without a password");
    if (password && !user)
        conf_build_error(b, password, 0, "add user", "a password without a user");
    if (password && !password->bad)
        try_password(b, password);
}

/* ---- which options fit which type */

#define BIT(type) (1u << (type))

static void fitting(const struct conf_building *b, const struct conf_raw_section *sec, const struct conf_delivery *d)
{
    static const unsigned maildir = BIT(CONF_DELIVERY_MAILDIR), hop = BIT(CONF_DELIVERY_LMTP) | BIT(CONF_DELIVERY_SMTP),
                          away = hop | BIT(CONF_DELIVERY_MX);
    static const struct {
        const char *option;
        unsigned types, needed;
    } rows[] = {
        {"path", maildir, maildir},     {"owner", maildir, 0}, {"group", maildir, 0}, {"file-mode", maildir, 0},
        {"directory-mode", maildir, 0}, {"address", hop, hop}, {"tls", away, 0},      {"implicit-tls", hop, 0},
        {"tls-name", hop, 0},           {"ca-file", away, 0},  {"user", hop, 0},      {"password-file", hop, 0},
    };
    const char *type = conf_option_find(CONF_DELIVERY, "type")->words[d->type];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct conf_raw_setting *s = conf_raw_find(sec, rows[i].option);

        if (s && !(rows[i].types & BIT(d->type)))
            conf_build_error(b, s, UINT_MAX, "remove it, or choose another type", "type = %s has no use for it", type);
        else if (!s && rows[i].needed & BIT(d->type))
            conf_problem_add(b->p, false, sec->file, sec->line, rows[i].option, NULL, "delivery \"%s\" needs it",
                             d->title);
    }
}

static void build(const struct conf_building *b, const struct conf_raw_section *sec, struct conf_delivery *d)
{
    struct conf *c = b->conf;

    d->title = conf_keep_text(c, sec->title);
    d->where = (struct conf_where){conf_keep_text(c, sec->file), sec->line};
    d->next.tls = CONF_NEXT_TLS_UNSET;
    conf_value_fill(b, sec, d);
    fitting(b, sec, d);
    if (d->type == CONF_DELIVERY_MAILDIR) {
        check_path(b, sec, d);
        if (!d->path)
            d->path = "/%d/%u"; /* reported; never used, since there is an error */
        return;
    }
    d->path = NULL;
    next_address(b, sec, d);
    choose_tls(b, sec, d);
    try_ca(b, sec);
    pair(b, sec);
}

void conf_delivery_build(const struct conf_building *b)
{
    struct conf *c = b->conf;
    const struct conf_raw_section **list = conf_build_sections(b, CONF_DELIVERY, &c->delivery_count);

    c->deliveries = conf_keep(c, c->delivery_count * sizeof *c->deliveries);
    for (unsigned i = 0; i < c->delivery_count; i++)
        build(b, list[i], &c->deliveries[i]);
    free(list);
}
