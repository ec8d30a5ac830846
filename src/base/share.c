#include "base/share.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/text.h"

/* Open addressing with linear probing and no tombstones: an entry whose count fell to 0 keeps its
 * place for the same key; when three quarters of a table are such memories, it is rebuilt. A single
 * writer makes this safe without locks: the key is written before its count becomes visible. */
struct entry {
    _Atomic uint32_t count;
    uint8_t bits;
    uint8_t used; /* key valid; never reset while the slot lives, except by a rebuild */
    uint8_t pad[2];
    uint8_t b[16];
};

struct slot {
    _Atomic uint32_t taken; /* the generation, 0: free */
    _Atomic uint32_t live;  /* entries with count > 0 */
    uint32_t used;          /* entries with used set, writer only */
    _Atomic int64_t counter[SHARE_COUNTERS];
};

struct share {
    size_t size;
    unsigned keys;      /* power of two */
    uint64_t secret[5]; /* of hash_key() */
    _Atomic int64_t kept[SHARE_COUNTERS];
    struct slot slot[SHARE_SLOTS];
    struct entry entry[]; /* SHARE_SLOTS * keys */
};

const char *share_counter_name(enum share_counter c)
{
    static const char *const name[SHARE_COUNTERS] = {
        "connectionsNow",      "connections",    "refused",         "tlsHandshakes", "tlsFailures",
        "ehloWithoutStarttls", "leftWithoutTls", "messages",        "messageBytes",  "messagesTempfail",
        "messagesRejected",    "recipients",     "transactionsNow",
    };

    return name[c];
}

static int is_level(enum share_counter c)
{
    return c == SHARE_CONNECTIONS_NOW || c == SHARE_TRANSACTIONS_NOW;
}

int share_new(struct share **out, unsigned keys, struct err *e)
{
    unsigned k = 64;
    size_t size;
    struct share *s;

    while (k < keys)
        k *= 2;
    size = sizeof *s + (size_t)SHARE_SLOTS * k * sizeof(struct entry);
    s = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s == MAP_FAILED)
        return err_set(e, "mmap of %zu bytes of shared memory: %s", size, strerror(errno));
    if (getrandom(s->secret, sizeof s->secret, 0) != (ssize_t)sizeof s->secret) {
        munmap(s, size);
        return err_set(e, "getrandom: %s", strerror(errno));
    }
    s->size = size;
    s->keys = k;
    *out = s;
    return 0;
}

static struct entry *table_of(const struct share *s, int slot)
{
    return (struct entry *)(uintptr_t)&s->entry[(size_t)slot * s->keys];
}

int share_take(struct share *s, unsigned generation)
{
    for (int i = 0; i < SHARE_SLOTS; i++) {
        uint32_t free_ = 0;

        if (atomic_compare_exchange_strong(&s->slot[i].taken, &free_, generation))
            return i;
    }
    return -1;
}

static void table_clear(struct share *s, int slot)
{
    struct entry *t = table_of(s, slot);

    if (s->slot[slot].used) /* untouched pages stay untouched */
        memset(t, 0, sizeof *t * s->keys);
    s->slot[slot].used = 0;
    atomic_store(&s->slot[slot].live, 0);
}

void share_release(struct share *s, int slot)
{
    for (int c = 0; c < SHARE_COUNTERS; c++) {
        int64_t v = atomic_exchange(&s->slot[slot].counter[c], 0);

        if (!is_level((enum share_counter)c))
            atomic_fetch_add(&s->kept[c], v);
    }
    table_clear(s, slot);
    atomic_store(&s->slot[slot].taken, 0);
}

void share_release_all(struct share *s, unsigned generation)
{
    for (int i = 0; i < SHARE_SLOTS; i++)
        if (atomic_load(&s->slot[i].taken) == generation)
            share_release(s, i);
}

void share_add(struct share *s, int slot, enum share_counter c, int64_t delta)
{
    _Atomic int64_t *p = &s->slot[slot].counter[c];

    /* one writer: a load and a store, no locked instruction */
    atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + delta, memory_order_relaxed);
}

int64_t share_total(const struct share *s, enum share_counter c)
{
    int64_t sum = atomic_load(&s->kept[c]);

    for (int i = 0; i < SHARE_SLOTS; i++)
        sum += atomic_load_explicit(&s->slot[i].counter[c], memory_order_relaxed);
    return sum;
}

/* Multiply and shift with secret numbers (Dietzfelbinger 1996): whoever owns a large network cannot choose addresses that
 * meet in one place of the table and make every accept slow. */
static uint32_t hash_key(const struct share *s, const struct addr_key *k)
{
    uint64_t h = s->secret[4] * (k->bits + UINT64_C(1));

    for (unsigned i = 0; i < 4; i++) {
        uint32_t word;

        memcpy(&word, k->b + (size_t)4 * i, sizeof word);
        h += s->secret[i] * word;
    }
    return (uint32_t)(h >> 32);
}

/* The entry of this key, or with `make` a fresh one; NULL when there is none and no room. */
static struct entry *find(const struct share *s, int slot, const struct addr_key *k, int make)
{
    struct entry *t = table_of(s, slot);
    uint32_t mask = s->keys - 1, i = hash_key(s, k) & mask;

    for (unsigned tries = 0; tries < s->keys; tries++, i = (i + 1) & mask) {
        struct entry *en = &t[i];

        if (!en->used) {
            if (!make)
                return NULL;
            memcpy(en->b, k->b, 16);
            en->bits = k->bits;
            atomic_thread_fence(memory_order_release);
            en->used = 1;
            return en;
        }
        if (en->bits == k->bits && memcmp(en->b, k->b, 16) == 0)
            return en;
    }
    return NULL;
}

/* Drops the keys nobody uses. Readers may for a moment miss a client; limits are not ledgers. */
static void rebuild(struct share *s, int slot)
{
    struct entry *t = table_of(s, slot);
    struct entry *old = mem_alloc(sizeof *t * s->keys);
    unsigned kept = 0;

    memcpy(old, t, sizeof *t * s->keys);
    memset(t, 0, sizeof *t * s->keys);
    for (unsigned i = 0; i < s->keys; i++) {
        struct addr_key k = {.bits = old[i].bits};
        struct entry *en;

        if (!old[i].used || atomic_load(&old[i].count) == 0)
            continue;
        memcpy(k.b, old[i].b, 16);
        en = find(s, slot, &k, 1);
        assert(en);
        atomic_store(&en->count, atomic_load(&old[i].count));
        kept++;
    }
    s->slot[slot].used = kept;
    free(old);
}

int share_key_add(struct share *s, int slot, const struct addr_key *k)
{
    struct slot *sl = &s->slot[slot];
    struct entry *en = find(s, slot, k, 0);

    if (!en) {
        if (sl->used >= s->keys - s->keys / 4) {
            if (atomic_load(&sl->live) >= s->keys / 2)
                return -1;
            rebuild(s, slot);
        }
        en = find(s, slot, k, 1);
        if (!en)
            return -1;
        sl->used++;
    }
    if (atomic_fetch_add(&en->count, 1) == 0)
        atomic_fetch_add(&sl->live, 1);
    return 0;
}

void share_key_drop(struct share *s, int slot, const struct addr_key *k)
{
    struct entry *en = find(s, slot, k, 0);

    if (en && atomic_load(&en->count) > 0 && atomic_fetch_sub(&en->count, 1) == 1)
        atomic_fetch_sub(&s->slot[slot].live, 1);
}

unsigned share_key_count(const struct share *s, const struct addr_key *k)
{
    unsigned sum = 0;

    for (int i = 0; i < SHARE_SLOTS; i++) {
        struct entry *en;

        if (!atomic_load_explicit(&s->slot[i].live, memory_order_relaxed))
            continue;
        en = find(s, i, k, 0);
        if (en)
            sum += atomic_load_explicit(&en->count, memory_order_relaxed);
    }
    return sum;
}
