#!/usr/bin/env python3
"""AUTH between client and auth process, by hand: every order and form of it, what a process that dies in the middle costs,
guessing, files of users that cannot be used; and what becomes of a message on its way."""
import base64
import email
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from hop import Hop  # noqa: E402
from postern import DaemonTest, POSTERN, main, run, trusting, wait_until  # noqa: E402
from submission import LISTENERS, PASSWORD, Scram, b64, plain  # noqa: E402

ALICE = "alice@example.test"
FAILED = "535 5.7.8 Authentication credentials invalid"
DOMAIN = '''domain "example.test" { mailboxes = {"alice", "bob"} aliases = {"postmaster=alice", "sales=alice"} deliver = "local" }'''
_secrets = {}


def secret(password=PASSWORD):
    """What stands behind the name in the file of users; a hash is slow on purpose, so each is made once."""
    if password not in _secrets:
        with tempfile.TemporaryDirectory() as d:
            run(POSTERN, "passwd", "-c", f"{d}/u", "x@y.test", input=password.encode() + b"\n")
            _secrets[password] = open(f"{d}/u").read().strip().split(":", 1)[1]
    return _secrets[password]


class SubmissionTest(DaemonTest):
    def submission(self, users=None, listeners=None, options=None, start=True, **kw):
        d = self.prepared(listeners=listeners or LISTENERS, domain=DOMAIN, **kw)
        d.users = d.dir / "users"
        self.write_users(d, users if users is not None else {ALICE: PASSWORD, "bob@example.test": PASSWORD})
        d.options["users"] = f'"{d.users}"'
        d.options.update(options or {})
        d.write()
        return d.start() if start else d

    def write_users(self, d, users):
        d.users.write_text("".join(f"{name}:{secret(p)}\n" for name, p in users.items()))
        os.chmod(d.users, 0o600)

    def hello(self, d, listener="submission", source=None):
        """In TLS, EHLO said."""
        c = d.client(listener, tls=trusting() if listener == "submissions" else None, source=source)
        self.addCleanup(c.close)
        c.ehlo = c.hello()
        if listener == "submission":
            c.starttls()
            c.ehlo = c.expect("EHLO client.example.test", 250)
        return c

    def logged_in(self, d, user=ALICE, password=PASSWORD, **kw):
        c = self.hello(d, **kw)
        c.expect("AUTH PLAIN " + plain(user, password), 235)
        return c


def try_login(c, user=ALICE, password=PASSWORD):
    return c.ask("AUTH PLAIN " + plain(user, password))


class Exchanges(SubmissionTest):
    """AUTH by hand."""

    @classmethod
    def setUpClass(cls):
        secret()

    def setUp(self):
        self.d = self.submission()

    def scram(self, c, user=ALICE, password=PASSWORD, gs2="n,,"):
        """The reply that ends it, and what the server showed."""
        s = Scram(user, password, gs2=gs2)
        first = c.expect("AUTH SCRAM-SHA-256 " + s.first(), 334)
        last = c.ask(s.final(first[4:]))
        if last.code == 334:
            self.assertTrue(s.knows(last[4:]))
            last = c.ask("")
        return last, s

    def test_scram(self):
        for listener in ("submission", "submissions"):
            c = self.hello(self.d, listener)
            got, told = self.scram(c)
            self.assertEqual(got, "235 2.7.0 Welcome")
            self.assertEqual(told.iterations, 4096)
            self.assertEqual(c.deliver("Subject: s\n\nhello\n", to=["bob@example.test"], sender=ALICE).code, 250)
        self.assertEqual(self.scram(self.hello(self.d), password="wrong")[0], FAILED)
        self.assertEqual(self.scram(self.hello(self.d), user="ALICE@Example.TEST")[0].code, 235)

    def test_scram_for_somebody_else(self):
        """A proof of one's own password does not let one act for another."""
        self.assertEqual(self.scram(self.hello(self.d), gs2="n,a=bob@example.test,")[0], FAILED)
        self.assertEqual(self.scram(self.hello(self.d), gs2=f"n,a={ALICE},")[0].code, 235)

    def test_scram_unknown_user(self):
        """Salt and count are made up, and always the same: nobody can tell. Different names have different ones."""
        seen = {}
        for n, user in enumerate(["carol@example.test", "dave@example.test", "carol@example.test", ALICE, ALICE,
                                  "CAROL@Example.test"]):
            c = self.hello(self.d, source=f"127.0.0.{n + 10}")
            got, told = self.scram(c, user=user, password="wrong")
            self.assertEqual(got, FAILED)
            seen.setdefault(user.lower(), set()).add((told.salt, told.iterations, len(base64.b64decode(told.salt))))
        self.assertEqual([len(s) for s in seen.values()], [1, 1, 1], seen)
        self.assertEqual(len({next(iter(s))[0] for s in seen.values()}), 3)
        self.assertEqual(len({next(iter(s))[1:] for s in seen.values()}), 1)

    def test_scram_hostile(self):
        for n, first in enumerate(["", "n", "n,,", "n,,n=,r=", "n,,n=" + "a" * 9000 + ",r=x", "p=tls-unique,,n=a,r=b", "\0",
                                   "n,,n=" + ALICE + ",r=\xff", "n,,m=x,n=" + ALICE + ",r=x", "y,,n==2C,r=x"]):
            c = self.hello(self.d, source=f"127.0.0.{n + 10}")
            got = c.ask("AUTH SCRAM-SHA-256 " + (b64(first) or "="))
            if got.code == 334:
                got = c.ask(b64("c=biws,r=wrong,p=AAAA"))
            self.assertIn(got.code, (501, 535), first)
            self.assertEqual(try_login(c).code, 235)

    def test_nothing_in_clear(self):
        c = self.d.client("submission")
        self.addCleanup(c.close)
        self.assertNotIn("AUTH", c.hello())
        self.assertEqual(try_login(c), "530 5.7.0 Must issue a STARTTLS command first")
        self.assertEqual(c.ask(f"MAIL FROM:<{ALICE}>").code, 530)
        mx = self.d.client("mx")
        self.addCleanup(mx.close)
        self.assertNotIn("AUTH", mx.hello())
        self.assertEqual(try_login(mx).code, 502)
        mx.starttls()
        self.assertNotIn("AUTH", mx.expect("EHLO client.example.test", 250))
        self.assertEqual(try_login(mx).code, 502)
        self.assertFalse(self.d.events("auth.ok"))

    def test_mail_without_login(self):
        c = self.hello(self.d)
        self.assertEqual(c.ask(f"MAIL FROM:<{ALICE}>"), "530 5.7.0 Authentication required")
        try_login(c, password="wrong")
        self.assertEqual(c.ask(f"MAIL FROM:<{ALICE}>").code, 530)

    def test_same_words_and_time_for_unknown_and_wrong(self):
        took = {ALICE: [], "nobody@example.test": []}
        for n in range(6):  # three failures of one name cost nothing, then answers wait
            user = list(took)[n % 2]
            c = self.hello(self.d, source=f"127.0.1.{n + 1}")
            begun = time.monotonic()
            self.assertEqual(try_login(c, user, "wrong"), FAILED)
            took[user].append(time.monotonic() - begun)
        one, other = (statistics.median(t) for t in took.values())
        self.assertLess(max(one, other), 8 * min(one, other) + 0.02, took)
        self.assertGreater(min(one, other), 0.002, took)  # a hash was made for both

    def test_out_of_order(self):
        c = self.hello(self.d)
        self.assertEqual(c.ask("AUTH").code, 501)
        self.assertEqual(c.ask("AUTH CRAM-MD5"), "504 5.5.4 This mechanism is not offered")
        self.assertEqual(c.ask("AUTH PLAIN !!!"), "501 5.5.2 The response is not base64")
        c.expect("AUTH PLAIN", 334)
        self.assertEqual(c.ask("*"), "501 5.7.0 Authentication cancelled")
        c.expect("AUTH LOGIN", 334)
        self.assertEqual(c.ask("not base64"), "501 5.5.2 The response is not base64")
        self.assertEqual(try_login(c).code, 235)
        self.assertEqual(try_login(c).code, 503)
        c = self.logged_in(self.d)
        c.expect(f"MAIL FROM:<{ALICE}>", 250)
        self.assertEqual(try_login(c).code, 503)
        c.expect("RSET", 250)
        self.assertEqual(try_login(c).code, 503)
        c.expect(f"MAIL FROM:<{ALICE}>", 250)  # still the one who logged in

    def test_pipelined(self):
        """RFC 4954 4: AUTH comes last in a group; a client that does not wait gets its answers all the same."""
        c = self.hello(self.d)
        c.send(f"AUTH PLAIN {plain(ALICE)}\r\nMAIL FROM:<{ALICE}>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
        self.assertEqual([c.reply().code for _ in range(4)], [235, 250, 250, 354])
        c.send("Subject: p\r\n\r\nhello\r\n.\r\nQUIT\r\n")
        self.assertEqual([c.reply().code for _ in range(2)], [250, 221])
        c = self.hello(self.d)
        c.send(f"AUTH LOGIN\r\n{b64(ALICE)}\r\n{b64(PASSWORD)}\r\nNOOP\r\n")
        self.assertEqual([c.reply().code for _ in range(4)], [334, 334, 235, 250])

    def test_names(self):
        """Any way to write a name that means the same; nothing else."""
        for n, (user, code) in enumerate([("ALICE@EXAMPLE.TEST", 235), ("alice", 535), ("alice@", 535), ("@example.test", 535),
                                          (" alice@example.test", 535), ("alice@example.test..", 535), ("a" * 65 + "@example.test", 535),
                                          ("alice@" + "d" * 64 + ".test", 535), ("alice@" + "d." * 200 + "test", 535),
                                          ("\u00e4lice@example.test", 535), ("alice@example.test\n", 535), ("alice:x@example.test", 535)]):
            c = self.hello(self.d, source=f"127.0.2.{n + 1}")
            self.assertEqual(try_login(c, user).code, code, user)
        for n, words in enumerate([f"\0{ALICE}\0{PASSWORD}\0", f"\0{ALICE}\0{PASSWORD}\0x", f"\0{ALICE}\0x\0{PASSWORD}"]):
            self.assertEqual(c.ask("AUTH PLAIN " + b64(words)).code, 501)
        c.expect("AUTH LOGIN " + b64(ALICE), 334)
        self.assertEqual(c.ask(b64(PASSWORD + "\0x")).code, 501)
        c.expect("AUTH LOGIN " + b64(ALICE + "\nevent=auth.ok"), 334)
        self.assertEqual(c.ask(b64(PASSWORD)), FAILED)
        self.assertFalse(re.search("^event=auth.ok", self.d.log_text(), re.M))
        self.assertEqual(c.ask("AUTH PLAIN " + plain(ALICE, acting="bob@example.test")), FAILED)
        self.assertEqual(c.ask("AUTH PLAIN " + plain(ALICE, acting=ALICE)).code, 235)

    def test_names_with_other_letters(self):
        d = self.submission(users={"J\u00f6rg@b\u00fccher.example": PASSWORD, "x" * 64 + "@" + "d" * 63 + ".test": PASSWORD})
        for n, user in enumerate(["J\u00f6rg@b\u00fccher.example", "j\u00f6rg@xn--bcher-kva.example", "j\u00f6rg@B\u00dcCHER.example",
                                  "X" * 64 + "@" + "D" * 63 + ".TEST"]):
            self.assertEqual(try_login(self.hello(d), user).code, 235, user)


class Guessing(SubmissionTest):
    def test_answers_come_later_and_later(self):
        d = self.submission()
        took = []
        for n in range(6):
            c = self.hello(d, source="127.0.0.9")
            begun = time.monotonic()
            self.assertEqual(try_login(c, f"user{n}@example.test", "wrong"), FAILED)
            took.append(time.monotonic() - begun)
        self.assertGreaterEqual(took[3], 0.5)
        self.assertGreaterEqual(took[4], 1.0)
        self.assertGreaterEqual(took[5], 2.0)
        elapsed = [int(re.search(r"elapsed=(\d+)", e)[1]) for e in d.events("auth.failed")]
        self.assertEqual(elapsed, [0, 0, 0, 500, 1000, 2000])
        begun = time.monotonic()
        self.logged_in(d)  # another address has nothing to wait for
        self.assertLess(time.monotonic() - begun, 15)

    def test_what_is_no_name(self):
        """Whoever leaves out the domain does not wait for what others tried: no name is guarded by that."""
        d = self.submission()
        for n in range(6):
            self.assertEqual(try_login(self.hello(d, source=f"127.0.4.{n + 1}"), "admin", "wrong"), FAILED)
        self.assertEqual([re.search(r"elapsed=(\d+)", e)[1] for e in d.wait_event("auth.failed", count=6)], ["0"] * 6)

    def test_too_many(self):
        """Twenty failures of one address: one line, and it is turned away. Others log in."""
        d = self.submission()
        guesses = []
        for n in range(20):
            c = self.hello(d, source="127.0.0.9")
            c.send(f"AUTH PLAIN {plain(f'user{n}@example.test', 'wrong')}\r\n")  # its answer would be long in coming
            guesses.append(c)
        d.wait_event("auth.failed", count=20)
        for n in range(3):
            c = self.hello(d, source="127.0.0.9")
            self.assertEqual(try_login(c)[:9], "421 4.7.0")
            self.assertTrue(c.ended())
        self.assertEqual(len(d.wait_event("auth.too-many-attempts")), 1)
        self.assertIn("reason=client", d.events("auth.too-many-attempts")[0])
        self.logged_in(d, source="127.0.0.10")
        self.assertNotIn("wrong", d.log_text())  # no password is ever written down


class Processes(SubmissionTest):
    def auth_pid(self, d):
        return d.pids("auth")[0]

    def test_killed_auth(self):
        d = self.submission()
        before = {role: d.pids(role) for role in ("worker", "store", "leader")}
        half = self.hello(d)
        half.expect("AUTH LOGIN", 334)
        talking = self.logged_in(d)
        talking.expect(f"MAIL FROM:<{ALICE}>", 250)
        d.kill(self.auth_pid(d), 19)  # stopped: it takes questions and answers none
        waiting = self.hello(d)
        waiting.send(f"AUTH PLAIN {plain(ALICE)}\r\n")
        other = self.hello(d)
        self.assertEqual(other.ask("NOOP").code, 250)
        first = self.auth_pid(d)
        d.kill(first)
        self.assertEqual(waiting.reply(), "454 4.7.0 Temporary authentication failure")
        self.assertEqual(half.ask(b64(ALICE)), "454 4.7.0 Temporary authentication failure")
        self.assertEqual(half.ask("NOOP").code, 250)
        wait_until(lambda: try_login(self.hello(d)).code == 235)
        self.logged_in(d)
        self.assertEqual(try_login(half).code, 235)
        self.assertNotEqual(first, self.auth_pid(d))
        talking.expect("RCPT TO:<bob@example.test>", 250)
        talking.expect("DATA", 354)
        talking.send("Subject: x\r\n\r\nhello\r\n.\r\n")
        talking.expect(None, 250)
        self.assertEqual({role: d.pids(role) for role in before}, before)

    def test_killed_again_and_again_in_the_middle(self):
        d = self.submission()
        workers = d.pids("worker")
        for n in range(4):
            open_ones = []
            for mechanism in ("LOGIN", "PLAIN", "SCRAM-SHA-256 " + Scram(ALICE).first()) * 3:
                c = self.hello(d)
                if c.ask("AUTH " + mechanism).code == 334:
                    open_ones.append(c)
            for c in open_ones[::2]:
                c.send(b64(ALICE) + "\r\n")
            d.kill(self.auth_pid(d))
            for c in open_ones[1::2]:
                c.send(b64(ALICE) + "\r\n")
            for c in open_ones:
                self.assertIn(c.reply().code, (334, 454, 501, 535))
                c.close()
            wait_until(lambda: d.pids("auth") and try_login(self.hello(d)).code == 235)
        self.assertEqual(d.pids("worker"), workers)


class Users(SubmissionTest):
    """The file of users, as it is changed."""

    def test_reload(self):
        d = self.submission()
        self.write_users(d, {"bob@example.test": PASSWORD, "carol@example.test": PASSWORD})
        c = self.hello(d)
        self.assertEqual(try_login(c, "carol@example.test"), FAILED)
        self.assertEqual(d.reload().returncode, 0)
        self.assertEqual(try_login(self.hello(d), "carol@example.test").code, 235)
        self.assertEqual(try_login(self.hello(d)), FAILED)

    def test_files_from_elsewhere(self):
        """With the mark that some editors begin a file with, CRLF, no last newline, and behind a link."""
        d = self.submission()
        real = d.dir / "real-users"
        real.write_text(f"\ufeff{ALICE}:{secret()}\r\n# bob\r\nbob@example.test:{secret()}")
        d.users.unlink()
        d.users.symlink_to(real)
        for user in (ALICE, "bob@example.test"):
            run(POSTERN, "passwd", d.users, user, input=b"another one\n")
        self.assertTrue(d.users.is_symlink())
        self.assertEqual(len(real.read_text().splitlines()), 3)
        self.assertEqual(d.reload().returncode, 0)
        for user in (ALICE, "bob@example.test"):
            self.logged_in(d, user, "another one")

    def test_many_at_once(self):
        """Of several that write the file at the same time some may be told to come again, and nobody who was told that it is
        done is lost."""
        with tempfile.TemporaryDirectory() as d:
            users = pathlib.Path(d) / "users"
            run(POSTERN, "passwd", "-c", users, "first@example.test", input=b"x\n")
            procs = {f"u{i}@example.test": subprocess.Popen([POSTERN, "passwd", users, f"u{i}@example.test"], stdin=subprocess.PIPE,
                                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                     for i in range(40)}
            for p in procs.values():
                p.stdin.write(b"x\n")
                p.stdin.close()
            for p in procs.values():
                p.wait(60)
            done = {name for name, p in procs.items() if p.returncode == 0}
            self.assertTrue(done)
            self.assertEqual({line.split(":")[0] for line in users.read_text().splitlines()}, done | {"first@example.test"})
            self.assertEqual(os.listdir(d), ["users"])

    def test_reload_between(self):
        """Whoever is in the middle of an exchange ends it with those who were users when it began."""
        d = self.submission()
        c = self.hello(d)
        c.expect("AUTH LOGIN", 334)
        self.write_users(d, {"carol@example.test": PASSWORD})
        self.assertEqual(d.reload().returncode, 0)
        c.expect(b64(ALICE), 334)
        c.expect(b64(PASSWORD), 235)
        self.assertEqual(try_login(self.hello(d)), FAILED)

    def test_broken_files(self):
        """Where it is wrong, and what to do; the running daemon goes on with the users it has."""
        d = self.submission()
        good = d.users.read_text()
        for text, line, says in [
                ("alice:$y$j9T$abc$def\n", 1, "full address"), (f"# users\n\n{ALICE}\n", 3, "postern passwd"),
                (f"{ALICE}:\n", 1, "postern passwd"), (f"{ALICE}:{{PLAIN}}secret-secret\n", 1, "postern passwd"),
                (f"{ALICE}:a password in clear\n", 1, "postern passwd"), (f"{ALICE}:a-password-in-clear\n", 1, "postern passwd"),
                (f"{ALICE}:$y$j9T$abc\n", 1, "postern passwd"), (f"{ALICE}:$9$nobody$knows.this.one\n", 1, "postern passwd"),
                (good + good, 4, "twice"), (f"{good}{ALICE.upper()}:{secret()}\n", 3, "twice"),
                (f"{ALICE}:{secret()},x\n", 1, "SCRAM-SHA-256"), (f"{ALICE}:{secret()}:x\n", 1, "SCRAM-SHA-256"),
                (f"{ALICE}:{secret().split(':')[0]}:SCRAM-SHA-1,4096,a,b,c\n", 1, "SCRAM-SHA-256"),
                ("x" * 70 + f"@example.test:{secret()}\n", 1, "64"),
                ("\xff\xfe\n", 1, "")]:
            d.users.write_bytes(text.encode("latin-1"))
            with self.subTest(text[:60]):
                done = d.command("check")
                self.assertEqual(done.returncode, 2, done.out + done.err)
                self.assertIn(f"{d.users}:{line}:", done.out + done.err)
                self.assertIn(says, done.out + done.err)
                self.assertNotIn("$y$j9T$", done.out + done.err)  # hashes are not for terminals and tickets
        self.assertNotEqual(d.reload().returncode, 0)
        self.logged_in(d)
        d.users.write_text(good)
        self.assertEqual(d.reload().returncode, 0)
        self.logged_in(d)


class Broken(SubmissionTest):
    def test_without_tls(self):
        d = self.submission(start=False)
        d.key.write_text("nothing\n")
        d.start()
        c = d.client("submission")
        self.addCleanup(c.close)
        hello = c.hello()
        self.assertNotIn("AUTH", hello)
        self.assertEqual(try_login(c)[:9], "454 4.7.0")
        self.assertEqual(c.ask(f"MAIL FROM:<{ALICE}>")[:9], "454 4.7.0")
        self.assertEqual(c.ask("STARTTLS")[:9], "454 4.7.0")
        d.ca.issue(d.chain, d.key)
        wait_until(lambda: d.offers("submission"))
        self.logged_in(d)


class Messages(SubmissionTest):
    """What is added, and where it goes."""

    def setUp(self):
        self.hop = Hop().up()
        self.addCleanup(self.hop.down)

    def with_relay(self, **kw):
        listeners = dict(LISTENERS, printers={"tls": "off", "relay-from": '{"127.0.0.7"}'}, **kw.pop("more", {}))
        return self.submission(listeners=listeners, extra=f'''
delivery "out" {{ type = smtp address = "127.0.0.1:{self.hop.port}" tls = none }}
relay {{ delivery = "out" }}''', **kw)

    def local(self, d, mailbox="bob", count=1):
        wait_until(lambda: len(d.messages(mailbox)) >= count)
        return d.messages(mailbox)[-1].read_bytes()

    def test_fix_ups(self):
        hidden = {"hidden": {"tls": "starttls", "role": "submission", "hide-client": "yes"}}
        d = self.with_relay(more=hidden)
        c = self.logged_in(d, source="127.0.0.5")
        body = "Subject: s\nBcc: carol@far.test,\n dave@far.test\nTo: bob@example.test\n\nBcc: stays\n"
        c.deliver(body, to=["bob@example.test", "carol@far.test"], sender=ALICE)
        wait_until(self.hop.messages)
        for text in (self.local(d), self.hop.messages()[0][2].replace(b"\r\n", b"\n")):
            m = email.message_from_bytes(text)
            self.assertIsNone(m["Bcc"])
            self.assertEqual(m.get_payload(), "Bcc: stays\n")
            self.assertTrue(email.utils.parsedate_to_datetime(m["Date"]))
            self.assertRegex(m["Message-ID"], r"^<[^<>@\s]+@mx\.example\.test>$")
            self.assertEqual([len(m.get_all(f)) for f in ("Date", "Message-ID", "Subject")], [1, 1, 1])
            self.assertIn("with ESMTPSA", m["Received"])
            self.assertIn("127.0.0.5", m["Received"])
        own = "Date: Thu, 1 Jan 2026 00:00:00 +0000\nmessage-id: <own@example.test>\n\nx\n"
        c.deliver(own, to=["bob@example.test"], sender=ALICE)
        self.assertTrue(self.local(d, count=2).endswith(own.encode()))
        c = d.client("hidden", source="127.0.0.5")
        self.addCleanup(c.close)
        c.hello("my-laptop.home.test")
        c.starttls()
        c.expect("EHLO my-laptop.home.test", 250)
        c.expect(f"AUTH PLAIN {plain(ALICE)}", 235)
        c.deliver("Subject: s\n\nx\n", to=["bob@example.test"], sender=ALICE)
        text = self.local(d, count=3)
        self.assertIn(b"with ESMTPSA", text)
        self.assertNotIn(b"127.0.0.5", text)
        self.assertNotIn(b"my-laptop", text)
        mx = d.client("mx")  # mail that comes from outside is left as it is
        self.addCleanup(mx.close)
        mx.hello()
        mx.deliver("Bcc: x\n\nx\n", to=["bob@example.test"])
        self.assertTrue(self.local(d, count=4).endswith(b"Bcc: x\n\nx\n"))

    def test_where_it_goes(self):
        d = self.with_relay()
        c = self.logged_in(d)
        c.deliver("Subject: l\n\nx\n", to=["bob@example.test"], sender=ALICE)
        self.assertIn(b"Subject: l", self.local(d))
        c.deliver("Subject: r\n\nx\n", to=["carol@far.test"], sender=ALICE)
        wait_until(lambda: len(self.hop.messages()) == 1)
        c.deliver("Subject: both\n\nx\n", to=["bob@example.test", "dave@far.test"], sender=ALICE)
        self.assertIn(b"Subject: both", self.local(d, count=2))
        wait_until(lambda: len(self.hop.messages()) == 2)
        self.assertEqual([m[:2] for m in self.hop.messages()], [(ALICE, ["carol@far.test"]), (ALICE, ["dave@far.test"])])
        c.expect(f"MAIL FROM:<{ALICE}>", 250)
        self.assertEqual(c.ask("RCPT TO:<nobody@example.test>")[:9], "550 5.1.1")

    def test_without_a_way_out(self):
        d = self.submission()
        c = self.logged_in(d)
        c.expect(f"MAIL FROM:<{ALICE}>", 250)
        self.assertEqual(c.ask("RCPT TO:<carol@far.test>").code, 550)

    def test_success_report(self):
        d = self.with_relay()
        c = self.logged_in(d)
        c.expect(f"MAIL FROM:<{ALICE}> RET=HDRS ENVID=e1", 250)
        c.expect("RCPT TO:<bob@example.test> NOTIFY=SUCCESS,FAILURE", 250)
        c.expect("RCPT TO:<carol@far.test> NOTIFY=SUCCESS", 250)
        c.expect("DATA", 354)
        c.send("Subject: reported\r\n\r\nx\r\n.\r\n")
        c.expect(None, 250)

        def reported():
            texts = "".join(m.read_text() for m in d.messages("alice"))
            return "Action: delivered" in texts and "Action: relayed" in texts and texts
        text = wait_until(reported)
        self.assertIn("multipart/report", text)
        self.assertIn("Original-Envelope-Id: e1", text)

    def test_printers(self):
        """A network of relay-from sends without a login, in clear; others there may not."""
        d = self.with_relay()
        c = d.client("printers", source="127.0.0.7")
        self.addCleanup(c.close)
        self.assertNotIn("AUTH", c.hello())
        self.assertEqual(c.deliver("Subject: scan\n\nx\n", to=["carol@far.test"], sender="scanner@example.test").code, 250)
        wait_until(self.hop.messages)
        other = d.client("printers", source="127.0.0.8")
        self.addCleanup(other.close)
        other.hello()
        other.expect("MAIL FROM:<scanner@example.test>", 250)
        self.assertEqual(other.ask("RCPT TO:<carol@far.test>")[:9], "550 5.7.1")


if __name__ == "__main__":
    main()
