/* docs/configuration.md is what `postern reference --markdown` prints: written down for readers, made from the table. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "conf/conf.h"
#include "unit/suite.h"

static char *slurp(FILE *f)
{
    size_t len = 0, n;
    char *text = mem_alloc(1);

    rewind(f);
    do {
        text = mem_grow(text, len + 4097);
        n = fread(text + len, 1, 4096, f);
        len += n;
        text[len] = '\0';
    } while (n > 0);
    fclose(f);
    return text;
}

START_TEST(the_page_is_the_table)
{
    FILE *page = fopen(TESTS_DIR "/../docs/configuration.md", "re"), *out = tmpfile();
    char *written, *printed;
    unsigned line = 1;

    ck_assert_msg(page && out, "docs/configuration.md: build/postern reference --markdown > docs/configuration.md");
    conf_write_markdown(fileno(out));
    written = slurp(page);
    printed = slurp(out);
    for (size_t i = 0; written[i] && written[i] == printed[i]; i++)
        line += written[i] == '\n';
    ck_assert_msg(
        strcmp(written, printed) == 0,
        "docs/configuration.md differs in line %u: build/postern reference --markdown > docs/configuration.md", line);
    free(written);
    free(printed);
}
END_TEST

SUITE_MAIN("reference", the_page_is_the_table)
