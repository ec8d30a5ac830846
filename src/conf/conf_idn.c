#include "conf/conf_idn.h"

#include <idn2.h>
#include <string.h>

static bool label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Letters, digits, hyphen (RFC 1123 2.1), labels of 1 to 63, 253 in all. */
static int check_ascii(const char *s, struct err *e)
{
    size_t label = 0, n = strlen(s);

    if (n == 0 || n > 253)
        return err_set(e, n ? "a domain name has at most 253 letters" : "the domain name is empty");
    for (size_t i = 0; i <= n; i++) {
        if (s[i] == '.' || s[i] == '\0') {
            if (label == 0 || label > 63 || s[i - 1] == '-')
                return err_set(e, "\"%s\" is not a domain name: %s", s,
                               label == 0   ? "an empty label"
                               : label > 63 ? "a label of more than 63 letters"
                                            : "a label ends in a hyphen");
            label = 0;
        } else if (!label_char(s[i]) || (s[i] == '-' && label == 0)) {
            return err_set(e, "\"%s\" is not a domain name: \"%c\" may not stand there", s, s[i]);
        } else {
            label++;
        }
    }
    return 0;
}

int conf_idn_ascii(char dst[CONF_IDN_LEN], struct span name, struct err *e)
{
    uint8_t *ascii = NULL;
    char text[1024];
    bool plain = true;
    int rc;

    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n >= sizeof text || (name.n && memchr(name.p, '\0', name.n)))
        return err_set(e, "a domain name has at most 253 letters");
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    for (size_t i = 0; i < name.n; i++)
        plain = plain && (unsigned char)text[i] < 0x80;
    if (plain) { /* "xn--" ones included: a peer may send any, and only equality counts */
        text_lower(text, name.n);
        if (check_ascii(text, e))
            return -1;
        memcpy(dst, text, name.n + 1);
        return 0;
    }
    /* UTS 46, not transitional, as senders that speak SMTPUTF8 do it (RFC 6531 3.7.1, RFC 5891). */
    rc = idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc != IDN2_OK)
        return err_set(e, "\"%s\" is not a domain name: %s", text, idn2_strerror(rc));
    rc = strlen((char *)ascii) < CONF_IDN_LEN ? 0 : err_set(e, "a domain name has at most 253 letters");
    if (rc == 0) {
        memcpy(dst, ascii, strlen((char *)ascii) + 1);
        text_lower(dst, strlen(dst));
        rc = check_ascii(dst, e);
    }
    idn2_free(ascii);
    return rc;
}
