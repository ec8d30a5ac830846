#include "smtp/mail_params.h"

#include <string.h>

#define ENVID_MAX 100  /* RFC 3461 4.4 */
#define ORCPT_MAX 500  /* RFC 3461 4.2 */
#define SIZE_DIGITS 20 /* RFC 1870 4: size-value ::= 1*20DIGIT */

struct param {
    struct span key, value;
    bool has_value;
};

static bool is_keyword(struct span s)
{
    if (s.n == 0 || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = (char)(s.p[i] | 0x20);

        if (!(c >= 'a' && c <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-')
            return false;
    }
    return true;
}

/* esmtp-value = 1*(%d33-60 / %d62-126) */
static bool is_value(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 33 || s.p[i] > 126 || s.p[i] == '=')
            return false;
    return s.n > 0;
}

/* Takes the next parameter from *rest. 1: one. 0: no more. -1: syntax. */
static int next_param(struct span *rest, struct param *out)
{
    const char *p = rest->p, *end = p + rest->n, *equals;

    if (rest->n == 0)
        return 0;
    if (*p != ' ')
        return -1; /* "<a@b.example>SIZE=1" */
    while (p < end && *p == ' ')
        p++;
    rest->p = memchr(p, ' ', (size_t)(end - p));
    if (!rest->p)
        rest->p = end;
    rest->n = (size_t)(end - rest->p);
    equals = memchr(p, '=', (size_t)(rest->p - p));
    out->has_value = equals != NULL;
    out->key = (struct span){p, (size_t)((equals ? equals : rest->p) - p)};
    out->value = (struct span){NULL, 0};
    if (equals)
        out->value = (struct span){equals + 1, (size_t)(rest->p - equals - 1)};
    return is_keyword(out->key) && (!equals || is_value(out->value)) ? 1 : -1;
}

static enum mail_params_fault take_size(struct smtp_mail_params *out, const struct param *p)
{
    if (out->size_given || p->value.n == 0 || p->value.n > SIZE_DIGITS)
        return MAIL_PARAMS_BAD;
    for (size_t i = 0; i < p->value.n; i++)
        if (p->value.p[i] < '0' || p->value.p[i] > '9')
            return MAIL_PARAMS_BAD;
    out->size_given = true;
    if (!text_u64(p->value, &out->size))
        out->size = UINT64_MAX; /* twenty digits may be more than 64 bits: too large in any case */
    return MAIL_PARAMS_OK;
}

static enum mail_params_fault take_body(struct smtp_mail_params *out, const struct param *p, bool *given)
{
    bool again = *given;

    *given = true;
    out->body_8bit = p->has_value && span_is_nocase(p->value, "8BITMIME");
    return again || !p->has_value || (!out->body_8bit && !span_is_nocase(p->value, "7BIT")) ? MAIL_PARAMS_BAD
                                                                                            : MAIL_PARAMS_OK;
}

/* A keyword that takes no value and stands there once: SMTPUTF8 (RFC 6531 3.1), REQUIRETLS (RFC 8689 2). */
static enum mail_params_fault take_word(bool *out, const struct param *p)
{
    bool bad = *out || p->has_value;

    *out = true;
    return bad ? MAIL_PARAMS_BAD : MAIL_PARAMS_OK;
}

/* RFC 3461 4: xtext = *( xchar / hexchar ), hexchar = "+" and two upper case digits. */
static bool is_xtext(struct span s)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '!' || s.p[i] > '~' || s.p[i] == '=')
            return false;
        if (s.p[i] != '+')
            continue;
        if (i + 2 >= s.n || !strchr(digits, s.p[i + 1]) || !strchr(digits, s.p[i + 2]))
            return false;
        i += 2;
    }
    return true;
}

static enum mail_params_fault take_envid(struct smtp_mail_params *out, const struct param *p)
{
    if (out->envid.p || !p->has_value || p->value.n > ENVID_MAX || !is_xtext(p->value))
        return MAIL_PARAMS_BAD;
    out->envid = (struct peer_text){p->value.p, p->value.n};
    return MAIL_PARAMS_OK;
}

static enum mail_params_fault take_ret(struct smtp_mail_params *out, const struct param *p)
{
    if (out->ret || !p->has_value)
        return MAIL_PARAMS_BAD;
    out->ret = span_is_nocase(p->value, "FULL") ? SMTP_RET_FULL : SMTP_RET_HDRS;
    return out->ret == SMTP_RET_FULL || span_is_nocase(p->value, "HDRS") ? MAIL_PARAMS_OK : MAIL_PARAMS_BAD;
}

/* RFC 4954 5: who first submitted the message, as somebody says. Nobody here is trusted to say so, and then "the server
 * SHOULD behave as if the AUTH=<> parameter was supplied". */
static enum mail_params_fault take_auth(bool *given, const struct param *p)
{
    bool bad = *given || !p->has_value || (!is_xtext(p->value) && !span_is(p->value, "<>"));

    *given = true;
    return bad ? MAIL_PARAMS_BAD : MAIL_PARAMS_OK;
}

enum mail_params_fault mail_params_parse(struct smtp_mail_params *out, struct span text,
                                         const struct mail_params_offers *o)
{
    enum mail_params_fault fault = MAIL_PARAMS_OK;
    bool body = false, auth = false;
    struct param p;
    int got;

    *out = (struct smtp_mail_params){0};
    while (fault == MAIL_PARAMS_OK && (got = next_param(&text, &p)) != 0) {
        if (got < 0)
            return MAIL_PARAMS_BAD;
        if (span_is_nocase(p.key, "SIZE"))
            fault = take_size(out, &p);
        else if (span_is_nocase(p.key, "BODY"))
            fault = take_body(out, &p, &body);
        else if (o->smtputf8 && span_is_nocase(p.key, "SMTPUTF8"))
            fault = take_word(&out->smtputf8, &p);
        else if (o->requiretls && span_is_nocase(p.key, "REQUIRETLS"))
            fault = take_word(&out->requiretls, &p);
        else if (o->dsn && span_is_nocase(p.key, "ENVID"))
            fault = take_envid(out, &p);
        else if (o->dsn && span_is_nocase(p.key, "RET"))
            fault = take_ret(out, &p);
        else if (o->auth && span_is_nocase(p.key, "AUTH"))
            fault = take_auth(&auth, &p);
        else
            fault = MAIL_PARAMS_UNKNOWN;
    }
    return fault;
}

/* RFC 3461 4.1: "NEVER", or a list of the others, each once. */
static enum mail_params_fault take_notify(struct smtp_rcpt_params *out, const struct param *p)
{
    static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    struct span rest = p->value;

    if (out->notify || !p->has_value)
        return MAIL_PARAMS_BAD;
    for (;;) {
        const char *comma = memchr(rest.p, ',', rest.n);
        struct span word = {rest.p, comma ? (size_t)(comma - rest.p) : rest.n};
        unsigned bit = 0;

        for (unsigned i = 0; i < 4; i++)
            if (span_is_nocase(word, words[i]))
                bit = 1u << i;
        if (!bit || out->notify & (bit | SMTP_NOTIFY_NEVER) || (bit == SMTP_NOTIFY_NEVER && out->notify))
            return MAIL_PARAMS_BAD;
        out->notify |= bit;
        if (!comma)
            return MAIL_PARAMS_OK;
        rest = (struct span){comma + 1, rest.n - word.n - 1};
    }
}

/* RFC 3461 4.2: "ORCPT=" original-recipient-address = addr-type ";" xtext, the type an atom. An SMTPUTF8 address is
 * "utf-8;..." (RFC 6533 3), whose forms are xtext as well. */
static enum mail_params_fault take_orcpt(struct smtp_rcpt_params *out, const struct param *p)
{
    const char *semicolon = p->has_value ? memchr(p->value.p, ';', p->value.n) : NULL;
    size_t type = semicolon ? (size_t)(semicolon - p->value.p) : 0;

    if (out->orcpt.p || !semicolon || p->value.n > ORCPT_MAX || !is_keyword((struct span){p->value.p, type}) ||
        !is_xtext((struct span){semicolon + 1, p->value.n - type - 1}))
        return MAIL_PARAMS_BAD;
    out->orcpt = (struct peer_text){p->value.p, p->value.n};
    return MAIL_PARAMS_OK;
}

enum mail_params_fault mail_params_rcpt(struct smtp_rcpt_params *out, struct span text, bool dsn)
{
    enum mail_params_fault fault = MAIL_PARAMS_OK;
    struct param p;
    int got;

    *out = (struct smtp_rcpt_params){0};
    while (fault == MAIL_PARAMS_OK && (got = next_param(&text, &p)) != 0) {
        if (got < 0)
            return MAIL_PARAMS_BAD;
        if (dsn && span_is_nocase(p.key, "NOTIFY"))
            fault = take_notify(out, &p);
        else if (dsn && span_is_nocase(p.key, "ORCPT"))
            fault = take_orcpt(out, &p);
        else
            fault = MAIL_PARAMS_UNKNOWN;
    }
    return fault;
}
