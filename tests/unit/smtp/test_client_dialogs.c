/* Every file of tests/dialogs/client against the sending engine, cut in three ways; all must do the
 * same. */
#include <glob.h>

#include "unit/smtp/client_dialog.h"
#include "unit/suite.h"

static glob_t files;

static void same_trace(struct talk *t, struct buf *want)
{
    const char *have = buf_data(&t->trace);
    size_t n = t->trace.len < want->len ? t->trace.len : want->len, i = 0;

    if (t->trace.len == want->len && memcmp(have, buf_data(want), want->len) == 0)
        return;
    while (i < n && have[i] == buf_data(want)[i])
        i++;
    i -= i < 200 ? i : 200;
    ck_abort_msg("%s: fed %s, the engine did\n...%.400s\ninstead of\n...%.400s", t->path, talk_cut_names[t->cut],
                 buf_str(&t->trace) + i, buf_str(want) + i);
}

START_TEST(dialog)
{
    struct talk t;
    struct buf want = {0};

    talk_load(&t, files.gl_pathv[_i]);
    talk_run_file(&t, TALK_WHOLE, 0);
    buf_append(&want, buf_data(&t.trace), t.trace.len);
    talk_run_file(&t, TALK_BYTES, 0);
    same_trace(&t, &want);
    for (unsigned seed = 1; seed <= 8; seed++) {
        talk_run_file(&t, TALK_RANDOM, seed);
        same_trace(&t, &want);
    }
    buf_clear(&t.trace);
    buf_clear(&want);
    talk_unload(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client dialogs");
    TCase *c = tcase_create("client dialogs");
    SRunner *r;
    int failed;

    if (glob(TESTS_DIR "/dialogs/client/*.txt", 0, NULL, &files) != 0)
        return EXIT_FAILURE;
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, dialog, 0, (int)files.gl_pathc);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    globfree(&files);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
