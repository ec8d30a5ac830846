#!/usr/bin/env python3
"""Dovecot as the mail store: mail is handed to it by LMTP, over its socket and over TCP, and found in its Maildirs.
And Dovecot as who knows the passwords: users log in against its auth socket."""
import base64
import email
import hashlib
import hmac
import pathlib
import smtplib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import dovecot  # noqa: E402
from postern import *  # noqa: E402,F403

USERS = {"carol@away.test": "carols secret", "dora@away.test": "doras secret", "full@away.test": ("fulls secret", 2000)}
BODY = b"Subject: to the store\nFrom: alice@example.test\n\nfirst line\n.a dot\nlast\n"
DOMAIN = 'domain "away.test" { mailboxes = {"carol", "dora", "full", "ghost"} deliver = "store" }\n'


def account():
    return user_for_tests() if IS_ROOT else pwd.getpwuid(os.getuid()).pw_name


def show(test, store):
    r = test._outcome.result
    if any(getattr(t, "test_case", t) is test for t, _ in r.failures + r.errors):
        print(f"---- {test.id()}: Dovecot's log\n{store.log()[-5000:]}", flush=True)


@unittest.skipIf(dovecot.why_not(), dovecot.why_not())
class Lmtp(DaemonTest):
    def prepare(self, address="unix", extra="", running=True):
        d = self.prepared()
        self.store = dovecot.PrivateDovecot(d.dir / "dovecot", USERS, account())
        self.addCleanup(self.store.stop)
        self.addCleanup(show, self, self.store)
        if running:
            self.store.start()
        where = f"unix:{self.store.lmtp}" if address == "unix" else f"127.0.0.1:{self.store.port}"
        d.extra = (f'delivery "store" {{ type = lmtp address = "{where}" {extra} }}\n' + DOMAIN +
                   "queue { first-retry = 1s longest-retry = 2s }\n")
        d.write()
        return d.start()

    def send(self, d, to, body=BODY, sender="alice@example.test"):
        with d.client() as c:
            c.hello()
            got = c.deliver(body, to=to, sender=sender)
            self.assertEqual(got.code, 250, got)
            c.expect("QUIT", 221)

    def arrives(self, user, count=1):
        return wait_until(lambda: len(self.store.mail(user)) >= count and self.store.mail(user))

    def gone(self, d):
        wait_until(lambda: not [p for p in (d.state / "queue").iterdir() if not p.name.startswith(".")])

    def one_message(self, address):
        d = self.prepare(address)
        self.send(d, ["carol@away.test"])
        (mail,) = self.arrives("carol@away.test")
        self.assertTrue(mail.startswith(b"Return-Path: <alice@example.test>\n"), mail)
        self.assertIn(b"Delivered-To: carol@away.test\n", mail)
        self.assertTrue(mail.endswith(b"\n\nfirst line\n.a dot\nlast\n"), mail)
        self.assertIn("code=250", d.wait_event("queue.delivered", "carol@away.test")[0])
        self.gone(d)

    def test_over_the_socket(self):
        self.one_message("unix")

    def test_over_tcp(self):
        self.one_message("tcp")

    def test_every_octet_arrives(self):
        d = self.prepare()
        body = b"Subject: octets\n\n" + bytes(range(0x80, 0x100)) + b"\n" + b"..\n.\n" + b"x" * 900 + b"\n" + b"%06d\n" * 20000
        self.send(d, ["dora@away.test"], body)
        (mail,) = self.arrives("dora@away.test")
        self.assertEqual(mail.partition(b"\n\n")[2], body.partition(b"\n\n")[2])

    def test_one_recipient_is_refused(self):
        """ghost is known here and not to Dovecot; full is refused behind the message, for itself alone (RFC 2033 4.2)."""
        d = self.prepare()
        self.send(d, ["carol@away.test", "ghost@away.test", "full@away.test", "dora@away.test"], BODY + b"line\n" * 2000)
        for user in ("carol@away.test", "dora@away.test"):
            self.assertEqual(len(self.arrives(user)), 1)
        self.assertIn("5.1.1", d.wait_event("queue.failed", "ghost@away.test")[0])
        self.assertIn("5.2.2", d.wait_event("queue.failed", "full@away.test")[0])
        wait_until(lambda: len(self.failures(d)) == 2)
        failed = self.failures(d)
        self.assertEqual(failed["rfc822;ghost@away.test"], "5.1.1")
        self.assertEqual(failed["rfc822;full@away.test"], "5.2.2")
        self.gone(d)
        self.assertEqual([len(self.store.mail(u)) for u in USERS], [1, 1, 0])

    @staticmethod
    def failures(d):
        """Of the reports in the sender's mailbox: status by recipient."""
        found = {}
        for path in d.messages("alice"):
            status = email.message_from_bytes(path.read_bytes()).get_payload(1)
            assert status.get_content_type() == "message/delivery-status"
            found.update({b["Final-Recipient"].replace(" ", ""): b["Status"] for b in status.get_payload()[1:] if b["Action"] == "failed"})
        return found

    def waits(self, address):
        d = self.prepare(address, running=False)
        self.send(d, ["carol@away.test", "dora@away.test"])
        self.assertRegex(d.wait_event("queue.deferred", "carol@away.test")[0], r"enhanced=4\.")
        self.store.start()
        for user in ("carol@away.test", "dora@away.test"):
            self.assertEqual(len(self.arrives(user)), 1)
        self.gone(d)
        self.store.stop()
        before = len(d.events("queue.deferred"))
        self.send(d, ["carol@away.test"])
        wait_until(lambda: len(d.events("queue.deferred")) > before)
        self.store.start()
        self.assertEqual(len(self.arrives("carol@away.test", 2)), 2)
        self.gone(d)

    def test_waits_while_it_is_down(self):
        self.waits("unix")

    def test_waits_while_it_is_down_tcp(self):
        self.waits("tcp")

    def test_mail_of_many_clients(self):
        d = self.prepare()
        for i in range(30):
            self.send(d, ["carol@away.test", "dora@away.test"], b"Subject: %d\n\nbody %d\n" % (i, i))
        for user in ("carol@away.test", "dora@away.test"):
            mails = self.arrives(user, 30)
            self.assertEqual(sorted(int(email.message_from_bytes(m)["Subject"]) for m in mails), list(range(30)))
        self.gone(d)


def scram_sha_256(user, password):
    """The client's side of RFC 5802 for smtplib's auth(); it verifies the server, too."""
    state = {}

    def answer(challenge=None):
        challenge = (challenge or b"") if not isinstance(challenge, str) else challenge.encode()
        if not state:
            state["bare"] = f"n={user},r={base64.b64encode(os.urandom(18)).decode()}".encode()
            return "n,," + state["bare"].decode()
        if "proof" not in state:
            said = dict(x.split(b"=", 1) for x in challenge.split(b","))
            key = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(said[b"s"]), int(said[b"i"]))
            client = hmac.digest(key, b"Client Key", "sha256")
            without = b"c=biws,r=" + said[b"r"]
            whole = state["bare"] + b"," + challenge + b"," + without
            signature = hmac.digest(hashlib.sha256(client).digest(), whole, "sha256")
            state["proof"] = base64.b64encode(bytes(a ^ b for a, b in zip(client, signature)))
            state["server"] = hmac.digest(hmac.digest(key, b"Server Key", "sha256"), whole, "sha256")
            return (without + b",p=" + state["proof"]).decode()
        assert challenge == b"v=" + base64.b64encode(state["server"]), challenge
        return ""
    return answer


@unittest.skipIf(dovecot.why_not(), dovecot.why_not())
class Auth(DaemonTest):
    def setUp(self):
        self.d = self.prepared(listeners={"mx": {}, "users": {"role": "submission", "tls": "starttls"},
                                          "tls": {"role": "submission", "tls": "implicit"}})
        self.knows = dovecot.PrivateDovecot(self.d.dir / "dovecot", USERS, account()).start()
        self.addCleanup(self.knows.stop)
        self.addCleanup(show, self, self.knows)
        self.d.options["auth-socket"] = f'"{self.knows.auth}"'
        self.d.extra = ('domain "away.test" { mailboxes = {"carol", "dora"} deliver = "local" }\n'
                        'delivery "out" { type = smtp address = "127.0.0.1:1" }\nrelay { delivery = "out" }\n')
        self.d.write()
        self.d.start()
        wait_until(lambda: self.offered() == {"PLAIN", "LOGIN", "SCRAM-SHA-256"})

    def connect(self):
        s = smtplib.SMTP("127.0.0.1", self.d.port("users"), timeout=PATIENCE)
        self.addCleanup(s.close)
        s.ehlo()
        self.assertFalse(s.has_extn("auth"))  # in clear nobody is asked for a password
        s.starttls(context=trusting())
        s.ehlo()
        return s

    def offered(self):
        return set(self.connect().esmtp_features.get("auth", "").split())

    def log_in(self, mechanism, user, password):
        s = self.connect()
        if mechanism == "SCRAM-SHA-256":
            return s, s.auth(mechanism, scram_sha_256(user, password))
        s.user, s.password = user, password
        return s, s.auth(mechanism, getattr(s, f"auth_{mechanism.lower()}"), initial_response_ok=mechanism == "PLAIN")

    def test_mechanisms(self):
        for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
            with self.subTest(mechanism):
                before = len(self.d.messages("dora", "away.test"))
                s, answer = self.log_in(mechanism, "carol@away.test", "carols secret")
                self.assertEqual(answer[0], 235, answer)
                self.assertEqual(s.sendmail("carol@away.test", ["dora@away.test"], f"Subject: {mechanism}\r\n\r\nhello\r\n"), {})
                s.quit()
                self.d.wait_event("auth.ok", f"mechanism={mechanism} user=carol@away.test")
                mail = self.d.messages("dora", "away.test")[before].read_bytes()
                self.assertRegex(mail, rb"\tby mx.example.test with ESMTPSA\n")

    def test_another_users_address(self):
        s, _ = self.log_in("SCRAM-SHA-256", "carol@away.test", "carols secret")
        code, text = s.mail("dora@away.test")
        if code == 250:
            code, text = s.rcpt("dora@away.test")
        self.assertEqual((code, text[:5]), (553, b"5.7.1"), text)

    def test_wrong_password(self):
        # few: each failure makes the next answer slower
        for mechanism, user in (("PLAIN", "carol"), ("LOGIN", "nobody"), ("SCRAM-SHA-256", "dora")):
            with self.subTest(mechanism), self.assertRaises(smtplib.SMTPAuthenticationError) as got:
                self.log_in(mechanism, f"{user}@away.test", "another secret")
            self.assertEqual((got.exception.smtp_code, got.exception.smtp_error[:6]), (535, b"5.7.8 "))
        self.assertEqual(self.log_in("PLAIN", "dora@away.test", "doras secret")[1][0], 235)

    def test_nothing_without_logging_in(self):
        s = self.connect()
        self.assertEqual(s.mail("carol@away.test")[0], 530)

    @unittest.skipUnless(shutil.which("swaks"), "swaks is not installed")
    def test_swaks(self):
        for mechanism in ("PLAIN", "LOGIN"):
            for extra, listener in ((["--tls"], "users"), (["--tls-on-connect"], "tls")):
                argv = ["swaks", "--server", "127.0.0.1", "--port", self.d.port(listener), "--to", "dora@away.test", "--from",
                        "carol@away.test", "--helo", "swaks.example.net", "--auth", mechanism, "--auth-user", "carol@away.test", *extra]
                self.assertIn(" 235 2.7.0", run(*argv, "--auth-password", "carols secret").out)
                if mechanism == "LOGIN":  # each failure makes the next one slower
                    continue
                wrong = run(*argv, "--auth-password", "wrong", check=False)
                self.assertEqual(wrong.returncode, 28, wrong.out)
                self.assertIn(" 535 5.7.8", wrong.out)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl(self):
        f = self.d.dir / "curl-auth.eml"
        f.write_bytes(b"Subject: by curl\r\n\r\nhello\r\n")
        for scheme, listener, extra in (("smtp", "users", ["--ssl-reqd"]), ("smtps", "tls", [])):
            for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
                where = f"mx.example.test:{self.d.port(listener)}"
                argv = ["curl", "-sS", "-v", "--cacert", self.d.ca.pem, "--resolve", f"{where}:127.0.0.1", f"{scheme}://{where}", *extra,
                        "--login-options", f"AUTH={mechanism}", "--mail-from", "carol@away.test", "--mail-rcpt", "dora@away.test",
                        "--upload-file", f]
                done = run(*argv, "--user", "carol@away.test:carols secret", check=False)
                if mechanism == "SCRAM-SHA-256" and f"AUTH {mechanism}" not in done.err:
                    continue  # this curl was built without it
                self.assertEqual(done.returncode, 0, done.err)
                if mechanism != "PLAIN":
                    continue
                wrong = run(*argv, "--user", "carol@away.test:wrong", check=False)
                self.assertEqual(wrong.returncode, 67, wrong.err)

    def test_it_goes_and_comes_back(self):
        """A client that saw the offer gets 454 4.7.0 while Dovecot is away, on the same connection 235 when it is back."""
        s = self.connect()
        s.user, s.password = "carol@away.test", "carols secret"
        lost, back = len(self.d.events("auth.backend-lost")), len(self.d.events("auth.backend-back"))
        self.knows.stop()
        try:
            self.d.wait_event("auth.backend-lost", count=lost + 1)
            for _ in range(3):
                with self.assertRaises(smtplib.SMTPAuthenticationError) as got:
                    s.auth("PLAIN", s.auth_plain)
                self.assertEqual((got.exception.smtp_code, got.exception.smtp_error[:6]), (454, b"4.7.0 "))
            self.assertEqual(self.connect().mail("carol@away.test")[0] // 100, 5)  # mail is not let in without a password
        finally:
            self.knows.start()
        self.d.wait_event("auth.backend-back", count=back + 1)
        self.assertEqual(s.auth("PLAIN", s.auth_plain)[0], 235)
        self.assertEqual(self.log_in("SCRAM-SHA-256", "dora@away.test", "doras secret")[1][0], 235)

    def test_killed_in_the_middle_of_an_exchange(self):
        s = self.connect()
        s.putcmd("AUTH", "LOGIN")
        self.assertEqual(s.getreply()[0], 334)
        back = len(self.d.events("auth.backend-back"))
        self.knows.kill()
        s.putcmd(base64.b64encode(b"carol@away.test").decode())
        code, text = s.getreply()
        if code == 334:  # said before it was seen dead
            s.putcmd(base64.b64encode(b"carols secret").decode())
            code, text = s.getreply()
        self.assertEqual((code, text[:6]), (454, b"4.7.0 "))
        self.knows.start()
        self.d.wait_event("auth.backend-back", count=back + 1)
        s.user, s.password = "carol@away.test", "carols secret"
        self.assertEqual(s.auth("PLAIN", s.auth_plain)[0], 235)


if __name__ == "__main__":
    main()
