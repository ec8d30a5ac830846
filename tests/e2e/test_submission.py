#!/usr/bin/env python3
"""Submission: users log in inside TLS, by the mail programs they have, and send what is theirs to send."""
import email
import os
import pathlib
import pty
import smtplib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
from hop import Hop  # noqa: E402
from submission import PASSWORD, Scram, b64, in_tls, passwd, plain, submission_daemon  # noqa: E402

ALICE, BODY = "alice@example.test", b"Subject: hello\r\n\r\nbody\r\n"


class Submission(DaemonTest):
    def setUp(self):
        self.hop = Hop().up()

    def tearDown(self):
        self.hop.down()
        self.d.stop()
        reports = self.d.reports()
        self.d.remove()
        self.assertFalse(reports)

    def start(self, **kw):
        self.d = submission_daemon(self.hop, **kw)
        return self.d

    def login(self, user=ALICE, password=PASSWORD, listener="submission"):
        c = in_tls(self.d, listener)
        c.login = c.ask("AUTH PLAIN " + plain(user, password))
        return c


class Programs(Submission):
    """What people really send with."""

    def arrived(self, to="out@remote.test"):
        (got,) = wait_until(self.hop.messages)
        self.assertEqual((got[0], got[1]), (ALICE, [to]))
        return got[2]

    def swaks(self, listener, *words):
        return run("swaks", "--server", f"127.0.0.1:{self.d.port(listener)}", "--from", ALICE, "--to", "out@remote.test",
                   "--auth-user", ALICE, "--auth-password", PASSWORD, *words, check=False)

    def test_swaks(self):
        self.start()
        done = self.swaks("submission", "--tls", "--auth", "PLAIN")
        self.assertEqual(done.returncode, 0, done.out)
        self.assertIn(b"This is a test mailing", self.arrived())
        self.assertEqual(self.swaks("submissions", "--tlsc", "--auth", "LOGIN").returncode, 0)
        self.assertEqual(len(self.d.wait_event("auth.ok", count=2)), 2)
        # swaks ends with 28 where AUTH was asked for and is not there: in clear it is not
        self.assertEqual(self.swaks("submission", "--auth", "PLAIN").returncode, 28)

    def test_msmtp(self):
        self.start()
        for listener, starttls in (("submission", "on"), ("submissions", "off")):
            done = run("msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={self.d.port(listener)}", "--tls=on",
                       f"--tls-starttls={starttls}", f"--tls-trust-file={self.d.ca.pem}",
                       "--tls-host-override=mx.example.test", "--auth=on",
                       f"--user={ALICE}", f"--passwordeval=echo {PASSWORD}", f"--from={ALICE}", "out@remote.test",
                       input=BODY, check=False)
            self.assertEqual(done.returncode, 0, done.err)
        wait_until(lambda: len(self.hop.messages()) == 2)

    def test_curl(self):
        self.start()
        mail = self.d.dir / "mail.txt"
        mail.write_bytes(BODY)
        for listener, scheme in (("submission", "smtp"), ("submissions", "smtps")):
            done = run("curl", "-sS", "--ssl-reqd", "--cacert", self.d.ca.pem, "--connect-to",
                       f"mx.example.test:{self.d.port(listener)}:127.0.0.1:{self.d.port(listener)}",
                       f"{scheme}://mx.example.test:{self.d.port(listener)}/client.test",
                       "--user", f"{ALICE}:{PASSWORD}", "--mail-from", ALICE, "--mail-rcpt", "out@remote.test", "-T", mail,
                       check=False)
            self.assertEqual(done.returncode, 0, done.err)
        wait_until(lambda: len(self.hop.messages()) == 2)

    def test_smtplib(self):
        """What Thunderbird says, too: EHLO, STARTTLS, EHLO, AUTH PLAIN with its words."""
        self.start()
        with smtplib.SMTP("127.0.0.1", self.d.port("submission"), timeout=PATIENCE) as s:
            s.starttls(context=trusting())
            s.login(ALICE, PASSWORD)
            self.assertEqual(s.sendmail(ALICE, ["out@remote.test"], BODY), {})
        with smtplib.SMTP_SSL("127.0.0.1", self.d.port("submissions"), timeout=PATIENCE, context=trusting()) as s:
            s.login(ALICE, PASSWORD)
            s.sendmail(ALICE, ["out@remote.test"], BODY)
            with self.assertRaises(smtplib.SMTPSenderRefused):
                s.sendmail("bob@example.test", ["out@remote.test"], BODY)
        with smtplib.SMTP_SSL("127.0.0.1", self.d.port("submissions"), timeout=PATIENCE, context=trusting()) as s:
            with self.assertRaises(smtplib.SMTPAuthenticationError):
                s.login(ALICE, "wrong")
        wait_until(lambda: len(self.hop.messages()) == 2)


class Mechanisms(Submission):
    def test_what_is_offered(self):
        self.start()
        with in_tls(self.d) as c:
            self.assertIn("AUTH SCRAM-SHA-256 PLAIN LOGIN", c.ehlo)
            self.assertIn("504 5.5.4", c.ask("AUTH CRAM-MD5"))
            self.assertIn("501", c.ask("AUTH PLAIN !!!"))
            self.assertIn("334", c.ask("AUTH LOGIN"))
            self.assertIn("501", c.ask("*"))
            self.assertIn("530 5.7.0", c.ask(f"MAIL FROM:<{ALICE}>"))
            self.assertIn("235 2.7.0", c.ask("auth plain " + plain(ALICE)))
            self.assertIn("503", c.ask("AUTH PLAIN " + plain(ALICE)))
        with self.d.client("mx") as c:
            self.assertNotIn("AUTH", c.hello())
            c.starttls()
            self.assertNotIn("AUTH", c.ask("EHLO client.example.test"))
            self.assertIn("502", c.ask("AUTH PLAIN " + plain(ALICE)))

    def test_never_in_clear(self):
        self.start()
        with self.d.client("submission") as c:
            self.assertNotIn("AUTH", c.hello())
            self.assertIn("530 5.7.0", c.ask("AUTH PLAIN " + plain(ALICE)))
            self.assertIn("530 5.7.0", c.ask("MAIL FROM:<alice@example.test>"))
        self.d.chain.write_text("nothing")
        self.d.stop()
        shutil.rmtree(self.d.state)  # and no last good pair
        self.d.start()
        with self.d.client("submission") as c:
            self.assertNotIn("STARTTLS", c.hello())
            self.assertIn("454 4.7.0", c.ask("AUTH PLAIN " + plain(ALICE)))
        self.assertNotIn(PASSWORD, self.d.log_text())
        self.assertNotIn(plain(ALICE), self.d.log_text())

    def test_login_in_steps(self):
        self.start()
        with in_tls(self.d, "submissions") as c:
            self.assertIn("334", c.ask("AUTH LOGIN"))
            self.assertIn("334", c.ask(b64(ALICE)))
            self.assertIn("235", c.ask(b64(PASSWORD)))

    def scram(self, c, s):
        challenge = c.ask("AUTH SCRAM-SHA-256 " + s.first())
        self.assertIn("334", challenge)
        return c.ask(s.final(challenge.split(" ", 1)[1].strip()))

    def test_scram(self):
        self.start()
        s = Scram(ALICE)
        with in_tls(self.d) as c:
            got = self.scram(c, s)
            self.assertIn("334", got)
            self.assertTrue(s.knows(got.split(" ", 1)[1].strip()))
            self.assertIn("235", c.ask(""))
        with in_tls(self.d) as c:
            self.assertIn("535 5.7.8", self.scram(c, Scram(ALICE, "wrong")))
        salts = set()
        for _ in range(2):  # nobody learns from the salt who exists
            with in_tls(self.d) as c:
                s = Scram("nobody@example.test")
                self.assertIn("535 5.7.8", self.scram(c, s))
                salts.add((s.salt, s.iterations))
        self.assertEqual(len(salts), 1)

    def test_unknown_and_wrong_are_alike(self):
        self.start(users=(ALICE, "bob@example.test"))
        times, words = [], set()
        for name in ("alice@example.test", "bob@example.test", "who@example.test"):  # more would be slowed down
            with in_tls(self.d) as c:
                began = time.monotonic()
                words.add(str(c.ask("AUTH PLAIN " + plain(name, "wrong"))))
                times.append(time.monotonic() - began)
        self.assertEqual(len(words), 1, words)
        self.assertIn("535 5.7.8", words.pop())
        self.assertLess(max(times[1:]), 4 * min(times[1:]) + 0.05, times)

    def test_guessing_is_slowed(self):
        self.start()
        spent = []
        for _ in range(5):
            with in_tls(self.d) as c:
                began = time.monotonic()
                self.assertIn("535", c.ask("AUTH PLAIN " + plain(ALICE, "guess")))
                spent.append(time.monotonic() - began)
        self.assertGreater(spent[-1], spent[0] + 0.4, spent)
        held = [in_tls(self.d) for _ in range(24)]
        for i, c in enumerate(held):  # all at once does not help
            c.send(b"AUTH PLAIN %s\r\n" % plain(f"u{i}@example.test", "guess").encode())
        said = self.d.wait_event("auth.too-many-attempts")
        self.assertEqual(len(said), 1, said)
        self.assertIn("reason=client", said[0])
        for c in held:
            c.close()

class Users(Submission):
    def test_the_file(self):
        self.start()
        mode = os.stat(self.d.users).st_mode & 0o777
        self.assertEqual(mode, 0o600)
        text = self.d.users.read_text()
        self.assertRegex(text, r"^alice@example\.test:\$y\$.*:SCRAM-SHA-256,")
        self.assertNotIn(PASSWORD, text)
        passwd(self.d, self.d.users, "Carol@Example.Test", password="another")
        self.assertIn("535", self.login("carol@example.test", "another").login)  # not yet known
        self.assertEqual(self.d.reload().returncode, 0)
        self.assertIn("235", self.login("CAROL@example.test", "another").login)
        passwd(self.d, "-d", self.d.users, "carol@example.test")
        self.assertNotIn("carol", self.d.users.read_text())
        self.d.reload()
        self.assertIn("535", self.login("carol@example.test", "another").login)
        self.assertIn("235", self.login().login)

    def test_passwd_refuses(self):
        self.start()
        for words, password in ((("-c", "nobody"), "x"), ((self.d.dir / "none", "a@b.test"), "x"),
                                ((self.d.users, "no-address"), "x"), ((self.d.users, "a@b.test"), "")):
            done = passwd(self.d, *words, password=password, check=False)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertTrue(done.err)
        self.assertFalse((self.d.dir / "none").exists())

    def test_passwd_at_a_terminal(self):
        self.start()
        pid, fd = pty.fork()
        if pid == 0:
            os.execv(self.d.argv("x")[0], ["postern", "passwd", str(self.d.users), "tty@example.test"])
        seen = b""
        for prompt in (b"Password: ", b"Again: "):
            while prompt not in seen:
                seen += os.read(fd, 1000)
            os.write(fd, b"typed secret\n")
        try:
            while True:
                seen += os.read(fd, 1000)
        except OSError:
            pass
        self.assertEqual(os.waitpid(pid, 0)[1], 0, seen)
        os.close(fd)
        self.assertNotIn(b"typed secret", seen)
        self.d.reload()
        self.assertIn("235", self.login("tty@example.test", "typed secret").login)

    def test_a_broken_file_is_told_and_the_old_serves(self):
        self.start()
        good = self.d.users.read_text()
        self.d.users.write_text(good + "\nno colon here\n")
        done = self.d.reload()
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.err, r"users:3: ")
        self.assertIn("235", self.login().login)

    def test_the_auth_process_dies(self):
        self.start()
        waiting = in_tls(self.d)
        self.assertIn("334", waiting.ask("AUTH LOGIN"))
        open_session = self.login()
        pid = self.d.pids("auth")[0]
        self.d.kill(pid)
        self.assertIn("454 4.7.0", waiting.ask(b64(ALICE)))
        self.assertEqual(open_session.deliver(BODY, to=["out@remote.test"], sender=ALICE).code, 250)
        wait_until(lambda: "235" in self.login().login)
        self.assertNotIn(pid, self.d.pids("auth"))
        wait_until(self.hop.messages)


class Senders(Submission):
    def test_whose_address(self):
        self.d = submission_daemon(self.hop, users=(ALICE, "boss@example.test"), start=False,
                                   domain='domain "example.test" { mailboxes = {"alice", "bob"} aliases = {"postmaster=alice", '
                                          '"team=alice,bob"} deliver = "local" }')
        senders = self.d.dir / "senders"
        senders.write_text("boss@example.test: *@example.test, boss@other.test\n")
        self.d.options["sender-file"] = f'"{senders}"'
        self.d.write()
        self.d.start()
        for user, sender, code in ((ALICE, "alice@example.test", 250), (ALICE, "Alice+tag@example.test", 250),
                                   (ALICE, "team@example.test", 250), (ALICE, "postmaster@example.test", 250),
                                   (ALICE, "bob@example.test", 553), (ALICE, "alice@other.test", 553), (ALICE, "", 250),
                                   ("boss@example.test", "bob@example.test", 250), ("boss@example.test", "boss@other.test", 250),
                                   ("boss@example.test", "else@other.test", 553)):
            with self.login(user) as c:
                got = c.ask(f"MAIL FROM:<{sender}>")
                self.assertTrue(str(got).startswith(str(code)), (user, sender, got))
                if code == 553:
                    self.assertIn("553 5.7.1", got)
        self.d.wait_event("smtp.sender-refused")

    def test_header(self):
        self.start(listeners={"submission": {"tls": "starttls", "role": "submission", "hide-client": "yes"}})
        with self.login() as c:
            got = c.deliver(b"Subject: x\nBcc: secret@remote.test\n\nbody\n", to=["out@remote.test"], sender=ALICE)
            self.assertEqual(got.code, 250)
        (got,) = wait_until(self.hop.messages)
        message = email.message_from_bytes(got[2])
        self.assertIsNone(message["Bcc"])
        self.assertTrue(message["Date"] and message["Message-ID"])
        self.assertIn("with ESMTPSA", message["Received"])
        self.assertNotIn("127.0.0.1", message["Received"])
        self.assertNotIn("client.example.test", message["Received"])

    def test_here_and_away_in_one(self):
        self.start()
        with self.login() as c:
            self.assertEqual(c.deliver(BODY, to=["bob@example.test", "out@remote.test"], sender=ALICE).code, 250)
        wait_until(self.hop.messages)
        self.assertEqual(len(self.d.messages("bob")), 1)

    def test_success_is_reported_when_it_is_asked_for(self):
        self.start()
        with self.login() as c:
            c.expect(f"MAIL FROM:<{ALICE}> RET=HDRS ENVID=QQ1", 250)
            c.expect("RCPT TO:<out@remote.test> NOTIFY=SUCCESS ORCPT=rfc822;out@remote.test", 250)
            c.expect("RCPT TO:<bob@example.test> NOTIFY=SUCCESS", 250)
            c.expect("DATA", 354)
            c.send(stuff(BODY))
            self.assertEqual(c.reply().code, 250)
        told = {}

        def both():
            for path in self.d.messages("alice"):
                report = email.message_from_bytes(path.read_bytes())
                for part in report.get_payload(1).get_payload()[1:]:
                    told[part["Final-Recipient"].split(";")[1].strip()] = part["Action"].split()[0]
            return len(told) == 2
        wait_until(both)
        self.assertEqual(told, {"out@remote.test": "relayed", "bob@example.test": "delivered"})

    def test_without_a_way_out(self):
        self.hop.down()
        self.d = submission_daemon()
        with self.login() as c:
            c.expect(f"MAIL FROM:<{ALICE}>", 250)
            self.assertIn("550 5.7.1", c.ask("RCPT TO:<out@remote.test>"))
            c.expect("RCPT TO:<bob@example.test>", 250)


class Hostile(Submission):
    def test_lines_without_end(self):
        self.start()
        with in_tls(self.d) as c:
            self.assertIn("500", c.ask("AUTH PLAIN " + "A" * 20000))
            self.assertIn("334", c.ask("AUTH PLAIN"))
            self.assertIn("50", c.ask("B" * 20000))
            self.assertIn("235", c.ask("AUTH PLAIN " + plain(ALICE)))

    def test_names_that_cannot_be(self):
        self.start()
        for name in ("", "alice", "@", "a@" + "b" * 300 + ".test", "\u00e4@example.test", "a\nb@example.test", "../x@example.test"):
            with in_tls(self.d) as c:
                self.assertRegex(c.ask("AUTH PLAIN " + plain(name, "x")), "^(535|501)")
        for words in (b64("no nul"), b64("\0\0\0\0"), b64("\0" * 3000)):
            with in_tls(self.d) as c:
                self.assertRegex(c.ask("AUTH PLAIN " + words), "^(535|501)")
        self.assertIn("235", self.login().login)

    def test_many_that_stop_in_the_middle(self):
        self.start()
        held = []
        for _ in range(150):
            c = in_tls(self.d, "submissions")
            c.ask("AUTH LOGIN")
            held.append(c)
        self.assertIn("235", self.login().login)
        for c in held:
            c.close()
        self.assertIn("235", self.login().login)


if __name__ == "__main__":
    main()
