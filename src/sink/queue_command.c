#include "sink/queue_command.h"

#include <string.h>

#include "sink/queue_table.h"

static const char *const verb_name[] = {"list", "show", "retry", "hold", "release", "delete", "flush", "status"};

static struct span next_word(struct span *rest)
{
    const char *blank = memchr(rest->p, ' ', rest->n);
    struct span w = {rest->p, blank ? (size_t)(blank - rest->p) : rest->n};
    size_t n = w.n + (blank != NULL);

    rest->p += n;
    rest->n -= n;
    return w;
}

static bool value_of(struct span word, const char *key, struct span *value)
{
    size_t n = strlen(key);

    if (word.n < n || memcmp(word.p, key, n) != 0)
        return false;
    *value = (struct span){word.p + n, word.n - n};
    return true;
}

static int take_id(struct queue_request *out, struct span v, struct err *e)
{
    if (!queue_file_is_id(v))
        return err_set(e, "\"%.*s\" cannot be a message's id", (int)(v.n < 100 ? v.n : 100), v.p);
    memcpy(out->id, v.p, v.n);
    out->id[v.n] = '\0';
    return 0;
}

static int take_text(char *dst, size_t cap, struct span v, const char *what, struct err *e)
{
    if (v.n >= cap || memchr(v.p, '\0', v.n))
        return err_set(e, "the %s is too long", what);
    memcpy(dst, v.p, v.n);
    dst[v.n] = '\0';
    return 0;
}

static int take_which(struct queue_request *out, struct span w, struct err *e)
{
    struct span v;
    uint64_t seconds;

    if (span_is(w, "all")) {
        out->all = true;
        return 0;
    }
    if (span_is(w, "held")) {
        out->held = true;
        return 0;
    }
    if (value_of(w, "id=", &v))
        return take_id(out, v, e);
    if (value_of(w, "domain=", &v)) {
        if (v.n == 0 || take_text(out->domain, sizeof out->domain, v, "domain", e) < 0)
            return v.n ? -1 : err_set(e, "domain= needs a domain");
        queue_table_plain_domain(out->domain, v);
        return 0;
    }
    if (value_of(w, "from=", &v)) {
        out->by_sender = true;
        return take_text(out->from, sizeof out->from, v, "sender", e);
    }
    if (value_of(w, "older=", &v)) {
        if (!text_u64(v, &seconds) || seconds > INT64_MAX / 1000000 || seconds == 0)
            return err_set(e, "older= needs a number of seconds");
        out->older_us = (int64_t)seconds * 1000000;
        return 0;
    }
    return take_id(out, w, e);
}

static bool names_some(const struct queue_request *r)
{
    return r->all || r->held || *r->id || *r->domain || r->by_sender || r->older_us;
}

int queue_command_parse(struct queue_request *out, struct span text, struct err *e)
{
    struct span w = next_word(&text);
    unsigned v = 0;

    *out = (struct queue_request){0};
    while (v < sizeof verb_name / sizeof *verb_name && !span_is(w, verb_name[v]))
        v++;
    if (v == sizeof verb_name / sizeof *verb_name)
        return err_set(e, "the queue knows list, show, retry, hold, release, delete, flush and status");
    out->verb = (enum queue_verb)v;
    while (text.n)
        if (take_which(out, next_word(&text), e) < 0)
            return -1;
    if (out->verb == QUEUE_SHOW && !*out->id)
        return err_set(e, "show needs the id of a message");
    if (out->verb != QUEUE_LIST && out->verb != QUEUE_STATUS && !names_some(out))
        return err_set(e, "%s which messages? all, ID, domain=DOMAIN, from=ADDRESS, older=SECONDS, held", verb_name[v]);
    return 0;
}
