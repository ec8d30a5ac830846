#include "main/explain.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* Lower case, white space as single spaces, and the hyphen of "451-4.7.6" (a reply of several lines) as one too. */
static char *simplify(const char *text)
{
    char *s = mem_str(text);
    size_t n = 0;

    for (size_t i = 0; text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        bool line = c == '-' && n >= 3 && isdigit((unsigned char)s[n - 1]) && isdigit((unsigned char)s[n - 2]) &&
                    isdigit((unsigned char)s[n - 3]) && (n == 3 || s[n - 4] == ' ');

        if (isspace(c) || line)
            c = ' ';
        if (c == ' ' && (n == 0 || s[n - 1] == ' '))
            continue;
        s[n++] = (char)tolower(c);
    }
    while (n && s[n - 1] == ' ')
        n--;
    s[n] = '\0';
    return s;
}

static bool is_code_byte(char c)
{
    return isalnum((unsigned char)c) || c == '.';
}

static bool has_part(const char *text, const char *part, size_t n)
{
    bool code = isdigit((unsigned char)part[0]) && isdigit((unsigned char)part[n - 1]);

    for (const char *p = text; *p; p++) {
        if (strncmp(p, part, n) != 0)
            continue;
        if (!code)
            return true;
        if (p > text && is_code_byte(p[-1]))
            continue;
        /* a sentence may end behind a code: "4.7.6." */
        if (isalnum((unsigned char)p[n]) || (p[n] == '.' && isdigit((unsigned char)p[n + 1])))
            continue;
        return true;
    }
    return false;
}

/* Matched characters of all parts, 0 when one of them is missing. */
static size_t weight(const char *parts, const char *text)
{
    size_t sum = 0;

    while (*parts) {
        size_t n = strcspn(parts, "&");

        if (n && !has_part(text, parts, n))
            return 0;
        sum += n;
        parts += n + (parts[n] == '&');
    }
    return sum;
}

static const struct explanation *best_of(const struct explanation *table, const char *text, size_t *most)
{
    const struct explanation *best = NULL;

    for (const struct explanation *x = table; x->parts; x++) {
        size_t w = weight(x->parts, text);

        if (w > *most) {
            *most = w;
            best = x;
        }
    }
    return best;
}

const struct explanation *explain_find(const char *text, bool *general)
{
    char *s = simplify(text);
    size_t most = 0;
    const struct explanation *const tables[] = {explain_peers, explain_replies, explain_relay, NULL}, *x = NULL;

    for (size_t t = 0; tables[t]; t++) {
        const struct explanation *better = best_of(tables[t], s, &most); /* than those before */

        x = better ? better : x;
    }
    *general = !x;
    if (!x)
        x = best_of(explain_codes, s, &most);
    free(s);
    return x;
}

/* Words of four letters and more that the row and the text share. */
static unsigned shared_words(const char *parts, const char *text)
{
    char *copy = mem_str(parts), *save = NULL;
    unsigned n = 0;

    for (char *w = strtok_r(copy, " &,:'", &save); w; w = strtok_r(NULL, " &,:'", &save))
        n += strlen(w) >= 4 && strstr(text, w) != NULL;
    free(copy);
    return n;
}

unsigned explain_nearest(const char *text, const struct explanation *out[EXPLAIN_NEAREST])
{
    const struct explanation *const tables[] = {explain_peers, explain_replies, explain_relay, NULL};
    unsigned score[EXPLAIN_NEAREST] = {0}, count = 0;
    char *s = simplify(text);

    for (size_t t = 0; tables[t]; t++)
        for (const struct explanation *x = tables[t]; x->parts; x++) {
            unsigned n = shared_words(x->parts, s), at = count;

            if (!n)
                continue;
            while (at > 0 && score[at - 1] < n)
                at--;
            if (at >= EXPLAIN_NEAREST)
                continue;
            if (count < EXPLAIN_NEAREST)
                count++;
            for (unsigned k = count - 1; k > at; k--) {
                score[k] = score[k - 1];
                out[k] = out[k - 1];
            }
            score[at] = n;
            out[at] = x;
        }
    free(s);
    return count;
}
