#include <stdlib.h>
#include <string.h>

#include "main/queue_text.h"
#include "unit/suite.h"

static char *put(const char *word)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    queue_text_put(f, word);
    fclose(f);
    return text;
}

static const struct {
    const char *word, *shown;
} words[] = {
    {"plain text, <a@b>", "plain text, <a@b>"},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xa7", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xa7"},
    {"\x1b[2J", "\\x1b[2J"},
    {"a\r\nb\tc\x7f", "a\\x0d\\x0ab\\x09c\\x7f"},
    {"\xc2\x9b"
     "31m",
     "\\xc2\\x9b31m"},
    {"\xe2\x80\xae"
     "txt.exe",
     "\\xe2\\x80\\xaetxt.exe"},
    {"\xe2\x81\xa6x", "\\xe2\\x81\\xa6x"},
    {"\xe2\x80\x93", "\xe2\x80\x93"},
};

START_TEST(a_terminal_is_safe)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char *text = put(words[i].word);

        ck_assert_str_eq(text, words[i].shown);
        free(text);
    }
}
END_TEST

SUITE_MAIN("queue_text", a_terminal_is_safe)
