#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/api_own.h"
#include "bench/transcript_text.h"

#define SOME 1000u
#define TEXT_MOST ((size_t)64 << 20)

void api_sessions_get(struct api *a, struct api_call *c)
{
    struct session_filter f = {.lease = http_request_query(c->r, "lease"),
                               .scenario = http_request_query(c->r, "scenario")};
    uint64_t most, next;
    json_t *list;

    if (api_number(c, "since", 0, INT64_MAX, &f.since) < 0 || api_number(c, "limit", SOME, SOME, &most) < 0)
        return;
    f.most = most ? (unsigned)most : SOME;
    list = session_list_some(a->setup.sessions, &f, &next);
    api_json(c, 200, json_pack("{s:o,s:I}", "sessions", list, "next", (json_int_t)next));
}

/* As `postern-bench transcript` shows it. */
static void conversation(struct api_call *c, const char *path)
{
    FILE *in = fopen(path, "re"), *out;
    char *text = NULL, *line = NULL;
    size_t n = 0, cap = 0;

    if (!in) {
        api_error(c, 404, "ask for what is in the list", "it is not kept: %s", strerror(errno));
        return;
    }
    out = open_memstream(&text, &n);
    while (out && n < TEXT_MOST && getline(&line, &cap, in) > 0) {
        json_t *o = json_loads(line, 0, NULL);

        if (o)
            transcript_text(out, o);
        json_decref(o);
        fflush(out);
    }
    if (out)
        fclose(out);
    fclose(in);
    free(line);
    api_text(c, 200, "text/plain", (struct span){text ? text : "", n});
    free(text);
}

/* SID, SID.jsonl: its lines; SID.txt: as a conversation. */
void api_session_get(struct api *a, struct api_call *c)
{
    char sid[64], *path;
    const char *dot = strchr(c->part[2], '.'), *form = dot ? dot : "";
    size_t n = dot ? (size_t)(dot - c->part[2]) : strlen(c->part[2]);
    const json_t *o = NULL;

    if (n < sizeof sid) {
        memcpy(sid, c->part[2], n);
        sid[n] = '\0';
        o = session_list_find(a->setup.sessions, sid);
    }
    if (!o || (*form && strcmp(form, ".jsonl") != 0 && strcmp(form, ".txt") != 0)) {
        api_error(c, 404, "GET /v1/sessions has them; SID, SID.jsonl, SID.txt", "there is no session of that name");
        return;
    }
    if (!*form) {
        api_json(c, 200, json_incref((json_t *)(uintptr_t)o));
        return;
    }
    transcript_book_flush(a->setup.book);
    path = mem_printf("%s/%s.jsonl", a->setup.out ? a->setup.out : "", sid);
    if (strcmp(form, ".txt") == 0)
        conversation(c, path);
    else
        api_file(c, path, "application/x-ndjson");
    free(path);
}
