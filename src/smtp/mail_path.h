/* Reverse-path and forward-path, RFC 5321 4.1.2 with the additions of RFC 6531 3.3. Pure syntax:
 * whether the mailbox exists, or may be written to by non-ASCII letters, is decided elsewhere. */
#ifndef SMTP_MAIL_PATH_H
#define SMTP_MAIL_PATH_H

#include "base/buf.h"
#include "base/text.h"

enum mail_path_kind { MAIL_PATH_REVERSE, MAIL_PATH_FORWARD };

enum mail_path_fault {
    MAIL_PATH_OK,
    MAIL_PATH_BAD_SYNTAX,
    MAIL_PATH_TOO_LONG, /* local part, domain or the whole */
    MAIL_PATH_NOT_UTF8, /* non-ASCII bytes that are not UTF-8 */
};
const char *mail_path_fault_name(enum mail_path_fault f); /* "ok", "syntax", "too-long", "not-utf8" */

/* Slices of the parsed text. */
struct mail_path {
    struct span mailbox; /* without brackets and source route; empty: the null reverse-path */
    struct span local;   /* as sent, quotes included */
    struct span domain;  /* empty: <postmaster> */
    bool non_ascii;
    size_t used; /* bytes of the text, "<" to ">" */
};

/* text begins with "<"; what stands behind ">" is the caller's. */
enum mail_path_fault mail_path_parse(struct mail_path *out, struct span text, enum mail_path_kind kind);
/* The local part without quotes and backslashes; dst has room for local.n bytes. Returns the
 * length. */
size_t mail_path_unquote(char *dst, struct span local);
/* The other way: appends the local part as it stands in a path, quoted where it must be. */
void mail_path_quote(struct buf *out, struct span local);
bool mail_path_is_utf8(struct span s);

#endif
