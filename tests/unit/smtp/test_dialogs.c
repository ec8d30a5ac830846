/* Every file of tests/dialogs against the engine, cut in four ways; all must do the same. */
#include <glob.h>

#include "unit/smtp/dialog.h"
#include "unit/suite.h"

static glob_t files;

static void same_trace(struct dialog *d, const char *want, size_t len)
{
    const char *have = buf_data(&d->trace);
    size_t n = d->trace.len < len ? d->trace.len : len, i = 0;

    if (d->trace.len == len && memcmp(have, want, len) == 0)
        return;
    while (i < n && have[i] == want[i])
        i++;
    i -= i < 200 ? i : 200;
    ck_abort_msg("%s (%s): fed %s, the engine did\n...%.400s\ninstead of\n...%.400s", d->path,
                 dialog_mode_names[d->run_mode], dialog_cut_names[d->cut], buf_str(&d->trace) + i, want + i);
}

static void all_cuts(struct dialog *d, enum dialog_mode mode)
{
    struct buf want = {0};

    dialog_run(d, mode, DIALOG_WHOLE, 0);
    buf_append(&want, buf_data(&d->trace), d->trace.len);
    dialog_run(d, mode, DIALOG_BYTES, 0);
    same_trace(d, buf_str(&want), want.len);
    for (unsigned seed = 1; seed <= 8; seed++) {
        dialog_run(d, mode, DIALOG_RANDOM, seed);
        same_trace(d, buf_str(&want), want.len);
    }
    dialog_run(d, mode, DIALOG_BLAST, 0);
    same_trace(d, buf_str(&want), want.len);
    buf_clear(&want);
}

START_TEST(dialog)
{
    struct dialog d;

    dialog_load(&d, files.gl_pathv[_i]);
    for (int mode = 0; mode < DIALOG_MODES; mode++)
        if (d.mode[mode])
            all_cuts(&d, (enum dialog_mode)mode);
    dialog_unload(&d);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dialogs");
    TCase *t = tcase_create("dialogs");
    SRunner *r;
    int failed;

    if (glob(TESTS_DIR "/dialogs/*.txt", 0, NULL, &files) != 0)
        return EXIT_FAILURE;
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, dialog, 0, (int)files.gl_pathc);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    globfree(&files);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
