#include "bench/client_hello.h"

#include <stdio.h>
#include <string.h>

#define HANDSHAKE 22
#define HELLO 1
#define MOST 65536u

enum { SNI = 0, STATUS = 5, GROUPS = 10, SIGNATURES = 13, ALPN = 16, TICKET = 35, PRE_SHARED_KEY = 41, VERSIONS = 43 };

struct part { /* what is left to be read; bad once and for all when it was too short */
    const uint8_t *p;
    size_t n;
    bool bad;
};

static struct part cut(struct part *from, size_t n)
{
    struct part out = {from->p, n, from->bad || n > from->n};

    if (out.bad) {
        from->bad = true;
        return (struct part){NULL, 0, true};
    }
    from->p += n;
    from->n -= n;
    return out;
}

static unsigned number(struct part *from, size_t octets)
{
    struct part b = cut(from, octets);
    unsigned v = 0;

    for (size_t i = 0; i < b.n; i++)
        v = v << 8 | b.p[i];
    return v;
}

/* A vector with its length in front. */
static struct part vector(struct part *from, size_t octets)
{
    unsigned n = number(from, octets);

    return cut(from, n);
}

static bool is_grease(unsigned v)
{
    return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

static void list(struct part from, uint16_t *out, unsigned *count)
{
    while (from.n >= 2 && *count < CLIENT_HELLO_LIST) {
        unsigned v = number(&from, 2);

        if (!is_grease(v))
            out[(*count)++] = (uint16_t)v;
    }
}

/* As text that goes to people's terminals. */
static void keep(char out[CLIENT_HELLO_NAME], struct part from)
{
    for (size_t i = 0; i < from.n; i++)
        out[i] = from.p[i] < 0x21 || from.p[i] > 0x7e ? '?' : (char)from.p[i];
    out[from.n] = '\0';
}

static void server_name(struct client_hello *out, struct part x)
{
    struct part names = vector(&x, 2), name;

    out->has_sni = true;
    while (names.n && !names.bad) {
        unsigned kind = number(&names, 1);

        name = vector(&names, 2);
        if (kind != 0 || name.bad || name.n >= sizeof out->sni || memchr(name.p, '\0', name.n))
            continue;
        keep(out->sni, name);
        return;
    }
}

static void protocols(struct client_hello *out, struct part x)
{
    struct part names = vector(&x, 2);

    while (names.n && !names.bad && out->alpn_count < CLIENT_HELLO_PROTOCOLS) {
        struct part name = vector(&names, 1); /* at most 255 octets */

        if (name.bad || !name.n)
            return;
        if (!out->alpn_count) {
            out->alpn_ends[0] = name.p[0];
            out->alpn_ends[1] = name.p[name.n - 1];
        }
        keep(out->alpn[out->alpn_count++], name);
    }
}

static void extension(struct client_hello *out, unsigned type, struct part x)
{
    if (!is_grease(type) && out->extension_count < CLIENT_HELLO_LIST)
        out->extensions[out->extension_count++] = (uint16_t)type;
    if (type == SNI)
        server_name(out, x);
    else if (type == STATUS)
        out->asks_status = true;
    else if (type == GROUPS)
        list(vector(&x, 2), out->groups, &out->group_count);
    else if (type == SIGNATURES)
        list(vector(&x, 2), out->signatures, &out->signature_count);
    else if (type == ALPN)
        protocols(out, x);
    else if (type == VERSIONS)
        list(vector(&x, 1), out->versions, &out->version_count);
    else if (type == PRE_SHARED_KEY || (type == TICKET && x.n))
        out->resumes = true;
}

static enum client_hello_verdict message(struct client_hello *out, struct part m)
{
    unsigned legacy = number(&m, 2);
    struct part extensions;

    cut(&m, 32);
    vector(&m, 1);
    list(vector(&m, 2), out->ciphers, &out->cipher_count);
    vector(&m, 1);
    extensions = m.n ? vector(&m, 2) : (struct part){NULL, 0, false};
    while (extensions.n && !extensions.bad) {
        unsigned type = number(&extensions, 2);

        extension(out, type, vector(&extensions, 2));
    }
    if (m.bad || extensions.bad)
        return CLIENT_HELLO_NONE;
    if (!out->version_count) { /* before 1.3 */
        out->versions[0] = (uint16_t)legacy;
        out->version_count = 1;
    }
    return CLIENT_HELLO_OK;
}

enum client_hello_verdict client_hello_parse(struct client_hello *out, const void *p, size_t n)
{
    struct part records = {p, n, false};
    uint8_t all[MOST];
    size_t have = 0, need = 4;

    memset(out, 0, sizeof *out);
    while (have < need) {
        struct part head = records, body;
        unsigned type = number(&head, 1), version = number(&head, 2), length = number(&head, 2);

        if ((records.n && records.p[0] != HANDSHAKE) || (!head.bad && (type != HANDSHAKE || version >> 8 != 3)))
            return CLIENT_HELLO_NONE;
        if (head.bad || head.n < length)
            return CLIENT_HELLO_MORE;
        body = cut(&head, length);
        if (have + body.n > sizeof all || !body.n)
            return CLIENT_HELLO_NONE;
        memcpy(all + have, body.p, body.n);
        have += body.n;
        records = head;
        if (have >= 4) {
            if (all[0] != HELLO)
                return CLIENT_HELLO_NONE;
            need = 4 + ((size_t)all[1] << 16 | (size_t)all[2] << 8 | all[3]);
            if (need > sizeof all)
                return CLIENT_HELLO_NONE;
        }
    }
    out->size = need;
    return message(out, (struct part){all + 4, need - 4, false});
}

static json_t *hex_list(const uint16_t *v, unsigned count)
{
    json_t *l = json_array();

    for (unsigned i = 0; i < count; i++) {
        char text[8];

        snprintf(text, sizeof text, "%04x", (unsigned)v[i]);
        json_array_append_new(l, json_string(text));
    }
    return l;
}

static json_t *version_list(const struct client_hello *h)
{
    static const char *const names[] = {"SSLv3", "1.0", "1.1", "1.2", "1.3"};
    json_t *l = json_array();

    for (unsigned i = 0; i < h->version_count; i++) {
        unsigned minor = h->versions[i] & 0xff;

        json_array_append_new(l, json_string(h->versions[i] >> 8 == 3 && minor < 5 ? names[minor] : "other"));
    }
    return l;
}

json_t *client_hello_json(const struct client_hello *h, unsigned segments)
{
    json_t *alpn = json_array(), *o;
    char print[CLIENT_HELLO_PRINT];

    for (unsigned i = 0; i < h->alpn_count; i++)
        json_array_append_new(alpn, json_string(h->alpn[i]));
    client_hello_print(h, print);
    o = json_pack("{s:o,s:o,s:o,s:o,s:s,s:o,s:b,s:b,s:I,s:s}", "versions", version_list(h), "ciphers",
                  hex_list(h->ciphers, h->cipher_count), "groups", hex_list(h->groups, h->group_count), "sigalgs",
                  hex_list(h->signatures, h->signature_count), "sni", h->sni, "alpn", alpn, "resume", h->resumes,
                  "status", h->asks_status, "size", (json_int_t)h->size, "fp", print);
    if (o && segments)
        json_object_set_new(o, "segments", json_integer((json_int_t)segments));
    return o;
}
