#include <string.h>

#include "base/buf.h"
#include "bench/api_own.h"

#define SOME 1000u
#define MOST ((size_t)64 << 20)

/* True: it was said that messages are not kept. */
static bool none_are_kept(struct api *a, struct api_call *c)
{
    if (a->setup.mail)
        return false;
    api_error(c, 404, "capture { body = full }", "messages are not kept here");
    return true;
}

void api_messages_get(struct api *a, struct api_call *c)
{
    struct mail_filter f = {.lease = http_request_query(c->r, "lease")};
    uint64_t most, next;
    json_t *list;

    if (none_are_kept(a, c) || api_number(c, "since", 0, INT64_MAX, &f.since) < 0 ||
        api_number(c, "limit", SOME, SOME, &most) < 0)
        return;
    f.most = most ? (unsigned)most : SOME;
    list = mail_store_list(a->setup.mail, &f, &next);
    api_json(c, 200, json_pack("{s:o,s:I}", "messages", list, "next", (json_int_t)next));
}

static void send_one(struct api *a, struct api_call *c, const char *mid, bool wire)
{
    struct buf b = {0};
    struct err e;

    if (mail_store_read(a->setup.mail, mid, wire, MOST, &b, &e) < 0)
        api_error(c, 404, "GET /v1/messages has them", "%s", e.text);
    else /* whatever it says that it is: it was written by who knows whom */
        api_text(c, 200, "text/plain", (struct span){b.len ? buf_data(&b) : "", b.len});
    buf_clear(&b);
}

/* MID: what is known of it; MID.eml: the message; MID.wire: its octets as they came. */
void api_message_get(struct api *a, struct api_call *c)
{
    const char *part = c->part[2], *dot = strrchr(part, '.');
    bool eml = dot && strcmp(dot, ".eml") == 0, wire = dot && strcmp(dot, ".wire") == 0;
    char mid[64];
    json_t *about;

    if (none_are_kept(a, c))
        return;
    snprintf(mid, sizeof mid, "%.*s", (int)(eml || wire ? dot - part : (long)strlen(part)), part);
    about = mail_store_find(a->setup.mail, mid);
    if (!about)
        api_error(c, 404, "GET /v1/messages has them; MID, MID.eml, MID.wire", "there is no message of that name");
    else if (eml || wire)
        send_one(a, c, mid, wire);
    else
        api_json(c, 200, json_incref(about));
}

void api_message_delete(struct api *a, struct api_call *c)
{
    if (none_are_kept(a, c))
        return;
    if (!mail_store_find(a->setup.mail, c->part[2])) {
        api_error(c, 404, "GET /v1/messages has them", "there is no message of that name");
        return;
    }
    mail_store_drop(a->setup.mail, c->part[2]);
    api_json(c, 200, json_pack("{s:i}", "left", (int)mail_store_count(a->setup.mail)));
}

void api_messages_delete(struct api *a, struct api_call *c)
{
    if (none_are_kept(a, c))
        return;
    mail_store_drop(a->setup.mail, NULL);
    api_json(c, 200, json_pack("{s:i}", "left", 0));
}
