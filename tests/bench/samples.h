/* What a run of the load generator collects: times in microseconds, kept one by one (the counts are bounded by the
 * caller), and failures counted by the words of the reply. */
#ifndef TESTS_BENCH_SAMPLES_H
#define TESTS_BENCH_SAMPLES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define SAMPLES_MAX 4000000u /* 16 MB; what comes after is counted in `seen` alone */

struct samples {
    uint32_t *us;
    size_t count, cap, seen;
};

static inline void samples_add(struct samples *s, int64_t us)
{
    s->seen++;
    if (s->count >= SAMPLES_MAX)
        return;
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 1024;
        s->us = mem_grow(s->us, s->cap * sizeof *s->us);
    }
    s->us[s->count++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static inline int samples_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static inline void samples_sort(struct samples *s)
{
    if (s->count)
        qsort(s->us, s->count, sizeof *s->us, samples_compare);
}

/* Of sorted samples, in milliseconds; per_mille 1000 is the largest. */
static inline double samples_at(const struct samples *s, unsigned per_mille)
{
    size_t i = s->count * per_mille / 1000;

    if (!s->count)
        return 0;
    return (double)s->us[i < s->count ? i : s->count - 1] / 1000;
}

/* Of sorted samples: how many are at least this long. */
static inline size_t samples_from(const struct samples *s, uint32_t us)
{
    size_t i = s->count;

    while (i > 0 && s->us[i - 1] >= us)
        i--;
    return s->count - i;
}

static inline void samples_json(FILE *f, const char *name, const struct samples *s)
{
    fprintf(f, "\"%s\":{\"count\":%zu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f,\"from40\":%zu}", name,
            s->seen, samples_at(s, 500), samples_at(s, 900), samples_at(s, 990), samples_at(s, 1000),
            samples_from(s, 38000));
}

static inline void samples_print(FILE *f, const char *name, const struct samples *s)
{
    if (s->seen)
        fprintf(f, "%-22s p50 %.2f  p90 %.2f  p99 %.2f  max %.2f ms  (%zu)\n", name, samples_at(s, 500),
                samples_at(s, 900), samples_at(s, 990), samples_at(s, 1000), s->seen);
}

#define TALLY_KINDS 32
#define TALLY_WORDS 72

struct tally {
    struct tally_kind {
        char words[TALLY_WORDS]; /* printable ASCII without quotes: ready for JSON */
        uint64_t count;
    } kinds[TALLY_KINDS];
    unsigned used;
    uint64_t total;
};

static inline void tally_add(struct tally *t, const char *words)
{
    char clean[TALLY_WORDS];
    size_t n = 0;

    for (; words[n] && n < sizeof clean - 1; n++)
        clean[n] = words[n] >= ' ' && words[n] <= '~' && words[n] != '"' && words[n] != '\\' ? words[n] : '.';
    clean[n] = '\0';
    t->total++;
    for (unsigned i = 0; i < t->used; i++)
        if (strcmp(t->kinds[i].words, clean) == 0) {
            t->kinds[i].count++;
            return;
        }
    if (t->used == TALLY_KINDS) { /* the last one stands for everything else */
        strcpy(t->kinds[TALLY_KINDS - 1].words, "others");
        t->kinds[TALLY_KINDS - 1].count++;
        return;
    }
    strcpy(t->kinds[t->used].words, clean);
    t->kinds[t->used++].count = 1;
}

static inline void tally_json(FILE *f, const char *name, const struct tally *t)
{
    fprintf(f, "\"%s\":{", name);
    for (unsigned i = 0; i < t->used; i++)
        fprintf(f, "%s\"%s\":%llu", i ? "," : "", t->kinds[i].words, (unsigned long long)t->kinds[i].count);
    fprintf(f, "}");
}

static inline void tally_print(FILE *f, const char *name, const struct tally *t)
{
    for (unsigned i = 0; i < t->used; i++)
        fprintf(f, "%-22s %llu x %s\n", name, (unsigned long long)t->kinds[i].count, t->kinds[i].words);
}

#endif
