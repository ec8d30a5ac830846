/* From strings to the typed snapshot: the passes that give the text its meaning. Each says
 * everything that it finds wrong and goes on; the caller throws the result away when there was an
 * error. */
#ifndef CONF_CONF_BUILD_H
#define CONF_CONF_BUILD_H

#include "conf/conf_raw.h"

/* Memory that belongs to a snapshot and dies with it, in large pieces: a hundred thousand mailboxes
 * are two allocations each otherwise. */
struct conf_piece;
struct conf_whole {
    struct conf conf; /* first: a struct conf * is one of these */
    struct conf_piece *pieces;
};
void *conf_keep(struct conf *c, size_t n); /* zeroed */
char *conf_keep_text(struct conf *c, const char *text);
char *conf_keep_span(struct conf *c, const char *p, size_t n);

struct conf_building {
    struct conf *conf;
    const struct conf_raw *raw;
    const struct conf_reader *reader;
    struct conf_problems *p;
    const char *file;      /* the main file's name */
    unsigned parse_errors; /* a section may be missing because it could not be read */
};

struct conf *conf_build(const struct conf_raw *raw, const char *file, const struct conf_reader *reader,
                        struct conf_problems *p);

/* conf_value.c: fills the fields that the option table knows of one section's struct, defaults
 * included. */
void conf_value_fill(const struct conf_building *b, const struct conf_raw_section *sec, void *to);
/* A whole number with a unit: "50M", "5m"; -1 and e. */
int conf_value_number(const struct conf_option *o, const char *text, uint64_t *out, struct err *e);

/* conf_listener.c */
void conf_listener_build(const struct conf_building *b);
/* conf_delivery.c */
void conf_delivery_build(const struct conf_building *b);
/* Does the template have %d, or %u? */
bool conf_delivery_uses(const char *path, char what);
/* Expands the template for one mailbox. Memory of the snapshot. */
char *conf_delivery_path(struct conf *c, const struct conf_delivery *d, const char *local, const char *domain);
/* conf_relay.c: relay, queue, dns, senders. Behind the deliveries, before the domains. */
void conf_relay_build(const struct conf_building *b);
/* The delivery of that title; UINT_MAX: there is none, which is said. */
unsigned conf_delivery_find(const struct conf_building *b, const struct conf_raw_setting *s);
/* conf_domain.c */
void conf_domain_build(const struct conf_building *b);

/* The sections of one kind, in the order of the text, those with a bad title left out; *count of
 * them. malloc'd. */
const struct conf_raw_section **conf_build_sections(const struct conf_building *b, enum conf_section_kind kind,
                                                    unsigned *count);
/* The one section of a kind that has no title; NULL: it was not written. A second one is an error, which is said. */
const struct conf_raw_section *conf_build_only(const struct conf_building *b, enum conf_section_kind kind);
/* One problem about a value of a setting; v: which one (its line), or UINT_MAX for the setting as
 * such. */
void conf_build_error(const struct conf_building *b, const struct conf_raw_setting *s, unsigned v, const char *remedy,
                      const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* conf_problem.c */
void conf_problems_move(struct conf_problems *to, struct conf_problems *from);
/* By file (the main one first, the others as they came up) and line. */
void conf_problems_sort(struct conf_problems *p, const char *file);

#endif
