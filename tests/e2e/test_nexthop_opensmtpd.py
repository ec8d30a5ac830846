#!/usr/bin/env python3
"""OpenSMTPD as the next hop. That of Debian 12 (6.8.0p2) offers STARTTLS and ends every handshake with alert 80, since it was
built with OpenSSL 3 (its issues 1171 and 1239): a real server whose TLS is broken. Later ones do it well; both are right here."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import opensmtpd  # noqa: E402
from postern import *  # noqa: E402,F403

NAME = "relay.example.net"
BODY = b"Subject: onward\nFrom: alice@example.test\nTo: carol@remote.test\n\nfirst line\n.a dot\nlast\n"


@unittest.skipIf(opensmtpd.why_not(), opensmtpd.why_not())
class NextHop(DaemonTest):
    def setUp(self):
        d = self.d = self.prepared(listeners={"inside": {"tls": "off", "relay-from": '{"127.0.0.1"}'}})
        chain, key = d.dir / "relay.pem", d.dir / "relay-key.pem"
        d.ca.issue(chain, key, name=NAME, kind="rsa")
        self.hop = opensmtpd.PrivateOpensmtpd(d.dir / "opensmtpd", "remote.test", user_for_tests(), chain, key, NAME)
        self.addCleanup(self.hop.stop)
        self.addCleanup(self.show)

    def start(self, tls):
        self.d.extra = (f'delivery "out" {{ type = smtp address = "127.0.0.1:{self.hop.port}" tls = {tls} tls-name = {NAME} '
                        f'ca-file = "ca/ca.pem" }}\nrelay {{ delivery = "out" }}\nqueue {{ first-retry = 1s longest-retry = 2s }}\n')
        self.d.write()
        self.d.start()

    def its_tls_works(self):
        done = run("openssl", "s_client", "-connect", f"127.0.0.1:{self.hop.port}", "-starttls", "smtp", "-CAfile", self.d.ca.pem,
                   "-verify_return_error", "-quiet", input=b"QUIT\r\n", check=False)
        return "alert internal error" not in done.err

    def show(self):
        r = self._outcome.result
        if any(getattr(t, "test_case", t) is self for t, _ in r.failures + r.errors):
            print(f"---- {self.id()}: OpenSMTPD's log\n{self.hop.log()[-5000:]}", flush=True)

    def send(self, *to):
        with self.d.client("inside") as c:
            c.hello()
            got = c.deliver(BODY, to=to, sender="alice@example.test")
            self.assertEqual(got.code, 250, got)
            c.expect("QUIT", 221)

    def gone(self):
        wait_until(lambda: not [p for p in (self.d.state / "queue").iterdir() if not p.name.startswith(".")])

    def of(self, user):
        """The message in that mailbox, and the event that says how it went there."""
        (mail,) = wait_until(lambda: self.hop.mail(user))
        self.assertTrue(mail.endswith(b"\n\nfirst line\n.a dot\nlast\n"), mail)
        having = f"to={user}@remote.test"
        return mail, wait_until(lambda: [e for e in self.d.events("queue.delivered") + self.d.events("queue.relayed") if having in e])[0]

    def test_tls_where_it_works(self):
        """tls = may: a handshake that fails is not the end, the mail goes in clear on a new connection."""
        self.hop.start()
        self.start("may")
        self.send("carol@remote.test", "dora@remote.test")
        works = self.its_tls_works()
        for user in ("carol", "dora"):
            mail, event = self.of(user)
            if works:
                self.assertRegex(event, r'tls="TLSv1\.3 ')
            else:
                self.assertNotIn('tls="TLS', event)
                self.assertIn("TLSv1", self.d.wait_event("relay.tls-failed")[0])
        self.gone()

    def test_verified_or_not_at_all(self):
        self.hop.start()
        self.start("verify")
        self.send("carol@remote.test")
        if self.its_tls_works():
            self.assertRegex(self.of("carol")[1], r'tls="TLSv1\.3 \S+, verified')
            self.gone()
            return
        event = self.d.wait_event("relay.tls-failed", count=2)[0]
        self.assertIn("alert 80 internal_error", event)  # whose fault it is
        self.assertIn("enhanced=4.7.5", self.d.wait_event("queue.deferred")[0])
        self.assertEqual(self.hop.mail("carol"), [])

    def test_refused_recipient_and_waiting(self):
        self.start("none")
        self.send("nobody@remote.test", "carol@remote.test")
        self.d.wait_event("queue.deferred", "carol@remote.test")
        self.hop.start()
        self.of("carol")
        self.assertIn("code=550", self.d.wait_event("queue.failed", "nobody@remote.test")[0])
        wait_until(lambda: self.d.messages("alice"))
        self.gone()


if __name__ == "__main__":
    main()
