/* Where mail goes: the deliveries and their path templates. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_build.h"

bool conf_delivery_uses(const char *path, char what)
{
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

void conf_delivery_build(const struct conf_building *b)
{
    struct conf *c = b->conf;
    const struct conf_raw_section **list = conf_build_sections(b, CONF_DELIVERY, &c->delivery_count);

    c->deliveries = conf_keep(c, c->delivery_count * sizeof *c->deliveries);
    for (unsigned i = 0; i < c->delivery_count; i++) {
        struct conf_delivery *d = &c->deliveries[i];

        d->title = conf_keep_text(c, list[i]->title);
        d->where = (struct conf_where){conf_keep_text(c, list[i]->file), list[i]->line};
        conf_value_fill(b, list[i], d);
        check_path(b, list[i], d);
        if (!d->path)
            d->path = "/%d/%u"; /* reported; never used, since there is an error */
    }
    free(list);
}
