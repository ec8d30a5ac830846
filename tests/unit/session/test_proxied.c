/* Connections from a proxy before they are sessions. Deadlines are not waited for: the clock is moved instead. */
#include "unit/session/rig.h"

#define SECOND INT64_C(1000000)
#define V1 "PROXY TCP4 192.0.2.7 198.51.100.2 56324 25\r\n"

static void start(void)
{
    rig_start("listener \"mx\" { address = {\"127.0.0.1:0\"} role = mx tls = off proxy-from = {\"127.0.0.1\"} }\n",
              false, NULL);
}

static struct client *with(const char *head)
{
    struct client *c = client_new(0);

    RIG_UNTIL(rig.server->proxied_count > 0);
    client_send(c, head);
    rig_turn();
    return c;
}

static bool reported_drained(void)
{
    struct chan_msg m;
    bool yes = false;

    while (chan_recv(rig.leader, rig.room, sizeof rig.room, &m, NULL) == 1) {
        yes |= m.type == SERVER_DRAINED;
        chan_msg_close(&m);
    }
    return yes;
}

START_TEST(a_header_makes_a_session)
{
    struct client *c;

    start();
    c = with(V1);
    RIG_UNTIL(client_has(c, "220 mx.example.test"));
    ck_assert_uint_eq(rig.server->proxied_count, 0);
    ck_assert_int_eq(rig_now(), 1);
    ck_assert_uint_ge(rig_logged("remoteIp=192.0.2.7 remotePort=56324 proxyIp=127.0.0.1"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

/* Load balancers look whether a port is open: they connect, and many end it with a reset. */
START_TEST(a_look_at_the_port_is_no_event)
{
    struct client *c;

    start();
    for (int i = 0; i < 2; i++) {
        c = client_new(0);
        RIG_UNTIL(rig.server->proxied_count == 1);
        if (i)
            client_reset(c);
        client_free(c);
        RIG_UNTIL(rig.server->proxied_count == 0);
    }
    ck_assert_uint_eq(rig_logged("proxy.invalid"), 0);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_REFUSED), 0);
    rig_stop();
}
END_TEST

START_TEST(half_a_header_is_an_event)
{
    struct client *c;

    start();
    c = with("PROXY TCP4 192");
    client_reset(c);
    client_free(c);
    RIG_UNTIL(rig.server->proxied_count == 0);
    ck_assert_uint_eq(rig_logged("proxy.invalid"), 1);
    rig_stop();
}
END_TEST

START_TEST(a_header_has_ten_seconds)
{
    struct client *c;
    int64_t began;

    start();
    began = clock_now().mono_us;
    c = with("PROXY ");
    session_proxied_tick(rig.server, began + 9 * SECOND);
    ck_assert_uint_eq(rig.server->proxied_count, 1);
    session_proxied_tick(rig.server, clock_now().mono_us + 11 * SECOND);
    ck_assert_uint_eq(rig.server->proxied_count, 0);
    RIG_UNTIL(client_ended(c));
    ck_assert_uint_eq(rig_logged("no header in time"), 1);
    client_free(c);
    rig_stop();
}
END_TEST

START_TEST(draining_waits_for_a_header)
{
    struct client *c;

    start();
    c = with("PROXY TCP4 192.0.2.7 ");
    rig_order(SERVER_DRAIN);
    ck_assert(!reported_drained());
    client_send(c, "198.51.100.2 56324 25\r\n");
    RIG_UNTIL(client_has(c, "220 "));
    client_says(c, "QUIT\r\n", "221 ");
    client_free(c);
    RIG_UNTIL(reported_drained());
    rig_stop();
}
END_TEST

START_TEST(shutting_down_does_not)
{
    struct client *c;

    start();
    c = with("PROXY TCP4 192.0.2.7 ");
    rig_order(SERVER_SHUTDOWN);
    ck_assert_uint_eq(rig.server->proxied_count, 0);
    RIG_UNTIL(client_ended(c) && reported_drained());
    ck_assert_uint_eq(rig_logged("proxy.invalid"), 0); /* the proxy did nothing wrong */
    client_free(c);
    rig_stop();
}
END_TEST

/* They cost memory and descriptors before anybody is admitted. */
START_TEST(there_is_a_limit)
{
    struct client *c;

    start();
    rig.server->proxied_count = 100000; /* as if */
    c = client_new(0);
    RIG_UNTIL(client_ended(c));
    rig.server->proxied_count = 0;
    ck_assert_uint_eq(rig_logged("reason=\"too many headers are waited for\""), 1);
    ck_assert_int_eq(share_total(rig.setup.share, SHARE_REFUSED), 1);
    client_free(c);
    rig_stop();
}
END_TEST

SUITE_MAIN("proxied", a_header_makes_a_session, a_look_at_the_port_is_no_event, half_a_header_is_an_event,
           a_header_has_ten_seconds, draining_waits_for_a_header, shutting_down_does_not, there_is_a_limit)
