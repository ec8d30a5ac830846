/* The option table: one declarative row per option. The loader, the defaults, the range checks, the
 * nearest valid name in an error, the reference in docs and postern.conf(5) all read these rows;
 * nothing else in the program knows an option's name, default or limits. */
#ifndef CONF_CONF_OPTIONS_H
#define CONF_CONF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_section_kind {
    CONF_GLOBAL,
    CONF_CERTIFICATE,
    CONF_LISTENER,
    CONF_DOMAIN,
    CONF_DELIVERY,
    CONF_RELAY,
    CONF_QUEUE,
    CONF_DNS,
    CONF_LOG,
    CONF_SECTIONS
};

/* What a value may be, and in what it is stored. */
enum conf_type {
    CONF_TEXT,    /* const char *, not empty */
    CONF_PATH,    /* const char *, made absolute by the directory of the file it stands in */
    CONF_HOST,    /* const char *, a host name as A-labels, lower case */
    CONF_COUNT,   /* unsigned number */
    CONF_SIZE,    /* bytes: 52428800, 50M */
    CONF_SECONDS, /* 300, 5m, 1h */
    CONF_MILLIS,  /* a duration, stored in milliseconds: 500ms, 2s */
    CONF_MODE,    /* octal */
    CONF_BOOL,
    CONF_WORD, /* one of .words; stored as its index */
    CONF_NETS, /* struct net * and a count */
    CONF_OWN,  /* the section's own code reads it */
};

#define CONF_NO_FIELD SIZE_MAX

struct conf_option {
    enum conf_section_kind section;
    const char *name;
    enum conf_type type;
    bool list;
    bool required;
    const char *fallback;     /* the default as one would write it; NULL: none, see help */
    uint64_t min, max;        /* numbers; 0 may be outside when zero_ok */
    const char *zero;         /* what 0 means, where 0 is allowed below min; else NULL */
    uint64_t floor;           /* the RFC's value: below it only with lab = yes */
    const char *rfc;          /* where the floor stands */
    const char *const *words; /* CONF_WORD, NULL-terminated */
    size_t at;                /* offset of the field in the section's struct, or CONF_NO_FIELD */
    size_t width;             /* its size */
    size_t count_at;          /* CONF_NETS: offset of the count */
    const char *sample;       /* a value for the reference, when there is no default */
    const char *help;         /* whole sentences */
};

struct conf_section_row {
    const char *name;  /* "" for the global one */
    bool titled;       /* and several of them; untitled: at most one */
    const char *title; /* what the title is, for the reference */
    const char *help;
};

extern const struct conf_option conf_options[];
extern const size_t conf_option_count;
extern const struct conf_section_row conf_sections[CONF_SECTIONS];

/* NULL when there is none. */
const struct conf_option *conf_option_find(enum conf_section_kind section, const char *name);
/* Of any section. */
bool conf_option_known(const char *name);
/* CONF_SECTIONS when there is none. */
enum conf_section_kind conf_section_find(const char *name);
/* The valid name nearest to this one in that section (sections' names included for CONF_GLOBAL);
 * NULL when none is near enough to be meant. */
const char *conf_option_nearest(enum conf_section_kind section, const char *name);
/* The nearest of a NULL-terminated list, under the same rule. */
const char *conf_nearest(const char *const *names, const char *name);

#endif
