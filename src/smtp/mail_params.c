#include "smtp/mail_params.h"

#include <string.h>

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

enum mail_params_fault mail_params_parse(struct smtp_mail_params *out, struct span text, bool smtputf8)
{
    enum mail_params_fault fault = MAIL_PARAMS_OK;
    struct param p;
    bool body = false;
    int got;

    *out = (struct smtp_mail_params){0};
    while (fault == MAIL_PARAMS_OK && (got = next_param(&text, &p)) != 0) {
        if (got < 0)
            return MAIL_PARAMS_BAD;
        if (span_is_nocase(p.key, "SIZE")) {
            fault = take_size(out, &p);
        } else if (span_is_nocase(p.key, "BODY")) {
            out->body_8bit = p.has_value && span_is_nocase(p.value, "8BITMIME");
            if (body || !p.has_value || (!out->body_8bit && !span_is_nocase(p.value, "7BIT")))
                return MAIL_PARAMS_BAD;
            body = true;
        } else if (smtputf8 && span_is_nocase(p.key, "SMTPUTF8")) {
            /* RFC 6531 3.1: "The SMTPUTF8 parameter does not take a value." */
            if (out->smtputf8 || p.has_value)
                return MAIL_PARAMS_BAD;
            out->smtputf8 = true;
        } else {
            fault = MAIL_PARAMS_UNKNOWN;
        }
    }
    return fault;
}

enum mail_params_fault mail_params_none(struct span text)
{
    struct param p;
    int got = next_param(&text, &p);

    if (got == 0)
        return MAIL_PARAMS_OK;
    return got < 0 ? MAIL_PARAMS_BAD : MAIL_PARAMS_UNKNOWN;
}
