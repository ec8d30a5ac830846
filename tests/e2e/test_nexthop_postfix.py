#!/usr/bin/env python3
"""Postfix as the next hop: mail goes to it with TLS that was verified, waits for it, comes back as a report that it refuses."""
import email
import email.policy
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import private_postfix  # noqa: E402
from postern import *  # noqa: E402,F403

NAME = "relay.example.net"
BODY = b"Subject: onward\nFrom: alice@example.test\nTo: carol@remote.test\nMessage-ID: <1@example.test>\n\nfirst line\n.a dot\nlast\n"


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@unittest.skipIf(private_postfix.why_not(), private_postfix.why_not())
class NextHop(DaemonTest):
    def prepare(self, tls, running=True, queue="first-retry = 1s longest-retry = 2s", offers="may", more="", **settings):
        d = self.prepared(listeners={"mx": {}, "inside": {"tls": "off", "relay-from": '{"127.0.0.1"}'}})
        base = d.dir / "postfix"
        base.mkdir()
        chain, key = base / "chain.pem", base / "key.pem"
        d.ca.issue(chain, key, name=NAME)
        self.port, mailer = free_port(), pwd.getpwnam(user_for_tests())
        self.boxes = base / "boxes"
        self.boxes.mkdir()
        os.chown(self.boxes, mailer.pw_uid, mailer.pw_gid)
        self.postfix = private_postfix.PrivatePostfix(base / "private", {
            "smtpd_tls_security_level": offers, "smtpd_tls_cert_file": chain, "smtpd_tls_key_file": key, "smtpd_tls_received_header": "yes",
            "virtual_mailbox_domains": "remote.test", "virtual_mailbox_base": self.boxes, "virtual_minimum_uid": "1",
            "virtual_mailbox_maps": "inline:{ carol@remote.test=carol/, dora@remote.test=dora/ }", "virtual_mailbox_limit": "0",
            "virtual_uid_maps": f"static:{mailer.pw_uid}", "virtual_gid_maps": f"static:{mailer.pw_gid}", **settings}, port=self.port)
        self.addCleanup(self.postfix.stop)
        self.addCleanup(self.show)
        if running:
            self.postfix.start()
        # the test's CA is ours alone: what the system trusts must not matter
        d.extra = (f'delivery "out" {{ type = smtp address = "127.0.0.1:{self.port}" tls = {tls} {more} }}\n'
                   f'relay {{ delivery = "out" }}\nqueue {{ {queue} }}\n')
        d.write()
        return d.start()

    def show(self):
        r = self._outcome.result
        if any(getattr(t, "test_case", t) is self for t, _ in r.failures + r.errors):
            print(f"---- {self.id()}: Postfix's log\n{self.postfix.log()[-5000:]}", flush=True)

    def send(self, d, *to, body=BODY):
        with d.client("inside") as c:
            c.hello()
            got = c.deliver(body, to=to, sender="alice@example.test")
            self.assertEqual(got.code, 250, got)
            c.expect("QUIT", 221)

    def stored(self, user="carol", count=1):
        box = self.boxes / user / "new"
        return wait_until(lambda: len(mails := [p.read_bytes() for p in sorted(box.glob("*"))]) >= count and mails)

    def gone(self, d):
        wait_until(lambda: not [p for p in (d.state / "queue").iterdir() if not p.name.startswith(".")])

    def waiting(self, d):
        return json.loads(d.command("queue", "list", "--json", check=True).out.splitlines()[0])

    def test_delivered_with_verified_tls(self):
        d = self.prepare("verify", more=f'tls-name = {NAME} ca-file = "ca/ca.pem"')
        self.send(d, "carol@remote.test", "dora@remote.test")
        for user in ("carol", "dora"):
            (mail,) = self.stored(user)
            self.assertTrue(mail.startswith(b"Return-Path: <alice@example.test>\n"), mail)
            self.assertRegex(mail, rb"using TLSv1\.3 with cipher \S+ \(\d+/\d+ bits\)")
            self.assertTrue(mail.endswith(b"\n\nfirst line\n.a dot\nlast\n"), mail)
        for user in ("carol", "dora"):
            (event,) = d.wait_event("queue.delivered", f"to={user}@remote.test")
            self.assertRegex(event, r'tls="TLSv1\.3 \S+, verified')
        self.gone(d)

    def test_another_certificate_is_not_taken(self):
        """The right CA and another name; the right name and another CA: both wait, neither is delivered."""
        d = self.prepare("verify", more='tls-name = other.example.net ca-file = "ca/ca.pem"')
        self.send(d, "carol@remote.test")
        self.assertIn("other.example.net", d.wait_event("relay.tls-failed")[0])
        self.assertIn("enhanced=4.7.", d.wait_event("queue.deferred")[0])
        foreign = Ca(d.dir / "foreign")
        d.extra = d.extra.replace("other.example.net", NAME).replace("ca/ca.pem", str(foreign.pem))
        d.write()
        before = len(d.events("relay.tls-failed"))
        self.assertEqual(d.reload().returncode, 0)
        wait_until(lambda: len(d.events("relay.tls-failed")) > before)
        self.assertFalse(list(self.boxes.glob("*/new/*")))
        d.extra = d.extra.replace(str(foreign.pem), "ca/ca.pem")
        d.write()
        self.assertEqual(d.reload().returncode, 0)
        self.stored()
        self.gone(d)

    def test_down_and_tried_again_by_hand(self):
        d = self.prepare("required", running=False, queue="first-retry = 1h longest-retry = 1h")
        self.send(d, "carol@remote.test")
        self.assertIn("refused", d.wait_event("queue.deferred")[0])
        self.postfix.start()
        row = self.waiting(d)
        self.assertEqual(row["tries"], 1)
        self.assertEqual(d.command("queue", "retry", row["id"]).returncode, 0)
        (mail,) = self.stored()
        self.assertIn(b"\n\nfirst line\n", mail)
        self.gone(d)
        self.assertEqual(len(d.events("queue.deferred")), 1)

    def test_a_refusal_comes_back(self):
        d = self.prepare("may")
        self.send(d, "nobody@remote.test", "carol@remote.test")
        self.stored()
        (path,) = wait_until(lambda: d.messages("alice"))
        raw = path.read_bytes()
        self.assertTrue(raw.startswith(b"Return-Path: <>\n"))
        report = email.message_from_bytes(raw, policy=email.policy.default)
        self.assertEqual((report.get_content_type(), report.get_param("report-type")), ("multipart/report", "delivery-status"))
        self.assertFalse(report.defects)
        self.assertEqual(report["To"].addresses[0].addr_spec, "alice@example.test")
        self.assertEqual(report["Auto-Submitted"], "auto-replied")
        words, status, original = report.iter_parts()
        self.assertIn("nobody@remote.test", words.get_content())
        self.assertNotIn("carol@remote.test", words.get_content())
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        message, *recipients = status.get_payload()
        self.assertEqual(message["Reporting-MTA"], "dns; mx.example.test")
        (failed,) = recipients
        self.assertEqual(failed["Final-Recipient"], "rfc822; nobody@remote.test")
        self.assertEqual(failed["Action"], "failed")
        self.assertEqual(failed["Status"], "5.1.1")
        self.assertRegex(failed["Diagnostic-Code"], r"^smtp; 550 5\.1\.1 <nobody@remote\.test>: Recipient address\srejected")
        returned = (email.message_from_string(original.get_content()) if original.get_content_type() == "text/rfc822-headers"
                    else original.get_content())
        self.assertEqual((returned["Subject"], returned["Message-ID"]), ("onward", "<1@example.test>"))
        self.assertTrue(returned["Received"].startswith("from client.example.test"), returned["Received"])
        self.gone(d)

    def test_a_body_that_is_too_large_there(self):
        """Known before a byte of it is sent: SIZE (RFC 1870)."""
        d = self.prepare("may", message_size_limit="20000")
        self.send(d, "carol@remote.test", body=BODY + b"line\n" * 10000)
        event = d.wait_event("queue.failed")[0]
        self.assertRegex(event, r"enhanced=5\.3\.4|enhanced=5\.2\.3")
        wait_until(lambda: d.messages("alice"))

    def test_tls_that_is_required_goes_and_comes_back(self):
        d = self.prepare("required", offers="none")
        self.send(d, "carol@remote.test")
        event = d.wait_event("queue.deferred")[0]
        self.assertIn("enhanced=4.7.6", event)
        self.assertIn("STARTTLS", event)
        self.assertIn("relay.tls-failed", d.log_text())
        self.assertFalse(list(self.boxes.glob("*/new/*")))
        self.postfix.change(smtpd_tls_security_level="may")
        (mail,) = self.stored()
        self.assertIn(b"using TLSv1.3", mail)
        d.wait_event("queue.destination-up")
        self.gone(d)

    def test_greylisted_and_taken_later(self):
        d = self.prepare("may", smtpd_recipient_restrictions="check_recipient_access inline:{ carol@remote.test=DEFER_IF_PERMIT }, permit")
        self.send(d, "carol@remote.test", "dora@remote.test")
        self.stored("dora")
        self.assertIn("code=450", d.wait_event("queue.deferred", "to=carol@remote.test")[0])
        self.postfix.stop()  # a connection that is kept would go on as it was
        self.postfix.change(smtpd_recipient_restrictions="permit")
        self.postfix.start()
        self.stored("carol")
        self.gone(d)
        self.assertEqual(len(self.stored("dora")), 1)


if __name__ == "__main__":
    main()
