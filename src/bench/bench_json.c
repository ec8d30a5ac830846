#include "bench/bench_json.h"

#include "base/buf.h"

json_t *bench_json_text(const char *s)
{
    json_t *o = json_string(s ? s : "");
    struct buf b = {0};

    if (o)
        return o;
    for (; s && *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c < 0x80)
            buf_append(&b, s, 1);
        else
            buf_append(&b, (char[]){(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))}, 2);
    }
    o = json_stringn(buf_data(&b), b.len);
    buf_clear(&b);
    return o;
}

const char *bench_json_str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}
