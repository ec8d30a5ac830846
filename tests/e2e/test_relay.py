#!/usr/bin/env python3
"""Mail handed onward: taken into the queue with its mailboxes, sent to a next hop, kept while it cannot go, reported
when it never will."""
import email
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
from hop import Hop, hop_daemon  # noqa: E402

BODY = b"Subject: hi\nFrom: alice@example.test\nTo: out@remote.test\n\nfirst line\n.a dot\n"


class Relay(DaemonTest):
    def setUp(self):
        self.hop = Hop()

    def tearDown(self):
        self.hop.down()
        self.d.stop()
        reports = self.d.reports()
        self.d.remove()
        self.assertFalse(reports)

    def send(self, to, listener="inside", sender="alice@example.test", code=250):
        with self.d.client(listener) as c:
            c.hello()
            got = c.deliver(BODY, to=to, sender=sender)
            self.assertEqual(got.code, code, got)
            c.expect("QUIT", 221)

    def queue(self):
        return [p for p in (self.d.state / "queue").iterdir() if not p.name.startswith(".")]

    def test_local_and_remote_recipients_of_one_message(self):
        self.hop.up()
        self.d = hop_daemon(self.hop)
        self.send(["bob@example.test", "out@remote.test", "carol@away.test"])
        got = wait_until(lambda: len(self.hop.messages()) == 2 and self.hop.messages())
        self.assertEqual(sorted(r for m in got for r in m[1]), ["carol@away.test", "out@remote.test"])
        for sender, _, body, _ in got:
            self.assertEqual(sender, "alice@example.test")
            self.assertTrue(body.startswith(b"Received: from client.example.test"), body)
            self.assertIn(b"\r\n\r\nfirst line\r\n.a dot\r\n", body)
            self.assertIn(b"\r\nMessage-ID: <", body)  # it came without one
            self.assertIn(b"\r\nDate: ", body)
        (mail,) = self.d.messages("bob")
        self.assertTrue(mail.read_bytes().startswith(b"Return-Path: <alice@example.test>\nReceived:"))
        wait_until(lambda: not self.queue())
        self.assertEqual(len(self.d.events("queue.relayed")), 2)

    def test_only_who_may_relay_does(self):
        self.d = hop_daemon(self.hop.up())
        with self.d.client("mx") as c:
            c.hello()
            c.expect("MAIL FROM:<alice@example.test>", 250)
            self.assertIn("550 5.7.1", c.ask("RCPT TO:<out@remote.test>"))
            c.expect("RCPT TO:<carol@away.test>", 250)
            self.assertIn("550 5.1.1", c.ask("RCPT TO:<dora@away.test>"))

    def test_waits_while_the_next_hop_is_down(self):
        self.d = hop_daemon(self.hop)
        self.send(["out@remote.test"])
        self.d.wait_event("queue.deferred")
        (path,) = self.queue()
        text = path.read_bytes()
        self.assertIn(b"rcpt: <out@remote.test> route=out", text)
        self.assertIn(b"deferred 4", text)
        self.hop.up()
        wait_until(self.hop.messages)
        wait_until(lambda: not self.queue())
        self.assertEqual(len(self.hop.messages()), 1)

    def test_a_refusal_comes_back_as_a_report(self):
        self.hop.refuse["out@remote.test"] = "550 5.1.1 nobody of that name"
        self.d = hop_daemon(self.hop.up())
        self.send(["out@remote.test", "fine@remote.test"])
        path = wait_until(self.d.messages)[0]
        report = email.message_from_bytes(path.read_bytes())
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report.get_param("report-type"), "delivery-status")
        status = report.get_payload(1).get_payload()
        self.assertEqual(status[1]["Action"], "failed")
        self.assertEqual(status[1]["Status"], "5.1.1")
        self.assertIn("nobody of that name", status[1]["Diagnostic-Code"])
        self.assertEqual(self.hop.messages()[0][1], ["fine@remote.test"])
        wait_until(lambda: not self.queue())

    def test_required_tls_that_is_not_offered(self):
        self.hop.up()
        self.d = hop_daemon(self.hop, more="tls = required")
        self.send(["out@remote.test"])
        event = self.d.wait_event("queue.deferred")[0]
        self.assertIn("4.7.6", event)
        self.assertIn("STARTTLS", event)
        self.assertEqual(len(self.queue()), 1)
        self.hop.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.hop.tls.load_cert_chain(self.d.chain, self.d.key)
        got = wait_until(self.hop.messages)
        self.assertTrue(got[0][3])

    def test_verified_tls(self):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.d = hop_daemon(self.hop, more="tls = verify tls-name = other.example.test", start=False)
        tls.load_cert_chain(self.d.chain, self.d.key)
        self.hop.tls = tls
        self.hop.up()
        self.d.start()
        self.send(["out@remote.test"])
        self.assertIn("other.example.test", self.d.wait_event("queue.deferred")[0])
        self.d.extra = self.d.extra.replace("other.example.test", "mx.example.test")
        self.d.write()
        self.assertEqual(self.d.command("reload").returncode, 0)
        got = wait_until(self.hop.messages)
        self.assertTrue(got[0][3])

    def test_size_is_what_goes_over_the_wire(self):
        """RFC 1870 5: CRLF is two octets, dots that are doubled do not count."""
        self.d = hop_daemon(self.hop.up())
        for lines in (0, 1, 40000):
            with self.d.client("inside") as c:
                c.hello()
                c.deliver(BODY + b".x\n" * lines, to=["out@remote.test"], sender="alice@example.test")
        wait_until(lambda: len(self.hop.messages()) == 3)
        sizes = sorted(int(re.search(r"SIZE=(\d+)", m).group(1)) for m in self.hop.mails)
        self.assertEqual(sizes, sorted(len(m[2]) for m in self.hop.messages()))

    def requiretls(self, offers):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.d = hop_daemon(self.hop, more="tls = verify tls-name = mx.example.test", start=False)
        self.d.extra = self.d.extra.replace("tls-name", f'ca-file = "{self.d.ca.pem}" tls-name')
        self.d.write()
        tls.load_cert_chain(self.d.chain, self.d.key)
        self.hop.tls, self.hop.offers = tls, offers
        self.hop.up()
        self.d.start()
        with self.d.client("mx") as c:
            c.hello()
            c.starttls()
            self.assertIn("REQUIRETLS", c.ask("EHLO client.example.test"))
            c.expect("MAIL FROM:<alice@example.test> REQUIRETLS", 250)
            c.expect("RCPT TO:<carol@away.test>", 250)
            c.expect("DATA", 354)
            c.send(stuff(BODY))
            self.assertEqual(c.reply().code, 250)

    def test_requiretls_goes_on(self):
        self.requiretls(["REQUIRETLS"])
        (got,) = wait_until(self.hop.messages)
        self.assertTrue(got[3])
        self.assertIn(" REQUIRETLS", self.hop.mails[0])

    def test_requiretls_comes_back(self):
        """RFC 8689 4.2.1: not to a server that does not know it."""
        self.requiretls([])
        report = email.message_from_bytes(wait_until(self.d.messages)[0].read_bytes())
        self.assertEqual(report.get_payload(1).get_payload()[1]["Status"], "5.7.30")
        self.assertEqual(self.hop.messages(), [])

    def test_lmtp(self):
        self.hop = Hop(lmtp=True).up()
        self.d = hop_daemon(self.hop)
        self.send(["carol@away.test"], listener="mx", sender="who@elsewhere.test")
        got = wait_until(self.hop.messages)
        self.assertEqual(got[0][1], ["carol@away.test"])
        self.d.wait_event("queue.delivered")

    def test_a_reload_sends_nothing_twice(self):
        self.hop.up()
        self.d = hop_daemon(self.hop)
        for i in range(40):
            self.send([f"r{i}@remote.test"])
            if i % 10 == 5:
                self.assertEqual(self.d.command("reload").returncode, 0)
        wait_until(lambda: not self.queue())
        self.assertEqual(sorted(m[1][0] for m in self.hop.messages()), sorted(f"r{i}@remote.test" for i in range(40)))

    def test_a_dead_relay_is_replaced(self):
        self.d = hop_daemon(self.hop)
        for i in range(3):
            (pid,) = self.d.pids("relay")
            self.d.kill(pid)
            wait_until(lambda: self.d.pids("relay") not in ([], [pid]))
        self.hop.up()
        self.send(["out@remote.test"])
        wait_until(self.hop.messages)
        self.assertEqual(self.d.command("status").returncode, 0)


if __name__ == "__main__":
    main()
