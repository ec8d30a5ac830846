/* The store as a process of its own, on a real file system. */
#include "unit/sink/rig.h"
#include "unit/suite.h"

struct expect {
    const char *text;
    unsigned found;
};

static void compare(void *arg, const char *path, const char *text, size_t n)
{
    struct expect *e = arg;

    (void)path;
    if (n == strlen(e->text) && memcmp(text, e->text, n) == 0)
        e->found++;
}

START_TEST(a_message_arrives)
{
    struct rig_conf c;
    struct rig_store s;
    struct rig_worker w;
    struct expect e = {"Subject: one\n\nhello\n", 0};
    uint32_t to[] = {1};

    rig_conf_new(&c, NULL, 3);
    rig_store_start(&s, &c);
    rig_worker_new(&w, &s, &c);
    ck_assert_int_eq(rig_send(&w, to, 1, e.text, NULL), SINK_OK);
    ck_assert_uint_eq(rig_mail(&c, 1, compare, &e), 1);
    ck_assert_uint_eq(e.found, 1);
    ck_assert_uint_eq(rig_mail(&c, 0, NULL, NULL), 0);
    rig_worker_free(&w);
    ck_assert_int_eq(rig_store_end(&s), 0);
    rig_conf_free(&c);
}
END_TEST

SUITE_MAIN("store", a_message_arrives)
