#include "relay/relay_sasl.h"

#include <gsasl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* As much as anybody recommends, and a second's work: the whole process does nothing else meanwhile. */
#define ROUNDS_MOST 600000u

struct relay_sasl {
    Gsasl *lib;
    Gsasl_session *session;
    char *out;
    bool scram;
};

static const struct {
    const char *name;
    bool server_first;
} mechanisms[] = {{"SCRAM-SHA-256", false}, {"PLAIN", false}, {"LOGIN", true}};

static bool is_offered(const char *list, size_t n, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < n;) {
        size_t end = i;

        while (end < n && list[end] != ' ')
            end++;
        if (span_is_nocase((struct span){list + i, end - i}, name))
            return len == end - i;
        i = end + 1;
    }
    return false;
}

static int step(struct relay_sasl *s, const char *in, size_t n, struct relay_sasl_step *next, struct err *e)
{
    size_t len = 0;
    int r;

    gsasl_free(s->out);
    s->out = NULL;
    r = gsasl_step(s->session, in, n, &s->out, &len);
    if (r != GSASL_OK && r != GSASL_NEEDS_MORE)
        return err_set(e, "%s", gsasl_strerror(r));
    *next = (struct relay_sasl_step){.response = s->out ? s->out : "", .len = len, .finished = r == GSASL_OK};
    return 0;
}

static int start(struct relay_sasl *s, const char *mechanism, const char *user, const char *password, struct err *e)
{
    int r = gsasl_init(&s->lib);

    if (r == GSASL_OK)
        r = gsasl_client_start(s->lib, mechanism, &s->session);
    if (r != GSASL_OK)
        return err_set(e, "%s: %s", mechanism, gsasl_strerror(r));
    gsasl_property_set(s->session, GSASL_AUTHID, user);
    gsasl_property_set(s->session, GSASL_PASSWORD, password);
    return 0;
}

int relay_sasl_new(struct relay_sasl **out, const char *offered, size_t offered_len, const char *user,
                   const char *password, const char **mechanism, struct relay_sasl_step *first, struct err *e)
{
    size_t count = sizeof mechanisms / sizeof *mechanisms, i = 0;
    struct relay_sasl *s;
    int r;

    *out = NULL;
    while (i < count && !is_offered(offered, offered_len, mechanisms[i].name))
        i++;
    if (i == count)
        return err_set(e, "the server offers none of SCRAM-SHA-256, PLAIN and LOGIN");
    s = mem_alloc(sizeof *s);
    *mechanism = mechanisms[i].name;
    s->scram = strncmp(*mechanism, "SCRAM-", 6) == 0;
    *first = (struct relay_sasl_step){0};
    r = start(s, mechanisms[i].name, user, password, e);
    if (r == 0 && !mechanisms[i].server_first)
        r = step(s, NULL, 0, first, e);
    if (r < 0)
        relay_sasl_free(&s);
    *out = s;
    return r;
}

/* RFC 5802 7, server-first-message: "r=...,s=...,i=4096". It is the server that says how often its hash is to be made. */
static bool is_endless(const char *challenge, size_t n)
{
    const char *end = challenge + n, *at = challenge;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t len = (size_t)((comma ? comma : end) - at);
        uint64_t rounds;

        if (len > 2 && memcmp(at, "i=", 2) == 0 &&
            (!text_u64((struct span){at + 2, len - 2}, &rounds) || rounds > ROUNDS_MOST))
            return true;
        at += len + 1;
    }
    return false;
}

int relay_sasl_step(struct relay_sasl *s, const char *challenge, size_t n, struct relay_sasl_step *next, struct err *e)
{
    if (s->scram && is_endless(challenge, n))
        return err_set(e, "the server asks for more than %u rounds of SCRAM", ROUNDS_MOST);
    return step(s, challenge, n, next, e);
}

void relay_sasl_free(struct relay_sasl **sp)
{
    struct relay_sasl *s = *sp;

    if (!s)
        return;
    gsasl_free(s->out);
    if (s->session)
        gsasl_finish(s->session);
    if (s->lib)
        gsasl_done(s->lib);
    free(s);
    *sp = NULL;
}
