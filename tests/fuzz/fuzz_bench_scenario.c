/* Whatever a scenario file holds: it is told what is wrong, lines are lines of it, comments become blanks and nothing else
 * does, and bytes are parsed within their bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/scenario.h"
#include "bench/scenario_text.h"

static unsigned lines_of(const char *text, size_t n)
{
    unsigned lines = 1;

    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *exact = malloc(size ? size : 1);
    unsigned lines = lines_of((const char *)data, size);
    struct scenario_include inc;
    struct bench_bytes bytes;
    struct err e;

    memcpy(exact, data, size);
    memcpy(text, data, size);
    text[size] = '\0';
    (void)scenario_text_check("x", exact, size, &e);
    for (unsigned end = 1; end <= lines && end < 6; end++)
        if (scenario_text_line(exact, size, end, "reply") > lines)
            abort();
    if (scenario_text_include(exact, size, 0, &inc) && (inc.from >= inc.to || inc.to > size || inc.line > lines))
        abort();
    scenario_text_blank(exact, size);
    if (lines_of(exact, size) != lines)
        abort();
    if (bench_bytes_parse(&bytes, text, &e) == 0) {
        if (bytes.n > size)
            abort();
        free(bytes.p);
    }
    free(exact);
    free(text);
    return 0;
}
