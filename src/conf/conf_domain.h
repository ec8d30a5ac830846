/* Between the passes that read domains: names as they stand in lists and files, before they become
 * addresses. */
#ifndef CONF_CONF_DOMAIN_H
#define CONF_CONF_DOMAIN_H

#include "conf/conf_build.h"

#define CONF_NAME_MAX 64         /* RFC 5321 4.5.3.1.1: a local part */
#define CONF_ALIAS_DEPTH 100     /* aliases of aliases */
#define CONF_ALIAS_TOTAL 4000000 /* mailboxes that all aliases together may stand for */

/* Where a name stands, for messages. */
struct conf_place {
    const char *file;
    unsigned line;
    const char *option;
    unsigned *said; /* problems of this list or file so far: past CONF_PLACE_MAX they are only counted */
};
#define CONF_PLACE_MAX 20

enum conf_alias_state { CONF_ALIAS_NEW, CONF_ALIAS_ACTIVE, CONF_ALIAS_DONE };

struct conf_alias {
    struct conf_place at;
    char *targets; /* "alice, bob@example.com", snapshot's memory */
    enum conf_alias_state state;
    unsigned *mailboxes;
    unsigned count;
};

/* A local part of a domain: a mailbox or an alias. */
struct conf_name {
    char *local;
    struct conf_alias *alias; /* NULL: a mailbox */
    unsigned mailbox;
    const char *file;
    unsigned line;
};

struct conf_names { /* one domain in the making */
    const struct conf_raw_section *section;
    struct conf_domain domain;
    struct conf_name *list; /* sorted by local once complete */
    unsigned count, cap;
};

struct conf_domains {
    const struct conf_building *b;
    struct conf_names *all;     /* in the order of the text */
    struct conf_names **sorted; /* by name */
    unsigned count;
    unsigned mailbox_cap;
    unsigned *stamps; /* per mailbox: the last alias that counted it */
    unsigned stamp, total;
    unsigned alias_said;
};

struct conf_names *conf_domain_by_name(const struct conf_domains *d, const char *name);
struct conf_name *conf_domain_name(const struct conf_names *n, const char *local);
void conf_domain_say(const struct conf_building *b, const struct conf_place *at, const char *remedy, const char *fmt,
                     ...) __attribute__((format(printf, 4, 5)));
void conf_domain_say_rest(const struct conf_building *b, const struct conf_place *at);

/* conf_mailbox.c: mailboxes and mailbox-file. */
void conf_mailbox_read(struct conf_domains *d, struct conf_names *n);
/* A local part in the form in which it is compared; -1 and e where it could not be a mailbox's
 * name. */
int conf_mailbox_name(char dst[CONF_NAME_MAX + 1], struct span text, struct err *e);
struct conf_name *conf_mailbox_add(struct conf_domains *d, struct conf_names *n, const char *local,
                                   const struct conf_place *at);
/* Calls each line of a list file that holds something, comments and white space cut off. 0, or -1:
 * it cannot be read, which was said as a warning that ends with what this means for mail. */
int conf_lines(const struct conf_building *b, const struct conf_raw_setting *s, const char *meaning,
               void line(void *arg, struct span text, const struct conf_place *at), void *arg);
/* The same for a domain's lists: one that cannot be read marks the domain unavailable. */
int conf_mailbox_lines(struct conf_domains *d, struct conf_names *n, const struct conf_raw_setting *s,
                       void line(struct conf_domains *d, struct conf_names *n, struct span text,
                                 const struct conf_place *at));

/* conf_alias.c: aliases and alias-file, then what they stand for. */
void conf_alias_read(struct conf_domains *d, struct conf_names *n);
void conf_alias_resolve(struct conf_domains *d, struct conf_names *n);

#endif
