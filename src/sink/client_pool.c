#include "sink/client_pool.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"

#define SPARE 8u    /* beyond what is needed now */
#define AHEAD 256u  /* for dribbling clients by the thousand: files will not be needed all at once */
#define PLENTY 128u /* beyond this the store gets them back */

void client_pool_add(struct client_pool *p, uint32_t slot, int fd)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 32;
        p->file = mem_grow(p->file, sizeof *p->file * p->cap);
    }
    p->file[p->count++] = (struct client_file){.fd = fd, .slot = slot};
    p->asked -= p->asked > 0;
}

bool client_pool_take(struct client_pool *p, struct client_file *out)
{
    if (!p->count)
        return false;
    *out = p->file[--p->count];
    return true;
}

static unsigned goal(const struct client_pool *p)
{
    return (p->needed < AHEAD ? p->needed : AHEAD) + SPARE;
}

unsigned client_pool_short(const struct client_pool *p)
{
    unsigned have = p->count + p->asked, want = goal(p);

    /* half empty first, then a good number at once: asking costs a message */
    if (have >= want || (p->count && have * 2 >= want && want - have < SPARE))
        return 0;
    return want - have;
}

void client_pool_trim(struct client_pool *p, struct buf *drops)
{
    unsigned keep = goal(p);

    if (p->count <= keep + PLENTY)
        return;
    while (p->count > keep) {
        const struct client_file *f = &p->file[--p->count];

        buf_append(drops, &f->slot, sizeof f->slot);
        close(f->fd);
    }
}

void client_pool_clear(struct client_pool *p)
{
    while (p->count)
        close(p->file[--p->count].fd);
    free(p->file);
    *p = (struct client_pool){0};
}
