#include "smtp/transaction.h"

#include <stdlib.h>
#include <string.h>

#define FEW_IDS 32 /* below this a look through the list is quicker than a table */

struct transaction *transaction_new(struct span sender, const struct smtp_mail_params *p)
{
    struct transaction *t = mem_alloc(sizeof *t);

    t->sender = mem_strn(sender.n ? sender.p : "", sender.n);
    t->sender_len = sender.n;
    t->params = *p;
    if (p->envid.p) {
        t->envid = mem_strn(p->envid.p, p->envid.n);
        t->params.envid.p = t->envid;
    }
    t->in_header = true;
    return t;
}

void transaction_free(struct transaction **t)
{
    if (!*t)
        return;
    free((*t)->sender);
    free((*t)->envid);
    free((*t)->only_rcpt);
    free((*t)->ids);
    free((*t)->seen);
    free(*t);
    *t = NULL;
}

/* Puts id into the table; false when it was there. */
static bool seen_put(struct transaction *t, uint32_t id)
{
    uint32_t mask = t->seen_cap - 1, hash = id * 2654435761u;

    for (uint32_t i = (hash ^ hash >> 16) & mask;; i = (i + 1) & mask) {
        if (t->seen[i] == id + 1)
            return false;
        if (t->seen[i] == 0) {
            t->seen[i] = id + 1;
            return true;
        }
    }
}

static void seen_grow(struct transaction *t)
{
    free(t->seen);
    t->seen_cap = t->seen_cap ? t->seen_cap * 2 : FEW_IDS * 4;
    t->seen = mem_alloc(t->seen_cap * sizeof *t->seen);
    for (uint32_t i = 0; i < t->id_count; i++)
        seen_put(t, t->ids[i]);
}

static bool is_new(struct transaction *t, uint32_t id)
{
    if (t->id_count < FEW_IDS) {
        for (uint32_t i = 0; i < t->id_count; i++)
            if (t->ids[i] == id)
                return false;
        return true;
    }
    if (t->id_count >= t->seen_cap / 2)
        seen_grow(t);
    return seen_put(t, id);
}

void transaction_add_rcpt(struct transaction *t, struct span path, const uint32_t *ids, uint32_t n)
{
    if (t->rcpt_count++ == 0) {
        t->only_rcpt = mem_strn(path.p, path.n);
        t->only_rcpt_len = path.n;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!is_new(t, ids[i]))
            continue;
        if (t->id_count == t->id_cap) {
            t->id_cap = t->id_cap ? t->id_cap * 2 : 4;
            t->ids = mem_grow(t->ids, t->id_cap * sizeof *t->ids);
        }
        t->ids[t->id_count++] = ids[i];
    }
}

size_t transaction_memory(const struct transaction *t)
{
    return sizeof *t + t->sender_len + 1 + (t->only_rcpt ? t->only_rcpt_len + 1 : 0) + t->id_cap * sizeof *t->ids +
           t->seen_cap * sizeof *t->seen;
}
