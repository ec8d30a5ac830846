#include "auth/auth_msg.h"

#include <string.h>

static void text_at_end(struct buf *out, const char *text, size_t n)
{
    buf_append(out, text, n);
    buf_append(out, "", 1);
}

void auth_begin_encode(struct buf *out, const struct auth_begin_msg *m, const char *text, size_t n)
{
    buf_append(out, m, sizeof *m);
    text_at_end(out, text, n);
}

void auth_step_encode(struct buf *out, uint32_t number, const char *text, size_t n)
{
    buf_append(out, &number, sizeof number);
    text_at_end(out, text, n);
}

void auth_answer_encode(struct buf *out, uint32_t number, enum auth_verdict v, const char *text)
{
    uint32_t head[2] = {number, v};

    buf_append(out, head, sizeof head);
    text_at_end(out, text ? text : "", text ? strlen(text) : 0);
}

/* One text up to the datagram's end, NUL at its end and nowhere else. */
static int take_text(const char **text, const char *p, size_t n)
{
    if (n == 0 || n > AUTH_TEXT_MOST + 1 || memchr(p, '\0', n) != p + n - 1)
        return -1;
    *text = p;
    return 0;
}

static int take(void *out, size_t head, const char **text, const void *data, size_t len)
{
    if (len < head)
        return -1;
    memcpy(out, data, head);
    return take_text(text, (const char *)data + head, len - head);
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* What is handed on in lines to Dovecot must not hold the end of one: a worker in bad hands would write the next. */
static bool is_name(const char name[AUTH_NAME_MOST])
{
    return memchr(name, '\0', AUTH_NAME_MOST) && strspn(name, LETTERS "-_") == strlen(name);
}

static int take_base64(void *out, size_t head, const char **text, const void *data, size_t len)
{
    if (take(out, head, text, data, len) < 0 || strspn(*text, LETTERS "+/=") != strlen(*text))
        return -1;
    return 0;
}

int auth_begin_decode(struct auth_begin_msg *out, const char **text, const void *data, size_t len)
{
    if (take_base64(out, sizeof *out, text, data, len) < 0 || out->has_text > 1 || !is_name(out->mechanism) ||
        !is_name(out->session) || out->client.len > sizeof out->client.ss || out->local.len > sizeof out->local.ss)
        return -1;
    return 0;
}

int auth_step_decode(uint32_t *number, const char **text, const void *data, size_t len)
{
    return take_base64(number, sizeof *number, text, data, len);
}

int auth_cancel_decode(uint32_t *number, const void *data, size_t len)
{
    if (len != sizeof *number)
        return -1;
    memcpy(number, data, sizeof *number);
    return 0;
}

int auth_answer_decode(uint32_t *number, enum auth_verdict *v, const char **text, const void *data, size_t len)
{
    uint32_t head[2];

    if (take(head, sizeof head, text, data, len) < 0 || head[1] > AUTH_TOO_MANY)
        return -1;
    *number = head[0];
    *v = (enum auth_verdict)head[1];
    return 0;
}

int auth_mechanisms_decode(const char **text, const void *data, size_t len)
{
    return take_text(text, data, len);
}
