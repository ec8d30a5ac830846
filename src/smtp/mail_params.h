/* The parameters behind a path: RFC 5321 4.1.2 esmtp-param, as MAIL and RCPT take them. */
#ifndef SMTP_MAIL_PARAMS_H
#define SMTP_MAIL_PARAMS_H

#include "smtp/engine.h"

enum mail_params_fault {
    MAIL_PARAMS_OK,
    MAIL_PARAMS_BAD,     /* 501 5.5.4: syntax, a value that cannot be, the same one twice */
    MAIL_PARAMS_UNKNOWN, /* 555 5.5.4: not offered */
};

struct mail_params_offers {
    bool smtputf8, auth, dsn, requiretls;
};

/* text: everything behind the path; the results point into it. */
enum mail_params_fault mail_params_parse(struct smtp_mail_params *out, struct span text,
                                         const struct mail_params_offers *offers);
enum mail_params_fault mail_params_rcpt(struct smtp_rcpt_params *out, struct span text, bool dsn);

#endif
